"""What a fitted search does as its best estimator does."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from daskml_exec.metrics._scorers import scoring_of
from daskml_exec.model_selection._held_out_scores import raised, scores_of
from daskml_exec.partitions import Data


def _best_has(name: str) -> Any:
    """Return whether the best estimator, or before a fit the given one, has a method."""

    def has(search: Any) -> bool:
        if hasattr(search, "best_estimator_"):
            getattr(search.best_estimator_, name)
        else:
            getattr(search.estimator, name)
        return True

    return available_if(has)


class OfBest:
    """Predicts and scores by the best estimator."""

    best_estimator_: Any
    multimetric_: bool
    scorer_: Any
    estimator: Any
    refit: Any

    @property
    def history_(self) -> Any:
        """The rounds of the last fit, of the best candidate to all rows."""
        return self._best("history_").history_

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels that the best estimator knows."""
        found: NDArray[Any] = self._best("classes_").classes_
        return found

    @property
    def n_features_in_(self) -> int:
        """Columns that the best estimator was fitted to."""
        return int(self._best("n_features_in_").n_features_in_)

    def _best(self, what: str) -> Any:
        if self.refit is False:
            raise AttributeError(
                f"{type(self).__name__} was given refit=False: {what} is there after the best "
                "parameters were fitted to all rows; allowed are refit=True, and an estimator with "
                "best_params_ that you fit"
            )
        if not hasattr(self, "best_estimator_"):
            if what.endswith("_"):
                raise AttributeError(f"{type(self).__name__} is not fitted, and has no {what}")
            check_is_fitted(self, "best_estimator_")
        return self.best_estimator_

    def score(self, X: Any, y: Any = None) -> float:
        """Return the unweighted score of the best estimator, by the scoring that has chosen it.

        Parameters
        ----------
        X, y : as in `fit`
            Rows, and their targets.

        Returns
        -------
        float
            Larger is better.
        """
        best = self._best("score")
        if callable(self.refit) and self.multimetric_:
            return float(best.score(X, y))
        scorer = self.scorer_
        if isinstance(scorer, Mapping):
            scorer = scorer[self.refit]
        if isinstance(X, Data) and (name := getattr(scorer, "name", None)) is not None:
            X.require_alone(y, None)
            return raised(scores_of([best], [scoring_of(name)], X, None, weighted=False)[0][0])
        value = scorer(best, X, y)
        return float(value[self.refit] if isinstance(value, Mapping) else value)

    @_best_has("predict")
    def predict(self, X: Any) -> Any:
        """Return what the best estimator predicts.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n,)
            Of the kind that the estimator returns.
        """
        return self._best("predict").predict(X)

    @_best_has("predict_proba")
    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities that the best estimator predicts.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n, n_classes)
            Of the kind that the estimator returns.
        """
        return self._best("predict_proba").predict_proba(X)

    @_best_has("predict_log_proba")
    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of `predict_proba`.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n, n_classes)
            Of the kind that the estimator returns.
        """
        return self._best("predict_log_proba").predict_log_proba(X)

    @_best_has("decision_function")
    def decision_function(self, X: Any) -> Any:
        """Return the margins of the best estimator.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n,) or (n, n_classes)
            Of the kind that the estimator returns.
        """
        return self._best("decision_function").decision_function(X)

    @_best_has("transform")
    def transform(self, X: Any) -> Any:
        """Return what the best estimator makes of rows.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n, n_features_out)
            Of the kind that the estimator returns.
        """
        return self._best("transform").transform(X)
