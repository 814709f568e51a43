"""Metrics by name: several in one pass, and as scorers of estimators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn import metrics as theirs

from daskml_exec.executor import Executor
from daskml_exec.metrics import _records as records
from daskml_exec.metrics._curves import MAX_DISTINCT
from daskml_exec.metrics._label_pairs import pairs_metric
from daskml_exec.metrics._metric import Metric, evaluate

_AREA = {"average": "macro", "max_fpr": None, "multi_class": "raise", "labels": None}


def _of_labels(name: str, **options: Any) -> Metric:
    each = options.get("average", "binary") is None
    shape = (np.nan, np.nan) if name == "confusion_matrix" else (np.nan,) if each else ()
    return pairs_metric(getattr(theirs, name), shape=shape, **options)


def _with_defaults(make: Callable[..., Metric], defaults: Mapping[str, Any], **options: Any) -> Any:
    return make(**{**defaults, **options})


_MAKERS: dict[str, Callable[..., Metric]] = {
    "accuracy": records.accuracy,
    "balanced_accuracy": partial(_of_labels, "balanced_accuracy_score"),
    "confusion_matrix": partial(_of_labels, "confusion_matrix"),
    "precision": partial(_of_labels, "precision_score"),
    "recall": partial(_of_labels, "recall_score"),
    "f1": partial(_of_labels, "f1_score"),
    "fbeta": partial(_of_labels, "fbeta_score"),
    "log_loss": records.log_loss,
    "brier_score_loss": records.brier,
    "roc_auc": partial(_with_defaults, records.roc_auc, {**_AREA, "max_distinct": MAX_DISTINCT}),
    "average_precision": partial(
        _with_defaults,
        records.average_precision,
        {"average": "macro", "pos_label": 1, "max_distinct": MAX_DISTINCT},
    ),
    "top_k_accuracy": partial(
        _with_defaults, records.top_k, {"k": 2, "normalize": True, "labels": None}
    ),
    "ndcg": partial(
        _with_defaults, partial(records.ranking, "ndcg_score"), {"k": None, "ignore_ties": False}
    ),
    "dcg": partial(
        _with_defaults, partial(records.ranking, "dcg_score"), {"k": None, "ignore_ties": False}
    ),
    "r2": records.r2,
    "d2_tweedie": records.d2_tweedie,
    "mean_squared_error": partial(records.errors, "mean_squared_error"),
    "root_mean_squared_error": partial(records.errors, "root_mean_squared_error"),
    "mean_absolute_error": partial(records.errors, "mean_absolute_error"),
    "mean_poisson_deviance": records.poisson_deviance,
}


def metric(name: str, **options: Any) -> Metric:
    """Return the record of a metric.

    Parameters
    ----------
    name : str
        As its function without ``_score``, such as "accuracy" and "log_loss", but for
        "brier_score_loss". An unknown one is answered by the list of all.
    **options
        Those of the function, but for `sample_weight` and `compute`.

    Returns
    -------
    Metric
        For `scores`.

    Raises
    ------
    ValueError
        There is none of that name.

    Examples
    --------
    >>> from daskml_exec.metrics import metric
    >>> metric("f1", average="macro").name
    'f1_score'
    """
    if name not in _MAKERS:
        raise ValueError(f"the metric is {name!r}; allowed are {', '.join(sorted(_MAKERS))}")
    return _MAKERS[name](**options)


def scores(
    metrics: Mapping[str, str | Metric] | list[str],
    y_true: Any,
    *,
    y_pred: Any = None,
    y_score: Any = None,
    sample_weight: Any = None,
    compute: bool = True,
) -> dict[str, Any]:
    """Return several metrics from one pass over the rows.

    Parameters
    ----------
    metrics : list of str, or dict of str to str or Metric
        Names of metrics, or under names of your own, metrics as `metric` makes them.
    y_true : array-like, Dask collection or list of futures
        True labels or values.
    y_pred : the same kinds, optional
        Predicted labels or values.
    y_score : the same kinds, optional
        Scores or probabilities, which ``log_loss``, areas under curves, ``ndcg`` and the like take.
    sample_weight : the same kinds, optional
        Weights of rows; None means ones.
    compute : bool, default=True
        Whether to compute; else results are Dask arrays, which share a graph.

    Returns
    -------
    dict
        The metrics under their names.

    Raises
    ------
    ValueError, TypeError
        As of the functions; and where a metric needs what is None.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskml_exec.metrics import scores
    >>> y = da.from_array([0, 1, 1, 1], chunks=2)
    >>> scores(["accuracy", "roc_auc"], y, y_pred=[0, 1, 0, 1], y_score=[0.1, 0.9, 0.2, 0.7])
    {'accuracy': 0.75, 'roc_auc': 1.0}
    """
    named = metrics.items() if isinstance(metrics, Mapping) else [(name, name) for name in metrics]
    asked = {name: metric(each) if isinstance(each, str) else each for name, each in named}
    if not asked:
        raise ValueError("metrics is empty; allowed are one or more")
    given = {"y_pred": y_pred, "y_score": y_score}
    return evaluate(asked, y_true, given, sample_weight, compute=compute)


_SCORERS: dict[str, tuple[Callable[[], Metric], str, int]] = {
    "accuracy": (_MAKERS["accuracy"], "predict", 1),
    "balanced_accuracy": (_MAKERS["balanced_accuracy"], "predict", 1),
    "precision": (_MAKERS["precision"], "predict", 1),
    "recall": (_MAKERS["recall"], "predict", 1),
    "f1": (_MAKERS["f1"], "predict", 1),
    **{
        f"{name}_{average}": (partial(_MAKERS[name], average=average), "predict", 1)
        for name in ("precision", "recall", "f1")
        for average in ("micro", "macro", "weighted")
    },
    "roc_auc": (_MAKERS["roc_auc"], "side", 1),
    "average_precision": (_MAKERS["average_precision"], "side", 1),
    **{
        f"roc_auc_{form}{suffix}": (
            partial(_MAKERS["roc_auc"], multi_class=form, average=average),
            "areas",
            1,
        )
        for form in ("ovr", "ovo")
        for suffix, average in (("", "macro"), ("_weighted", "weighted"))
    },
    "neg_log_loss": (_MAKERS["log_loss"], "predict_proba", -1),
    "neg_brier_score": (_MAKERS["brier_score_loss"], "second", -1),
    "r2": (_MAKERS["r2"], "predict", 1),
    **{
        f"neg_{name}": (_MAKERS[name], "predict", -1)
        for name in (
            "mean_squared_error",
            "root_mean_squared_error",
            "mean_absolute_error",
            "mean_poisson_deviance",
        )
    },
}


@dataclass(frozen=True)
class Scoring:
    """A scorer in parts: what it asks of a model, the metric of that, and its sign.

    Attributes
    ----------
    name : str
    metric : Metric
    response : {"predict", "side", "predict_proba", "second", "areas"}
        Labels or values; margins; probabilities; those of the second class; those of the second of
        two classes, or of all.
    sign : {1, -1}
    """

    name: str
    metric: Metric
    response: str
    sign: int

    def score(self, sums: Any) -> float:
        """Return the score of the sums of all rows."""
        return self.sign * float(self.metric.finalise(sums))


@dataclass(frozen=True)
class _Scorer:
    name: str

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        by = scoring_of(self.name)
        record = by.metric
        predicted = response_of(estimator, X, by.response)
        found = evaluate({"score": record}, y, {record.takes: predicted}, sample_weight)["score"]
        return by.sign * found if by.sign < 0 else found


def get_scorer(scoring: str) -> Callable[..., float]:
    """Return a function that scores an estimator, by scikit-learn's name.

    Parameters
    ----------
    scoring : str
        Such as "roc_auc" and "neg_log_loss".

    Returns
    -------
    callable
        Takes ``(estimator, X, y, sample_weight=None)``, where X, y and weights are in memory or on
        a cluster; larger is better. Picklable.

    Raises
    ------
    ValueError
        There is none of that name.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskml_exec.linear_model import LogisticRegression
    >>> from daskml_exec.metrics import get_scorer
    >>> X = da.from_array([[0.0], [1.0], [2.0], [3.0]], chunks=(2, 1))
    >>> y = da.from_array([0, 0, 1, 1], chunks=2)
    >>> get_scorer("roc_auc")(LogisticRegression().fit(X, y), X, y)
    1.0
    """
    return _Scorer(scoring_of(scoring).name)


def scoring_of(scoring: str, *, classes: Any = None) -> Scoring:
    """Return the parts of a scorer.

    Parameters
    ----------
    scoring : str
        As of `get_scorer`.
    classes : array-like, optional
        All that there are, of which some rows may have fewer.

    Raises
    ------
    ValueError
        There is none of that name.
    """
    if not isinstance(scoring, str) or scoring not in _SCORERS:
        raise ValueError(f"scoring={scoring!r}; allowed are {', '.join(sorted(_SCORERS))}")
    make, response, sign = _SCORERS[scoring]
    known = {"labels": classes} if classes is not None and scoring in _WITH_LABELS else {}
    return Scoring(scoring, make(**known), response, sign)


_WITH_LABELS = {
    "neg_log_loss",
    *(f"roc_auc_{form}{end}" for form in ("ovr", "ovo") for end in ("", "_weighted")),
}


def response_of(estimator: Any, X: Any, response: str) -> Any:
    """Return what a scoring asks of an estimator: predictions, margins or probabilities."""
    if response == "predict":
        return estimator.predict(X)
    if response == "side" and hasattr(estimator, "decision_function"):
        return estimator.decision_function(X)
    probabilities = estimator.predict_proba(X)
    if response == "predict_proba" or (response == "areas" and len(estimator.classes_) > 2):
        return probabilities
    return _second_column(probabilities)


def _second_column(probabilities: Any) -> Any:
    if isinstance(probabilities, list):
        client = Executor.current().client
        return client.map(_second_column, probabilities, pure=False, key="second-column")
    if hasattr(probabilities, "iloc"):
        return probabilities.iloc[:, 1]
    return probabilities[:, 1]
