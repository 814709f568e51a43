"""Activations of hidden units, in place: the values, and their slopes in terms of the values.

Arrays are of any namespace in which they can be written into.
"""

from typing import Any, Protocol

from scipy.special import expit

from daskml_exec.kernels.array_namespace import array_namespace, is_host, write


class Activation(Protocol):
    """A function of each unit, whose slope follows from its value."""

    def apply(self, z: Any) -> None:
        """Replace inputs by values."""

    def times_slope(self, values: Any, delta: Any) -> None:
        """Multiply `delta` by the slopes at `values`."""


class Identity:
    """The input itself."""

    def apply(self, z: Any) -> None:
        """Replace inputs by values."""

    def times_slope(self, values: Any, delta: Any) -> None:
        """Multiply `delta` by the slopes at `values`."""


class Logistic:
    """1 / (1 + exp(-z)), with slope a (1 - a)."""

    def apply(self, z: Any) -> None:
        """Replace inputs by values."""
        if is_host(z):
            expit(z, out=z)
            return
        # By the hyperbolic tangent, which does not overflow.
        z *= 0.5
        write(array_namespace(z).tanh, z, out=z)
        z += 1.0
        z *= 0.5

    def times_slope(self, values: Any, delta: Any) -> None:
        """Multiply `delta` by the slopes at `values`."""
        delta *= values
        delta *= 1.0 - values


class Tanh:
    """The hyperbolic tangent, with slope 1 - a²."""

    def apply(self, z: Any) -> None:
        """Replace inputs by values."""
        write(array_namespace(z).tanh, z, out=z)

    def times_slope(self, values: Any, delta: Any) -> None:
        """Multiply `delta` by the slopes at `values`."""
        delta *= 1.0 - values * values


class Relu:
    """max(0, z), with slope 1 above zero and 0 elsewhere."""

    def apply(self, z: Any) -> None:
        """Replace inputs by values."""
        write(array_namespace(z).maximum, z, 0.0, out=z)

    def times_slope(self, values: Any, delta: Any) -> None:
        """Multiply `delta` by the slopes at `values`."""
        delta *= array_namespace(values).sign(values)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Identity(),
    "logistic": Logistic(),
    "tanh": Tanh(),
    "relu": Relu(),
}
"""By scikit-learn's names."""
