"""What runs on a worker in a round: the partial results of its partitions, and their carries."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from distributed import get_worker

from daskml_exec.executor._blas import single_threaded_blas
from daskml_exec.kernels.fixed_tree import Node, fold_siblings
from daskml_exec.kernels.stop_points import stop_point

Partial = Callable[[Any, Any], Any]
CarryingPartial = Callable[[Any, Any, Any], tuple[Any, Any]]
Combine = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class GroupResult:
    """Subtrees of the fixed tree over one group of partitions, and what they took."""

    nodes: dict[Node, Any]
    partial_bytes: int
    nbytes: int
    """Bytes that stay on the worker as long as the driver holds the round."""
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
class GroupTask:
    """All partitions of one group: partial results, combined where they form whole subtrees."""

    partial: Partial
    combine: Combine
    n_partitions: int
    nbytes: Callable[[Any], int]

    def __call__(self, indices: list[int], partitions: list[Any], message: Any) -> GroupResult:
        values = ((i, self.partial(p, message)) for i, p in zip(indices, partitions, strict=True))
        return _folded(values, self.combine, self.n_partitions, self.nbytes, {})


@dataclass(frozen=True)
class CarryingGroupTask:
    """As `GroupTask`, for partitions that carry something from round to round."""

    partial: CarryingPartial
    combine: Combine
    n_partitions: int
    nbytes: Callable[[Any], int]
    last: bool

    def __call__(
        self,
        indices: list[int],
        partitions: list[Any],
        message: Any,
        earlier: list[CarryingResult],
    ) -> GroupResult | CarryingResult:
        before = {index: carry for each in earlier for index, carry in each.carries.items()}
        after: dict[int, Any] = {}

        def values() -> Iterator[tuple[int, Any]]:
            for index, partition in zip(indices, partitions, strict=True):
                value, carry = self.partial(partition, message, before.get(index))
                if not self.last:
                    after[index] = carry
                yield index, value

        result = _folded(values(), self.combine, self.n_partitions, self.nbytes, after)
        return result if self.last else CarryingResult(result, after)


def without_carries(carrying: CarryingResult) -> GroupResult:
    """Return what travels to the driver."""
    return carrying.result


def _folded(
    values: Iterable[tuple[int, Any]],
    combine: Combine,
    n_partitions: int,
    nbytes: Callable[[Any], int],
    carries: dict[int, Any],
) -> GroupResult:
    """Compute the values one by one, and combine them as soon as they form whole subtrees.

    Folding as we go keeps O(log n) partial results in memory instead of n. `carries` fills up
    meanwhile.
    """
    started = time.perf_counter()
    nodes: dict[Node, Any] = {}
    size = 0
    with single_threaded_blas():
        for index, value in values:
            stop_point()
            size = max(size, nbytes(value))
            nodes[0, index] = value
            nodes = fold_siblings(nodes, n_partitions, combine)
    stays = size * len(nodes) + sum(map(nbytes, carries.values()))
    return GroupResult(nodes, size, stays, get_worker().address, time.perf_counter() - started)
