"""Scores of models on some rows of loaded data, where these are, in one pass."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np
from sklearn.pipeline import Pipeline

from daskml_exec.executor import Query
from daskml_exec.kernels.array_namespace import is_on_device, to_host
from daskml_exec.metrics._scorers import Scoring, response_of
from daskml_exec.partitions import Data, Partition
from daskml_exec.training import reduce


@dataclass(frozen=True)
class Broken:
    """An exception in place of sums, pickled."""

    error: bytes

    @staticmethod
    def of(error: Exception) -> Broken:
        """Return it of an exception; of one that does not pickle, of its message."""
        try:
            return Broken(cloudpickle.dumps(error))
        except Exception:
            return Broken(cloudpickle.dumps(ValueError(f"{type(error).__name__}: {error}")))


@dataclass(frozen=True, eq=False)
class ScoreModels(Query[tuple[tuple[Any, ...], ...]]):
    """Sums of each scoring for each model, on the rows of the chosen folds."""

    models: bytes
    """Estimators, pickled."""
    scorings: bytes
    """Records, pickled."""
    columns: Any
    """Gives back the y of the user: `daskml_exec.partitions.Settled.columns`."""
    chosen: Any
    weighted: bool

    @property
    def step(self) -> str:
        return "score"

    def prepare(self) -> tuple[Any, Any]:
        return cloudpickle.loads(self.models), cloudpickle.loads(self.scorings)

    def partial(
        self, partition: Partition, prepared: tuple[Any, Any]
    ) -> tuple[tuple[Any, ...], ...]:
        models, scorings = prepared
        y, weight = self.columns.given(partition)
        y = to_host(y)
        X = to_host(partition.X) if is_on_device(partition.X) else partition.X
        weight = to_host(weight) if self.weighted and weight is not None else None
        if self.chosen is not None:
            rows = np.flatnonzero(self.chosen.rows(partition.fold))
            y, X, weight = y[rows], X[rows], None if weight is None else weight[rows]
        if not len(y):
            return ((None,) * len(scorings),) * len(models)
        return tuple(_sums(model, scorings, X, y, weight) for model in models)

    def combine(self, left: Any, right: Any) -> tuple[tuple[Any, ...], ...]:
        scorings = cloudpickle.loads(self.scorings)
        return tuple(
            tuple(
                _both(scoring, a, b) for scoring, a, b in zip(scorings, ours, theirs, strict=True)
            )
            for ours, theirs in zip(left, right, strict=True)
        )


def scores_of(
    models: Sequence[Any],
    scorings: Sequence[Scoring],
    data: Data,
    chosen: Any,
    *,
    weighted: bool,
) -> list[list[float | Exception]]:
    """Return the scores of each model, or what was raised.

    Parameters
    ----------
    models : sequence of estimators
        That can predict rows in memory.
    scorings : sequence of Scoring
    data : Data
        With folds.
    chosen : Chosen or None
        Of which folds; None for all rows.
    weighted : bool
        Whether the weights of rows count.
    """
    if not models:
        return []
    query = ScoreModels(
        cloudpickle.dumps(tuple(map(travelling, models))),
        cloudpickle.dumps(tuple(scorings)),
        data.settled.columns,
        chosen,
        weighted,
    )
    found = reduce(query, data.partitions)
    return [[_score(by, sums) for by, sums in zip(scorings, row, strict=True)] for row in found]


def raised(score: float | Exception) -> float:
    """Return a score, or raise what came in its place."""
    if isinstance(score, Exception):
        raise score
    return score


def travelling(model: Any, *, named: bool = False) -> Any:
    """Return a model that predicts the same, without what it does not need for that.

    Parameters
    ----------
    model : estimator
    named : bool, default=False
        Whether it will meet the names of columns: blocks of loaded rows have none.
    """
    other = copy.copy(model)
    if isinstance(model, Pipeline):
        other.steps = [(name, travelling(step, named=named)) for name, step in model.steps]
        return other
    vars(other).pop("history_", None)
    if not named:
        vars(other).pop("feature_names_in_", None)
    if getattr(other, "callbacks", None) is not None:
        other.callbacks = None
    return other


def _sums(
    model: Any, scorings: tuple[Scoring, ...], X: Any, y: Any, weight: Any
) -> tuple[Any, ...]:
    responses: dict[str, Any] = {}
    sums: list[Any] = []
    for scoring in scorings:
        try:
            if scoring.response not in responses:
                responses[scoring.response] = response_of(model, X, scoring.response)
            sums.append(scoring.metric.chunk(y, responses[scoring.response], weight))
        except Exception as error:  # which is this model's alone
            sums.append(Broken.of(error))
    return tuple(sums)


def _both(scoring: Scoring, left: Any, right: Any) -> Any:
    if left is None or right is None:
        return right if left is None else left
    if isinstance(left, Broken) or isinstance(right, Broken):
        return left if isinstance(left, Broken) else right
    return scoring.metric.combine(left, right)


def _score(scoring: Scoring, sums: Any) -> float | Exception:
    if isinstance(sums, Broken):
        error: Exception = cloudpickle.loads(sums.error)
        return error
    if sums is None:
        return ValueError("there are no rows to score")
    try:
        return scoring.score(sums)
    except Exception as error:
        return error
