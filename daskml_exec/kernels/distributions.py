"""Families of generalised linear models: all that is special to one is said here.

A family of a numeric target is its own loss. A new one is a class like `Poisson`.
"""
# ruff: noqa: D102 (what methods do is said by the protocols)

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from daskml_exec.kernels.array_namespace import array_namespace
from daskml_exec.kernels.losses import BinaryLogistic, Loss, Multinomial


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


class Distribution(Family, Protocol):
    """A family of a numeric target.

    Its deviance d comes from a convex function phi, as all Bregman divergences do.
    """

    @property
    def y_min(self) -> float:
        """Smallest target, and smallest mean."""

    @property
    def allowed(self) -> str:
        """What targets and means may be, for messages."""

    @property
    def sklearn_loss(self) -> str:
        """What scikit-learn's messages call the loss."""

    @property
    def score_name(self) -> str:
        """What the share of the deviance that is explained is called."""

    def mean(self, z: Any) -> Any:
        """Return the mean where the margin is z."""

    def deviance(self, y: Any, m: Any) -> Any:
        """Return ``d(y, m)`` for mean m, elementwise, in any unit."""

    def deviance_slope(self, r: float, m: float) -> float:
        """Return ``phi'(r) - phi'(m)``."""


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
    r"""Least squares: :math:`\tfrac12 (z - y)^2`.

    The unit of gradients is the root mean square of what a constant leaves of the targets.
    """

    n_outputs = 1
    y_min = -np.inf
    allowed = "values"
    sklearn_loss = "HalfSquaredError"
    score_name = "R^2"

    @property
    def loss(self) -> Self:
        return self

    def losses_and_residuals(self, z: Any, y: Any) -> tuple[Any, Any]:
        z -= y
        return 0.5 * z[0, :] ** 2, z

    def residuals(self, z: Any, y: Any) -> Any:
        z -= y
        return z

    def curvatures(self, z: Any) -> Any:
        return array_namespace(z).ones_like(z)

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

    def mean(self, z: Any) -> Any:
        return z

    def deviance(self, y: Any, m: Any) -> Any:
        return (y - m) ** 2

    def deviance_slope(self, r: float, m: float) -> float:
        return 2 * (r - m)


@dataclass(frozen=True)
class Poisson:
    r"""Counts with the log link: :math:`e^z - y z`, half the deviance but for a constant.

    The unit of gradients is the square root of the mean, as the variance is the mean.

    Source: McCullagh and Nelder (1989), Generalized Linear Models, section 6.2.
    """

    n_outputs = 1
    y_min = 0.0
    allowed = "values from 0"
    sklearn_loss = "HalfPoissonLoss"
    score_name = "D^2"

    @property
    def loss(self) -> Self:
        return self

    def losses_and_residuals(self, z: Any, y: Any) -> tuple[Any, Any]:
        rate = array_namespace(z).exp(z)
        return (rate - y * z)[0, :], rate - y

    def residuals(self, z: Any, y: Any) -> Any:
        rate = array_namespace(z).exp(z)
        rate -= y
        return rate

    def curvatures(self, z: Any) -> Any:
        with np.errstate(over="ignore"):
            return array_namespace(z).exp(z)

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

    def mean(self, z: Any) -> Any:
        return np.exp(z)

    def deviance(self, y: Any, m: Any) -> Any:
        """Half of it: m where y is 0, infinity where m is 0 and y is not."""
        xp = np if isinstance(y, float) else array_namespace(y)
        with np.errstate(divide="ignore", invalid="ignore"):
            return xp.where(y == 0, m, y * xp.log1p((y - m) / m) - (y - m))

    def deviance_slope(self, r: float, m: float) -> float:
        return float(np.log(r) - np.log(m))


LOSSES = (BinaryLogistic, Multinomial, Gaussian, Poisson)
"""All classes of losses of a row."""
