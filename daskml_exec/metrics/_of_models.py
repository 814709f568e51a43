"""Scores of models' predictions, computed where the rows live."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from daskml_exec.executor import Executor
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Distribution
from daskml_exec.metrics._explained import Explained, warn_of_too_few
from daskml_exec.metrics._metric import Metric
from daskml_exec.metrics._records import accuracy as accuracy_record
from daskml_exec.metrics._row_means import MeanSums
from daskml_exec.partitions import real_target, row_sums
from daskml_exec.partitions._row_sums import NOTHING

Predict = Callable[[Any], Any]


def accuracy(
    executor: Executor,
    labels: Predict,
    X: Any,
    y: Any,
    sample_weight: Any,
    columns: tuple[str, ...] | None = None,
) -> float:
    """Return the share of rows, by weight, at which ``labels(X)`` equals y.

    Parameters
    ----------
    executor : Executor
    labels : callable
        Returns the predicted labels of a block of rows.
    X : Dask collection, list of futures or Data
    y, sample_weight : as X, or in memory; None for a Data, which has them
    columns : tuple of str, or None
        Labels of the columns, if the model knows them.
    """
    record = accuracy_record()
    ask = partial(_of_labels, record, labels)
    sums = row_sums(executor, ask, X, y, sample_weight, labels=columns, combine=record.combine)
    _require_weight(sums.weight)
    return float(record.finalise(sums))


def d2(
    executor: Executor,
    predict: Predict,
    X: Any,
    y: Any,
    sample_weight: Any,
    distribution: Distribution,
    columns: tuple[str, ...] | None = None,
) -> float:
    """Return the share of the deviance of y that the predictions explain.

    For `Gaussian` it is `sklearn.metrics.r2_score`, for others `sklearn.metrics.d2_tweedie_score`,
    but defined as `r2_score` where y is constant. A prediction of zero is allowed for counts: a row
    with a larger y makes the score minus infinity.

    Parameters
    ----------
    executor : Executor
    predict : callable
        Returns the predictions of a block of rows. Picklable.
    X : Dask collection, list of futures or Data
    y, sample_weight : as X, or in memory; None for a Data, which has them
    distribution : Distribution
        Which has all values of y, and the predictions as means.
    columns : tuple of str, or None
        Labels of the columns, if the model knows them.

    Returns
    -------
    float
        NaN, with a warning, for fewer than two rows.
    """
    explained = Explained(distribution, "uniform_average", True)
    sums = row_sums(
        executor,
        partial(_deviances, predict, explained, distribution),
        X,
        y,
        sample_weight,
        labels=columns,
        combine=explained.combine,
    )
    rows, weight = sums[0, :2]
    if rows < 2:
        warn_of_too_few(distribution, stacklevel=2)
        return float("nan")
    _require_weight(weight)
    return float(explained.finalise(sums))


def _require_weight(weight: float) -> None:
    if weight == 0:
        raise ValueError(NOTHING)


def _of_labels(record: Metric, labels: Predict, X: Any, y: Array, weight: Array) -> MeanSums:
    sums: MeanSums = record.chunk(y, labels(X), weight)
    return sums


def _deviances(
    predict: Predict,
    explained: Explained,
    distribution: Distribution,
    X: Any,
    y: Array,
    weight: Array,
) -> Array:
    y = real_target(y, where="the partition", distribution=distribution)
    predicted = np.asarray(predict(X), dtype=np.float64)
    if predicted.shape != y.shape:
        raise ValueError(
            f"the predictions have the shape {predicted.shape}; allowed is {y.shape}, one per row"
        )
    bad = ~(np.isfinite(predicted) & (predicted >= distribution.y_min))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"the prediction in row {row} of the partition is {predicted[row]:g}; allowed are "
            f"finite {distribution.allowed}"
        )
    return explained(y, predicted, weight)
