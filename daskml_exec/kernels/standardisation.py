"""Coordinates in which every column of a linear model has about the same curvature.

An affine change of variables on the driver: rows stay as they are, sparse data stays sparse, and
the objective is the same function. Only its level sets become rounder, so that first-order
methods need few steps whatever the units of the columns.
"""

from dataclasses import dataclass, replace

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.moments import Moments

# A variance below this share of the second moment is rounding: there is a constant.
NO_VARIANCE = 1e-24
# Columns whose mean is so many standard deviations from zero lose digits in products with rows as
# they are, and are centred on the way.
_FAR = 1e3


@dataclass(frozen=True)
class Standardisation:
    r"""Coordinates :math:`u = w s` and :math:`c = (b + w^\top m)\, s_0`.

    `center` m holds the column means (zeros without an intercept), `scale` s the square root of
    each column's curvature, `intercept_scale` :math:`s_0` that of the intercept's. A column that
    does not vary has no coordinate: `inverse` holds 1 / s, and zero there, so that its
    coefficient stays zero, which is the optimum. `far` says that a column is so far from zero
    that rows should be centred before they are multiplied.
    """

    center: Array
    scale: Array
    inverse: Array
    intercept_scale: float
    fit_intercept: bool
    far: bool = False

    @property
    def size(self) -> int:
        """Coordinates per output."""
        return self.scale.shape[0] + self.fit_intercept

    def parameters(self, point: Array, *, centred: bool = False) -> tuple[Array, Array]:
        """Return coefficients (K, d) and intercepts (K,) at `point` of shape (K, size).

        With `centred`, intercepts are those for rows less the center.
        """
        d = self.scale.shape[0]
        coef = point[:, :d] * self.inverse
        if not self.fit_intercept:
            return coef, np.zeros(point.shape[0])
        intercept = point[:, d] / self.intercept_scale
        return coef, intercept if centred else intercept - coef @ self.center

    def point(self, coef: Array, intercept: Array) -> Array:
        """Return the point whose parameters are these."""
        scaled = coef * self.scale
        if not self.fit_intercept:
            return scaled
        return np.column_stack([scaled, (intercept + coef @ self.center) * self.intercept_scale])

    def gradient(self, coef: Array, intercept: Array, *, centred: bool = False) -> Array:
        """Return the gradient at a point from the gradient with respect to the parameters."""
        # Sums overflow where a step was far too long; the search sees that, and shortens it.
        with np.errstate(over="ignore", invalid="ignore"):
            if not self.fit_intercept:
                return coef * self.inverse
            if not centred:
                coef = coef - intercept[:, None] * self.center
            return np.column_stack([coef * self.inverse, intercept / self.intercept_scale])

    def change_from(self, other: "Standardisation") -> Array:
        """Return by what gradients in other coordinates of the same rows are multiplied, (size,).

        A Hessian is multiplied by it from both sides.
        """
        change = np.where(other.inverse > 0, self.inverse * other.scale, 0.0)
        return np.append(change, 1.0) if self.fit_intercept else change

    def moved_to(self, other: "Standardisation", point: Array) -> Array:
        """Return a point in other coordinates of the same rows; both have shape (K, size)."""
        return point * self.change_from(other)

    def of_columns(self, which: Array) -> "Standardisation":
        """Return the coordinates of some of the columns."""
        return replace(
            self, center=self.center[which], scale=self.scale[which], inverse=self.inverse[which]
        )

    def uniform(self) -> "Standardisation":
        """Return coordinates with one scale for all columns.

        A search from zero that moves along gradients ends at the minimum of least norm in its
        own coordinates. Here that is the least norm in the columns' own units, too.
        """
        varies = self.inverse > 0
        scale = float(np.sqrt(np.mean(self.scale[varies] ** 2))) if varies.any() else 1.0
        inverse = np.where(varies, 1.0 / scale, 0.0)
        return replace(self, scale=np.full_like(self.scale, scale), inverse=inverse)

    def penalty(self, penalty: float | Array) -> Array:
        r"""Return the second derivatives of :math:`\tfrac12 \sum \lambda_j w_j^2`, (size,).

        Columns without a coordinate get one, which keeps Hessians regular and moves nothing.
        """
        diagonal = np.where(self.inverse > 0, penalty * self.inverse**2, 1.0)
        return np.append(diagonal, 0.0) if self.fit_intercept else diagonal


def standardisation(
    moments: Moments, *, curvature: float, penalty: float | Array, fit_intercept: bool
) -> Standardisation:
    r"""Return coordinates in which the Hessian's diagonal is about one.

    The diagonal of the Hessian of the mean loss is about ``curvature`` times the column's
    variance (its second moment without an intercept), and the penalty adds ``penalty``:
    :math:`s_j^2 = h\,\mathrm{var}_j + \lambda_j`.

    Parameters
    ----------
    moments : Moments
    curvature : float
        Typical second derivative h of a row's loss with respect to its margin.
    penalty : float or array of shape (d,)
        Coefficients of :math:`\tfrac12 w_j^2` in the mean objective.
    fit_intercept : bool

    Examples
    --------
    >>> moments = Moments(weight=2.0, mean=np.array([1.0, 10.0]), spread=np.array([2.0, 200.0]))
    >>> to = standardisation(moments, curvature=0.25, penalty=0.0, fit_intercept=True)
    >>> to.center, to.scale
    (array([ 1., 10.]), array([0.5, 5. ]))
    >>> to.parameters(np.array([[0.5, 5.0, 0.0]]))
    (array([[1., 1.]]), array([-11.]))
    """
    variance = moments.spread / moments.weight
    second = variance + moments.mean**2
    if fit_intercept:
        center = moments.mean
        variance = np.where(variance < NO_VARIANCE * second, 0.0, variance)
    else:
        center = np.zeros_like(second)
        variance = second
    varies = variance > 0
    scale = np.where(varies, np.sqrt(curvature * variance + penalty), 1.0)
    inverse = np.where(varies, 1.0 / scale, 0.0)
    far = bool(((center**2 > _FAR**2 * variance) & varies).any())
    return Standardisation(center, scale, inverse, float(np.sqrt(curvature)), fit_intercept, far)
