"""How a search, or a cross-validation, goes about its fits: on loaded rows, or on taken ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from daskml_exec.executor import as_dask_futures
from daskml_exec.model_selection._fits_on_data import SearchOnData
from daskml_exec.model_selection._fits_on_rows import SearchOnRows
from daskml_exec.model_selection._scorings import Scorings
from daskml_exec.partitions import ROWS, Data, Labels, Numbers, is_collection, load_where_it_is
from daskml_exec.training.folds import Searched, TrainsOnData, splits_of_data, splits_of_rows

Way = SearchOnData | SearchOnRows


def searched_of(estimator: Any, scorings: Scorings, params: Mapping[str, Any]) -> Searched | None:
    """Return how an estimator is fitted to loaded rows; None where rows are taken for it."""
    if scorings.has_functions or params or not isinstance(estimator, TrainsOnData):
        return None
    return estimator._as_searched()


def require_possible(estimator: Any, X: Any, y: Any, searched: Searched | None) -> None:
    """Raise TypeError for estimators that cannot be fitted to what X is."""
    last = estimator
    while isinstance(last, Pipeline):
        last = last.steps[-1][1]
    ours = not type(last).__module__.startswith("sklearn.")
    if isinstance(X, Data) and searched is None:
        raise TypeError(
            f"X is a Data, which {type(estimator).__name__} is not fitted to in a search: allowed "
            "are linear models and networks of daskml_exec with parallel='data', without scoring "
            "functions and fit parameters; and what the Data was loaded from"
        )
    if not ours and any(is_collection(as_dask_futures(each)) for each in (X, y)):
        raise TypeError(
            f"{type(last).__module__}.{type(last).__name__} cannot be fitted to rows on a cluster; "
            "allowed are estimators of daskml_exec, pipelines that end in one, and X, y in memory: "
            "X, y = dask.compute(X, y)"
        )


@contextmanager
def way_of(
    estimator: Any,
    given: tuple[Any, Any, Any],
    *,
    cv: Any,
    groups: Any,
    params: Mapping[str, Any],
    scorings: Scorings,
    train: bool,
    weighted: bool,
    strict: bool,
    say: Callable[[str], object],
) -> Iterator[Way]:
    """Yield what fits and scores candidates, with rows loaded for as long.

    Parameters
    ----------
    estimator : estimator
    given : tuple
        X, y and weights.
    cv, groups : object
    params : mapping
        What else `fit` takes.
    scorings, train, weighted, strict, say
        As of `SearchOnData`.
    """
    X, y, sample_weight = given
    searched = searched_of(estimator, scorings, params)
    require_possible(estimator, X, y, searched)
    classifier = is_classifier(estimator)
    if searched is None:
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        yield SearchOnRows(
            estimator,
            X,
            y,
            {**params, **weights},
            splits_of_rows(cv, X, y, classifier=classifier, groups=groups),
            scorings,
            train,
            weighted,
            strict,
            say,
        )
        return
    with _loaded(estimator, searched, X, y, sample_weight) as data:
        splits = splits_of_data(cv, X, y, data, classifier=classifier, groups=groups)
        yield SearchOnData(
            estimator, searched, data, splits, scorings, train, weighted, strict, say
        )


def _loaded(estimator: Any, searched: Searched, X: Any, y: Any, sample_weight: Any) -> Data:
    name = type(estimator).__name__
    if isinstance(X, Data):
        X.require_alone(y, sample_weight)
        labels = searched.target == "labels"
        target = Labels() if labels else Numbers(several=False)
        return X.lent(target, ROWS, name)
    if y is None:
        raise ValueError(
            f"{name} requires y to be passed, but the target y is None: give one value per row"
        )
    return load_where_it_is(X, y, sample_weight, target=searched.target)
