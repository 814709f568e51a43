"""Sums of second derivatives over sparse rows, by products of their non-zeros alone."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import total_weight
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.hessian_sums import HessianSums
from daskml_exec.kernels.losses import Loss
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.kernels.stop_points import stop_point


def sparse_hessian_sums(
    loss: Loss, X: Any, sample_weight: Any, coordinates: Standardisation, point: Array
) -> HessianSums:
    r"""Return what `hessian_sums` does for CSR rows and a loss with one output.

    Centres are taken out of the sums, :math:`\sum_i h_i (x_i - m)(x_i - m)^\top = X^\top D X
    - m v^\top - v m^\top + (\sum_i h_i)\, m m^\top` with :math:`v = X^\top h`, which loses digits
    where columns are far from zero, and costs as much as rows have pairs of non-zeros.

    Parameters
    ----------
    loss : Loss
        With one output.
    X : CSR matrix of shape (n, d)
    sample_weight : array of shape (n,), or None
    coordinates : Standardisation
    point : array of shape (1, p)
        Where, in the coordinates.
    """
    stop_point()
    weight = total_weight(X, sample_weight)
    coef, intercept = coordinates.parameters(point)
    h = loss.curvatures((X @ coef[0] + intercept[0])[None])[0]
    if sample_weight is not None:
        h = h * sample_weight
    d, m, inverse = X.shape[1], coordinates.center, coordinates.inverse
    matrix = np.zeros((coordinates.size, coordinates.size))
    with np.errstate(over="ignore", invalid="ignore"):
        rows = sp.csr_matrix(X, dtype=np.float64)
        weighted = sp.diags(h) @ rows
        first, total = np.asarray(h @ rows).ravel(), float(h.sum())
        inner = (rows.T @ weighted).toarray()
        inner -= np.outer(m, first - total * m)
        inner -= np.outer(first, m)
        matrix[:d, :d] = inner * np.outer(inverse, inverse)
        if coordinates.fit_intercept:
            s = coordinates.intercept_scale
            matrix[d, :d] = matrix[:d, d] = (first - total * m) * inverse / s
            matrix[d, d] = total / s**2
    return HessianSums(weight, 0.5 * (matrix + matrix.T))
