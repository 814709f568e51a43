"""Add up a function of the rows where they live."""

from collections.abc import Callable
from typing import Any

import numpy as np

from daskml_exec.executor import Executor, fold
from daskml_exec.partitions._aligned import aligned_partitions
from daskml_exec.partitions._data import Data
from daskml_exec.partitions._gather import gather, refusing
from daskml_exec.partitions._kinds import frame_meta
from daskml_exec.partitions._model_nodes import shared_model
from daskml_exec.partitions._partition import Partition
from daskml_exec.partitions._predict import require_labels
from daskml_exec.partitions._recipes import forget_locals
from daskml_exec.partitions._refusals import column_labels

RowFunction = Callable[[Any, Any, Any], Any]

NOTHING = "X has no rows with a positive weight: there is nothing to score"


def row_sums(
    executor: Executor,
    function: RowFunction,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    labels: tuple[str, ...] | None = None,
    combine: Callable[[Any, Any], Any] = np.add,
) -> Any:
    """Return the sums over all rows, added in the fixed tree of every reduction.

    Parameters
    ----------
    executor : Executor
    function : callable
        Takes a block of X, its y and its weights, ones if there are none, and returns its sums as
        an array or a record. Picklable. ValueErrors and TypeErrors are raised on the driver, that
        of the first partition only.
    X : Dask collection, list of futures or Data
    y, sample_weight : as X, or in memory; None for a Data, which has them
    labels : tuple of str, or None
        Column labels of blocks that are frames, if they are known.
    combine : callable
        Returns the sums of two neighbouring row ranges together.
    """
    try:
        leaves = _all_sums(executor, function, X, y, sample_weight, labels)
    except BaseException as error:
        forget_locals(error)  # which an error that is kept would keep on the cluster
        raise
    if not leaves:
        raise ValueError(NOTHING)
    return fold(leaves, combine)


def _all_sums(
    executor: Executor,
    function: RowFunction,
    X: Any,
    y: Any,
    sample_weight: Any,
    labels: tuple[str, ...] | None,
) -> list[Any]:
    """Return the sums of each partition with rows."""
    if isinstance(X, Data):
        aligned = X.as_given()
    else:
        aligned = aligned_partitions(executor, X, y, sample_weight)
    client, n = executor.client, len(aligned.futures)
    shared = shared_model(client, function)
    tasks = client.map(
        _sums, aligned.futures, aligned.first_blocks, [shared] * n, pure=False, key="row-sums"
    )
    arguments = {"X": X, "y": y, "sample_weight": sample_weight}
    answers = gather(client, tasks, arguments)
    expected = labels if frame_meta(X) is None else column_labels(frame_meta(X))
    for index, (found, _) in enumerate(answers):
        expected = found if expected is None else expected
        require_labels(found, expected, f"partition {index}")
    return [sums for _, sums in answers if sums is not None]


@refusing
def _sums(
    partition: Partition, first_block: Any, function: RowFunction
) -> tuple[list[Any] | None, Any]:
    return column_labels(first_block), _sums_of_rows(partition, function)


def _sums_of_rows(partition: Partition, function: RowFunction) -> Any:
    rows = len(partition.y)
    if not rows:
        return None
    weight = np.ones(rows) if partition.sample_weight is None else partition.sample_weight
    try:
        return function(partition.X, partition.y, weight)
    except (ValueError, TypeError) as error:
        error.add_note(f"in partition {partition.index}")
        raise
