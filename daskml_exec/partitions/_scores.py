"""Scores of predictions, computed where the rows live."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score

from daskml_exec.executor import Executor
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Distribution
from daskml_exec.partitions._explained import (
    Sums,
    block_sums,
    combine_sums,
    explained_share,
)
from daskml_exec.partitions._row_sums import NOTHING, row_sums
from daskml_exec.partitions._targets import real_target

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
    right, weight = row_sums(executor, partial(_right, labels), X, y, sample_weight, labels=columns)
    _require_weight(weight)
    return float(right / weight)


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
    sums = row_sums(
        executor,
        partial(_deviances, predict, distribution),
        X,
        y,
        sample_weight,
        labels=columns,
        combine=partial(combine_sums, distribution),
    )
    rows, weight, *_ = Sums(*sums)
    if rows < 2:
        warnings.warn(
            f"{distribution.score_name} score is not well-defined with less than two samples.",
            UndefinedMetricWarning,
            stacklevel=2,
        )
        return float("nan")
    _require_weight(weight)
    return explained_share(distribution, sums)


def _require_weight(weight: float) -> None:
    if weight == 0:
        raise ValueError(NOTHING)


def _right(labels: Predict, X: Any, y: Array, weight: Array) -> Array:
    predicted = labels(X)
    if not _comparable(y, predicted):
        accuracy_score(y, predicted)  # which says what is wrong with them
    return np.array([weight[predicted == y].sum(), weight.sum()])


def _comparable(y: Array, predicted: Array) -> bool:
    """Whether y holds labels of the predictions' kind, without sorting them as scikit-learn does.

    Texts and numbers are never equal, and fractions are no labels: without a look at both, a model
    would just seem to be wrong everywhere.
    """
    if y.dtype.kind in "biu" or (y.dtype.kind == "f" and not (y % 1).any()):
        return predicted.dtype.kind in "biuf"
    if y.dtype.kind == "O" and predicted.dtype.kind in "OU":
        return pd.api.types.infer_dtype(y, skipna=False) == "string"
    return y.dtype.kind == predicted.dtype.kind and y.dtype.kind in "US"


def _deviances(
    predict: Predict, distribution: Distribution, X: Any, y: Array, weight: Array
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
    return block_sums(distribution, y, predicted, weight)
