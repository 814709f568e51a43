"""What is known after each epoch: losses, scores, and whether to go on."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

_LEAST_RATE = 1e-6


@dataclass(frozen=True)
class Stopping:
    """When to stop, by scikit-learn's rules.

    Attributes
    ----------
    tol : float
    n_iter_no_change : float
        Epochs in a row without an improvement by `tol` that end the fit if one more follows.
    by_score : bool
        Whether the score on the rows held out is to improve, or the loss.
    schedule : {"constant", "invscaling", "adaptive"}
    initial_rate : float
    """

    tol: float
    n_iter_no_change: float
    by_score: bool
    schedule: str
    initial_rate: float


@dataclass(frozen=True)
class Progress:
    """What is known after some epochs. Immutable; its methods return the next one.

    Attributes
    ----------
    learning_rate : float
        Of the next epoch.
    samples : int
        Rows gone through.
    loss_curve, scores : tuple of float
        Of each epoch.
    best_loss, best_score : float
    best : Model or None
        That of the best score, without its optimiser; or what stands for it where Workers have it.
    without_improvement : int
        Epochs in a row.
    stopped : bool
        Whether the last epoch was the end.
    """

    learning_rate: float
    samples: int = 0
    loss_curve: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    best_loss: float = np.inf
    best_score: float = -np.inf
    best: Any = None
    without_improvement: int = 0
    stopped: bool = False

    @property
    def epochs(self) -> int:
        """How many there were."""
        return len(self.loss_curve)

    def after_epoch(self, loss: float, rows: int, rule: Stopping) -> "Progress":
        """Return the progress after an epoch with this mean loss.

        Parameters
        ----------
        loss : float
            Of its steps, with the penalty.
        rows : int
            That it went through.
        rule : Stopping
            When training ends.

        Returns
        -------
        Progress
            With one epoch more.
        """
        after = replace(self, loss_curve=(*self.loss_curve, loss), samples=self.samples + rows)
        if rule.by_score:
            return after
        improved = loss <= self.best_loss - rule.tol
        after = replace(after, best_loss=min(loss, self.best_loss))
        return after._judged(improved, rule)

    def after_score(self, score: float, model: Any, rule: Stopping) -> "Progress":
        """Return the progress after the model's score on the rows held out is known.

        Parameters
        ----------
        score : float
            On the rows held out.
        model : Model
            That has it, without its optimiser; or what stands for it.
        rule : Stopping
            When training ends.

        Returns
        -------
        Progress
            With one score more.
        """
        improved = score >= self.best_score + rule.tol
        after = replace(self, scores=(*self.scores, score))
        if score > self.best_score or self.best is None:
            after = replace(after, best_score=score, best=model)
        return after._judged(improved, rule)

    def _judged(self, improved: bool, rule: Stopping) -> "Progress":
        count = 0 if improved else self.without_improvement + 1
        rate, stopped = self.learning_rate, False
        if rule.schedule == "invscaling":
            rate = rule.initial_rate / (self.samples + 1) ** 0.5
        if count > rule.n_iter_no_change:
            stopped = rule.schedule != "adaptive" or rate <= _LEAST_RATE
            if not stopped:
                rate, count = rate / 5, 0
        return replace(self, without_improvement=count, learning_rate=rate, stopped=stopped)
