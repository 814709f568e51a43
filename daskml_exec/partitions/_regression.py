"""Partitions for a regression: aligned, checked, with a numeric target."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.executor import Executor
from daskml_exec.partitions._assemble import check_weights
from daskml_exec.partitions._blocks import require_rows
from daskml_exec.partitions._from_cluster import described, require_weight
from daskml_exec.partitions._kinds import is_collection, require_column
from daskml_exec.partitions._memory import partitions_from_memory
from daskml_exec.partitions._partition import Partition, Partitions
from daskml_exec.partitions._targets import real_target

NEEDED = "a fit needs at least one row"


def regression_data(
    executor: Executor,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    feature_names: Any,
    y_min: float | None = None,
) -> Partitions:
    """Cut and place the data, or take it where it lives; bring the target to float64.

    Parameters
    ----------
    executor : Executor
    X : ndarray, CSR matrix, Dask array, Dask dataframe or list of futures
        In-memory data must be checked already.
    y, sample_weight : as X, one value per row
        In memory if X is. `sample_weight` may be None. `y` must be finite in all rows, those of
        weight zero too.
    feature_names : tuple of str, or None
        Of in-memory data; dataframes on the cluster bring their own.
    y_min : float or None
        Smallest value of `y` that the loss allows, if there is one.

    Raises
    ------
    ValueError
        The number of rows differs; `y` is not of real numbers, is not finite or is below `y_min`;
        weights are negative; or no row has a positive weight.
    """
    if is_collection(X):
        with described(executor, X, y, sample_weight, _Weight(y_min)) as found:
            require_weight(sum(found.rows), sum(found.targets), needed=NEEDED)
            return found.finished(_columns)
    y = real_target(_column(X, y, "y"), where="the data", y_min=y_min)
    if sample_weight is not None:
        sample_weight = check_weights(_column(X, sample_weight, "sample_weight"), where="the data")
    require_weight(len(y), _weight(y, sample_weight), needed=NEEDED)
    return partitions_from_memory(executor, X, y, sample_weight, feature_names=feature_names)


def _column(X: Any, column: Any, name: str) -> Any:
    column = np.asarray(column)
    require_column(column, name)
    require_rows(X.shape[0], len(column), name)
    return column.reshape(-1)


@dataclass(frozen=True)
class _Weight:
    """Checks the target of a partition, and returns the weight of its rows."""

    y_min: float | None

    def __call__(self, partition: Partition) -> float:
        y = real_target(partition.y, where=f"partition {partition.index}", y_min=self.y_min)
        return _weight(y, partition.sample_weight)


def _columns(partition: Partition) -> tuple[Any, Any]:
    return real_target(partition.y, where="a partition"), partition.sample_weight


def _weight(y: Any, sample_weight: Any) -> float:
    return float(len(y) if sample_weight is None else sample_weight.sum())
