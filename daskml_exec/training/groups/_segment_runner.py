"""Run segments on the workers that there are, and repeat what a lost worker takes away."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from daskml_exec.executor import Capacity, Executor, LostPartitionError, bytes_text, tuning
from daskml_exec.executor.peers import Answer, Commit, PeerGroup, PeersInterrupted, Source
from daskml_exec.training.groups._backups import Backups
from daskml_exec.training.groups._segment import Order, Segment, Units, follow, results

T = TypeVar("T")
Loaded = tuple[Sequence[Any], dict[int, Any]]
"""Futures of the partitions, and of what units begin with."""

# How often segments are repeated without progress before the cluster is given up.
_MAX_INTERRUPTIONS = 10


def owners_of(n_units: int, n_workers: int) -> tuple[int, ...]:
    """Return per unit the worker that has it: consecutive units, in even ranges.

    Examples
    --------
    >>> owners_of(5, 2), owners_of(2, 3)
    ((0, 0, 0, 1, 1), (0, 1))
    """
    n_owners = min(n_units, n_workers)
    return tuple(unit * n_owners // n_units for unit in range(n_units))


class SegmentRunner:
    """Knows where the units are, what they have been through, and what is on disk.

    Parameters
    ----------
    executor : Executor
    units : Units
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
        units: Units,
        futures: Sequence[Any],
        given: Mapping[int, Any],
        name: str,
        load_again: Callable[[LostPartitionError], Loaded] | None = None,
    ) -> None:
        self._units = units
        self._futures = futures
        self._given = dict(given)
        self._load_again = load_again
        try:
            self._group = PeerGroup(executor, name, self._suffices)
        except BaseException:  # nobody has this to close it
            self._release()
            raise
        self.commit_interval = self._group.commit_interval
        self.segment_seconds = self._group.segment_seconds
        self._segments: list[Segment] = []
        self._owners: tuple[int, ...] = ()
        self._backups = Backups(self._group, units.n)
        self._together = False
        self._position = 0
        self._furthest = 0
        self._progress = (0, 0)
        self._in_a_row = 0
        self.interruptions = 0

    def advance(self, segment: Segment) -> list[Answer]:
        """Do the next segment; return each member's answer, of a `Report`."""
        self._segments.append(segment)
        return self._until_done(len(self._segments) - 1, self._segment)

    def results(self) -> dict[int, Any]:
        """Return what the driver wants of each unit; one is fetched after the other."""
        found: dict[int, Any] = {}
        for unit in self._units.wanted():
            arguments = (self._units, len(self._segments), (unit,))
            ask = partial(self._ask, results, arguments)
            answers = self._until_done(len(self._segments), ask)
            found.update({u: v for answer in answers for u, v in answer.value.items()})
        return found

    def close(self) -> None:
        """Remove all that the workers keep of this."""
        self._group.close()
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
        self._group.admit()
        try:
            yield
        # Tasks are cancelled where the cluster is restarted.
        except (PeersInterrupted, CancelledError) as error:
            self._together = False
            self.interruptions += 1
            self._require_progress(error)
        finally:
            self._group.leave()
        if not self._together:
            # What is not to be had now may be back in a moment.
            t = tuning()
            time.sleep(min(t.longest_pause_seconds, t.first_pause_seconds * 2**self._in_a_row))

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
        deadline = time.monotonic() + self._group.workers_timeout
        while not self._group.open(self._choose_enough()):
            if time.monotonic() >= deadline:
                raise PeersInterrupted("workers went, again and again, before a segment began")
            time.sleep(tuning().room_look_seconds)
        self._group.late = frozenset()
        self._owners = self._units.owners(len(self._group.members))
        origin = self._backups.newest()
        self._position = 0 if origin is None else origin.version
        self._order(None, origin=origin)
        self._together = True

    def _segment(self) -> list[Answer]:
        """Do the next segment, for the first time or once more."""
        stage = self._backups.are_due and len(self._group.members) > 1
        answers = self._order(self._segments[self._position], stage=stage)
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
        deadline = time.monotonic() + self._group.workers_timeout
        while True:
            members = self._choose()
            capacity = self._group.capacity(members)
            needed = self._needed_on_each(len(members))
            if capacity.holds_blocks(needed):
                return members
            self._group.late = frozenset()  # all are welcome
            if time.monotonic() >= deadline:
                raise RuntimeError(
                    f"blocks that take {bytes_text(needed)} would be on each of the "
                    f"{len(members)} workers that there are, which may use {capacity}; "
                    f"no more workers came within {self._group.workers_timeout:g} s (the limit is "
                    "dask config 'daskml-exec.workers-timeout')"
                )
            time.sleep(tuning().room_look_seconds)

    def _needed_on_each(self, n_members: int) -> int:
        """Return the bytes of units on the member that has most of them."""
        owners = self._units.owners(n_members)
        nbytes: int = max(Counter(owners).values()) * self._units.largest_nbytes
        return nbytes

    def _suffices(self, limits: Sequence[int]) -> bool:
        """Return whether members with these memory limits have room for all units."""
        return Capacity.smallest(limits).holds_blocks(self._needed_on_each(len(limits)))

    def _choose(self) -> list[str]:
        """Return the members: those of before, who may hold something, and new ones as needed."""
        living = self._group.workers()
        living = [worker for worker in living if worker not in self._group.late] or living
        before = [worker for worker in self._group.members if worker in living]
        new = [worker for worker in living if worker not in before]
        return sorted(before + new[: max(0, self._units.n - len(before))])

    def _order(
        self, segment: Segment | None, *, origin: Commit | None = None, stage: bool = False
    ) -> list[Answer]:
        """Have the members do a segment; without one, bring the units to them."""
        resident = segment is not None
        needed = [] if segment is None else sorted(set(segment.sources()))
        order = Order(
            owners=self._owners,
            position=self._position,
            resident=resident,
            origin=origin,
            given=self._sources(self._given) if not resident and origin is None else {},
            segment=segment,
            sources=self._sources({index: self._futures[index] for index in needed}),
            stage=stage,
            kept=self._backups.versions,
        )
        return self._ask(follow, (self._units, order))

    def _sources(self, futures: Mapping[int, Any]) -> dict[int, Source]:
        return dict(zip(futures, self._group.sources(list(futures.values())), strict=True))

    def _ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Answer]:
        return self._group.run(function, [arguments] * len(self._group.members))
