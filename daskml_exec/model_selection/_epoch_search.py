"""What searches by halving share: from arguments to the best model, and what it gives."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from daskml_exec.kernels.arrays import Array
from daskml_exec.metrics import get_scorer
from daskml_exec.model_selection._brackets import Bracket
from daskml_exec.model_selection._candidates import (
    Candidate,
    drawn,
    estimators_of,
    random_of,
    require_distributions,
)
from daskml_exec.model_selection._halving_explain import HalvingExplanation
from daskml_exec.model_selection._leaderboard import Leaderboard
from daskml_exec.model_selection._rungs import RungRecord
from daskml_exec.model_selection._search_results import all_failed, said_of, table_of
from daskml_exec.model_selection._search_rows import SearchRows, search_rows
from daskml_exec.model_selection._tournament import Tournament, best_of
from daskml_exec.training import FitWarning, TrainsInEpochs, all_or_nothing, warn_of


def _best_has(name: str) -> Callable[[Any], bool]:
    """Return what says whether the best model, or the estimator before the search, has this."""

    def has(search: "EpochSearch") -> bool:
        if not search.refit:
            raise AttributeError(
                f"{type(search).__name__} has refit=False, and kept no model, so that it has no "
                f"{name}; allowed is refit=True, or a model of best_params_ of your own"
            )
        getattr(getattr(search, "best_estimator_", search.estimator), name)
        return True

    return has


class EpochSearch(MetaEstimatorMixin, BaseEstimator):
    """Base of the searches by halving; holds nothing of the cluster."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit", "get_params", "set_params"])],
        "min_epochs": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "factor": [Interval(Integral, 2, None, closed="left")],
        "scoring": [str, callable, None],
        "validation": "no_validation",
        "param_distributions": "no_validation",
        "test_size": [
            Interval(Real, 0, 1, closed="neither"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "random_state": ["random_state"],
        "refit": ["boolean"],
        "error_score": [StrOptions({"raise"}), Real],
        "verbose": ["verbose"],
        "callbacks": ["array-like", None],
    }

    estimator: Any
    param_distributions: Any
    min_epochs: int
    max_epochs: int
    factor: int
    scoring: str | Callable[..., float] | None
    validation: Any
    test_size: float | int | None
    random_state: int | np.random.RandomState | None
    refit: bool
    error_score: float | Literal["raise"]
    verbose: bool | int
    callbacks: Sequence[Callable[[RungRecord], Any]] | None

    best_estimator_: Any
    best_index_: int
    best_params_: dict[str, Any]
    best_score_: float
    cv_results_: dict[str, Any]
    history_: tuple[RungRecord, ...]
    n_candidates_: int
    _explanation: HalvingExplanation

    def _brackets(self) -> list[Bracket]:
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Search for the best parameters.

        Parameters
        ----------
        X : as in `fit` of the estimator
            Rows; a `Data` needs `validation`.
        y : as in `fit` of the estimator, optional
            Labels or numbers; none beside a `Data`.
        sample_weight : as in `fit` of the estimator, optional
            Weights of rows, of those held out as well; None means ones.

        Returns
        -------
        search
            This one, fitted.

        Raises
        ------
        ValueError, TypeError
            An argument is not as described; all candidates failed; or the rows do not fit in a
            Worker that is to have them all.
        Exception
            What a candidate raised, where ``error_score="raise"``.

        Warns
        -----
        sklearn.exceptions.FitFailedWarning
            Candidates failed; they are named.
        UserWarning
            What there is to say of candidates; or there are fewer to draw than were asked for.
        """
        with all_or_nothing(self):
            warn_of(self._search(X, y, sample_weight))
        return self

    def _search(self, X: Any, y: Any, sample_weight: Any) -> list[FitWarning]:
        """Search, set what comes of it, and return what there is to say."""
        brackets = self._checked()
        random = random_of(self.random_state)
        began = time.perf_counter()
        with self._loaded((X, y, sample_weight), random, brackets) as (rows, explanation):
            candidates = drawn(self.param_distributions, brackets, random)
            estimators = estimators_of(self.estimator, candidates, random)
            board = Leaderboard(type(self).__name__, int(self.verbose), brackets)
            board.begin(explanation.plan)
            scorer = get_scorer(self.scoring) if isinstance(self.scoring, str) else self.scoring
            with closing(rows.place(scorer, len(candidates))) as place:
                tournament = Tournament(brackets, candidates, place, self.error_score)
                tournament.run(estimators, self._tell(board))
                board.end()
        latest = tournament.latest()
        best = best_of(latest, latest)
        if best is None:
            raise all_failed(tournament.failures, candidates)
        self._set_results(tournament, candidates, best)
        self._explanation = replace(
            explanation, records=self.history_, seconds=time.perf_counter() - began
        )
        return said_of(tournament, candidates, brackets, self.error_score)

    def _checked(self) -> list[Bracket]:
        """Check what needs no data; return the brackets."""
        self._validate_params()
        hooks = ("_rows_for_epochs", "_one_epoch_more")
        if not all(hasattr(self.estimator, name) for name in hooks):
            raise TypeError(
                f"estimator is a {type(self.estimator).__name__}, which cannot be trained epoch by "
                "epoch; allowed are this package's networks and PyTorch modules, and what has the "
                "methods of daskml_exec.training.TrainsInEpochs"
            )
        if self.min_epochs > self.max_epochs:
            raise ValueError(
                f"min_epochs={self.min_epochs} is more than max_epochs={self.max_epochs}; allowed "
                "are as many at most"
            )
        if isinstance(self.scoring, str):
            get_scorer(self.scoring)
        require_distributions(self.estimator, self.param_distributions)
        if getattr(self.estimator, "callbacks", None):
            raise ValueError(
                f"estimator has callbacks={self.estimator.callbacks!r:.200}, which would be called "
                "where candidates are trained; allowed are callbacks of the search, which get a "
                "RungRecord"
            )
        for callback in self.callbacks or []:
            if not callable(callback):
                raise TypeError(
                    f"callbacks has {callback!r:.200}, which cannot be called; allowed are "
                    "functions of a RungRecord"
                )
        return self._brackets()

    @contextmanager
    def _loaded(
        self, given: Any, random: np.random.RandomState, brackets: Sequence[Bracket]
    ) -> Iterator[tuple[SearchRows, HalvingExplanation]]:
        """Yield the rows, and what is known of the search then."""
        model: TrainsInEpochs = self.estimator
        seed = int(random.randint(np.iinfo(np.int32).max))
        with search_rows(model, given, self.validation, self.test_size, seed) as rows:
            yield rows, HalvingExplanation.of(rows, brackets)

    def _tell(self, board: Leaderboard) -> Callable[[RungRecord], bool]:
        def tell(record: RungRecord) -> bool:
            board(record)
            answers = [callback(record) for callback in self.callbacks or []]
            return any(isinstance(each, bool | np.bool_) and each for each in answers)

        return tell

    def _set_results(
        self, tournament: Tournament, candidates: Sequence[Candidate], best: int
    ) -> None:
        self.history_ = tuple(tournament.records)
        self.cv_results_ = table_of(self.history_, candidates, self._brackets())
        self.n_candidates_ = len(candidates)
        self.best_index_ = best
        self.best_params_ = dict(candidates[best].params)
        self.best_score_ = float(tournament.latest()[best].score)
        self.__dict__.pop("best_estimator_", None)
        if self.refit:
            self.best_estimator_ = tournament.models[best]

    def explain(
        self, X: Any = None, y: Any = None, sample_weight: Any = None
    ) -> HalvingExplanation:
        """Return how candidates were trained and why so, beside what it took.

        With data, return how `fit` would train on it, without training: the data is loaded, and
        released.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`, optional
            Data that a search is to be planned for.

        Returns
        -------
        HalvingExplanation
            A text to print, and in notebooks tables.
        """
        if X is None:
            check_is_fitted(self, "cv_results_")
            return self._explanation
        brackets = self._checked()
        with self._loaded((X, y, sample_weight), random_of(0), brackets) as (_, explanation):
            return explanation

    @property
    def classes_(self) -> Array:
        """The labels of the best model."""
        self._require_best("classes_")
        classes: Array = self.best_estimator_.classes_
        return classes

    @property
    def n_features_in_(self) -> int:
        """The number of columns that the best model was trained on."""
        if not hasattr(self, "best_estimator_"):
            raise AttributeError(f"{type(self).__name__} has no best_estimator_: call fit first")
        return int(self.best_estimator_.n_features_in_)

    @available_if(_best_has("predict"))
    def predict(self, X: Any) -> Any:
        """Return what the best model predicts.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array
            As of the estimator's `predict`.
        """
        return self._require_best("predict").predict(X)

    @available_if(_best_has("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """Return the best model's probabilities of classes.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n, n_classes)
            As of the estimator's `predict_proba`.
        """
        return self._require_best("predict_proba").predict_proba(X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the score of the best model, by `scoring`.

        Parameters
        ----------
        X : as in `fit`
            Rows.
        y : as in `fit`, optional
            Labels or numbers.
        sample_weight : as in `fit`, optional
            Weights of rows; None means ones.

        Returns
        -------
        float
            Larger is better.
        """
        best = self._require_best("score")
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        if self.scoring is None:
            return float(best.score(X, y, **weights))
        scorer: Any = get_scorer(self.scoring) if isinstance(self.scoring, str) else self.scoring
        return float(scorer(best, X, y, **weights))

    def _require_best(self, name: str) -> Any:
        check_is_fitted(self, "cv_results_")
        _best_has(name)(self)
        return self.best_estimator_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        own = getattr(self.estimator, "__sklearn_tags__", None)
        if own is not None:
            of_estimator = own()
            tags.estimator_type = of_estimator.estimator_type
            tags.classifier_tags = of_estimator.classifier_tags
            tags.regressor_tags = of_estimator.regressor_tags
            tags.input_tags.sparse = of_estimator.input_tags.sparse
        return tags
