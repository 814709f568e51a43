"""Queries to peers, and what runs on a worker in one."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from daskml_exec.executor.peers import Commit, Peer, Source, Staged, restore, write_to_next
from daskml_exec.kernels.arrays import Array


class Unit(Protocol):
    """What stays on a worker: a block with the state of its optimiser."""

    def arrays(self) -> dict[str, Array]:
        """Return by name, without copying, all that is needed to go on from here."""


class Units(Protocol):
    """What stays on Workers: blocks or stages, made there and brought back from copies there."""

    @property
    def n(self) -> int:
        """How many units there are; fixed, whatever the number of workers."""

    def owners(self, n_workers: int) -> tuple[int, ...]:
        """Return per unit which of so many workers has it."""

    @property
    def largest_nbytes(self) -> int:
        """How much memory the largest unit takes, about."""

    def create(self, unit: int, given: Any) -> Unit:
        """Return a unit before the first segment.

        `given` is what the driver has sent for it, or None.
        """

    def revive(self, unit: int, arrays: Mapping[str, Array]) -> Unit:
        """Return the unit that had these arrays, which become its own."""

    def wanted(self) -> Sequence[int]:
        """Return the units that the driver wants something of in the end."""

    def result(self, unit: Any) -> Any:
        """Return what it wants of one of them."""


class Segment(ABC):
    """A query to peers: many steps inside Workers, who exchange with one another meanwhile.

    A frozen dataclass, and a function of the units before it and of itself: it can be repeated, on
    other workers, and gives the same bits. `run` is of Workers, the rest of the driver.
    """

    carries: ClassVar[bool] = False

    @property
    @abstractmethod
    def step(self) -> str:
        """What the segment does, in a word, for the history."""

    @property
    @abstractmethod
    def units(self) -> Units:
        """What it changes; the same for all segments of a fit."""

    @property
    @abstractmethod
    def n_steps(self) -> int:
        """How many steps it asks for: all that remain."""

    @abstractmethod
    def cut(self, limit: int) -> "Segment":
        """Return its first steps, about as many, where a cut leaves the arithmetic as it is."""

    @abstractmethod
    def sources(self) -> Sequence[int]:
        """Return which partitions it goes through."""

    @abstractmethod
    def message(self) -> Any:
        """Return what of it is counted: what is not the same in all segments."""

    @abstractmethod
    def run(
        self,
        peer: Peer,
        owners: Sequence[int],
        units: Mapping[int, Any],
        sources: Mapping[int, Source],
        name: int,
    ) -> Any:
        """Do the steps, changing this worker's units in place; return what it found.

        Parameters
        ----------
        peer : Peer
        owners : sequence of int
            Per unit, the index of the member that has it.
        units : mapping of unit to Unit
            Those of this worker.
        sources : mapping of partition index to Source
        name : int
            Tells the exchanges of this segment from those of others.
        """


@dataclass(frozen=True)
class Order:
    """What a member is told to do in one task.

    Attributes
    ----------
    owners : tuple of int
        Per unit, the index of the member that has it.
    position : int
        How many segments the units have been through before.
    resident : bool
        Whether they are in memory; else they come from `origin`, or are created.
    origin : Commit or None
    given : mapping of unit to Source
        What units that are created begin with; where there is none, from their own.
    segment : Segment or None
        To go through; None to bring the units into memory only.
    sources : mapping of partition index to Source
    stage : bool
        Whether to write the units to the disks of two workers at the end.
    kept : tuple of int
        The versions on disk that count; all others of the run go.
    """

    owners: tuple[int, ...]
    position: int
    resident: bool
    origin: Commit | None
    given: Mapping[int, Source]
    segment: Segment | None
    sources: Mapping[int, Source]
    stage: bool
    kept: tuple[int, ...]


@dataclass(frozen=True)
class Report:
    """What a member found in a segment, and what it has written to its disk."""

    found: Any
    seconds: float
    """Of the segment alone."""
    staged: Staged | None


def follow(peer: Peer, kind: Units, order: Order) -> Report:
    """Do what an order says, on a member."""
    run = peer.run
    peer.files.keep(run.id, order.kept)
    units = _units(peer, kind, order)
    if not order.resident:  # one that has more to bring or to make takes longer
        peer.meet(("units",), timeout=peer.start_timeout)
    found, position, staged = None, order.position, None
    started = time.perf_counter()
    if order.segment is not None:
        found = order.segment.run(peer, order.owners, units, order.sources, position)
        position += 1
    seconds = time.perf_counter() - started
    if order.stage:
        arrays = {unit: value.arrays() for unit, value in units.items()}
        staged = write_to_next(peer, position, arrays)
    peer.residents.put(run, position, units)
    return Report(found, seconds, staged)


def results(peer: Peer, kind: Units, position: int, wanted: Sequence[int]) -> dict[int, Any]:
    """Return what the driver wants of some units, from the member that has them."""
    units = peer.residents.take(peer.run, position)
    peer.residents.put(peer.run, position, units)
    return {unit: kind.result(units[unit]) for unit in wanted if unit in units}


def _units(peer: Peer, kind: Units, order: Order) -> Mapping[int, Any]:
    if order.resident:
        return peer.residents.take(peer.run, order.position)
    if order.origin is not None:
        brought = restore(peer, order.origin, order.owners)
        return {unit: kind.revive(unit, brought.pop(unit)) for unit in sorted(brought)}
    mine = [unit for unit, owner in enumerate(order.owners) if owner == peer.index]
    given = iter(peer.partitions([order.given[unit] for unit in mine if unit in order.given]))
    return {unit: kind.create(unit, next(given) if unit in order.given else None) for unit in mine}
