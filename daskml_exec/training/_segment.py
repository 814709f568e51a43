"""What an algorithm must provide to be run in segments, and what runs on a worker in one."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from daskml_exec.executor.peers import Commit, Peer, Source, Staged, restore, write_to_next
from daskml_exec.training._round import Measured, S

Array = np.ndarray[Any, np.dtype[Any]]


class Unit(Protocol):
    """What stays on a worker: a block with the state of its optimiser."""

    def arrays(self) -> dict[str, Array]:
        """Return by name, without copying, all that is needed to go on from here."""


class Segmented(Protocol[S]):
    """A model-parallel algorithm: what the workers do with their units, and what the driver knows.

    `create`, `revive`, `train` and `result` run on Workers. A segment is a function of the units
    before it and of its work: it can be repeated, on other workers, and gives the same bits.
    """

    @property
    def n_units(self) -> int:
        """How many units there are; fixed, whatever the number of workers."""

    @property
    def unit_nbytes(self) -> int:
        """How much memory the largest unit takes, about."""

    def outgoing(self, state: S, limit: int | None) -> Any:
        """Return the work of the next segment, of about `limit` steps where it may choose."""

    def sources(self, work: Any) -> Sequence[int]:
        """Return which partitions the work goes through."""

    def create(self, unit: int, given: Any) -> Unit:
        """Return a unit before the first segment.

        `given` is what the driver has sent for it, or None.
        """

    def revive(self, unit: int, arrays: Mapping[str, Array]) -> Unit:
        """Return the unit that had these arrays, which become its own."""

    def train(
        self,
        peer: Peer,
        owners: Sequence[int],
        units: Mapping[int, Any],
        work: Any,
        sources: Mapping[int, Source],
        name: int,
    ) -> Any:
        """Do a segment's work, changing this worker's units in place; return what it found.

        Parameters
        ----------
        peer : Peer
        owners : sequence of int
            Per unit, the index of the member that has it.
        units : mapping of unit to Unit
            Those of this worker.
        work : object
        sources : mapping of partition index to Source
        name : int
            Tells the exchanges of this segment from those of others.
        """

    def update(self, state: S, work: Any, found: Sequence[Any]) -> tuple[S, Measured]:
        """Return the next state from what each member found in the work, and what to record."""

    def steps(self, work: Any) -> int:
        """Return how many steps the work is."""

    def wanted(self) -> Sequence[int]:
        """Return the units that the driver wants something of in the end."""

    def result(self, unit: Any) -> Any:
        """Return what it wants of one of them."""


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
    work : object or None
        Of the segment to go through; None to bring the units into memory only.
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
    work: Any
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


def follow(peer: Peer, algorithm: Any, order: Order) -> Report:
    """Do what an order says, on a member."""
    run = peer.run
    peer.files.keep(run.id, order.kept)
    units = _units(peer, algorithm, order)
    if not order.resident:  # one that has more to bring or to make takes longer
        peer.meet(("units",), timeout=peer.start_timeout)
    found, position, staged = None, order.position, None
    started = time.perf_counter()
    if order.work is not None:
        found = algorithm.train(peer, order.owners, units, order.work, order.sources, position)
        position += 1
    seconds = time.perf_counter() - started
    if order.stage:
        arrays = {unit: value.arrays() for unit, value in units.items()}
        staged = write_to_next(peer, position, arrays)
    peer.residents.put(run, position, units)
    return Report(found, seconds, staged)


def results(peer: Peer, algorithm: Any, position: int, wanted: Sequence[int]) -> dict[int, Any]:
    """Return what the driver wants of some units, from the member that has them."""
    units = peer.residents.take(peer.run, position)
    peer.residents.put(peer.run, position, units)
    return {unit: algorithm.result(units[unit]) for unit in wanted if unit in units}


def _units(peer: Peer, algorithm: Any, order: Order) -> Mapping[int, Any]:
    if order.resident:
        return peer.residents.take(peer.run, order.position)
    if order.origin is not None:
        brought = restore(peer, order.origin, order.owners)
        return {unit: algorithm.revive(unit, brought.pop(unit)) for unit in sorted(brought)}
    mine = [unit for unit, owner in enumerate(order.owners) if owner == peer.index]
    given = iter(peer.partitions([order.given[unit] for unit in mine if unit in order.given]))
    return {
        unit: algorithm.create(unit, next(given) if unit in order.given else None) for unit in mine
    }
