"""Scores and predictions of one estimator on rows that its models have not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn import model_selection as theirs
from sklearn.base import clone

from daskml_exec.executor import as_dask_futures
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.folds import NOWHERE
from daskml_exec.model_selection._fits_on_data import Plan, SearchOnData
from daskml_exec.model_selection._fits_on_rows import SearchOnRows, fitted
from daskml_exec.model_selection._held_out_predictions import NO_PARTITION, held_out_predictions
from daskml_exec.model_selection._outcomes import report_failures
from daskml_exec.model_selection._scorings import Scorings, scorings_of
from daskml_exec.model_selection._search_ways import way_of
from daskml_exec.partitions import FUTURES, Data, is_collection, kind_of, load, with_folds
from daskml_exec.training.folds import Rows, require_splits

_METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


def cross_val_score(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    scoring: Any = None,
    cv: Any = None,
    params: Mapping[str, Any] | None = None,
    error_score: Any = np.nan,
    verbose: int = 0,
) -> Array:
    """Return the score of each split, of a model that is fitted to its training rows.

    As `sklearn.model_selection.cross_val_score`, with the same scores on the same folds.

    Parameters
    ----------
    estimator : estimator
        As of `GridSearchCV`. It stays as it is.
    X : array-like, sparse matrix, Dask collection, list of futures or Data, shape (n, d)
        Rows. Estimators of this package are fitted to rows that are loaded once.
    y : the same kinds, shape (n,), optional
        A target for each row; None beside a `Data`, which has its own.
    groups : the same kinds, shape (n,), optional
        Groups for the splitter.
    scoring : str, callable or None, default=None
        A name of `daskml_exec.metrics.get_scorer`, or a function of an estimator, X and y. None
        for the estimator's `score`.
    cv : int, splitter, iterable of pairs, or None, default=None
        As of `GridSearchCV`.
    params : dict, optional
        What else `fit` takes, such as "sample_weight". Scores are unweighted.
    error_score : "raise" or float, default=np.nan
        The score of a split in which the estimator fails, which is warned of.
    verbose : int, default=0
        If positive, print a line for each split.

    Returns
    -------
    ndarray of shape (n_splits,)
        Larger is better.

    Raises
    ------
    ValueError, TypeError
        As of `GridSearchCV.fit`.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from daskml_exec.linear_model import LogisticRegression
    >>> from daskml_exec.model_selection import cross_val_score
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> cross_val_score(LogisticRegression(C=0.01), X, y, cv=3).round(2)
    array([0.92, 0.97, 0.94])
    """
    if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
        raise ValueError(f"scoring={scoring!r}; allowed are a name, a callable and None")
    require_splits(cv)
    more = dict(params or {})
    given = (X, y, more.pop("sample_weight", None))
    with way_of(
        clone(estimator),
        given,
        cv=cv,
        groups=groups,
        params=more,
        scorings=scorings_of(scoring),
        train=False,
        weighted=False,
        strict=error_score == "raise",
        say=_printing(verbose, "cross_val_score"),
    ) as way:
        if isinstance(way, SearchOnData):
            outcomes = way.outcomes([{}], Plan([], [0]))
        else:
            outcomes = way.outcomes([{}])
    report_failures([{}], outcomes, error_score, stacklevel=3)
    return np.array([each.scores.get("score", error_score) for each in outcomes.each[0]])


def cross_val_predict(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    cv: Any = None,
    params: Mapping[str, Any] | None = None,
    method: str = "predict",
) -> Any:
    """Return a prediction for each row, by the model that has not seen it.

    As `sklearn.model_selection.cross_val_predict`.

    Parameters
    ----------
    estimator, X, y, groups : as of `cross_val_score`
        What is fitted.
    cv : int, splitter, iterable of pairs, or None, default=None
        As of `GridSearchCV`; each row must be tested once.
    params : as of `cross_val_score`
        What else `fit` takes.
    method : {"predict", "predict_proba", "predict_log_proba", "decision_function"}
        What predicts.

    Returns
    -------
    array of shape (n,) or (n, n_classes)
        A NumPy array for data in memory; for Dask collections, lists of futures and a `Data` a Dask
        array with their row chunks, with which the Workers begin at once. Models have been fitted.

    Raises
    ------
    ValueError
        A row is tested twice, or never; and as of `GridSearchCV.fit`.
    TypeError
        As of `GridSearchCV.fit`.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from daskml_exec.linear_model import LogisticRegression
    >>> from daskml_exec.model_selection import cross_val_predict
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> found = cross_val_predict(LogisticRegression(C=0.01), X, y, method="predict_proba")
    >>> found.shape
    (569, 2)
    """
    if method not in _METHODS:
        raise ValueError(f"method={method!r}; allowed are {', '.join(_METHODS)}")
    require_splits(cv)
    more = dict(params or {})
    given = (X, y, more.pop("sample_weight", None))
    with way_of(
        clone(estimator),
        given,
        cv=cv,
        groups=groups,
        params=more,
        scorings=Scorings({"score": None}, several=False),
        train=False,
        weighted=False,
        strict=True,
        say=_printing(0, "cross_val_predict"),
    ) as way:
        if isinstance(way, SearchOnRows):
            return _of_rows(way, method)
        return _of_data(way, method, lazy=isinstance(X, Data) or is_collection(as_dask_futures(X)))


def _of_data(way: SearchOnData, method: str, *, lazy: bool) -> Any:
    folds = way.splits.folds
    if folds is None:
        raise ValueError(NO_PARTITION)
    with with_folds(way.data, folds.column_of) as data:
        models = way.models(data)
        row = np.zeros((1, data.n_features), data.dtype)
        nothing = _nothing(models[0], method, row)
        return held_out_predictions(models, method, data, nothing, named=False, lazy=lazy)


def _nothing(model: Any, method: str, row: Any) -> Array:
    names = vars(model).pop("feature_names_in_", None)  # of which the row has none
    try:
        return np.asarray(getattr(model, method)(row))[:0]
    finally:
        if names is not None:
            model.feature_names_in_ = names


def _of_rows(way: SearchOnRows, method: str) -> Any:
    if not isinstance(way.splits[0][0], Rows):
        return theirs.cross_val_predict(
            way.estimator, way.X, way.y, cv=way.splits, method=method, params=way.params
        )
    X = as_dask_futures(way.X)
    if kind_of(X) == FUTURES:
        raise TypeError(
            f"X is a list of futures, whose predictions by {type(way.estimator).__name__} are not "
            "put together; allowed are Dask arrays and dataframes"
        )
    models = []
    for train, _ in way.splits:
        rows, targets, more = way.some(train)
        models.append(fitted(clone(way.estimator), rows, targets, more))
    like = getattr(models[0], method)(X)
    nothing = np.empty((0, *(like.shape[1:] if like.ndim > 1 else ())), _dtype(like))
    with load(X, raw=True) as data:
        column = _column([test for _, test in way.splits], sum(data.rows))
        with with_folds(data, lambda found: column) as folded:
            return held_out_predictions(models, method, folded, nothing, named=True, lazy=True)


def _dtype(like: Any) -> Any:
    return like.dtype if hasattr(like, "dtype") else np.asarray(like._meta).dtype


def _column(tests: list[Rows], n: int) -> Array:
    column = np.full(n, NOWHERE)
    for fold, test in enumerate(tests):
        mask = test.mask()
        if (column[mask] != NOWHERE).any():
            raise ValueError(NO_PARTITION)
        column[mask] = fold
    return column


def _printing(verbose: int, name: str) -> Any:
    def say(line: str) -> None:
        if verbose > 0:
            print(f"{name}: {line}")

    return say
