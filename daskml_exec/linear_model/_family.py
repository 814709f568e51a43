"""Families of generalised linear models: a loss, and what solvers take for typical of it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from daskml_exec.kernels.losses import (
    BinaryLogistic,
    HalfPoisson,
    HalfSquaredError,
    Loss,
    Multinomial,
)


@dataclass(frozen=True)
class Target:
    """What is to be known of the targets, by weight."""

    mean: float
    residual_square: float
    """Mean square of what the best model without coefficients leaves of them."""


class Family(Protocol):
    """A loss with its scales: of its second derivative, of its gradient, of its intercept."""

    @property
    def loss(self) -> Loss:
        """The loss of a row."""

    def curvature(self, target: Target) -> float:
        """Return the second derivative of a row's loss that is typical of such targets."""

    def gradient_unit(self, value: float, target: Target) -> float:
        """Return the unit in which gradients are compared with ``tol`` where f has this value."""

    def null_intercept(self, target: Target) -> float:
        """Return an intercept to start from."""

    def refusal(self, target: Target) -> str:
        """Return what is wrong with such targets; empty if nothing is."""


@dataclass(frozen=True)
class Logistic:
    r"""Two classes, or K with the softmax.

    In coordinates of curvature one, half the squared gradient estimates how far f is above its
    minimum. In units of :math:`\sqrt{f / \log K}` the gradient says so relative to f itself, which
    tends to zero, and with it all gradients, where classes are far apart.
    """

    n_classes: int

    @property
    def loss(self) -> Loss:
        return BinaryLogistic() if self.n_classes == 2 else Multinomial(self.n_classes)

    def curvature(self, target: Target) -> float:
        return (self.n_classes - 1) / self.n_classes**2

    def gradient_unit(self, value: float, target: Target) -> float:
        return float(np.sqrt(value / np.log(self.n_classes)))

    def null_intercept(self, target: Target) -> float:
        return 0.0

    def refusal(self, target: Target) -> str:
        return ""


@dataclass(frozen=True)
class Gaussian:
    """Least squares. The unit is the root mean square of what a constant leaves of the targets."""

    @property
    def loss(self) -> Loss:
        return HalfSquaredError()

    def curvature(self, target: Target) -> float:
        return 1.0

    def gradient_unit(self, value: float, target: Target) -> float:
        return float(np.sqrt(target.residual_square))

    def null_intercept(self, target: Target) -> float:
        return target.mean

    def refusal(self, target: Target) -> str:
        if np.isfinite(target.residual_square):
            return ""
        return "y has values whose squares overflow float64; rescale y"


@dataclass(frozen=True)
class Poisson:
    """Counts with the log link. The unit is the square root of the mean, as its variance is."""

    @property
    def loss(self) -> Loss:
        return HalfPoisson()

    def curvature(self, target: Target) -> float:
        return target.mean

    def gradient_unit(self, value: float, target: Target) -> float:
        return float(np.sqrt(target.mean))

    def null_intercept(self, target: Target) -> float:
        return float(np.log(target.mean))

    def refusal(self, target: Target) -> str:
        if not np.isfinite(target.mean):
            return "y has values whose sum overflows float64; rescale y"
        if target.mean > 0:
            return ""
        return (
            "y is 0 in all rows of positive weight, whose rate has no logarithm; allowed are "
            "counts from 0, at least one of them positive"
        )
