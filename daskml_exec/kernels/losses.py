r"""Losses of generalised linear models, row by row.

A loss takes margins :math:`z_i = W x_i + b` of shape (K, n), one row per output, and targets, and
gives residuals :math:`\partial\ell_i/\partial z_i`. Outputs come first because sums over a short
last axis are slow. A formula is written once, for NumPy and for devices: it may write into the
margins, and works in their namespace and dtype, on the host in float64.

Losses and residuals of rows that are predicted well are tiny. They are computed from tiny terms
throughout, never as the difference of terms near one, so that they keep their relative precision
however far apart the classes are.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from daskml_exec.kernels.array_namespace import array_namespace, is_host, to_device_of, total


class Loss(Protocol):
    """What sums over rows need to know of a loss."""

    @property
    def n_outputs(self) -> int:
        """Margins per row: the K of the shapes."""

    def losses_and_residuals(self, z: Any, y: Any) -> tuple[Any, Any]:
        """Return losses (n,) and residuals (K, n), unweighted; margins z are spent."""

    def residuals(self, z: Any, y: Any) -> Any:
        """Return residuals alone, of many models at once; z of shape (M, K, n) is spent."""

    def curvatures(self, z: Any) -> Any:
        """Return what determines each row's second derivatives, unweighted, shape (K, n).

        For one output, the second derivative itself. For more, the class probabilities p, and
        the second derivatives are ``diag(p) - p p'``.
        """


def weighted_residuals(loss: Loss, z: Any, y: Any, sample_weight: Any) -> tuple[float, Any]:
    """Return the weighted sum of the losses, and weighted residuals (K, n); z is spent.

    `sample_weight` is of shape (n,), or None for ones. What overflows is the caller's to ignore, in
    `far_steps`: to enter it takes as long as a small block.
    """
    losses, residuals = loss.losses_and_residuals(z, y)
    if sample_weight is not None:
        residuals *= sample_weight
    return total(losses, sample_weight), residuals


def far_steps() -> np.errstate:
    """Let overflow pass: a step that is far too long has an infinite loss, and is shortened."""
    return np.errstate(over="ignore", invalid="ignore")


@dataclass(frozen=True)
class BinaryLogistic:
    r""":math:`\log(1 + e^{z}) - y z` with y 0 or 1.

    Source: Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, 4.4.
    """

    n_outputs = 1

    def losses_and_residuals(self, z: Any, y: Any) -> tuple[Any, Any]:
        """As `Loss.losses_and_residuals`."""
        xp = array_namespace(z)
        sign = 1.0 - 2.0 * y
        margin = z[0, :]
        margin *= sign  # positive where the row is on the wrong side
        small = xp.exp(-xp.abs(margin))
        losses = xp.log1p(small)
        losses += xp.maximum(margin, 0.0)
        # The sigmoid without overflow: 1 / (1 + e) for margins from 0, e / (1 + e) below.
        residuals = xp.where(margin >= 0, 1.0, small)
        small += 1.0
        residuals /= small
        residuals *= sign
        return losses, residuals[None, :]

    def residuals(self, z: Any, y: Any) -> Any:
        """As `Loss.residuals`."""
        xp = array_namespace(z)
        sign = 1.0 - 2.0 * y
        z *= -sign
        # Where this overflows the residual is zero, to less than can be told from it.
        z = xp.exp(z)
        z += 1.0
        return sign / z

    def curvatures(self, z: Any) -> Any:
        """As `Loss.curvatures`."""
        xp = array_namespace(z)
        small = xp.exp(-xp.abs(z))
        return small / (1.0 + small) ** 2


@dataclass(frozen=True)
class Multinomial:
    r""":math:`\log \sum_k e^{z_k} - z_y` with y from 0 to K - 1: the softmax's cross-entropy.

    Source: Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, 4.4.
    """

    n_outputs: int

    def losses_and_residuals(self, z: Any, y: Any) -> tuple[Any, Any]:
        """As `Loss.losses_and_residuals`."""
        if not is_host(z):
            return self._by_mask(z, y)
        rows = np.arange(z.shape[1])
        z -= z.max(axis=0)
        behind = -z[y, rows]
        np.exp(z, out=z)
        own = z[y, rows]
        z[y, rows] = 0.0
        others = z.sum(axis=0)
        partition = own + others
        losses = np.where(behind == 0, np.log1p(others), behind + np.log(partition))
        z[y, rows] = -others
        z /= partition
        return losses, z

    def residuals(self, z: Any, y: Any) -> Any:
        """As `Loss.residuals`."""
        xp = array_namespace(z)
        target = y == to_device_of(np.arange(self.n_outputs)[:, None], z)
        z -= xp.max(z, axis=1)[:, None, :]
        z = xp.exp(z)
        own = xp.where(target, z, 0.0)
        z -= own
        others = xp.sum(z, axis=1)
        z -= xp.where(target, others[:, None, :], 0.0)
        z /= (others + xp.sum(own, axis=1))[:, None, :]
        return z

    def _by_mask(self, z: Any, y: Any) -> tuple[Any, Any]:
        """Do the same without indices, by which the standard cannot write.

        The host would take 1.7 times as long for 3 classes, and 2.8 times for 10.
        """
        xp = array_namespace(z)
        target = xp.astype(y == to_device_of(np.arange(self.n_outputs)[:, None], z), z.dtype)
        z -= xp.max(z, axis=0)
        behind = -xp.sum(target * z, axis=0)
        rest = xp.exp(z) * (1.0 - target)
        others = xp.sum(rest, axis=0)
        partition = xp.exp(-behind) + others
        losses = xp.where(behind == 0, xp.log1p(others), behind + xp.log(partition))
        return losses, (rest - others * target) / partition

    def curvatures(self, z: Any) -> Any:
        """As `Loss.curvatures`."""
        xp = array_namespace(z)
        p = xp.exp(z - xp.max(z, axis=0))
        p /= xp.sum(p, axis=0)
        return p
