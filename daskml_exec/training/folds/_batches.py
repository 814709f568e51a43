"""What an estimator offers to searches: fits on loaded rows, and candidates that share passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from daskml_exec.kernels.arrays import Array
from daskml_exec.training._fit_warnings import FitWarning


@dataclass(frozen=True)
class Searched:
    """How an estimator is fitted to some of the rows of loaded data, and scored on others.

    Attributes
    ----------
    target : object
        What `load` is to make of y.
    scoring : daskml_exec.metrics.Scoring
        What its `score` is.
    copied : bool, default=False
        Whether rows that are not trained on are to be left out, which copies X; else they stay, and
        weigh nothing: for estimators to which a row of weight zero is a row that is not there.
    class_weight : dict, "balanced" or None, default=None
        Its own.
    """

    target: Any
    scoring: Any
    copied: bool = False
    class_weight: Any = None


@runtime_checkable
class TrainsOnData(Protocol):
    """An estimator that can be fitted to loaded rows."""

    def _as_searched(self) -> Searched | None:
        """Return how; None where its parameters need it to load them by itself."""


class LostClassError(ValueError):
    """A split trains on no row of some class.

    Parameters
    ----------
    split : int
    label : object
    """

    def __init__(self, split: int, label: Any) -> None:
        super().__init__(
            f"split {split} trains on no row of the class {label!r}, and models would not know the "
            "class; allowed are splits of which each trains on rows of every class, such as those "
            "of StratifiedKFold"
        )


@dataclass(frozen=True, eq=False)
class BatchResult:
    """What came of candidates that were fitted to all folds in the same passes.

    Attributes
    ----------
    scores : ndarray of shape (n_scorings, n_candidates, n_folds)
        Of the rows of each fold, by the models that have not seen it, weighted where the data has
        weights.
    n_iter : ndarray of int of shape (n_candidates, n_folds)
    seconds : float
        That all of it took.
    warnings : tuple of FitWarning, default=()
        What is to be said of it.
    start : object, optional
        Where `_refit_from` begins, with the candidate that is chosen; None if it has no use.
    """

    scores: Array
    n_iter: Array
    seconds: float
    warnings: tuple[FitWarning, ...] = ()
    start: Any = None


@runtime_checkable
class FitsBatches(Protocol):
    """An estimator that can fit several candidates in the same passes: two private methods."""

    def _search_batches(self, candidates: list[dict[str, Any]]) -> list[list[int]]:
        """Return groups of candidates that can share passes, by their places.

        Each stands for a clone of this estimator with these parameters. Those in no group are
        fitted one by one.
        """

    def _fit_batch(
        self,
        candidates: list[dict[str, Any]],
        data: Any,
        n_folds: int,
        scorings: Sequence[Any],
        *,
        weighted: bool,
    ) -> BatchResult:
        """Fit the candidates of a group to the rows of all folds but one, for each.

        Parameters
        ----------
        candidates : list of dict
        data : Data
            Whose partitions have folds.
        n_folds : int
        scorings : sequence of daskml_exec.metrics.Scoring
        weighted : bool
            Whether the weights of rows count in scores.
        """


@runtime_checkable
class RefitsBatches(FitsBatches, Protocol):
    """One that can begin the last fit where a batch has come to."""

    def _refit_from(self, start: Any, data: Any) -> Any:
        """Fit this estimator to all rows of the data, and return it."""
