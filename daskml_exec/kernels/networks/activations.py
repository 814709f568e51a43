"""Activations of hidden units, in place: the values, and their slopes in terms of the values."""

from typing import Any, Protocol

import numpy as np
from scipy.special import expit

Array = np.ndarray[Any, np.dtype[Any]]


class Activation(Protocol):
    """A function of each unit, whose slope follows from its value."""

    def apply(self, z: Array) -> None:
        """Replace inputs by values."""

    def times_slope(self, values: Array, delta: Array, scratch: Array) -> None:
        """Multiply `delta` by the slopes at `values`; `scratch` has their shape."""

    def apply_on(self, xp: Any, z: Any) -> Any:
        """Return the values of inputs of another array namespace."""

    def slope_on(self, xp: Any, values: Any) -> Any:
        """Return the slopes at values of another array namespace."""


class Identity:
    """The input itself."""

    def apply(self, z: Array) -> None:
        """Replace inputs by values."""

    def times_slope(self, values: Array, delta: Array, scratch: Array) -> None:
        """Multiply `delta` by the slopes at `values`."""

    def apply_on(self, xp: Any, z: Any) -> Any:
        """Return the values of inputs of another array namespace."""
        return z

    def slope_on(self, xp: Any, values: Any) -> Any:
        """Return the slopes at values of another array namespace."""
        return xp.ones_like(values)


class Logistic:
    """1 / (1 + exp(-z)), with slope a (1 - a)."""

    def apply(self, z: Array) -> None:
        """Replace inputs by values."""
        expit(z, out=z)

    def times_slope(self, values: Array, delta: Array, scratch: Array) -> None:
        """Multiply `delta` by the slopes at `values`."""
        np.multiply(delta, values, out=delta)
        np.subtract(1, values, out=scratch)
        np.multiply(delta, scratch, out=delta)

    def apply_on(self, xp: Any, z: Any) -> Any:
        """Return the values of inputs of another array namespace."""
        # By the hyperbolic tangent, which does not overflow.
        return 0.5 * (1.0 + xp.tanh(0.5 * z))

    def slope_on(self, xp: Any, values: Any) -> Any:
        """Return the slopes at values of another array namespace."""
        return values * (1.0 - values)


class Tanh:
    """The hyperbolic tangent, with slope 1 - a²."""

    def apply(self, z: Array) -> None:
        """Replace inputs by values."""
        np.tanh(z, out=z)

    def times_slope(self, values: Array, delta: Array, scratch: Array) -> None:
        """Multiply `delta` by the slopes at `values`."""
        np.multiply(values, values, out=scratch)
        np.subtract(1, scratch, out=scratch)
        np.multiply(delta, scratch, out=delta)

    def apply_on(self, xp: Any, z: Any) -> Any:
        """Return the values of inputs of another array namespace."""
        return xp.tanh(z)

    def slope_on(self, xp: Any, values: Any) -> Any:
        """Return the slopes at values of another array namespace."""
        return 1.0 - values * values


class Relu:
    """max(0, z), with slope 1 above zero and 0 elsewhere."""

    def apply(self, z: Array) -> None:
        """Replace inputs by values."""
        np.maximum(z, 0, out=z)

    def times_slope(self, values: Array, delta: Array, scratch: Array) -> None:
        """Multiply `delta` by the slopes at `values`."""
        np.sign(values, out=scratch)
        np.multiply(delta, scratch, out=delta)

    def apply_on(self, xp: Any, z: Any) -> Any:
        """Return the values of inputs of another array namespace."""
        return xp.maximum(z, xp.zeros_like(z))

    def slope_on(self, xp: Any, values: Any) -> Any:
        """Return the slopes at values of another array namespace."""
        return xp.astype(values > 0, values.dtype)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Identity(),
    "logistic": Logistic(),
    "tanh": Tanh(),
    "relu": Relu(),
}
"""By scikit-learn's names."""
