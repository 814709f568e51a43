r"""What one block of columns adds to the margins of its rows, and what residuals say of it.

Margins :math:`z = \sum_j W_j X_j^\top` are sums over the column blocks, and the gradient with
respect to :math:`W_j` needs no other block than :math:`X_j`. Margins and residuals have shape
(K, n), outputs first, as in `daskml_exec.kernels.losses`.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.row_blocks import row_blocks


def partial_margins(X: Any, coef: Array, center: Array | None = None) -> Array:
    r"""Return :math:`W_j (X_j - m_j)^\top`, of shape (K, n).

    Parameters
    ----------
    X : array or CSR matrix of shape (n, d_j)
    coef : array of shape (K, d_j)
    center : array of shape (d_j,), optional
        What is taken from each row first.

    Examples
    --------
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> partial_margins(X, np.array([[1.0, 10.0]]))
    array([[21., 43.]])
    >>> partial_margins(X, np.array([[1.0, 10.0]]), np.array([1.0, 2.0]))
    array([[ 0., 22.]])
    """
    # Steps that are far too long overflow here; the search sees an infinite loss and shortens them.
    with np.errstate(over="ignore", invalid="ignore"):
        if sp.issparse(X):
            margins = np.ascontiguousarray((X @ coef.T).T, dtype=np.float64)
            if center is not None:
                margins -= (coef @ center)[:, None]
            return margins
        margins = np.empty((coef.shape[0], X.shape[0]))
        for rows, block in row_blocks(X):
            margins[:, rows] = coef @ (block if center is None else block - center).T
        return margins


def partial_gradient(X: Any, residual: Array, center: Array | None = None) -> Array:
    r"""Return :math:`\sum_i r_i (x_{ij} - m_j)^\top`, of shape (K, d_j).

    Parameters
    ----------
    X : array or CSR matrix of shape (n, d_j)
    residual : array of shape (K, n)
        Weighted.
    center : array of shape (d_j,), optional

    Examples
    --------
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> partial_gradient(X, np.array([[1.0, -1.0]]))
    array([[-2., -2.]])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if sp.issparse(X):
            gradient = np.ascontiguousarray((X.T @ residual.T).T, dtype=np.float64)
            if center is not None:
                gradient -= residual.sum(axis=1)[:, None] * center
            return gradient
        gradient = np.zeros((residual.shape[0], X.shape[1]))
        for rows, block in row_blocks(X):
            gradient += residual[:, rows] @ (block if center is None else block - center)
        return gradient
