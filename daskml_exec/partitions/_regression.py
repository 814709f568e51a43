"""Partitions for a regression: aligned, checked, with a numeric target."""

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.executor import Executor
from daskml_exec.kernels.fixed_tree import fold
from daskml_exec.kernels.moments import Moments, column_moments
from daskml_exec.partitions._assemble import check_weights
from daskml_exec.partitions._blocks import require_rows
from daskml_exec.partitions._from_cluster import described, require_weight
from daskml_exec.partitions._kinds import is_collection, require_column
from daskml_exec.partitions._memory import partitions_from_memory
from daskml_exec.partitions._partition import Partition, Partitions
from daskml_exec.partitions._recipes import with_recipe
from daskml_exec.partitions._relative import TargetForm, target_level, weight_exponent
from daskml_exec.partitions._targets import real_target

NEEDED = "a fit needs at least one row"


@with_recipe
def regression_data(
    executor: Executor,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    feature_names: Any,
    y_min: float | None = None,
    levelled: bool = False,
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
    levelled : bool
        Whether to take from `y` a level that it is far above or below zero, which is then part of
        ``form``.

    Raises
    ------
    ValueError
        The number of rows differs; `y` is not of real numbers, is not finite or is below `y_min`;
        weights are negative; or no row has a positive weight.
    """
    if is_collection(X):
        with described(executor, X, y, sample_weight, _TargetMoments(y_min)) as found:
            form = _form(fold(found.targets, operator.add), sum(found.rows), levelled=levelled)
            return found.finished(_Columns(form), form)
    y = real_target(_column(X, y, "y"), where="the data", y_min=y_min)
    if sample_weight is not None:
        sample_weight = check_weights(_column(X, sample_weight, "sample_weight"), where="the data")
    form = _form(_moments(y, sample_weight), len(y), levelled=levelled)
    y, sample_weight = form(y, sample_weight)
    return partitions_from_memory(
        executor, X, y, sample_weight, feature_names=feature_names, form=form
    )


def _form(target: Moments, rows: int, *, levelled: bool) -> TargetForm:
    """Return how to bring weights to a usual size, and targets near zero."""
    require_weight(rows, target.weight, needed=NEEDED)
    exponent = weight_exponent(target.weight, rows)
    return TargetForm(exponent, target_level(target) if levelled else 0.0)


def _column(X: Any, column: Any, name: str) -> Any:
    column = np.asarray(column)
    require_column(column, name)
    require_rows(X.shape[0], len(column), name)
    return column.reshape(-1)


@dataclass(frozen=True)
class _TargetMoments:
    """Checks the target of a partition, and returns its moments."""

    y_min: float | None

    def __call__(self, partition: Partition) -> Moments:
        y = real_target(partition.y, where=f"partition {partition.index}", y_min=self.y_min)
        return _moments(y, partition.sample_weight)


@dataclass(frozen=True)
class _Columns:
    """The last form of a partition's y and weights."""

    form: TargetForm

    def __call__(self, partition: Partition) -> tuple[Any, Any]:
        return self.form(real_target(partition.y, where="a partition"), partition.sample_weight)


def _moments(y: Any, sample_weight: Any) -> Moments:
    return column_moments(y[:, None], sample_weight)
