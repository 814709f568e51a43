"""Searches for the parameters of an estimator whose scores on held-out rows are best."""

import time
from contextlib import suppress
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from daskml_exec.model_selection._fits_on_data import SearchOnData, plan_of
from daskml_exec.model_selection._fits_on_rows import fitted
from daskml_exec.model_selection._grid import first_equals, require_known, with_params
from daskml_exec.model_selection._of_best import OfBest
from daskml_exec.model_selection._one_standard_error import first_within_one_error
from daskml_exec.model_selection._outcomes import Outcomes, names_of, report_failures, results_of
from daskml_exec.model_selection._scorings import Scorings, scorings_of
from daskml_exec.model_selection._search_explain import SearchExplanation
from daskml_exec.model_selection._search_ways import Way, require_possible, searched_of, way_of
from daskml_exec.partitions import Data, rows_to_train_on
from daskml_exec.training import all_or_nothing
from daskml_exec.training.folds import (
    FitsBatches,
    RefitsBatches,
    Searched,
    TrainsOnData,
    require_splits,
)


class Search(OfBest, MetaEstimatorMixin, BaseEstimator):
    """Base of searches, which say what candidates there are."""

    best_index_: int
    best_params_: dict[str, Any]
    best_score_: float
    cv_results_: dict[str, Any]
    n_splits_: int
    refit_time_: float
    feature_names_in_: NDArray[Any]
    _explained: SearchExplanation
    scoring: Any
    cv: Any
    error_score: Any
    verbose: int
    return_train_score: bool

    def _candidates(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        groups: Any = None,
        **fit_params: Any,
    ) -> Any:
        """Fit all candidates to the rows that each split trains on, and the best one to all rows.

        Parameters
        ----------
        X : array-like, sparse matrix, Dask collection, list of futures or Data, shape (n, d)
            Rows. Estimators of this package are fitted to rows that are loaded once.
        y : the same kinds, shape (n,), optional
            A target for each row; None beside a `Data`, which has its own.
        sample_weight : the same kinds, shape (n,), optional
            Weights for `fit`, and for scores by functions that take some, as in scikit-learn from
            its release 1.9 on.
        groups : the same kinds, shape (n,), optional
            Groups for the splitter.
        **fit_params : object
            What else the estimator's `fit` takes; those with a value for each row are split.

        Returns
        -------
        self
            This search, fitted.

        Raises
        ------
        ValueError
            An argument is not as described, all fits failed, or a split leaves no row of a class
            to train on; the message names it, what came and what is allowed.
        TypeError
            The estimator cannot be fitted to what X is.

        Warns
        -----
        sklearn.exceptions.FitFailedWarning
            A fit failed, and its scores are `error_score`.
        """
        with all_or_nothing(self):
            scorings = self._checked()
            candidates = self._candidates()
            require_known(self.estimator, candidates)
            firsts = first_equals(candidates)
            unique = [candidates[at] for at in dict.fromkeys(firsts)]
            begun = time.perf_counter()
            given = (X, y, sample_weight)
            with way_of(
                clone(self.estimator),
                given,
                cv=self.cv,
                groups=groups,
                params=fit_params,
                scorings=scorings,
                train=bool(self.return_train_score),
                weighted=True,
                strict=self.error_score == "raise",
                say=self._say,
            ) as way:
                if isinstance(way, SearchOnData):
                    plan = plan_of(
                        way.estimator, unique, way.splits, train=bool(self.return_train_score)
                    )
                    found = way.outcomes(unique, plan)
                    self.n_splits_ = len(way.splits.each)
                else:
                    found = way.outcomes(unique)
                    self.n_splits_ = len(way.splits)
                outcomes = found.repeated(firsts)
                report_failures(candidates, outcomes, self.error_score, stacklevel=3)
                self._set_results(candidates, outcomes, scorings)
                seconds = time.perf_counter() - begun
                if self.refit is not False:
                    self._refit(way, outcomes)
            self._explained = self._explanation(candidates, outcomes, way, seconds)
        return self

    def _checked(self) -> Scorings:
        """Check the arguments that need no data."""
        scorings = scorings_of(self.scoring)
        require_splits(self.cv)
        if self.error_score != "raise" and not (
            isinstance(self.error_score, Real) and not isinstance(self.error_score, bool)
        ):
            raise ValueError(f"error_score={self.error_score!r}; allowed are 'raise' and numbers")
        if not isinstance(self.verbose, Integral):
            raise ValueError(f"verbose={self.verbose!r}; allowed are integers from 0")
        refit = self.refit
        if scorings.several:
            if not (refit is False or callable(refit) or refit in scorings.named):
                raise ValueError(
                    f"refit={refit!r} with several scorings; allowed are False, one of "
                    f"{list(scorings.named)} and a callable that returns the best index"
                )
        elif not (isinstance(refit, bool) or callable(refit) or isinstance(refit, str)):
            raise ValueError(
                f"refit={refit!r}; allowed are True, False, '1se' and a callable that returns the "
                "best index"
            )
        elif isinstance(refit, str) and refit != "1se" and not scorings.has_functions:
            raise ValueError(
                f"refit={refit!r} with one scoring; allowed are True, False, '1se' and a callable"
            )
        return scorings

    def _set_results(
        self, candidates: list[dict[str, Any]], outcomes: Outcomes, scorings: Scorings
    ) -> None:
        train = bool(self.return_train_score)
        results = results_of(candidates, outcomes, self.error_score_value, train=train)
        names = names_of(outcomes)
        self.multimetric_ = scorings.several or names != ["score"]
        self.cv_results_, self.scorer_ = results, scorings.functions()
        if self.multimetric_ and self.refit is False:
            return
        by = "score"
        if self.multimetric_ and not callable(self.refit):
            if self.refit not in names:
                raise ValueError(f"refit={self.refit!r}; allowed are False and one of {names}")
            by = self.refit
        self.best_index_ = self._chosen(results, by)
        if not callable(self.refit):
            self.best_score_ = float(results[f"mean_test_{by}"][self.best_index_])
        self.best_params_ = results["params"][self.best_index_]

    @property
    def error_score_value(self) -> float:
        """The score of what failed."""
        return np.nan if self.error_score == "raise" else float(self.error_score)

    def _chosen(self, results: dict[str, Any], by: str) -> int:
        if callable(self.refit):
            index = self.refit(results)
            if not isinstance(index, Integral):
                raise TypeError(f"refit returned {index!r}; allowed is an integer: best_index_")
            if not 0 <= int(index) < len(results["params"]):
                raise IndexError(
                    f"refit returned {index!r}; allowed are places of candidates, from 0 to "
                    f"{len(results['params']) - 1}"
                )
            return int(index)
        if self.refit == "1se" and by == "score":
            splits = [results[f"split{k}_test_score"] for k in range(self.n_splits_)]
            return first_within_one_error(np.array(splits).T)
        return int(results[f"rank_test_{by}"].argmin())

    def _refit(self, way: Way, outcomes: Outcomes) -> None:
        """Fit the best candidate to all rows."""
        begun = time.perf_counter()
        model = with_params(self.estimator, self.best_params_)
        if isinstance(way, SearchOnData):
            batch = outcomes.batches.get(outcomes.batch[self.best_index_])
            start = None if batch is None else batch.start
            model = _fitted_to_all(model, way, start)
        else:
            model = fitted(model, way.X, way.y, way.params)
        self.best_estimator_ = model
        self.refit_time_ = time.perf_counter() - begun
        if hasattr(model, "feature_names_in_"):
            self.feature_names_in_ = model.feature_names_in_
        self._say(f"refit of the best: {self.refit_time_:.2f} s")

    def _say(self, line: str) -> None:
        if self.verbose > 0:
            print(f"{type(self).__name__}: {line}")

    def explain(self, X: Any = None, y: Any = None) -> SearchExplanation:
        """Return which candidates share passes over the data, and what the search took.

        Parameters
        ----------
        X, y : as in `fit`, optional
            What the search will be fitted to, before a fit: only what they are is looked at.

        Returns
        -------
        SearchExplanation
            A text to print, and in notebooks a table.

        Raises
        ------
        ValueError, TypeError
            As of `fit`, of what is known without the rows.
        """
        if X is None and hasattr(self, "_explained"):
            return self._explained
        scorings = self._checked()
        candidates = self._candidates()
        require_known(self.estimator, candidates)
        searched = searched_of(self.estimator, scorings, {})
        require_possible(self.estimator, X, y, searched)
        unique = sorted(set(first_equals(candidates)))
        groups: list[list[int]] = []
        batches = searched is not None and not self.return_train_score
        if batches and isinstance(self.estimator, FitsBatches):
            found = clone(self.estimator)._search_batches([candidates[at] for at in unique])
            groups = [[unique[at] for at in group] for group in found if len(group) > 1]
        shared = {at for group in groups for at in group}
        alone = tuple(at for at in unique if at not in shared)
        return SearchExplanation(
            len(candidates),
            self._n_splits(),
            tuple(map(tuple, groups)),
            alone,
            len(candidates) - len(unique),
            _rows_in_words(searched, elsewhere=isinstance(X, Data)),
        )

    def _n_splits(self) -> int | None:
        if self.cv is None or isinstance(self.cv, Integral):
            return 5 if self.cv is None else int(self.cv)
        with suppress(TypeError, ValueError, AttributeError):  # some want rows, or groups
            return int(self.cv.get_n_splits())
        return len(self.cv) if hasattr(self.cv, "__len__") else None

    def _explanation(
        self, candidates: list[dict[str, Any]], outcomes: Outcomes, way: Way, seconds: float
    ) -> SearchExplanation:
        firsts = sorted(set(first_equals(candidates)))
        by: dict[int, list[int]] = {}
        for at in firsts:
            by.setdefault(outcomes.batch[at], []).append(at)
        groups = tuple(tuple(group) for group in by.values() if len(group) > 1)
        alone = tuple(group[0] for group in by.values() if len(group) == 1)
        searched = way.searched if isinstance(way, SearchOnData) else None
        return SearchExplanation(
            len(candidates),
            self.n_splits_,
            groups,
            alone,
            len(candidates) - len(firsts),
            _rows_in_words(searched, elsewhere=False),
            seconds,
            getattr(self, "refit_time_", None) if self.refit is not False else None,
        )

    def to_sklearn(self) -> Any:
        """Return the fitted search as scikit-learn's own, which knows nothing of Dask.

        Returns
        -------
        sklearn.model_selection.GridSearchCV or RandomizedSearchCV
            With copies of the fitted attributes, and a `best_estimator_` of scikit-learn.
        """
        check_is_fitted(self, "cv_results_")
        best = _as_sklearn(self.best_estimator_) if hasattr(self, "best_estimator_") else None
        search = self._sklearn(clone(best) if best is not None else self.estimator)
        for name in (
            *("cv_results_", "best_index_", "best_params_", "best_score_", "multimetric_"),
            *("n_splits_", "scorer_", "refit_time_", "feature_names_in_"),
        ):
            if hasattr(self, name):
                setattr(search, name, getattr(self, name))
        if best is not None:
            search.best_estimator_ = best
        return search

    def _sklearn(self, estimator: Any) -> Any:
        raise NotImplementedError

    def _shared_arguments(self) -> dict[str, Any]:
        names = ("scoring", "cv", "error_score", "return_train_score")
        refit = True if self.refit == "1se" else self.refit
        return {name: getattr(self, name) for name in names} | {"refit": refit}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        of = self.estimator.__sklearn_tags__()
        tags.estimator_type = of.estimator_type
        tags.classifier_tags, tags.regressor_tags = of.classifier_tags, of.regressor_tags
        tags.input_tags.sparse = of.input_tags.sparse
        tags.target_tags.required = of.target_tags.required
        return tags


def _fitted_to_all(model: Any, way: SearchOnData, start: Any) -> Any:
    """Fit a model to all rows that were loaded."""
    if start is not None and isinstance(model, RefitsBatches):
        return model._refit_from(start, way.data)
    searched = model._as_searched() if isinstance(model, TrainsOnData) else None
    if searched is None or searched.class_weight is None:
        return model.fit(way.data)
    with rows_to_train_on(way.data, None, class_weight=searched.class_weight) as data:
        return model.fit(data)


def _rows_in_words(searched: Searched | None, *, elsewhere: bool) -> str:
    if searched is None:
        return "taken of what is given, one split at a time"
    given = "those of the Data" if elsewhere else "loaded once"
    if searched.copied:
        return f"{given}; those of a split are copied where they are, one split at a time"
    return f"{given}; those that a split does not train on weigh nothing, and X is never copied"


def _as_sklearn(model: Any) -> Any:
    if isinstance(model, Pipeline):
        return Pipeline([(name, _as_sklearn(step)) for name, step in model.steps])
    return model.to_sklearn() if hasattr(model, "to_sklearn") else model
