"""Candidates fitted to rows that are taken from what the user gave, one split at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params

from daskml_exec.executor import Executor, as_dask_futures
from daskml_exec.model_selection._grid import Params, with_params
from daskml_exec.model_selection._outcomes import LOSSES, Outcome, Outcomes
from daskml_exec.model_selection._scorings import Scorings
from daskml_exec.partitions import is_collection
from daskml_exec.training.folds import Rows


@dataclass(frozen=True)
class SearchOnRows:
    """A search with any estimator, over rows of any kind.

    Attributes
    ----------
    estimator : estimator
    X, y : object
    params : mapping
        What `fit` takes beside them: those of a value for each row are split.
    splits : list of pairs
        As of `splits_of_rows`.
    scorings : Scorings
    train, weighted, strict, say
        As of `SearchOnData`.
    """

    estimator: Any
    X: Any
    y: Any
    params: Mapping[str, Any]
    splits: list[tuple[Any, Any]]
    scorings: Scorings
    train: bool
    weighted: bool
    strict: bool
    say: Callable[[str], object]

    def outcomes(self, candidates: Sequence[Params]) -> Outcomes:
        """Fit and score all candidates, one after another for each split."""
        each = [[Outcome() for _ in self.splits] for _ in candidates]
        for number, (train, test) in enumerate(self.splits):
            begun = time.perf_counter()
            fit_on = self.some(train)
            score_on = self.some(test)
            for params, row in zip(candidates, each, strict=True):
                self._one(params, row[number], fit_on, score_on)
            self.say(
                f"split {number + 1} of {len(self.splits)}: {len(candidates)} candidates in "
                f"{time.perf_counter() - begun:.2f} s"
            )
        return Outcomes(each, list(range(len(candidates))))

    def some(self, rows: Any) -> tuple[Any, Any, dict[str, Any]]:
        """Return X, y and parameters of `fit` for some rows; on a cluster, computed there once."""
        return (
            rows_of(self.X, rows),
            None if self.y is None else rows_of(self.y, rows),
            self._params_of(rows),
        )

    def _params_of(self, rows: Any) -> dict[str, Any]:
        if not isinstance(rows, Rows):
            found: dict[str, Any] = _check_method_params(self.X, self.params, indices=rows)
            return found
        return {
            name: rows_of(value, rows) if _has_rows(value, name) else value
            for name, value in self.params.items()
        }

    def _one(self, params: Params, outcome: Outcome, fit_on: Any, score_on: Any) -> None:
        X, y, more = fit_on
        start = time.perf_counter()
        try:
            model = fitted(with_params(self.estimator, params), X, y, more)
        except LOSSES:
            raise
        except Exception as error:
            if self.strict:
                raise
            outcome.fit_error = error
            return
        finally:
            outcome.fit_seconds = time.perf_counter() - start
        start = time.perf_counter()
        try:
            outcome.scores = self._scores(model, score_on)
            outcome.score_seconds = time.perf_counter() - start
            if self.train:
                outcome.train_scores = self._scores(model, fit_on)
        except LOSSES:
            raise
        except Exception as error:
            if self.strict:
                raise
            outcome.score_error = error

    def _scores(self, model: Any, rows: tuple[Any, Any, dict[str, Any]]) -> dict[str, float]:
        X, y, more = rows
        weight = more.get("sample_weight") if self.weighted else None
        return self.scorings.of_model(model, X, y, weight)


def fitted(model: Any, X: Any, y: Any, params: Mapping[str, Any]) -> Any:
    """Return a model that was fitted, with y if there is one."""
    return model.fit(X, **params) if y is None else model.fit(X, y, **params)


def rows_of(given: Any, rows: Any) -> Any:
    """Return some rows of what is in memory, or on a cluster: there they are computed once."""
    if not isinstance(rows, Rows):
        return _safe_indexing(given, rows)
    some = rows(as_dask_futures(given))
    lazy = is_collection(some) and not isinstance(some, list)
    return Executor.current().client.persist(some) if lazy else some


def _has_rows(value: Any, name: str) -> bool:
    return name == "sample_weight" or is_collection(as_dask_futures(value))
