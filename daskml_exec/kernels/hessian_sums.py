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
    zeros,
)
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.block_sizes import block_sizes
from daskml_exec.kernels.losses import Loss
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.kernels.stop_points import stop_point
from daskml_exec.kernels.sums import FieldwiseSum


@dataclass(frozen=True)
class HessianSums(FieldwiseSum):
    """Sum over rows of the loss's Hessian, with the sum of the weights."""

    weight: float
    matrix: Array
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
    >>> from daskml_exec.kernels.distributions import Gaussian
    >>> from daskml_exec.kernels.moments import column_moments
    >>> from daskml_exec.kernels.standardisation import standardisation
    >>> X = np.array([[1.0], [3.0]])
    >>> to = standardisation(
    ...     column_moments(X, None), curvature=1.0, penalty=0.0, fit_intercept=True
    ... )
    >>> hessian_sums(Gaussian(), X, None, to, np.zeros((1, 2))).matrix
    array([[2., 0.],
           [0., 2.]])
    """
    dtype = np.dtype(np.float32 if single else np.float64)
    weight = total_weight(X, sample_weight)
    shape = (point.size, point.size)
    matrix = np.zeros(shape, dtype) if is_host(X) else zeros(shape, X)
    for rows, u in _standardised_blocks(X, coordinates, dtype, len(point)):
        w = None if sample_weight is None else beside(sample_weight[rows], u)
        _add_hessian(matrix, loss, u, point, w)
    return HessianSums(weight, to_host(matrix).astype(dtype, copy=False))


@dataclass(frozen=True)
class HessiansSums(FieldwiseSum):
    """Sums over rows of the loss's Hessians at several points, with the sum of the weights."""

    weight: float
    matrices: Array
    """Of shape (J, K p, K p)."""


def hessians_sums(
    loss: Loss,
    X: Any,
    sample_weight: Any,
    coordinates: Standardisation,
    points: Array,
    *,
    single: bool = False,
) -> HessiansSums:
    """Return the sums of the Hessians of the rows' losses at J points, in one pass over the rows.

    Parameters
    ----------
    loss, X, sample_weight, coordinates, single
        As of `hessian_sums`.
    points : array of shape (J, K, p)
        Where, in the coordinates.
    """
    dtype = np.dtype(np.float32 if single else np.float64)
    weight = total_weight(X, sample_weight)
    J, K, p = points.shape
    shape = (J, K * p, K * p)
    matrices = np.zeros(shape, dtype) if is_host(X) else zeros(shape, X)
    for rows, u in _standardised_blocks(X, coordinates, dtype, K):
        w = None if sample_weight is None else beside(sample_weight[rows], u)
        for j in range(J):
            _add_hessian(matrices[j, ...], loss, u + 0.0 if K == 1 else u, points[j], w)
    return HessiansSums(weight, to_host(matrices).astype(dtype, copy=False))


def _add_hessian(matrix: Any, loss: Loss, u: Any, point: Array, w: Any) -> None:
    """Add the sum over a block at one point; `u` is spent where there is one output."""
    at = to_device_of(point, u)
    # BLAS may set flags for lanes of a vector that nobody reads; what is not finite is seen later.
    with np.errstate(over="ignore", invalid="ignore"):
        curvature = loss.curvatures(at @ array_namespace(u).matrix_transpose(u))
    if loss.n_outputs == 1:
        of_row = curvature[0, :] if w is None else w * curvature[0, :]
        _add_weighted_gram(matrix, u, of_row)
    else:
        _add_softmax(matrix, u, curvature, w)


def _standardised_blocks(
    X: Any, coordinates: Standardisation, dtype: np.dtype[Any], outputs: int
) -> Iterator[tuple[slice, Any]]:
    if not is_host(X):  # there one large product is faster than many small ones
        xp = array_namespace(X)
        u = (X - to_device_of(coordinates.center, X)) * to_device_of(coordinates.inverse, X)
        if coordinates.fit_intercept:
            ones = xp.ones_like(u[:, :1])
            u = xp.concat([u, ones / coordinates.intercept_scale], axis=1)
        yield slice(None), u
        return
    n, d = X.shape
    p = d + coordinates.fit_intercept
    # Adding a block's product must cost less than the product itself.
    size = max(p * outputs, block_sizes().product_bytes // (8 * max(1, p)))
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


def _add_weighted_gram(matrix: Any, u: Any, weight: Any) -> None:
    """Add ``u' diag(weight) u``; `u` is spent."""
    # Curvatures overflow where a step was far too long: then there is no Hessian to use.
    with np.errstate(over="ignore", invalid="ignore"):
        u *= array_namespace(u).sqrt(weight)[:, None]
        matrix += _gram(u)


def _add_softmax(matrix: Any, u: Any, p: Any, sample_weight: Any) -> None:
    xp, (n, width), K = array_namespace(u), u.shape, p.shape[0]
    root = xp.sqrt(p if sample_weight is None else p * sample_weight)
    for k in range(K):
        own = slice(k * width, (k + 1) * width)
        matrix[own, own] += _gram(u * root[k, :][:, None])
    if sample_weight is not None:
        p = p * xp.sqrt(sample_weight)
    outer = xp.matrix_transpose(p)[:, :, None] * u[:, None, :]
    matrix -= _gram(xp.reshape(outer, (n, K * width)))


def _gram(u: Any) -> Any:
    # NumPy sees one matrix twice, and calls syrk.
    return array_namespace(u).matrix_transpose(u) @ u
