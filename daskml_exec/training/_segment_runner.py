"""Run segments on the workers that there are, and repeat what a lost worker takes away."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from daskml_exec.executor import Executor, LostPartitionError, bytes_text
from daskml_exec.executor.peers import Answer, Commit, Crew, PeersInterrupted, Source
from daskml_exec.training._backups import Backups
from daskml_exec.training._segment import Order, Segmented, follow, results

T = TypeVar("T")
Loaded = tuple[Sequence[Any], dict[int, Any]]
"""Futures of the partitions, and of what units begin with."""

# How often segments are repeated without progress before the cluster is given up.
_MAX_INTERRUPTIONS = 10
# How long to wait after an interruption, in seconds: at first, doubled each time, at most.
_PAUSE, _LONGEST_PAUSE = 0.01, 2.0
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
    load_again : callable, optional
        Returns other futures of the same partitions, and of what units begin with, where those
        are lost for good; or raises the error that it is given.
    """

    def __init__(
        self,
        executor: Executor,
        algorithm: Segmented[Any],
        futures: Sequence[Any],
        given: Mapping[int, Any],
        name: str,
        load_again: Callable[[LostPartitionError], Loaded] | None = None,
    ) -> None:
        self._algorithm = algorithm
        self._futures = futures
        self._given = dict(given)
        self._load_again = load_again
        try:
            self._crew = Crew(executor, name, self._suffices)
        except BaseException:  # nobody has this to close it
            self._release()
            raise
        self.commit_interval = self._crew.commit_interval
        self.segment_seconds = self._crew.segment_seconds
        self._works: list[Any] = []
        self._owners: tuple[int, ...] = ()
        self._backups = Backups(self._crew, algorithm.n_units)
        self._together = False
        self._position = 0
        self._furthest = 0
        self._progress = (0, 0)
        self._in_a_row = 0
        self.interruptions = 0

    def advance(self, work: Any) -> list[Answer]:
        """Do the work of the next segment; return each member's answer, of a `Report`."""
        self._works.append(work)
        return self._until_done(len(self._works) - 1, self._segment)

    def results(self) -> dict[int, Any]:
        """Return what the driver wants of each unit; one is fetched after the other."""
        found: dict[int, Any] = {}
        for unit in self._algorithm.wanted():
            arguments = (self._algorithm, len(self._works), (unit,))
            ask = partial(self._ask, results, arguments)
            answers = self._until_done(len(self._works), ask)
            found.update({u: v for answer in answers for u, v in answer.value.items()})
        return found

    def close(self) -> None:
        """Remove all that the workers keep of this."""
        self._crew.close()
        self._release()

    def _release(self) -> None:
        for future in self._given.values():
            future.release()

    def _until_done(self, position: int, action: Callable[[], T]) -> T:
        """Do something where the units have been through so many segments, and bring them there.

        Other fits get their turn after each segment, also after those that are repeated.
        """
        while True:
            try:
                with self._turn():
                    if not self._together:
                        self._come_together()
                    if self._position == position:
                        return action()
                    self._segment()
            except LostPartitionError as error:
                if self._load_again is None:
                    raise
                self._together = False
                self._require_progress(error)
                self._futures, self._given = self._load_again(error)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Have the workers inside the block, and survive its interruption."""
        self._crew.admit()
        try:
            yield
        # Tasks are cancelled where the cluster is restarted.
        except (PeersInterrupted, CancelledError) as error:
            self._together = False
            self.interruptions += 1
            self._require_progress(error)
        finally:
            self._crew.leave()
        if not self._together:
            # What is not to be had now may be back in a moment.
            time.sleep(min(_LONGEST_PAUSE, _PAUSE * 2**self._in_a_row))

    def _require_progress(self, error: Exception) -> None:
        """Raise where segments are interrupted again and again and nothing comes of it."""
        progress = (self._furthest, self._backups.furthest)
        self._in_a_row = 1 if progress != self._progress else self._in_a_row + 1
        self._progress = progress
        if self._in_a_row >= _MAX_INTERRUPTIONS:
            raise RuntimeError(
                f"segments were interrupted {self._in_a_row} times, and between the first and the "
                "last time none was done that had not been done before, and no backup was written; "
                f"the last time because {error}"
            ) from error

    def _come_together(self) -> None:
        """Share the units among the workers that live, and bring the last version to them."""
        deadline = time.monotonic() + self._crew.workers_timeout
        while not self._crew.open(self._choose_enough()):
            if time.monotonic() >= deadline:
                raise PeersInterrupted("workers went, again and again, before a segment began")
            time.sleep(_LOOK_EVERY)
        self._crew.late = frozenset()
        self._owners = owners_of(self._algorithm.n_units, len(self._crew.members))
        origin = self._backups.newest()
        self._position = 0 if origin is None else origin.version
        self._order(None, origin=origin)
        self._together = True

    def _segment(self) -> list[Answer]:
        """Do the next segment, for the first time or once more."""
        stage = self._backups.are_due and len(self._crew.members) > 1
        answers = self._order(self._works[self._position], stage=stage)
        self._position += 1
        self._furthest = max(self._furthest, self._position)
        if stage:
            self._backups.count(self._position, [answer.value.staged for answer in answers])
        return answers

    def _choose_enough(self) -> list[str]:
        """Return members that have room for all units; wait for more workers if these have not.

        A worker that was lost for a moment usually comes back; without it, the one that gets its
        units, too, would be lost for its memory, and the next one after it.
        """
        deadline = time.monotonic() + self._crew.workers_timeout
        while True:
            members = self._choose()
            limit = self._crew.memory_limit(members)
            needed = self._needed_on_each(len(members))
            if not limit or has_room(needed, limit):
                return members
            self._crew.late = frozenset()  # all are welcome
            if time.monotonic() >= deadline:
                raise RuntimeError(
                    f"blocks that take {bytes_text(needed)} would be on each of the "
                    f"{len(members)} workers that there are, which may use {bytes_text(limit)}; "
                    f"no more workers came within {self._crew.workers_timeout:g} s (the limit is "
                    "dask config 'daskml-exec.workers-timeout')"
                )
            time.sleep(_LOOK_EVERY)

    def _needed_on_each(self, n_members: int) -> int:
        """Return the bytes of units on the member that has most of them."""
        owners = owners_of(self._algorithm.n_units, n_members)
        nbytes: int = max(Counter(owners).values()) * self._algorithm.unit_nbytes
        return nbytes

    def _suffices(self, limits: Sequence[int]) -> bool:
        """Return whether members with these memory limits have room for all units."""
        limit = min((each for each in limits if each), default=0)
        return not limit or has_room(self._needed_on_each(len(limits)), limit)

    def _choose(self) -> list[str]:
        """Return the members: those of before, who may hold something, and new ones as needed."""
        living = self._crew.workers()
        living = [worker for worker in living if worker not in self._crew.late] or living
        before = [worker for worker in self._crew.members if worker in living]
        new = [worker for worker in living if worker not in before]
        return sorted(before + new[: max(0, self._algorithm.n_units - len(before))])

    def _order(
        self, work: Any, *, origin: Commit | None = None, stage: bool = False
    ) -> list[Answer]:
        """Have the members do a segment; without work, bring the units to them."""
        resident = work is not None
        needed = sorted(set(self._algorithm.sources(work))) if resident else []
        order = Order(
            owners=self._owners,
            position=self._position,
            resident=resident,
            origin=origin,
            given=self._sources(self._given) if not resident and origin is None else {},
            work=work,
            sources=self._sources({index: self._futures[index] for index in needed}),
            stage=stage,
            kept=self._backups.versions,
        )
        return self._ask(follow, (self._algorithm, order))

    def _sources(self, futures: Mapping[int, Any]) -> dict[int, Source]:
        return dict(zip(futures, self._crew.sources(list(futures.values())), strict=True))

    def _ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Answer]:
        return self._crew.run(function, [arguments] * len(self._crew.members))
