"""The objective of a problem, by NumPy alone, and how far above its minimum a model is."""

from typing import Any

import numpy as np
from scipy.special import logsumexp, xlogy

from peers.problems import Problem

# Small enough that margins and their temporaries stay in the cache of a core.
_BLOCK = 10_000


def objective(problem: Problem, coef: Any, intercept: Any) -> float:
    """Return the mean loss plus the penalty at coefficients (K, d) and intercepts (K,)."""
    coef = np.atleast_2d(np.asarray(coef, dtype=np.float64))
    intercept = np.atleast_1d(np.asarray(intercept, dtype=np.float64))
    loss = 0.0
    for start in range(0, problem.rows, _BLOCK):
        rows = slice(start, start + _BLOCK)
        loss += _LOSSES[problem.loss](problem.X[rows] @ coef.T + intercept, problem.y[rows])
    return loss / problem.rows + 0.5 * problem.penalty * float(np.vdot(coef, coef))


def _logistic(z: Any, y: Any) -> float:
    return float(np.logaddexp(0.0, np.where(y > 0, -z[:, 0], z[:, 0])).sum())


def _softmax(z: Any, y: Any) -> float:
    return float((logsumexp(z, axis=1) - z[np.arange(len(y)), y]).sum())


def _squared(z: Any, y: Any) -> float:
    return float(0.5 * np.square(y - z[:, 0]).sum())


def _half_deviance(z: Any, y: Any) -> float:
    """Poisson's, which is never negative, so that a share of it means something."""
    return float((xlogy(y, y) - y - y * z[:, 0] + np.exp(z[:, 0])).sum())


_LOSSES = {
    "logistic": _logistic,
    "softmax": _softmax,
    "squared": _squared,
    "poisson": _half_deviance,
}


class Optimum:
    """The least objective seen so far: the known one, that of a tight fit, or a side's own."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.least = np.inf if problem.optimum is None else problem.optimum

    def see(self, coef: Any, intercept: Any) -> float:
        """Return the objective, and remember it if it is the least."""
        value = objective(self.problem, coef, intercept)
        self.least = min(self.least, value)
        return value

    def suboptimality(self, value: float) -> float:
        """Return how far above the least objective a value is, relative to it."""
        return (value - self.least) / self.least
