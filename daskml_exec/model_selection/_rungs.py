"""What a rung is to one candidate: some epochs more, and a score of rows that are held out."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.executor import LostPartitionError, LostSchedulerError, WorkerMismatchError
from daskml_exec.partitions import Data, OnePiece
from daskml_exec.training import Failed, FitWarning

Score = Callable[[Any], float]
"""Scores a trained model."""

_OF_CLUSTERS = (LostPartitionError, LostSchedulerError, WorkerMismatchError)


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate in a rung.

    Attributes
    ----------
    model : estimator or None
        As it is after the rung, ready to go on; None if it failed.
    score : float
        NaN if it failed.
    loss : float
        Of the last epoch.
    fit_seconds, score_seconds : float
    warnings : tuple of FitWarning
    failed : Failed or None
    """

    model: Any
    score: float
    loss: float
    fit_seconds: float
    score_seconds: float
    warnings: tuple[FitWarning, ...] = ()
    failed: Failed | None = None


@dataclass(frozen=True)
class RungRecord:
    """What came of one candidate in one rung: what callbacks of a search get, and `history_` has.

    Attributes
    ----------
    bracket : int
        Its number, as in Hyperband: rungs beyond the first.
    rung : int
        From 0.
    epochs : int
        That the candidate was trained for since its begin.
    candidate : int
        Its place in `cv_results_`.
    params : dict
    score : float
        Of the rows held out; that of `error_score` if it failed.
    loss : float
        Of the last epoch; NaN if it failed.
    fit_seconds, score_seconds : float
        Of this rung.
    failed : str
        Why, if it did.
    """

    bracket: int
    rung: int
    epochs: int
    candidate: int
    params: dict[str, Any] = field(hash=False)
    score: float
    loss: float
    fit_seconds: float
    score_seconds: float
    failed: str = ""


@dataclass(frozen=True)
class ScoreInMemory:
    """Scores a model on rows in memory.

    Attributes
    ----------
    scorer : callable or None
        ``scorer(model, X, y)``, with ``sample_weight=`` where there are weights; None for the
        model's own `score`.
    """

    scorer: Any
    X: Any
    y: Any
    sample_weight: Any

    @classmethod
    def of(cls, scorer: Any, rows: OnePiece) -> "ScoreInMemory":
        """Return what scores on these rows, whose columns keep their names."""
        X, y, sample_weight = rows.given()
        names = rows.pieces.feature_names
        if names is not None and isinstance(X, np.ndarray):
            X = pd.DataFrame(X, columns=list(names), copy=False)
        return cls(scorer, X, y, sample_weight)

    def __call__(self, model: Any) -> float:
        weights = {} if self.sample_weight is None else {"sample_weight": self.sample_weight}
        if self.scorer is None:
            return float(model.score(self.X, self.y, **weights))
        return float(self.scorer(model, self.X, self.y, **weights))


def trained_on(model: Any, data: Data, epochs: int, score: Score) -> Outcome:
    """Train a model for so many epochs more, and score it. What it raises becomes the outcome.

    Parameters
    ----------
    model : TrainsInEpochs
    data : Data
    epochs : int
    score : callable
    """
    warnings: list[FitWarning] = []
    began = ended = time.perf_counter()
    try:
        for _ in range(epochs):
            warnings += model._one_epoch_more(data)
        ended = time.perf_counter()
        value, loss = score(model), float(model.loss_curve_[-1])
        if not np.isfinite(value):
            raise ValueError(f"the score is {value:g}; allowed are finite ones")
    except _OF_CLUSTERS:
        raise
    except Exception as error:
        seconds = time.perf_counter() - began
        return Outcome(None, np.nan, np.nan, seconds, 0.0, tuple(warnings), Failed.of(error))
    scored = time.perf_counter() - ended
    return Outcome(model, value, loss, ended - began, scored, tuple(warnings))


def trained_alone(model: Any, rows: OnePiece, epochs: int, score: Score) -> Outcome:
    """As `trained_on`, of all rows in one piece: a task, or the work of a thread."""
    return trained_on(model, rows.data(), epochs, score)
