r"""Losses of generalised linear models, row by row.

A loss takes margins :math:`z_i = W x_i + b`, one per output, and targets. Host methods work in
place on margins of shape (K, n) in float64: margins go in, weighted residuals
:math:`w_i\,\partial\ell_i/\partial z_i` come out. Outputs come first because sums over a short
last axis are slow. Device methods return new arrays of the device's own namespace, rows first.

Losses and residuals of rows that are predicted well are tiny. They are computed from tiny terms
throughout, never as the difference of terms near one, so that they keep their relative precision
however far apart the classes are.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from daskml_exec.kernels.array_namespace import to_device_of

Array = np.ndarray[Any, np.dtype[Any]]


class Loss(Protocol):
    """What sums over rows need to know of a loss."""

    @property
    def n_outputs(self) -> int:
        """Margins per row: the K of the shapes."""

    def residuals(self, z: Array, y: Array, sample_weight: Array | None) -> float:
        """Turn margins into weighted residuals in place; return the weighted loss."""

    def curvatures(self, z: Array) -> Array:
        """Return what determines each row's second derivatives, unweighted, shape (K, n).

        For one output, the second derivative itself. For more, the class probabilities p, and
        the second derivatives are ``diag(p) - p p'``.
        """

    def on_device(self, xp: Any, z: Any, y: Any) -> tuple[Any, Any]:
        """Return losses (n, 1) and residuals (n, K), unweighted; y has shape (n, 1)."""

    def curvatures_on_device(self, xp: Any, z: Any) -> Any:
        """Return `curvatures` of device margins, shape (n, K)."""


@dataclass(frozen=True)
class BinaryLogistic:
    r""":math:`\log(1 + e^{z}) - y z` with y 0 or 1.

    Source: Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, 4.4.
    """

    n_outputs = 1

    def residuals(self, z: Array, y: Array, sample_weight: Array | None) -> float:
        """As `Loss.residuals`."""
        margin = z[0]
        sign = 1.0 - 2.0 * y
        margin *= sign  # positive where the row is on the wrong side
        small = np.exp(-np.abs(margin))
        loss = np.log1p(small)
        loss += np.maximum(margin, 0.0)
        # The sigmoid without overflow: 1 / (1 + e) for margins from 0, e / (1 + e) below.
        np.divide(np.where(margin >= 0, 1.0, small), 1.0 + small, out=margin)
        margin *= sign
        return _weighted(loss, z, sample_weight)

    def curvatures(self, z: Array) -> Array:
        """As `Loss.curvatures`."""
        small = np.exp(-np.abs(z))
        curvature: Array = small / (1.0 + small) ** 2
        return curvature

    def on_device(self, xp: Any, z: Any, y: Any) -> tuple[Any, Any]:
        """As `Loss.on_device`."""
        sign = 1.0 - 2.0 * y
        z = sign * z
        small = xp.exp(-xp.abs(z))
        loss = xp.log1p(small) + xp.maximum(z, xp.zeros_like(z))
        return loss, sign * xp.where(z >= 0, xp.ones_like(z), small) / (1.0 + small)

    def curvatures_on_device(self, xp: Any, z: Any) -> Any:
        """As `Loss.curvatures_on_device`."""
        small = xp.exp(-xp.abs(z))
        return small / (1.0 + small) ** 2


@dataclass(frozen=True)
class Multinomial:
    r""":math:`\log \sum_k e^{z_k} - z_y` with y from 0 to K - 1: the softmax's cross-entropy.

    Source: Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, 4.4.
    """

    n_outputs: int

    def residuals(self, z: Array, y: Array, sample_weight: Array | None) -> float:
        """As `Loss.residuals`."""
        rows = np.arange(z.shape[1])
        z -= z.max(axis=0)
        behind = -z[y, rows]
        np.exp(z, out=z)
        own = z[y, rows]
        z[y, rows] = 0.0
        others = z.sum(axis=0)
        partition = own + others
        loss = np.where(behind == 0, np.log1p(others), behind + np.log(partition))
        z[y, rows] = -others
        z /= partition
        return _weighted(loss, z, sample_weight)

    def curvatures(self, z: Array) -> Array:
        """As `Loss.curvatures`."""
        p = np.exp(z - z.max(axis=0))
        p /= p.sum(axis=0)
        return p

    def on_device(self, xp: Any, z: Any, y: Any) -> tuple[Any, Any]:
        """As `Loss.on_device`."""
        classes = to_device_of(np.arange(self.n_outputs), z)
        target = xp.astype(y == classes, z.dtype)
        z = z - xp.max(z, axis=1, keepdims=True)
        behind = -xp.sum(target * z, axis=1, keepdims=True)
        rest = xp.exp(z) * (1.0 - target)
        others = xp.sum(rest, axis=1, keepdims=True)
        partition = xp.exp(-behind) + others
        loss = xp.where(behind == 0, xp.log1p(others), behind + xp.log(partition))
        return loss, (rest - others * target) / partition

    def curvatures_on_device(self, xp: Any, z: Any) -> Any:
        """As `Loss.curvatures_on_device`."""
        p = xp.exp(z - xp.max(z, axis=1, keepdims=True))
        return p / xp.sum(p, axis=1, keepdims=True)


@dataclass(frozen=True)
class HalfSquaredError:
    r""":math:`\tfrac12 (z - y)^2`."""

    n_outputs = 1

    def residuals(self, z: Array, y: Array, sample_weight: Array | None) -> float:
        """As `Loss.residuals`."""
        z[0] -= y
        return _weighted(0.5 * z[0] ** 2, z, sample_weight)

    def curvatures(self, z: Array) -> Array:
        """As `Loss.curvatures`."""
        return np.ones_like(z)

    def on_device(self, xp: Any, z: Any, y: Any) -> tuple[Any, Any]:
        """As `Loss.on_device`."""
        residual = z - y
        return 0.5 * residual**2, residual

    def curvatures_on_device(self, xp: Any, z: Any) -> Any:
        """As `Loss.curvatures_on_device`."""
        return xp.ones_like(z)


@dataclass(frozen=True)
class HalfPoisson:
    r""":math:`e^z - y z`: half the Poisson deviance with the log link, but for a constant.

    Source: McCullagh and Nelder (1989), Generalized Linear Models, section 6.2.
    """

    n_outputs = 1

    def residuals(self, z: Array, y: Array, sample_weight: Array | None) -> float:
        """As `Loss.residuals`."""
        margin = z[0]
        # A step that is far too long overflows; its loss is infinite, and the search shortens it.
        with np.errstate(over="ignore", invalid="ignore"):
            rate = np.exp(margin)
            loss = rate - y * margin
            np.subtract(rate, y, out=margin)
            return _weighted(loss, z, sample_weight)

    def curvatures(self, z: Array) -> Array:
        """As `Loss.curvatures`."""
        with np.errstate(over="ignore"):
            rate: Array = np.exp(z)
        return rate

    def on_device(self, xp: Any, z: Any, y: Any) -> tuple[Any, Any]:
        """As `Loss.on_device`."""
        rate = xp.exp(z)
        return rate - y * z, rate - y

    def curvatures_on_device(self, xp: Any, z: Any) -> Any:
        """As `Loss.curvatures_on_device`."""
        return xp.exp(z)


def _weighted(loss: Array, residual: Array, sample_weight: Array | None) -> float:
    """Weight the residuals in place; return the weighted sum of the losses."""
    if sample_weight is None:
        return float(loss.sum())
    residual *= sample_weight
    return float(loss @ sample_weight)
