"""Errors of ridge regressions on rows that each was trained without, in closed form."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import is_host, to_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.block_sizes import block_sizes
from daskml_exec.kernels.stop_points import stop_point
from daskml_exec.kernels.sums import FieldwiseSum


@dataclass(frozen=True)
class LeftOut(FieldwiseSum):
    """Sums over rows that were each left out of training."""

    rows: float
    """Whose weight is not zero."""
    errors: Array
    """Weighted squares, of shape (J,)."""


@dataclass(frozen=True)
class Ridges:
    r"""Ridge regressions of J penalties, and what a row's leverage is made of.

    The error of a row that training did not see is :math:`(y_i - \hat y_i) / (1 - h_i)` with the
    leverage :math:`h_i = s_i (1 / \sum s + \sum_r (V^\top (x_i - m))_r^2 / (\lambda_r + \alpha))`.
    Source: Golub, Heath and Wahba (1979), Generalized cross-validation as a method for choosing a
    good ridge parameter, Technometrics 21.

    Attributes
    ----------
    centre : ndarray of shape (d,)
        The m: means of columns, zeros without an intercept.
    coef : ndarray of shape (J, d)
    intercept : ndarray of shape (J,)
        For rows less the centre.
    vectors : ndarray of shape (d, r)
    shrunk : ndarray of shape (r, J)
        The reciprocals of eigenvalues and penalties together.
    of_intercept : float
        What the intercept adds to the leverage of a row, per unit of its weight.
    """

    centre: Array
    coef: Array
    intercept: Array
    vectors: Array
    shrunk: Array
    of_intercept: float


def leave_one_out(ridges: Ridges, X: Any, y: Any, sample_weight: Any) -> LeftOut:
    """Return the sums of squared errors of each regression.

    Parameters
    ----------
    ridges : Ridges
    X : array or CSR matrix of shape (n, d)
    y : array of shape (n,)
    sample_weight : array of shape (n,), or None
    """
    X, y = (X, y) if is_host(X) else (to_host(X), to_host(y))
    weight = None if sample_weight is None else np.asarray(to_host(sample_weight), np.float64)
    n, d = X.shape
    errors = np.zeros(len(ridges.coef))
    size = max(1, int(block_sizes().product_bytes // (8 * max(1, d))))
    for start in range(0, n, size):
        stop_point()
        rows = slice(start, min(start + size, n))
        block = X[rows].toarray() if sp.issparse(X) else X[rows]
        x = np.asarray(block, np.float64) - ridges.centre
        h = (x @ ridges.vectors) ** 2 @ ridges.shrunk + ridges.of_intercept
        residual = y[rows, None] - x @ ridges.coef.T - ridges.intercept
        if weight is None:
            errors += ((residual / (1.0 - h)) ** 2).sum(axis=0)
            continue
        s = weight[rows, None]
        kept = s[:, 0] > 0.0
        left = residual[kept] / (1.0 - s[kept] * h[kept])
        errors += (s[kept] * left**2).sum(axis=0)
    counted = n if weight is None else int(np.count_nonzero(weight))
    return LeftOut(float(counted), errors)
