"""The problems that all sides solve, and how their data is drawn."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from scipy.fft import dct
from scipy.special import expit

# The objective of `dense(1_000_000, 100)` at its minimum.
_DENSE_OPTIMUM = 0.45507909348765285


@dataclass(frozen=True)
class Problem:
    """Minimise the mean loss plus ``penalty / 2 * ||coef||^2``; the intercept is free."""

    loss: Literal["logistic", "softmax", "squared", "poisson"]
    X: Any
    y: Any
    penalty: float
    optimum: float | None = None
    """The least objective, where it is known beforehand."""

    @property
    def rows(self) -> int:
        return int(self.X.shape[0])

    @property
    def C(self) -> float:
        """The penalty as scikit-learn's classifiers count it."""
        return 1.0 / (self.rows * self.penalty)

    @property
    def nbytes(self) -> int:
        return int(_nbytes(self.X) + self.y.nbytes)


def dense(n: int, d: int) -> Problem:
    """Correlated columns, the condition number of X is 100; two classes."""
    rng = np.random.default_rng(12345)
    A, direction = _mixing(rng, d)
    w = direction(d)
    X, y = np.empty((n, d)), np.empty(n, dtype=np.int64)
    for rows in _eighths(n):
        X[rows] = rng.normal(size=(rows.stop - rows.start, d)) @ A
        y[rows] = rng.random(rows.stop - rows.start) < expit(X[rows] @ w - 0.5)
    known = _DENSE_OPTIMUM if (n, d) == (1_000_000, 100) else None
    return Problem("logistic", X, y, 1e-4, known)


def multinomial(n: int, d: int, classes: int) -> Problem:
    """The columns of `dense`; labels drawn from the softmax of normal weights."""
    rng = np.random.default_rng(54321)
    A, direction = _mixing(rng, d)
    W = np.column_stack([direction(d) for _ in range(classes)])
    X, y = np.empty((n, d)), np.empty(n, dtype=np.int64)
    for rows in _eighths(n):
        X[rows] = rng.normal(size=(rows.stop - rows.start, d)) @ A
        # The largest of margins plus Gumbel noise is a draw from their softmax.
        z = X[rows] @ W
        y[rows] = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    return Problem("softmax", X, y, 1e-4)


def sparse(n: int, d: int, draws: int) -> Problem:
    """Rows of counts as of words in texts: few columns are popular, most are rare."""
    rng = np.random.default_rng(7)
    popularity = np.arange(1, d + 1) ** -1.1
    columns = rng.permutation(d)
    # No row is empty, so that all have a norm.
    lengths = np.maximum(rng.poisson(draws, size=n), 1)
    picked = np.searchsorted(
        np.cumsum(popularity) / popularity.sum(), rng.random(lengths.sum()), side="right"
    )
    indices = columns[np.minimum(picked, d - 1)].astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    X = sp.csr_matrix((np.ones(len(indices)), indices, indptr), shape=(n, d))
    X.sum_duplicates()
    norms = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
    X.data /= np.repeat(norms, np.diff(X.indptr))
    w = np.zeros(d)
    relevant = rng.choice(d, size=d // 5, replace=False)
    w[relevant] = 5.0 * rng.normal(size=len(relevant))
    z = X @ w
    z = 2.0 * (z - z.mean()) / z.std()
    y = (rng.random(n) < expit(z)).astype(np.int64)
    return Problem("logistic", X, y, 1e-5)


def wide(n: int, d: int) -> Problem:
    """As `dense`, with the cosine transform for the right singular vectors: it needs no QR."""
    rng = np.random.default_rng(98765)
    s = _singular_values(d)
    w = rng.normal(size=d)
    w *= 2.0 / np.linalg.norm(s * dct(w, norm="ortho"))
    X = dct(s * rng.normal(size=(n, d)), type=3, norm="ortho", axis=1, overwrite_x=True)
    y = (rng.random(n) < expit(X @ w - 0.5)).astype(np.int64)
    return Problem("logistic", X, y, 1e-4)


def squared(n: int, d: int, penalty: float) -> Problem:
    """The columns of `dense`, and a target with normal noise."""
    X, margins, rng = _regression(n, d)
    return Problem("squared", X, 3.0 + margins + rng.normal(size=n), penalty)


def poisson(n: int, d: int) -> Problem:
    """The columns of `dense`, and counts whose means lie mostly between 0.1 and 8."""
    X, margins, rng = _regression(n, d)
    y = rng.poisson(np.exp(0.5 * margins)).astype(np.float64)
    return Problem("poisson", X, y, 1e-4)


def sorted_by_label(problem: Problem) -> Problem:
    """The same rows, so that most partitions hold one class."""
    order = np.argsort(problem.y, kind="stable")
    return replace(problem, X=problem.X[order], y=problem.y[order])


def _regression(n: int, d: int) -> tuple[Any, Any, np.random.Generator]:
    rng = np.random.default_rng(2468)
    A, direction = _mixing(rng, d)
    w = direction(d)
    X = np.empty((n, d))
    for rows in _eighths(n):
        X[rows] = rng.normal(size=(rows.stop - rows.start, d)) @ A
    return X, X @ w, rng


def _mixing(rng: np.random.Generator, d: int) -> tuple[Any, Callable[[int], Any]]:
    """Return A, and a function that draws weights whose margins have standard deviation 2."""
    U, V = (np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(2))
    A = U * _singular_values(d) @ V.T

    def direction(size: int) -> Any:
        w = rng.normal(size=size)
        return w * (2.0 / np.linalg.norm(A @ w))

    return A, direction


def _singular_values(d: int) -> Any:
    s = np.logspace(0, -2, d)
    return s / np.sqrt(np.mean(s**2))


def _eighths(n: int) -> list[slice]:
    """Blocks of rows, because the draws of rows and labels alternate."""
    edges = [n * i // 8 for i in range(9)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def _nbytes(X: Any) -> int:
    if sp.issparse(X):
        return int(X.data.nbytes + X.indices.nbytes + X.indptr.nbytes)
    return int(X.nbytes)
