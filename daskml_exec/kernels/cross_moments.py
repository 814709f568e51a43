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
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.block_sizes import block_sizes
from daskml_exec.kernels.moments import Moments
from daskml_exec.kernels.stop_points import stop_point


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
    if n and not is_host(X):  # there one large product is faster than many small ones
        v = array_namespace(X).concat([X, beside(y, X)[:, None]], axis=1)
        w = None if sample_weight is None else beside(sample_weight, X)
        return _of_block(v, w, total_weight(X, sample_weight))
    size = max(1, block_sizes().product_bytes // (8 * (d + 1)))
    buffer = np.empty((min(size, n), d + 1))
    for start in range(0, n, size):
        stop_point()
        rows = slice(start, min(start + size, n))
        v = buffer[: rows.stop - start]
        v[:, :d] = X[rows].toarray() if sp.issparse(X) else X[rows]
        v[:, d] = y[rows]
        w = None if sample_weight is None else sample_weight[rows]
        result = result + _of_block(v, w, total_weight(v, w))
    return result


def _of_block(v: Any, weight: Any, total: float) -> CrossMoments:
    """Return the moments of one block; `v` is spent."""
    xp = array_namespace(v)
    w = xp.ones_like(v[:, 0]) if weight is None else weight
    share = 1.0 / total if total else 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        mean = share * to_host(w @ v).astype(np.float64)
        v -= to_device_of(mean, v)
        # What is left of the mean's own rounding would make a constant column vary.
        error = share * to_host(w @ v).astype(np.float64)
        if weight is not None:
            v *= xp.sqrt(weight)[:, None]
        scatter = total * np.outer(error, error)
        np.subtract(to_host(xp.matrix_transpose(v) @ v), scatter, out=scatter)
        mean += error
        spread = np.diagonal(scatter)
        # What is left of the spread of a column in single precision may be rounding as well.
        rounding = 0.0 if is_host(v) else resolution(v) ** 2 * total * mean**2
        np.fill_diagonal(scatter, np.where(spread < rounding, 0.0, spread))
        return CrossMoments(total, mean, scatter)
