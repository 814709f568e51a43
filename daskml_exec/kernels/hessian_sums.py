"""Sums of second derivatives over rows, in standardised coordinates."""

from collections.abc import Iterator
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
from daskml_exec.kernels.losses import Loss
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.kernels.stop_points import stop_point
from daskml_exec.kernels.sums import FieldwiseSum

Array = np.ndarray[Any, np.dtype[np.float64]]

# Rows are scaled block by block; a block is as large as matrix products want it.
_BLOCK_BYTES = 2**22


@dataclass(frozen=True)
class HessianSums(FieldwiseSum):
    """Sum over rows of the loss's Hessian, with the sum of the weights."""

    weight: float
    matrix: np.ndarray[Any, Any]
    """Of shape (K p, K p) for K outputs of p coordinates each, output by output."""


def hessian_sums(
    loss: Loss,
    X: Any,
    sample_weight: Any,
    coordinates: Standardisation,
    point: Array,
    *,
    single: bool = False,
) -> HessianSums:
    r"""Return the sum of the Hessians of the rows' losses.

    With :math:`u_i` the row in the coordinates (its last component is the intercept's) and
    :math:`h_i` the second derivatives of its loss with respect to its margins,
    :math:`\sum_i w_i\, h_i \otimes u_i u_i^\top`; for the softmax, where
    :math:`h_i = \mathrm{diag}(p_i) - p_i p_i^\top`, computed as the difference of the two.

    Parameters
    ----------
    loss : Loss
    X : array or CSR matrix of shape (n, d)
    sample_weight : array of shape (n,), or None
    coordinates : Standardisation
    point : array of shape (K, p)
        Where, in the coordinates.
    single : bool, default=False
        Whether the sum may be in float32, in half the time, memory and traffic. Columns are
        standardised, so that a Hessian from a sample of the rows loses nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.kernels.losses import HalfSquaredError
    >>> from daskml_exec.kernels.moments import column_moments
    >>> from daskml_exec.kernels.standardisation import standardisation
    >>> X = np.array([[1.0], [3.0]])
    >>> to = standardisation(
    ...     column_moments(X, None), curvature=1.0, penalty=0.0, fit_intercept=True
    ... )
    >>> hessian_sums(HalfSquaredError(), X, None, to, np.zeros((1, 2))).matrix
    array([[2., 0.],
           [0., 2.]])
    """
    dtype = np.dtype(np.float32 if single else np.float64)
    weight = total_weight(X, sample_weight)
    if not is_host(X):
        matrix = _on_device(loss, X, sample_weight, coordinates, point)
        return HessianSums(weight, to_host(matrix).astype(dtype))
    at = point.astype(dtype)
    matrix = np.zeros((point.size, point.size), dtype)
    for rows, u in _standardised_blocks(X, coordinates, dtype, len(point)):
        curvature = loss.curvatures(at @ u.T)
        w = None if sample_weight is None else sample_weight[rows].astype(dtype)
        if loss.n_outputs == 1:
            _add_weighted_gram(matrix, u, curvature[0] if w is None else w * curvature[0])
        else:
            _add_softmax(matrix, u, curvature, w)
    return HessianSums(weight, matrix)


def _standardised_blocks(
    X: Any, coordinates: Standardisation, dtype: np.dtype[Any], outputs: int
) -> Iterator[tuple[slice, Array]]:
    n, d = X.shape
    p = d + coordinates.fit_intercept
    # Adding a block's product must cost less than the product itself.
    size = max(p * outputs, _BLOCK_BYTES // (8 * max(1, p)))
    buffer = np.empty((min(size, n), p), dtype)
    for start in range(0, n, size):
        stop_point()
        rows = slice(start, min(start + size, n))
        block = X[rows].toarray() if sp.issparse(X) else X[rows]
        u = buffer[: block.shape[0]]
        np.subtract(block, coordinates.center, out=u[:, :d], casting="same_kind")
        u[:, :d] *= coordinates.inverse
        if coordinates.fit_intercept:
            u[:, d] = 1.0 / coordinates.intercept_scale
        yield rows, u


def _add_weighted_gram(matrix: Array, u: Array, weight: Array) -> None:
    """Add ``u' diag(weight) u``; `u` is spent."""
    # Curvatures overflow where a step was far too long: then there is no Hessian to use.
    with np.errstate(over="ignore", invalid="ignore"):
        u *= np.sqrt(weight)[:, None]
        matrix += u.T @ u  # NumPy sees one matrix twice, and calls syrk


def _add_softmax(matrix: Array, u: Array, p: Array, sample_weight: Array | None) -> None:
    n, width = u.shape
    root = np.sqrt(p if sample_weight is None else p * sample_weight)
    for k, of_class in enumerate(root):
        own = slice(k * width, (k + 1) * width)
        weighted = u * of_class[:, None]
        matrix[own, own] += weighted.T @ weighted
    if sample_weight is not None:
        p = p * np.sqrt(sample_weight)
    outer = (p.T[:, :, None] * u[:, None, :]).reshape(n, -1)
    matrix -= outer.T @ outer


def _on_device(
    loss: Loss, X: Any, sample_weight: Any, coordinates: Standardisation, point: Array
) -> Any:
    xp = array_namespace(X)
    u = (X - to_device_of(coordinates.center, X)) * to_device_of(coordinates.inverse, X)
    if coordinates.fit_intercept:
        ones = xp.ones_like(u[:, :1])
        u = xp.concat([u, ones / coordinates.intercept_scale], axis=1)
    curvature = loss.curvatures_on_device(xp, u @ to_device_of(np.ascontiguousarray(point.T), X))
    weight = xp.ones_like(curvature[:, :1])
    if sample_weight is not None:
        weight = beside(sample_weight, X)[:, None]
    if loss.n_outputs == 1:
        return xp.matrix_transpose(u) @ (u * (weight * curvature))
    blocks = [
        xp.matrix_transpose(u) @ (u * (weight * curvature[:, k : k + 1]))
        for k in range(loss.n_outputs)
    ]
    outer = xp.reshape(curvature[:, :, None] * u[:, None, :], (X.shape[0], point.size))
    coupled = xp.matrix_transpose(outer) @ (outer * weight)
    rows = []
    for k, block in enumerate(blocks):
        before, after = (xp.zeros_like(block),) * k, (xp.zeros_like(block),) * (len(blocks) - k - 1)
        rows.append(xp.concat([*before, block, *after], axis=1))
    return xp.concat(rows, axis=0) - coupled
