"""What runs on a worker in a round: the answers of its partitions, and what they carry."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from types import MappingProxyType
from typing import Any

from distributed import get_worker

from daskml_exec.executor._blas import single_threaded_blas
from daskml_exec.executor._capacity import UNLIMITED, Capacity
from daskml_exec.executor._heap import heap_kept
from daskml_exec.executor._query import AnyQuery, answer_and_carry, gathers
from daskml_exec.executor._units import bytes_text
from daskml_exec.kernels.even_addresses import at_even_addresses
from daskml_exec.kernels.fixed_tree import Node, fold_siblings
from daskml_exec.kernels.stop_points import stop_point

Opened = Callable[[int, Any], Any]
"""Of an index, and what a future holds: the partition."""

_NOTHING_CARRIED: Mapping[int, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Folded:
    """Subtrees of the fixed tree over the answers of some partitions."""

    nodes: dict[Node, Any]
    bytes_back: int
    """Of the answers of all partitions, before they were combined."""
    largest: int
    """Bytes of the largest answer."""
    carries: dict[int, Any]


def fold_group(
    query: AnyQuery,
    indices: Sequence[int],
    partitions: Sequence[Any],
    n_partitions: int,
    nbytes: Callable[[Any], int],
    carries: Mapping[int, Any] = _NOTHING_CARRIED,
    capacity: Capacity = UNLIMITED,
    opened: Opened | None = None,
) -> Folded:
    """Ask partitions one by one, and combine answers as soon as they form whole subtrees.

    Folding as we go keeps O(log n) answers in memory instead of n.

    Parameters
    ----------
    query : Query or Carrying
    indices : sequence of int
        Of the partitions, among all.
    partitions : sequence
    n_partitions : int
        How many there are in all.
    nbytes : callable
        Returns the payload size of an answer.
    carries : mapping of int to object
        What partitions kept, by index: of these, and of all where the query gathers.
    capacity : Capacity
        Of where this runs.
    opened : callable, optional
        Makes the partition of what stands for it.

    Raises
    ------
    ValueError
        The answers that are held at once have no room: combining them would end the worker.
    """
    nodes: dict[Node, Any] = {}
    kept: dict[int, Any] = {}
    bytes_back = largest = 0
    with single_threaded_blas(), heap_kept():
        prepare: Callable[..., Any] = query.prepare
        prepared = prepare(carries) if gathers(query) else prepare()
        keep = keeps(query)
        shared = (prepared,) if takes_prepared(type(query)) else ()
        for index, held in zip(indices, partitions, strict=True):
            partition = held if opened is None else opened(index, held)
            given = (carries.get(index), *shared) if query.carries else shared
            answer, carry = answer_and_carry(query, query.partial(partition, *given))
            if keep:
                kept[index] = carry
            stop_point()
            size = nbytes(answer)
            bytes_back, largest = bytes_back + size, max(largest, size)
            nodes[0, index] = answer
            _require_room(query, size, len(nodes), capacity)
            nodes = fold_siblings(nodes, n_partitions, query.combine)
    return Folded(nodes, bytes_back, largest, kept)


def _require_room(query: AnyQuery, nbytes: int, n_held: int, capacity: Capacity) -> None:
    """Refuse an answer where those that the sum tree holds by now would have no room."""
    n_held += n_held > 1  # what two are combined to
    if n_held * nbytes > capacity.for_answers:
        raise ValueError(
            f"the answer of a partition to {type(query).__name__} takes {bytes_text(nbytes)}, and "
            f"{n_held} of that size would be in memory at once on a worker, of whose memory_limit "
            f"of {capacity} answers may take {bytes_text(capacity.for_answers)}: allowed are "
            "smaller answers, as of fewer features or outputs, or workers with a larger "
            "memory_limit"
        )


def takes_prepared(kind: Any) -> bool:
    """Whether `partial` takes one more than itself, the partition and, if need be, the carry."""
    return _n_parameters(kind.partial) > (3 if kind.carries else 2)


@lru_cache
def _n_parameters(function: Callable[..., Any]) -> int:
    return len(signature(function).parameters)


@dataclass(frozen=True)
class GroupResult:
    """Subtrees of the fixed tree over one group of partitions, and what they took."""

    nodes: dict[Node, Any]
    bytes_back: int
    nbytes: int
    """Bytes that stay on the worker as long as the driver holds the round."""
    carried: int
    """Bytes of what partitions carry, among them."""
    worker: str
    seconds: float


@dataclass(frozen=True)
class CarryingResult:
    """A group's result with what its partitions carry into the next round."""

    result: GroupResult
    carries: dict[int, Any]

    def __sizeof__(self) -> int:
        # Dask asks this when it decides what to spill, and whether to move a task or its inputs.
        return self.result.nbytes


@dataclass(frozen=True)
class Carried:
    """What one partition carries from an earlier fit."""

    carries: dict[int, Any]
    nbytes: int

    def __sizeof__(self) -> int:
        return self.nbytes


def carries_of(held: CarryingResult | Carried) -> dict[int, Any]:
    """Return what partitions carry, by index."""
    return held.carries


@dataclass(frozen=True)
class GroupTask:
    """Ask all partitions of one group; what they carry, if anything, stays with the result."""

    n_partitions: int
    nbytes: Callable[[Any], int]
    opened: Opened | None = None

    def __call__(
        self,
        query: AnyQuery,
        indices: list[int],
        partitions: list[Any],
        earlier: list[CarryingResult | Carried],
    ) -> GroupResult | CarryingResult:
        started = time.perf_counter()
        query = at_even_addresses(query)
        before = {
            index: at_even_addresses(carry)
            for each in earlier
            for index, carry in each.carries.items()
        }
        found = fold_group(
            query,
            indices,
            partitions,
            self.n_partitions,
            self.nbytes,
            before,
            Capacity.here(),
            self.opened,
        )
        carried = sum(map(self.nbytes, found.carries.values()))
        result = GroupResult(
            nodes=found.nodes,
            bytes_back=found.bytes_back,
            nbytes=found.largest * len(found.nodes) + carried,
            carried=carried,
            worker=get_worker().address,
            seconds=time.perf_counter() - started,
        )
        return CarryingResult(result, found.carries) if keeps(query) else result


def keeps(query: AnyQuery) -> bool:
    """Whether partitions keep something after this question."""
    return query.carries and not getattr(query, "last", False)


def without_carries(carrying: CarryingResult) -> GroupResult:
    """Return what travels to the driver."""
    return carrying.result
