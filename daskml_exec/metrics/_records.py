"""The records of all metrics: what is counted, and how it ends."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn import metrics as theirs

from daskml_exec.kernels import row_scores
from daskml_exec.kernels.array_namespace import (
    array_namespace,
    doubles,
    dtype_kind,
    everywhere,
    number,
    resolution,
    somewhere,
    total_weight,
)
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Distribution, Gaussian, Poisson
from daskml_exec.metrics._by_label import merged_sums, sums_by_label, total_of_labels
from daskml_exec.metrics._curves import CurveChunk, PrecisionArea, RocArea
from daskml_exec.metrics._explained import Explained
from daskml_exec.metrics._label_pairs import require_labels_alike
from daskml_exec.metrics._metric import Metric
from daskml_exec.metrics._places import as_column, as_matrix
from daskml_exec.metrics._row_means import (
    MeanSums,
    added,
    averaged,
    first,
    mean_metric,
    mean_of,
    require_weight,
)


def accuracy(*, normalize: bool = True) -> Metric:
    """Return the record of `accuracy_score`."""
    asked = partial(theirs.accuracy_score, normalize=normalize)
    finalise = partial(mean_of, first, not normalize)
    return Metric("accuracy_score", asked, _right, added, finalise, anywhere=True)


def errors(name: str, *, multioutput: Any = "uniform_average") -> Metric:
    """Return the record of a mean error of regression."""
    rows = row_scores.absolute_errors if "absolute" in name else row_scores.squared_errors
    return mean_metric(
        name,
        partial(getattr(theirs, name), multioutput=multioutput),
        partial(_of_numbers, rows),
        partial(averaged, multioutput, name.startswith("root")),
        shape=(np.nan,) if isinstance(multioutput, str) and multioutput == "raw_values" else (),
    )


def poisson_deviance() -> Metric:
    """Return the record of `mean_poisson_deviance`."""
    return mean_metric("mean_poisson_deviance", theirs.mean_poisson_deviance, _poisson, first)


def ranking(name: str, *, k: int | None, ignore_ties: bool, log_base: float = 2) -> Metric:
    """Return the record of `ndcg_score` or `dcg_score`."""
    base = {} if name == "ndcg_score" else {"log_base": log_base}
    return mean_metric(
        name,
        partial(getattr(theirs, name), k=k, ignore_ties=ignore_ties, **base),
        partial(_gains, name == "ndcg_score", k, log_base, ignore_ties),
        first,
        takes="y_score",
        anywhere=False,
    )


def log_loss(*, normalize: bool = True, labels: Any = None) -> Metric:
    """Return the record of `log_loss`."""
    return Metric(
        "log_loss",
        partial(_positional, theirs.log_loss, normalize=normalize, labels=labels),
        partial(_by_label, "y_proba", row_scores.log_losses),
        merged_sums,
        partial(_mean_of_labels, labels, normalize, "y_proba"),
        takes="y_score",
        anywhere=True,
    )


def brier(*, pos_label: Any = None) -> Metric:
    """Return the record of `brier_score_loss`."""
    return Metric(
        "brier_score_loss",
        partial(_positional, theirs.brier_score_loss, pos_label=pos_label),
        _brier_chunk,
        merged_sums,
        partial(_brier, pos_label),
        takes="y_score",
        anywhere=True,
    )


def top_k(*, k: int, normalize: bool, labels: Any) -> Metric:
    """Return the record of `top_k_accuracy_score`."""
    return Metric(
        "top_k_accuracy_score",
        partial(theirs.top_k_accuracy_score, k=k, normalize=normalize, labels=labels),
        partial(_top_chunk, k),
        merged_sums,
        partial(_mean_of_labels, labels, normalize, "y_score"),
        takes="y_score",
    )


def roc_auc(
    *, average: Any, max_fpr: Any, multi_class: str, labels: Any, max_distinct: int
) -> Metric:
    """Return the record of `roc_auc_score`."""
    options = {"average": average, "max_fpr": max_fpr, "multi_class": multi_class}
    chunk = CurveChunk(_distinct(max_distinct), probabilities=True)
    names = None if labels is None else tuple(np.asarray(labels).tolist())
    return Metric(
        "roc_auc_score",
        partial(theirs.roc_auc_score, labels=labels, **options),
        chunk,
        chunk.combine,
        RocArea(labels=names, **options),
        takes="y_score",
        large=True,
        shape=() if average is not None else (np.nan,),
    )


def average_precision(*, average: Any, pos_label: Any, max_distinct: int) -> Metric:
    """Return the record of `average_precision_score`."""
    chunk = CurveChunk(_distinct(max_distinct), probabilities=False)
    return Metric(
        "average_precision_score",
        partial(theirs.average_precision_score, average=average, pos_label=pos_label),
        chunk,
        chunk.combine,
        PrecisionArea(average, pos_label),
        takes="y_score",
        large=True,
        shape=() if average is not None else (np.nan,),
    )


def r2(*, multioutput: Any = "uniform_average", force_finite: bool = True) -> Metric:
    """Return the record of `r2_score`."""
    explained = Explained(Gaussian(), multioutput, force_finite)
    asked = partial(theirs.r2_score, multioutput=multioutput, force_finite=force_finite)
    raw = isinstance(multioutput, str) and multioutput == "raw_values"
    return Metric(
        "r2_score",
        asked,
        explained,
        explained.combine,
        explained.finalise,
        shape=(np.nan,) if raw else (),
        anywhere=True,
    )


def d2_tweedie(*, power: float = 0) -> Metric:
    """Return the record of `d2_tweedie_score`."""
    distributions: dict[float, Distribution] = {0: Gaussian(), 1: Poisson()}
    explained = Explained(distributions.get(power), "uniform_average", True, power)
    asked = partial(theirs.d2_tweedie_score, power=power)
    return Metric(
        "d2_tweedie_score",
        asked,
        explained,
        explained.combine,
        explained.finalise,
        anywhere=True,
    )


def _distinct(limit: Any) -> int:
    if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 2:
        raise ValueError(f"max_distinct={limit!r}; allowed are whole numbers from 2")
    return int(limit)


def _positional(
    function: Any, y_true: Any, given: Any, *, sample_weight: Any = None, **options: Any
) -> Any:
    # Releases of scikit-learn call the second argument by several names.
    return function(y_true, given, sample_weight=sample_weight, **options)


def _right(y_true: Any, y_pred: Any, weight: Any) -> MeanSums:
    y_true, y_pred = as_column(y_true), as_column(y_pred)
    require_labels_alike(y_true, y_pred)
    right = row_scores.total_where(y_true == y_pred, weight)
    return MeanSums(np.array([right]), total_weight(y_true, weight))


def _of_numbers(rows: Any, y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = as_matrix(y_true), as_matrix(y_pred)
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"y_true and y_pred have different number of output ({y_true.shape[1]}!="
            f"{y_pred.shape[1]})"
        )
    return rows(y_true, y_pred)


def _poisson(y_true: Any, y_pred: Any) -> Any:
    y, predicted = (doubles(as_column(column)) for column in (y_true, y_pred))
    if somewhere(y < 0) or somewhere(predicted <= 0):
        xp = array_namespace(y)
        raise ValueError(
            "Mean Tweedie deviance error with power=1 can only be used on non-negative y and "
            "strictly positive y_pred; smallest are "
            f"{number(xp.min(y)):g} and {number(xp.min(predicted)):g}"
        )
    return row_scores.poisson_deviances(y, predicted)


def _gains(
    normalised: bool, k: Any, log_base: float, ignore_ties: bool, y_true: Array, y_score: Array
) -> Array:
    for name, matrix in (("y_true", y_true), ("y_score", y_score)):
        if matrix.ndim != 2:
            raise ValueError(f"{name} has {matrix.ndim} dimensions; allowed are 2, rows and labels")
    if y_true.shape != y_score.shape:
        raise ValueError(
            f"y_true and y_score have different shapes: {y_true.shape} and {y_score.shape}"
        )
    gains = partial(row_scores.discounted_gains, k=k, log_base=log_base)
    found = gains(y_true, y_score, ignore_ties=ignore_ties)
    if not normalised:
        return found
    if y_true.min() < 0:
        raise ValueError("ndcg_score should not be used on negative y_true values.")
    if y_true.shape[1] < 2:
        raise ValueError("Computing NDCG is only meaningful when there is more than 1 document.")
    best = gains(y_true, y_true, ignore_ties=True)
    return np.divide(found, best, out=np.zeros_like(found), where=best != 0)


def _by_label(name: str, rows: Any, y_true: Any, given: Any, weight: Any) -> Any:
    xp, n = array_namespace(given), given.shape[0]
    given = given if dtype_kind(given) == "f" else doubles(given)
    largest, least = number(xp.max(given)), number(xp.min(given))
    if largest > 1:
        raise ValueError(f"{name} contains values greater than 1: {largest}")
    if least < 0:
        raise ValueError(f"{name} contains values lower than 0: {least}")
    columns = xp.reshape(given, (n, -1))
    if columns.shape[1] == 1:
        columns = xp.concat([1 - columns, columns], axis=1)
    tolerance = 1e-8 + resolution(columns) ** 0.5
    off = not everywhere(xp.abs(xp.sum(columns, axis=1) - 1) <= tolerance)
    return sums_by_label(y_true, rows(columns), weight, off)


def _mean_of_labels(labels: Any, normalize: bool, name: str, sums: Any) -> float:
    total = total_of_labels(sums, labels, name)
    return total / require_weight(float(sums.weights.sum())) if normalize else total


def _top_chunk(k: int, y_true: Array, y_score: Array, weight: Any) -> Any:
    if y_score.ndim != 2 or y_score.shape[1] < 3:
        raise ValueError(
            f"y_score has the shape {y_score.shape}; allowed on a cluster are three or more columns"
        )
    return sums_by_label(y_true, row_scores.in_top(y_score, k), weight)


def _brier_chunk(y_true: Any, given: Any, weight: Any) -> Any:
    return _by_label("y_proba", _brier_rows, y_true, as_column(given), weight)


def _brier_rows(columns: Any) -> Any:
    return (1 - columns) ** 2


def _brier(pos_label: Any, sums: Any) -> float:
    present = sums.labels.tolist()
    if len(present) > 2:
        raise ValueError(
            f"Only binary classification is supported: y_true has the labels {present}"
        )
    if pos_label is None:
        if isinstance(present[0], str) or not ({*present} <= {0, 1} or {*present} <= {-1, 1}):
            raise ValueError(
                f"y_true takes value in {present} and pos_label is not specified: either make "
                "y_true take value in {0, 1} or {-1, 1} or pass pos_label explicitly."
            )
        pos_label = 1
    elif pos_label not in present and len(present) == 2:
        raise ValueError(
            f"pos_label={pos_label!r} is not a valid label: It should be one of {present}"
        )
    side = [int(label == pos_label) for label in present]
    return float(
        sums.values[np.arange(len(present)), side].sum() / require_weight(float(sums.weights.sum()))
    )
