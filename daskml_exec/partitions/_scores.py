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
from daskml_exec.partitions._explained import (
    Array,
    Divergence,
    PoissonDeviance,
    SquaredError,
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
    X : Dask collection or list of futures
    y, sample_weight : as X, or in memory
    columns : tuple of str, or None
        Labels of the columns, if the model knows them.
    """
    right, weight = row_sums(executor, partial(_right, labels), X, y, sample_weight, labels=columns)
    _require_weight(weight)
    return float(right / weight)


def r2(
    executor: Executor,
    predict: Predict,
    X: Any,
    y: Any,
    sample_weight: Any,
    columns: tuple[str, ...] | None = None,
) -> float:
    """Return the coefficient of determination, as `sklearn.metrics.r2_score` defines it.

    Parameters
    ----------
    executor : Executor
    predict : callable
        Returns the predictions of a block of rows. Picklable.
    X : Dask collection or list of futures
    y, sample_weight : as X, or in memory
    columns : tuple of str, or None
        Labels of the columns, if the model knows them.

    Returns
    -------
    float
        NaN, with a warning, for fewer than two rows.
    """
    return _explained(executor, predict, X, y, sample_weight, columns, SquaredError(), "R^2")


def d2_poisson(
    executor: Executor,
    predict: Predict,
    X: Any,
    y: Any,
    sample_weight: Any,
    columns: tuple[str, ...] | None = None,
) -> float:
    """Return the share of Poisson's deviance that the predictions explain.

    It is `sklearn.metrics.d2_tweedie_score` with ``power=1``, and defined as `r2_score` where y is
    constant. Predictions of zero are allowed: a row with a larger y makes the score minus infinity.

    Parameters
    ----------
    executor : Executor
    predict : callable
        Returns the predictions of a block of rows, none below zero. Picklable.
    X : Dask collection or list of futures
    y, sample_weight : as X, or in memory
    columns : tuple of str, or None
        Labels of the columns, if the model knows them.

    Returns
    -------
    float
        NaN, with a warning, for fewer than two rows.
    """
    return _explained(
        executor, predict, X, y, sample_weight, columns, PoissonDeviance(), "D^2", 0.0
    )


def _explained(
    executor: Executor,
    predict: Predict,
    X: Any,
    y: Any,
    sample_weight: Any,
    columns: tuple[str, ...] | None,
    divergence: Divergence,
    name: str,
    y_min: float | None = None,
) -> float:
    sums = row_sums(
        executor,
        partial(_deviances, predict, divergence, y_min),
        X,
        y,
        sample_weight,
        labels=columns,
        combine=partial(combine_sums, divergence),
    )
    rows, weight, *_ = Sums(*sums)
    if rows < 2:
        warnings.warn(
            f"{name} score is not well-defined with less than two samples.",
            UndefinedMetricWarning,
            stacklevel=3,
        )
        return float("nan")
    _require_weight(weight)
    return explained_share(divergence, sums)


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
    predict: Predict, divergence: Divergence, y_min: float | None, X: Any, y: Array, weight: Array
) -> Array:
    y = real_target(y, where="the partition", y_min=y_min)
    predicted = np.asarray(predict(X), dtype=np.float64)
    if predicted.shape != y.shape:
        raise ValueError(
            f"the predictions have the shape {predicted.shape}; allowed is {y.shape}, one per row"
        )
    lowest = -np.inf if y_min is None else y_min
    bad = ~(np.isfinite(predicted) & (predicted >= lowest))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        allowed = "finite values" if y_min is None else f"finite values from {y_min:g}"
        raise ValueError(
            f"the prediction in row {row} of the partition is {predicted[row]:g}; allowed are "
            f"{allowed}"
        )
    return block_sums(divergence, y, predicted, weight)
