"""Weighted first and second moments of the columns, and what is not finite."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import array_namespace, beside, is_host, to_host, total
from daskml_exec.kernels.row_blocks import row_blocks

Vector = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Moments:
    """Sums over rows: of the weights w, of w x and of w x², per column."""

    weight: float
    first: Vector
    second: Vector

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.weight + other.weight, self.first + other.first, self.second + other.second
        )


def column_moments(X: Any, sample_weight: Any) -> Moments:
    r"""Return :math:`\sum w_i`, :math:`\sum w_i x_{ij}` and :math:`\sum w_i x_{ij}^2`.

    Parameters
    ----------
    X : array or CSR matrix of shape (n, d)
    sample_weight : array of shape (n,), or None
        None means ones.

    Returns
    -------
    Moments
        In float64, on the host. Not finite where a column is not. A device sums in X's dtype.

    Examples
    --------
    >>> column_moments(np.array([[1.0, 0.0], [3.0, 2.0]]), np.array([1.0, 0.5]))
    Moments(weight=1.5, first=array([2.5, 1. ]), second=array([5.5, 2. ]))
    """
    n, d = X.shape
    weight = float(n) if sample_weight is None else total(sample_weight)
    if sp.issparse(X):
        values = weighted = X.data.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            if sample_weight is not None:
                weighted = values * np.repeat(sample_weight, np.diff(X.indptr))
            first = np.bincount(X.indices, weighted, minlength=d)
            second = np.bincount(X.indices, weighted * values, minlength=d)
        return Moments(weight, first, second)
    if not is_host(X):
        return _moments_on_device(X, sample_weight, weight)
    first, second = np.zeros(d), np.zeros(d)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows, block in row_blocks(X):
            if sample_weight is None:
                first += block.sum(axis=0)
                second += np.einsum("ij,ij->j", block, block)
            else:
                w = sample_weight[rows]
                first += w @ block
                second += np.einsum("i,ij,ij->j", w, block, block)
    return Moments(weight, first, second)


def first_non_finite(X: Any) -> tuple[int, int, str] | None:
    """Return row, column and "NaN" or "infinity" of the first value that is not finite.

    Examples
    --------
    >>> first_non_finite(np.array([[1.0, 2.0], [3.0, np.inf]]))
    (1, 1, 'infinity')
    """
    if sp.issparse(X):
        bad = np.flatnonzero(~np.isfinite(X.data))
        if not bad.size:
            return None
        at = int(bad[0])
        row, column = np.searchsorted(X.indptr, at, "right") - 1, X.indices[at]
        value = X.data[at]
    else:
        xp = array_namespace(X)
        finite = to_host(xp.isfinite(X))
        if finite.all():
            return None
        row, column = np.argwhere(~finite)[0]
        value = to_host(X[int(row) : int(row) + 1, int(column)])[0]
    return int(row), int(column), "NaN" if np.isnan(value) else "infinity"


def _moments_on_device(X: Any, sample_weight: Any, weight: float) -> Moments:
    xp = array_namespace(X)
    weighted = X if sample_weight is None else X * beside(sample_weight, X)[:, None]
    first = to_host(xp.sum(weighted, axis=0)).astype(np.float64)
    second = to_host(xp.sum(weighted * X, axis=0)).astype(np.float64)
    return Moments(weight, first, second)
