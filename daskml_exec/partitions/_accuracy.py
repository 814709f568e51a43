"""Count right predictions where the rows live."""

from collections.abc import Callable
from typing import Any

import numpy as np

from daskml_exec.executor import Executor, fold
from daskml_exec.partitions._aligned import aligned_partitions
from daskml_exec.partitions._gather import Refused, gather
from daskml_exec.partitions._partition import Partition


def accuracy(
    executor: Executor, labels: Callable[[Any], Any], X: Any, y: Any, sample_weight: Any
) -> float:
    """Return the share of rows, by weight, at which ``labels(X)`` equals y.

    Parameters
    ----------
    executor : Executor
    labels : callable
        Returns the predicted labels of a block of rows.
    X : Dask collection or list of futures
    y, sample_weight : as X, or in memory
    """
    aligned = aligned_partitions(executor, X, y, sample_weight)
    counts = executor.client.map(
        _count, [labels] * len(aligned.futures), aligned.futures, pure=False, key="accuracy"
    )
    arguments = {"X": X, "y": y, "sample_weight": sample_weight}
    right, weight = fold(gather(executor.client, counts, arguments), np.add)
    if weight == 0:
        raise ValueError("X has no rows with a positive weight: there is nothing to score")
    return float(right / weight)


def _count(labels: Callable[[Any], Any], partition: Partition | Refused) -> Any:
    if isinstance(partition, Refused):
        return partition
    if not len(partition.y):
        return np.zeros(2)
    right = labels(partition.X) == partition.y
    weight = np.ones(len(right)) if partition.sample_weight is None else partition.sample_weight
    return np.array([weight[right].sum(), weight.sum()])
