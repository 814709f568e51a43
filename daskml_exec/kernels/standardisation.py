"""Coordinates in which every column of a linear model has about the same curvature.

An affine change of variables on the driver: rows stay as they are, sparse data stays sparse, and
the objective is the same function. Only its level sets become rounder, so that first-order
methods need few steps whatever the units of the columns.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.moments import Moments

Array = np.ndarray[Any, np.dtype[np.float64]]

# A variance below this share of the second moment is rounding: the column is constant.
_CONSTANT = 1e-12


@dataclass(frozen=True)
class Standardisation:
    r"""Coordinates :math:`u = w s` and :math:`c = (b + w^\top m)\, s_0`.

    `center` m holds the column means (zeros without an intercept), `scale` s the square root of
    each column's curvature, `intercept_scale` :math:`s_0` that of the intercept's.
    """

    center: Array
    scale: Array
    intercept_scale: float
    fit_intercept: bool

    def parameters(self, point: Array) -> tuple[Array, Array]:
        """Return coefficients (K, d) and intercepts (K,) at `point` of shape (K, d or d + 1)."""
        d = self.scale.shape[0]
        coef = point[:, :d] / self.scale
        if not self.fit_intercept:
            return coef, np.zeros(point.shape[0])
        return coef, point[:, d] / self.intercept_scale - coef @ self.center

    def point(self, coef: Array, intercept: Array) -> Array:
        """Return the point whose parameters are these."""
        scaled = coef * self.scale
        if not self.fit_intercept:
            return scaled
        return np.column_stack([scaled, (intercept + coef @ self.center) * self.intercept_scale])

    def gradient(self, coef: Array, intercept: Array) -> Array:
        """Return the gradient at a point from the gradient with respect to the parameters."""
        if not self.fit_intercept:
            return coef / self.scale
        shifted = (coef - intercept[:, None] * self.center) / self.scale
        return np.column_stack([shifted, intercept / self.intercept_scale])


def standardisation(
    moments: Moments, *, curvature: float, penalty: float, fit_intercept: bool
) -> Standardisation:
    r"""Return coordinates in which the Hessian's diagonal is about one.

    The diagonal of the Hessian of the mean loss is about ``curvature`` times the column's
    variance (its second moment without an intercept), and the penalty adds ``penalty``:
    :math:`s_j^2 = h\,\mathrm{var}_j + \lambda`.

    Parameters
    ----------
    moments : Moments
    curvature : float
        Typical second derivative h of a row's loss with respect to its margin.
    penalty : float
        Coefficient of :math:`\tfrac12 \|w\|^2` in the mean objective.
    fit_intercept : bool

    Examples
    --------
    >>> moments = Moments(weight=2.0, first=np.array([2.0, 20.0]), second=np.array([4.0, 400.0]))
    >>> to = standardisation(moments, curvature=0.25, penalty=0.0, fit_intercept=True)
    >>> to.center, to.scale
    (array([ 1., 10.]), array([0.5, 5. ]))
    >>> to.parameters(np.array([[0.5, 5.0, 0.0]]))
    (array([[1., 1.]]), array([-11.]))
    """
    second = moments.second / moments.weight
    if fit_intercept:
        center = moments.first / moments.weight
        variance = second - center**2
        variance[variance < _CONSTANT * second] = 0.0
    else:
        center = np.zeros_like(second)
        variance = second
    scale = np.sqrt(curvature * variance + penalty)
    scale[scale == 0] = 1.0
    return Standardisation(center, scale, float(np.sqrt(curvature)), fit_intercept)
