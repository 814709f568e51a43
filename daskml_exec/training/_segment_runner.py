"""Run segments on the workers that there are, and repeat what a lost worker takes away."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from daskml_exec.executor import Executor
from daskml_exec.executor.peers import Answer, Commit, Crew, PeersInterrupted, Source
from daskml_exec.training._segment import Order, Report, Segmented, follow, results

T = TypeVar("T")

# How often in a row segments are repeated before the cluster is given up.
_MAX_INTERRUPTIONS = 10
# Dask pauses a worker at this share of its memory limit; units of less than the other share are not
# what it would be lost for.
_MOST, _LITTLE = 0.8, 0.3
# What a worker was measured to need beside its units: libraries, compiled code, messages.
_WORKER_BYTES = 300_000_000
# How often to look for more workers where those that there are have no room, in seconds.
_LOOK_EVERY = 0.2


def owners_of(n_units: int, n_workers: int) -> tuple[int, ...]:
    """Return per unit the worker that has it: consecutive units, in even ranges.

    Examples
    --------
    >>> owners_of(5, 2), owners_of(2, 3)
    ((0, 0, 0, 1, 1), (0, 1))
    """
    n_owners = min(n_units, n_workers)
    return tuple(unit * n_owners // n_units for unit in range(n_units))


def has_room(needed: int, limit: int) -> bool:
    """Return whether a worker with this memory limit can hold units of so many bytes.

    Examples
    --------
    >>> has_room(250_000_000, 900_000_000), has_room(500_000_000, 900_000_000)
    (True, False)
    """
    return needed <= _LITTLE * limit or needed + _WORKER_BYTES <= _MOST * limit


class SegmentRunner:
    """Knows where the units are, what they have been through, and what is on disk.

    Parameters
    ----------
    executor : Executor
    algorithm : Segmented
    futures : sequence of distributed.Future
        Of the partitions.
    given : mapping of unit to distributed.Future
        What units begin with; may be empty.
    name : str
        What the tasks are called.
    """

    def __init__(
        self,
        executor: Executor,
        algorithm: Segmented[Any],
        futures: Sequence[Any],
        given: Mapping[int, Any],
        name: str,
    ) -> None:
        self._algorithm = algorithm
        self._futures = futures
        self._given = dict(given)
        self._crew = Crew(executor, name)
        self._commit_interval = self._crew.commit_interval
        self.segment_seconds = self._crew.segment_seconds
        self._works: list[Any] = []
        self._owners: tuple[int, ...] = ()
        self._commit: Commit | None = None
        self._counted: int | None = None
        self._written_at = time.monotonic()
        self._together = False
        self.interruptions = 0

    def advance(self, work: Any) -> list[Answer]:
        """Do the work of the next segment; return each member's answer, of a `Report`."""
        stage = time.monotonic() - self._written_at >= self._commit_interval
        answers = self._until_done(lambda: self._order((work,), stage=stage))
        self._works.append(work)
        if stage:
            self._written_at = time.monotonic()
            self._count(answers)
        return answers

    def results(self) -> dict[int, Any]:
        """Return what the driver wants of each unit; one is fetched after the other."""
        found: dict[int, Any] = {}
        for unit in self._algorithm.wanted():
            arguments = (self._algorithm, len(self._works), (unit,))
            answers = self._until_done(partial(self._ask, results, arguments))
            found.update({u: v for answer in answers for u, v in answer.value.items()})
        return found

    def close(self) -> None:
        """Remove all that the workers keep of this."""
        self._crew.close()
        for future in self._given.values():
            future.release()

    def _until_done(self, action: Callable[[], T]) -> T:
        in_a_row = 0
        while True:
            self._crew.admit()
            try:
                if not self._together:
                    self._come_together()
                return action()
            except PeersInterrupted as error:
                self._together = False
                self.interruptions += 1
                in_a_row += 1
                if in_a_row >= _MAX_INTERRUPTIONS:
                    raise RuntimeError(
                        f"a segment was interrupted {in_a_row} times in a row, the last time "
                        f"because {error}"
                    ) from error
            finally:
                self._crew.leave()

    def _come_together(self) -> None:
        """Share the units among the workers that live, and bring them to where they were."""
        while not self._crew.open(members := self._choose_enough()):
            pass
        self._owners = owners_of(self._algorithm.n_units, len(members))
        staying = set(members) - self._crew.departed()
        if self._commit is not None and not self._commit.is_whole_on(staying):
            self._commit = self._counted = None  # lost with its workers: from the beginning
        done = 0 if self._commit is None else self._commit.version
        self._order(tuple(self._works[done:]), resident=False)
        self._together = True

    def _choose_enough(self) -> list[str]:
        """Return members that have room for all units; wait for more workers if these have not.

        A worker that was lost for a moment usually comes back; without it, the one that gets its
        units, too, would be lost for its memory, and the next one after it.
        """
        deadline = time.monotonic() + self._crew.workers_timeout
        while True:
            members = self._choose()
            owners = owners_of(self._algorithm.n_units, len(members))
            each = max(Counter(owners).values())
            needed, limit = each * self._algorithm.unit_nbytes, self._crew.memory_limit(members)
            if not limit or has_room(needed, limit):
                return members
            if time.monotonic() >= deadline:
                raise RuntimeError(
                    f"blocks that take {needed / 1e6:,.0f} MB would be on each of the "
                    f"{len(members)} workers that there are, which may use {limit / 1e6:,.0f} MB; "
                    f"no more workers came within {self._crew.workers_timeout:g} s (the limit is "
                    "dask config 'daskml-exec.workers-timeout')"
                )
            time.sleep(_LOOK_EVERY)

    def _choose(self) -> list[str]:
        """Return the members: those of before, who may hold something, and new ones as needed."""
        living = self._crew.workers()
        before = [worker for worker in self._crew.members if worker in living]
        new = [worker for worker in living if worker not in before]
        return sorted(before + new[: max(0, self._algorithm.n_units - len(before))])

    def _order(
        self, works: tuple[Any, ...], *, resident: bool = True, stage: bool = False
    ) -> list[Answer]:
        stage = stage and len(self._crew.members) > 1
        needed = sorted({index for work in works for index in self._algorithm.sources(work)})
        position = len(self._works) - (0 if resident else len(works))
        order = Order(
            owners=self._owners,
            position=position,
            resident=resident,
            origin=None if resident else self._commit,
            given=self._sources(self._given) if not resident and self._commit is None else {},
            works=works,
            sources=self._sources({index: self._futures[index] for index in needed}),
            stage=stage,
            committed=self._counted,
        )
        return self._ask(follow, (self._algorithm, order))

    def _sources(self, futures: Mapping[int, Any]) -> dict[int, Source]:
        return dict(zip(futures, self._crew.sources(list(futures.values())), strict=True))

    def _ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Answer]:
        return self._crew.run(function, [arguments] * len(self._crew.members))

    def _count(self, answers: Sequence[Answer]) -> None:
        """Count a version that all members have written; the next order tells them so."""
        reports: list[Report] = [answer.value for answer in answers]
        holders = {unit: report.holders for report in reports for unit in report.entries}
        if len(holders) < self._algorithm.n_units:
            return  # there was only one worker
        entries = {unit: found for report in reports for unit, found in report.entries.items()}
        self._commit = Commit(len(self._works), holders, entries)
        self._counted = self._commit.version
