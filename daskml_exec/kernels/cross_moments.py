"""Means and scatter of the columns and the target together: all that least squares needs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import (
    array_namespace,
    beside,
    is_host,
    resolution,
    to_device_of,
    to_host,
    total_weight,
)
from daskml_exec.kernels.moments import Moments
from daskml_exec.kernels.stop_points import stop_point

Array = np.ndarray[Any, np.dtype[np.float64]]

_BLOCK_BYTES = 2**22


@dataclass(frozen=True)
class CrossMoments:
    r"""Weight, mean and scatter :math:`\sum w (v - \bar v)(v - \bar v)^\top` of rows v = (x, y).

    About the mean, and not about zero, so that columns far from zero keep their digits; added as
    in Chan, Golub and LeVeque (1983), Algorithms for computing the sample variance, The American
    Statistician 37.
    """

    weight: float
    mean: Array
    scatter: Array

    def __add__(self, other: "CrossMoments") -> "CrossMoments":
        weight = self.weight + other.weight
        if self.weight == 0.0 or other.weight == 0.0:
            kept, lost = (other, self) if self.weight == 0.0 else (self, other)
            # Zero, unless a row of weight zero is not finite.
            with np.errstate(invalid="ignore"):
                return CrossMoments(
                    weight, kept.mean + 0.0 * lost.mean, kept.scatter + 0.0 * lost.scatter
                )
        share = other.weight / weight
        with np.errstate(over="ignore", invalid="ignore"):
            between = other.mean - self.mean
            mean = self.mean + share * between
            scatter = self.scatter + other.scatter
            scatter += (self.weight * share) * np.outer(between, between)
        return CrossMoments(weight, mean, scatter)

    def columns(self, which: slice) -> Moments:
        """Return the moments of some of the columns, each by itself."""
        return Moments(self.weight, self.mean[which], np.diagonal(self.scatter)[which].copy())


def cross_moments(X: Any, y: Any, sample_weight: Any) -> CrossMoments:
    """Return weight, means and scatter of the columns of X and of y, in one pass over the rows.

    Parameters
    ----------
    X : array or CSR matrix of shape (n, d)
    y : array of shape (n,)
    sample_weight : array of shape (n,), or None

    Returns
    -------
    CrossMoments
        Of d + 1 columns, in float64, on the host; the host sums in float64, too.

    Examples
    --------
    >>> cross_moments(np.array([[1.0], [3.0]]), np.array([0.0, 1.0]), None).scatter
    array([[2. , 1. ],
           [1. , 0.5]])
    """
    n, d = X.shape
    result = CrossMoments(0.0, np.zeros(d + 1), np.zeros((d + 1, d + 1)))
    if not is_host(X):
        return _on_device(X, y, sample_weight) if n else result
    size = max(1, _BLOCK_BYTES // (8 * (d + 1)))
    buffer = np.empty((min(size, n), d + 1))
    for start in range(0, n, size):
        stop_point()
        rows = slice(start, min(start + size, n))
        v = buffer[: rows.stop - start]
        v[:, :d] = X[rows].toarray() if sp.issparse(X) else X[rows]
        v[:, d] = y[rows]
        result = result + _of_block(v, None if sample_weight is None else sample_weight[rows])
    return result


def _of_block(v: Array, weight: Any) -> CrossMoments:
    """Return the moments of one block; `v` is spent."""
    w = np.ones(len(v)) if weight is None else weight
    total_weight = float(w.sum())
    share = 1.0 / total_weight if total_weight else 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        mean = share * (w @ v)
        v -= mean
        # What is left of the mean's own rounding would make a constant column vary.
        error = share * (w @ v)
        if weight is not None:
            v *= np.sqrt(weight)[:, None]
        scatter = v.T @ v
        scatter -= total_weight * np.outer(error, error)
        np.fill_diagonal(scatter, np.maximum(0.0, np.diagonal(scatter)))
        return CrossMoments(total_weight, mean + error, scatter)


def _on_device(X: Any, y: Any, sample_weight: Any) -> CrossMoments:
    xp = array_namespace(X)
    v = xp.concat([X, beside(y, X)[:, None]], axis=1)
    weight = total_weight(X, sample_weight)
    w = xp.ones_like(v[:, :1]) if sample_weight is None else beside(sample_weight, X)[:, None]
    share = 1.0 / weight if weight else 1.0
    mean = share * to_host(xp.sum(w * v, axis=0)).astype(np.float64)
    away = v - to_device_of(mean, X)
    weighted = w * away
    scatter = to_host(xp.matrix_transpose(away) @ weighted)
    rounding = resolution(X) ** 2
    # As on the host. What is left of a single-precision column's spread may be rounding as well.
    error = share * to_host(xp.sum(weighted, axis=0)).astype(np.float64)
    scatter = scatter.astype(np.float64) - weight * np.outer(error, error)
    mean = mean + error
    spread = np.diagonal(scatter)
    np.fill_diagonal(scatter, np.where(spread < rounding * weight * mean**2, 0.0, spread))
    return CrossMoments(weight, mean, scatter)
