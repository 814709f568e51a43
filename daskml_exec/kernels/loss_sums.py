"""Sums of a loss and its gradient over the rows of one block."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import (
    array_namespace,
    beside,
    is_host,
    to_device_of,
    to_host,
    total_weight,
)
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.compiled_loops import Loops, compiled_loops
from daskml_exec.kernels.losses import Loss, far_steps, weighted_residuals
from daskml_exec.kernels.row_blocks import row_blocks, row_ranges
from daskml_exec.kernels.stop_points import stop_point
from daskml_exec.kernels.sums import FieldwiseSum


@dataclass(frozen=True)
class LossSums(FieldwiseSum):
    """Sums over rows of the loss and its gradient, with the sum of the weights."""

    weight: float
    loss: float
    coef: Array
    """Gradient with respect to the coefficients, of shape (K, d)."""
    intercept: Array
    """Gradient with respect to the intercepts, of shape (K,)."""


def loss_sums(
    loss: Loss,
    X: Any,
    y: Any,
    sample_weight: Any,
    coef: Array,
    intercept: Array,
    center: Array | None = None,
) -> LossSums:
    r"""Return the sums of loss and gradient over the rows.

    With margins :math:`z_i = W x_i + b` and residuals
    :math:`r_i = \partial \ell_i / \partial z_i`: :math:`\nabla_W = \sum w_i r_i x_i^\top`,
    :math:`\nabla_b = \sum w_i r_i`. Rows are read from memory once, block by block.

    Parameters
    ----------
    loss : Loss
    X : array or CSR matrix of shape (n, d)
    y : array of shape (n,)
        As the loss expects. Where X is or on the host, as are the weights.
    sample_weight : array of shape (n,), or None
        None means ones.
    coef : array of shape (K, d)
    intercept : array of shape (K,)
    center : array of shape (d,), optional
        Taken from each row first, for columns that are far from zero relative to their spread.
        Not for CSR matrices.

    Returns
    -------
    LossSums
        In float64, on the host. The host sums rows in float32 in float64; a device sums in the
        dtype of X.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.kernels.losses import BinaryLogistic
    >>> X, y = np.array([[1.0], [-1.0]]), np.array([1, 0])
    >>> loss_sums(BinaryLogistic(), X, y, None, np.zeros((1, 1)), np.zeros(1)).coef
    array([[-1.]])
    """
    stop_point()
    weight = total_weight(X, sample_weight)
    if sp.issparse(X):
        assert center is None, "centred rows are not sparse"
        margins = np.ascontiguousarray((X @ coef.T).T)
        margins += intercept[:, None]
        with far_steps():
            value, residual = weighted_residuals(loss, margins, y, sample_weight)
        return LossSums(weight, value, (X.T @ residual.T).T, residual.sum(axis=1))
    loops = compiled_loops() if is_host(X) and X.dtype == np.float32 and len(coef) == 1 else None
    if loops is not None and center is None:
        return _sums_compiled(loops, loss, X, y, sample_weight, coef, intercept, weight)
    value = 0.0
    grad_coef, grad_intercept = np.zeros(coef.shape), np.zeros(coef.shape[0])
    if not is_host(X):
        coef, intercept, y = to_device_of(coef, X), to_device_of(intercept, X), beside(y, X)
        center = None if center is None else to_device_of(center, X)
        sample_weight = None if sample_weight is None else beside(sample_weight, X)
    xp = array_namespace(X)
    with far_steps():
        for rows, block in row_blocks(X):
            if center is not None:
                block = block - center
            margins = coef @ block.T
            margins += intercept[:, None]
            w = None if sample_weight is None else sample_weight[rows]
            of_block, residual = weighted_residuals(loss, margins, y[rows], w)
            value += of_block
            grad_coef += to_host(residual @ block)
            grad_intercept += to_host(xp.sum(residual, axis=1))
    return LossSums(weight, value, grad_coef, grad_intercept)


def _sums_compiled(
    loops: Loops,
    loss: Loss,
    X: Any,
    y: Any,
    sample_weight: Any,
    coef: Array,
    intercept: Array,
    weight: float,
) -> LossSums:
    value, of_intercept, of_coef = 0.0, 0.0, np.zeros(coef.shape)
    with far_steps():
        for rows in row_ranges(X):
            margins = np.empty((1, rows.stop - rows.start))
            loops.margins(X[rows], coef[0], margins[0])
            margins += intercept[:, None]
            w = None if sample_weight is None else sample_weight[rows]
            of_block, residual = weighted_residuals(loss, margins, y[rows], w)
            value += of_block
            loops.products(X[rows], residual[0], of_coef[0])
            of_intercept += float(residual.sum())
    return LossSums(weight, value, of_coef, np.array([of_intercept]))
