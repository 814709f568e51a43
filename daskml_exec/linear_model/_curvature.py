"""What the driver knows of the Hessian, to turn gradients into Newton directions.

Both models are in the coordinates of the fit, and are the initial inverse Hessian of the L-BFGS
search: what they know wrongly, because they come from a sample of the rows or from an earlier
point, the search's memory of past rounds corrects.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.hessian_sums import HessianSums
from daskml_exec.kernels.losses import Loss
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.kernels.stop_points import stop_point

# A Hessian that is not positive definite to rounding gets this share of its mean diagonal, and
# more until it is.
_FIRST_SHIFT, _SHIFT_FACTOR = 1e-13, 100.0
# Conjugate gradients stop at this share of the residual: the sample's own error is larger.
_CG_PRECISION = 0.1
CG_MAX_ITER = 50


class Curvature(Protocol):
    """A model of the Hessian."""

    def solve(self, q: Array, point: Array) -> Array:
        """Return the inverse Hessian at `point` applied to q; both have shape (K, p)."""


@dataclass(frozen=True)
class Factorised:
    """The Cholesky factor of a Hessian, taken once."""

    factor: Array

    def solve(self, q: Array, point: Array) -> Array:
        solved: Array = scipy.linalg.cho_solve((self.factor, True), q.ravel(), check_finite=False)
        return solved.reshape(q.shape)


def mean_hessian(sums: HessianSums, penalty: Array) -> Array | None:
    """Return the mean Hessian with the penalty's; None if there is no such.

    Parameters
    ----------
    sums, penalty
        As of `factorise`.
    """
    if sums.weight <= 0 or not np.isfinite(sums.matrix).all():
        return None
    hessian = sums.matrix.astype(np.float64)
    hessian /= sums.weight
    diagonal = np.diag_indices_from(hessian)
    hessian[diagonal] += np.tile(penalty, hessian.shape[0] // penalty.shape[0])
    return hessian


def factorise(sums: HessianSums, penalty: Array) -> Factorised | None:
    """Return the factor of the mean Hessian with the penalty's; None if there is no such.

    Parameters
    ----------
    sums : HessianSums
        Of some rows; of no weight there is no mean.
    penalty : array of shape (p,)
        Its second derivatives, the same for each output.
    """
    hessian = mean_hessian(sums, penalty)
    if hessian is None:
        return None
    diagonal = np.diag_indices_from(hessian)
    shift, unit = 0.0, float(hessian[diagonal].mean())
    while shift <= 1.0:
        try:
            shifted = hessian + shift * unit * np.eye(len(hessian)) if shift else hessian
            return Factorised(scipy.linalg.cholesky(shifted, lower=True, check_finite=False))
        except np.linalg.LinAlgError:
            shift = max(_FIRST_SHIFT, shift * _SHIFT_FACTOR)
    return None


@dataclass(frozen=True)
class Sampled:
    """Hessian-vector products on sampled rows, whose inverse is applied by conjugate gradients.

    Columns that vary less in the sample than in the whole, most of all those that are zero in
    it, get what is missing on the diagonal, which is about one in these coordinates.
    """

    loss: Loss
    X: Any
    """Sampled rows, in float64."""
    weight: Array
    coordinates: Standardisation
    penalty: Array
    missing: Array
    """Per column, the share of the whole's variance that the sample lacks."""
    max_iter: int = CG_MAX_ITER
    """Of conjugate gradients."""

    def solve(self, q: Array, point: Array) -> Array:
        product = self._product(point)
        x, residual = np.zeros_like(q), q.copy()
        direction = residual.copy()
        size = first = float(np.vdot(residual, residual))
        # The Hessian's diagonal is about one. Along directions that the rows do not determine,
        # curvature is rounding, and what is left of q there is, too: their ratio is anything.
        rounding = np.finfo(np.float64).eps * point.shape[1]
        for _ in range(self.max_iter):
            stop_point()
            if size <= _CG_PRECISION**2 * first:
                break
            image = product(direction)
            curvature = float(np.vdot(direction, image))
            if not curvature > rounding * float(np.vdot(direction, direction)):
                break
            step = size / curvature
            x += step * direction
            residual -= step * image
            before, size = size, float(np.vdot(residual, residual))
            direction = residual + size / before * direction
        return x

    def _product(self, point: Array) -> Any:
        """Return the function that multiplies by the Hessian at `point`."""
        to, X = self.coordinates, self.X
        d = X.shape[1]
        curvature = self.loss.curvatures(self._margins(point))
        weight = self.weight / self.weight.sum()
        single = self.loss.n_outputs == 1
        own = curvature if single else curvature * (1.0 - curvature)
        typical = float((own @ weight).mean())
        diagonal = self.penalty.copy()
        diagonal[:d] += typical * self.missing

        def product(v: Array) -> Array:
            inner = self._margins(v)
            inner *= curvature
            if not single:
                inner -= curvature * inner.sum(axis=0)
            inner *= weight
            gradient = to.gradient((X.T @ inner.T).T, inner.sum(axis=1))
            gradient += diagonal * v
            return gradient

        return product

    def _margins(self, point: Array) -> Array:
        coef, intercept = self.coordinates.parameters(point)
        margins: Array = np.ascontiguousarray((self.X @ coef.T).T)
        margins += intercept[:, None]
        return margins


def sampled(
    loss: Loss,
    X: Any,
    weight: Array,
    coordinates: Standardisation,
    penalty: float | Array,
    typical_curvature: float,
    max_iter: int = CG_MAX_ITER,
) -> Sampled:
    """Return the model of the Hessian that these rows give.

    Parameters
    ----------
    loss : Loss
    X : array or CSR matrix of shape (n, d), in float64
    weight : array of shape (n,)
    coordinates : Standardisation
    penalty : float or array of shape (d,)
        Its coefficient beside the mean loss.
    typical_curvature : float
        That the coordinates were made with.
    max_iter : int
        Of conjugate gradients.
    """
    total = weight.sum()
    if sp.issparse(X):
        mean = X.T @ weight / total
        square = X.multiply(X).T @ weight / total
    else:
        mean, square = weight @ X / total, np.einsum("i,ij,ij->j", weight, X, X) / total
    m = coordinates.center
    variance = square - 2 * m * mean + m**2
    whole = np.maximum(0.0, coordinates.scale**2 - penalty) / typical_curvature
    missing = np.maximum(0.0, whole - variance) * coordinates.inverse**2
    return Sampled(loss, X, weight, coordinates, coordinates.penalty(penalty), missing, max_iter)
