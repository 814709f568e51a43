"""Add up a function of the rows where they live."""

from collections.abc import Callable
from typing import Any

import numpy as np

from daskml_exec.executor import Executor, fold
from daskml_exec.partitions._aligned import aligned_partitions
from daskml_exec.partitions._gather import gather, refusing
from daskml_exec.partitions._partition import Partition

Sums = np.ndarray[Any, np.dtype[Any]]
RowFunction = Callable[[Any, Any, Any], Sums]

NOTHING = "X has no rows with a positive weight: there is nothing to score"


def row_sums(
    executor: Executor,
    function: RowFunction,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    combine: Callable[[Sums, Sums], Sums] = np.add,
) -> Sums:
    """Return the sums over all rows, added in the fixed tree of every reduction.

    Parameters
    ----------
    executor : Executor
    function : callable
        Takes a block of X, its y and its weights, ones if there are none, and returns its sums as
        one array. Picklable. ValueErrors and TypeErrors are raised on the driver, that of the
        first partition only.
    X : Dask collection or list of futures
    y, sample_weight : as X, or in memory
    combine : callable
        Returns the sums of two neighbouring row ranges together.
    """
    aligned = aligned_partitions(executor, X, y, sample_weight)
    tasks = executor.client.map(
        _sums, aligned.futures, [function] * len(aligned.futures), pure=False, key="row-sums"
    )
    arguments = {"X": X, "y": y, "sample_weight": sample_weight}
    leaves = [sums for sums in gather(executor.client, tasks, arguments) if sums is not None]
    if not leaves:
        raise ValueError(NOTHING)
    return fold(leaves, combine)


@refusing
def _sums(partition: Partition, function: RowFunction) -> Sums | None:
    rows = len(partition.y)
    if not rows:
        return None
    weight = np.ones(rows) if partition.sample_weight is None else partition.sample_weight
    try:
        return function(partition.X, partition.y, weight)
    except (ValueError, TypeError) as error:
        error.add_note(f"in partition {partition.index}")
        raise
