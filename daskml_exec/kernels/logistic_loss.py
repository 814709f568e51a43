"""Sums of the logistic loss and its gradient over the rows of one block.

Binary problems have one row of coefficients (K = 1) and labels 0 and 1; problems with more
classes have K rows and labels 0 to K - 1, and the loss is the cross-entropy of the softmax.
"""

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
    total,
)
from daskml_exec.kernels.row_blocks import row_blocks

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class LossSums:
    """Sums over rows of the loss and its gradient, with the sum of the weights."""

    weight: float
    loss: float
    coef: Array
    """Gradient with respect to the coefficients, of shape (K, d)."""
    intercept: Array
    """Gradient with respect to the intercepts, of shape (K,)."""

    def __add__(self, other: "LossSums") -> "LossSums":
        return LossSums(
            self.weight + other.weight,
            self.loss + other.loss,
            self.coef + other.coef,
            self.intercept + other.intercept,
        )


def logistic_sums(X: Any, y: Any, sample_weight: Any, coef: Array, intercept: Array) -> LossSums:
    r"""Return the sums of loss and gradient over the rows.

    With :math:`z_i = W x_i + b`, the loss of a row is :math:`\log(1 + e^{z_i}) - y_i z_i` for two
    classes and :math:`\log \sum_k e^{z_{ik}} - z_{i y_i}` for more; its gradient with respect to
    :math:`z_i` is :math:`r_i = p_i - y_i`, probabilities less one-hot labels. Summed:
    :math:`\nabla_W = \sum w_i r_i x_i^\top`, :math:`\nabla_b = \sum w_i r_i`. [1]_

    Parameters
    ----------
    X : array or CSR matrix of shape (n, d)
    y : array of shape (n,)
        0 and 1 when K = 1, else 0 to K - 1. Where X is or on the host, as are the weights.
    sample_weight : array of shape (n,), or None
        None means ones.
    coef : array of shape (K, d)
    intercept : array of shape (K,)

    Returns
    -------
    LossSums
        In float64, on the host. The host sums rows in float32 in float64; a device sums in the
        dtype of X.

    References
    ----------
    .. [1] Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning,
       section 4.4.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0], [-1.0]])
    >>> logistic_sums(X, np.array([1, 0]), None, np.zeros((1, 1)), np.zeros(1)).coef
    array([[-1.]])
    """
    weight = float(X.shape[0]) if sample_weight is None else total(sample_weight)
    if not is_host(X):
        return _sums_on_device(X, y, sample_weight, coef, intercept, weight)
    pointwise = _binary_rows if coef.shape[0] == 1 else _multinomial_rows
    if sp.issparse(X):
        residual = X @ coef.T
        residual += intercept
        loss = pointwise(residual, y, sample_weight)
        return LossSums(weight, loss, (X.T @ residual).T, residual.sum(axis=0))
    loss = 0.0
    grad_coef, grad_intercept = np.zeros(coef.shape), np.zeros(coef.shape[0])
    for rows, block in row_blocks(X):
        residual = block @ coef.T
        residual += intercept
        w = None if sample_weight is None else sample_weight[rows]
        loss += pointwise(residual, y[rows], w)
        grad_coef += residual.T @ block
        grad_intercept += residual.sum(axis=0)
    return LossSums(weight, loss, grad_coef, grad_intercept)


# Losses and residuals of rows that are predicted well are tiny. They are computed from tiny terms
# throughout, never as the difference of terms near one, so that they keep their relative precision
# however far apart the classes are.


def _binary_rows(z: Array, y: Array, sample_weight: Array | None) -> float:
    """Turn margins of shape (n, 1) into weighted residuals in place; return the loss."""
    margin = z[:, 0]
    sign = 1.0 - 2.0 * y
    margin *= sign  # positive where the row is on the wrong side
    small = np.exp(-np.abs(margin))
    loss = np.log1p(small)
    loss += np.maximum(margin, 0.0)
    # The sigmoid without overflow: 1 / (1 + e) for margins from 0, e / (1 + e) below.
    np.divide(np.where(margin >= 0, 1.0, small), 1.0 + small, out=margin)
    margin *= sign
    if sample_weight is None:
        return float(loss.sum())
    margin *= sample_weight
    return float(loss @ sample_weight)


def _multinomial_rows(z: Array, y: Array, sample_weight: Array | None) -> float:
    """Turn margins of shape (n, K) into weighted residuals in place; return the loss."""
    rows = np.arange(z.shape[0])
    z -= z.max(axis=1, keepdims=True)
    behind = -z[rows, y]
    np.exp(z, out=z)
    own = z[rows, y]
    z[rows, y] = 0.0
    others = z.sum(axis=1)
    partition = own + others
    loss = np.where(behind == 0, np.log1p(others), behind + np.log(partition))
    z[rows, y] = -others
    z /= partition[:, None]
    if sample_weight is None:
        return float(loss.sum())
    z *= sample_weight[:, None]
    return float(loss @ sample_weight)


def _sums_on_device(
    X: Any, y: Any, sample_weight: Any, coef: Array, intercept: Array, weight: float
) -> LossSums:
    xp = array_namespace(X)
    z = X @ to_device_of(np.ascontiguousarray(coef.T), X) + to_device_of(intercept, X)
    labels = beside(y, X)[:, None]
    if coef.shape[0] == 1:
        sign = 1.0 - 2.0 * labels
        z = sign * z
        small = xp.exp(-xp.abs(z))
        loss = xp.log1p(small) + xp.maximum(z, xp.zeros_like(z))
        residual = sign * xp.where(z >= 0, xp.ones_like(z), small) / (1.0 + small)
    else:
        classes = to_device_of(np.arange(coef.shape[0]), X)
        target = xp.astype(labels == classes, X.dtype)
        z = z - xp.max(z, axis=1, keepdims=True)
        behind = -xp.sum(target * z, axis=1, keepdims=True)
        rest = xp.exp(z) * (1.0 - target)
        others = xp.sum(rest, axis=1, keepdims=True)
        partition = xp.exp(-behind) + others
        loss = xp.where(behind == 0, xp.log1p(others), behind + xp.log(partition))
        residual = (rest - others * target) / partition
    if sample_weight is not None:
        w = beside(sample_weight, X)[:, None]
        loss, residual = w * loss, w * residual
    return LossSums(
        weight,
        total(loss),
        to_host(xp.matrix_transpose(residual) @ X).astype(np.float64),
        to_host(xp.sum(residual, axis=0)).astype(np.float64),
    )
