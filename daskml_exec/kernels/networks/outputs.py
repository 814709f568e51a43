r"""What a network's last layer says, and how wrong it is.

Each output is paired with the loss whose derivative by the layer's inputs z is the difference
between what is said and what was wanted. Arrays have the shape (outputs, rows): sums over few
outputs then run over whole rows of memory.
"""

from typing import Any, Protocol

import numpy as np
from scipy.special import expit, log_expit

Array = np.ndarray[Any, np.dtype[Any]]


class Output(Protocol):
    """An output with its loss."""

    def targets(self, y: Array, dtype: np.dtype[Any]) -> Array:
        """Return what is to be trained on, one value per row, for a partition's y."""

    def residual(self, z: Array, y: Array, losses: Array) -> None:
        """Replace z by what is said less what is wanted, and write each row's loss."""

    def losses_and_residual_on(self, xp: Any, z: Any, y: Any) -> tuple[Any, Any]:
        """Return each row's loss and the residual, in another array namespace."""


class Softmax:
    r"""Probabilities of classes, and the cross-entropy :math:`\log \sum_k e^{z_k} - z_y`."""

    def targets(self, y: Array, dtype: np.dtype[Any]) -> Array:
        """Return what is to be trained on, one value per row."""
        return np.ascontiguousarray(y, dtype=np.intp)

    def residual(self, z: Array, y: Array, losses: Array) -> None:
        """Replace z by what is said less what is wanted, and write each row's loss."""
        z -= z.max(axis=0)
        wanted = y * z.shape[1] + np.arange(z.shape[1])
        flat = z.reshape(-1)
        of_label = flat[wanted]
        np.exp(z, out=z)
        total = z.sum(axis=0)
        np.log(total, out=losses)
        losses -= of_label
        z /= total
        _without_denormals(z)
        flat[wanted] -= 1

    def losses_and_residual_on(self, xp: Any, z: Any, y: Any) -> tuple[Any, Any]:
        """Return each row's loss and the residual, in another array namespace."""
        z = z - xp.max(z, axis=0, keepdims=True)
        one_hot = xp.astype(xp.arange(z.shape[0], device=y.device)[:, None] == y[None, :], z.dtype)
        exponentials = xp.exp(z)
        total = xp.sum(exponentials, axis=0)
        losses = xp.log(total) - xp.sum(z * one_hot, axis=0)
        return losses, exponentials / total[None, :] - one_hot


class Logistic:
    r"""The probability of the second of two classes, and :math:`\log(1 + e^z) - y z`."""

    def targets(self, y: Array, dtype: np.dtype[Any]) -> Array:
        """Return what is to be trained on, one value per row."""
        return np.ascontiguousarray(y, dtype=dtype)

    def residual(self, z: Array, y: Array, losses: Array) -> None:
        """Replace z by what is said less what is wanted, and write each row's loss."""
        np.multiply(z[0], y, out=losses)
        np.subtract(-log_expit(-z[0]), losses, out=losses)
        expit(z, out=z)
        _without_denormals(z)
        z -= y

    def losses_and_residual_on(self, xp: Any, z: Any, y: Any) -> tuple[Any, Any]:
        """Return each row's loss and the residual, in another array namespace."""
        magnitude = xp.abs(z)
        softplus = 0.5 * (z + magnitude) + xp.log1p(xp.exp(-magnitude))
        losses = xp.sum(softplus, axis=0) - y * xp.sum(z, axis=0)
        return losses, 0.5 * (1.0 + xp.tanh(0.5 * z)) - y[None, :]


class Identity:
    r"""A real number, and half the squared error :math:`\tfrac12 (z - y)^2`."""

    def targets(self, y: Array, dtype: np.dtype[Any]) -> Array:
        """Return what is to be trained on, one value per row."""
        return np.ascontiguousarray(y, dtype=dtype)

    def residual(self, z: Array, y: Array, losses: Array) -> None:
        """Replace z by what is said less what is wanted, and write each row's loss."""
        z -= y
        np.multiply(z[0], z[0], out=losses)
        losses *= 0.5

    def losses_and_residual_on(self, xp: Any, z: Any, y: Any) -> tuple[Any, Any]:
        """Return each row's loss and the residual, in another array namespace."""
        residual = z - y[None, :]
        return 0.5 * xp.sum(residual * residual, axis=0), residual


def _without_denormals(values: Array) -> None:
    """Make numbers zero that are too small for more than a few digits: products of them crawl."""
    np.copyto(values, 0, where=values < _smallest(values.dtype))


def _smallest(dtype: np.dtype[Any]) -> float:
    return 1e-30 if dtype == np.float32 else 1e-290
