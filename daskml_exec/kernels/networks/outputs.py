r"""What a network's last layer says, and how wrong it is.

Each output is paired with the loss whose derivative by the layer's inputs z is the difference
between what is said and what was wanted. Arrays have the shape (outputs, rows): sums over few
outputs then run over whole rows of memory. They are of any namespace in which they can be written
into.
"""

from typing import Any, Protocol

import numpy as np
from scipy.special import log_expit

from daskml_exec.kernels.array_namespace import array_namespace, is_host, write
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.activations import ACTIVATIONS


class Output(Protocol):
    """An output with its loss."""

    def targets(self, y: Array, dtype: np.dtype[Any]) -> Array:
        """Return what is to be trained on, one value per row, for a partition's y."""

    def residual(self, z: Any, y: Any, losses: Any) -> None:
        """Replace z by what is said less what is wanted, and write each row's loss."""


class Softmax:
    r"""Probabilities of classes, and the cross-entropy :math:`\log \sum_k e^{z_k} - z_y`."""

    def targets(self, y: Array, dtype: np.dtype[Any]) -> Array:
        """Return what is to be trained on, one value per row."""
        return np.ascontiguousarray(y, dtype=np.intp)

    def residual(self, z: Any, y: Any, losses: Any) -> None:
        """Replace z by what is said less what is wanted, and write each row's loss."""
        xp, on_host = array_namespace(z), is_host(z)
        z -= xp.max(z, axis=0)
        if on_host:
            wanted = y * z.shape[1] + np.arange(z.shape[1])
            flat = z.reshape(-1)
            of_label = flat[wanted]
        else:  # the standard has no way to write by indices
            classes = xp.arange(z.shape[0], device=y.device)[:, None]
            one_hot = xp.astype(classes == y, z.dtype)
            of_label = xp.sum(z * one_hot, axis=0)
        write(xp.exp, z, out=z)
        total = xp.sum(z, axis=0)
        write(xp.log, total, out=losses)
        losses -= of_label
        z /= total
        if on_host:
            _without_denormals(z)
            flat[wanted] -= 1
        else:
            z -= one_hot


class Logistic:
    r"""The probability of the second of two classes, and :math:`\log(1 + e^z) - y z`."""

    def targets(self, y: Array, dtype: np.dtype[Any]) -> Array:
        """Return what is to be trained on, one value per row."""
        return np.ascontiguousarray(y, dtype=dtype)

    def residual(self, z: Any, y: Any, losses: Any) -> None:
        """Replace z by what is said less what is wanted, and write each row's loss."""
        margin = z[0, :]
        losses[...] = _softplus(margin) - margin * y
        ACTIVATIONS["logistic"].apply(z)
        if is_host(z):
            _without_denormals(z)
        z -= y


class Identity:
    r"""A real number, and half the squared error :math:`\tfrac12 (z - y)^2`."""

    def targets(self, y: Array, dtype: np.dtype[Any]) -> Array:
        """Return what is to be trained on, one value per row."""
        return np.ascontiguousarray(y, dtype=dtype)

    def residual(self, z: Any, y: Any, losses: Any) -> None:
        """Replace z by what is said less what is wanted, and write each row's loss."""
        z -= y
        losses[...] = 0.5 * (z[0, :] * z[0, :])


def _without_denormals(values: Array) -> None:
    """Make numbers zero that are too small for more than a few digits: products of them crawl."""
    np.copyto(values, 0, where=values < _smallest(values.dtype))


def _softplus(z: Any) -> Any:
    if is_host(z):
        return -log_expit(-z)
    xp = array_namespace(z)
    magnitude = xp.abs(z)
    return 0.5 * (z + magnitude) + xp.log1p(xp.exp(-magnitude))


def _smallest(dtype: np.dtype[Any]) -> float:
    return 1e-30 if dtype == np.float32 else 1e-290
