"""The penalised logistic objective over partitions: what solvers minimise, in their coordinates."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.logistic_loss import LossSums, logistic_sums
from daskml_exec.kernels.moments import Moments, column_moments, first_non_finite
from daskml_exec.kernels.standardisation import Standardisation, standardisation
from daskml_exec.partitions import Partition

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Parameters:
    """Where loss and gradient are wanted; what travels out in a gradient round."""

    coef: Array
    intercept: Array


@dataclass(frozen=True)
class PartitionMoments:
    """What travels back from a moments round."""

    moments: Moments
    not_finite: str = ""
    """Where the first value that is not finite was found; empty if none was."""

    def __add__(self, other: "PartitionMoments") -> "PartitionMoments":
        return PartitionMoments(self.moments + other.moments, self.not_finite or other.not_finite)


@dataclass(frozen=True)
class LogisticProblem:
    r"""The objective of scikit-learn's LogisticRegression, per unit of weight.

    .. math:: f(W, b) = \frac{1}{\sum_i s_i} \Bigl(\sum_i s_i\, \ell(W x_i + b, y_i)
              + \frac{1}{2C} \|W\|_F^2\Bigr)

    Parameters
    ----------
    n_classes : int
    C : float
        Inverse strength of the penalty; infinity for none.
    fit_intercept : bool
    feature_names : tuple of str, or None
        For messages.
    """

    n_classes: int
    C: float
    fit_intercept: bool
    feature_names: tuple[str, ...] | None = None

    @property
    def n_outputs(self) -> int:
        """Rows of coefficients: one for two classes."""
        return 1 if self.n_classes == 2 else self.n_classes

    @property
    def curvature(self) -> float:
        """Second derivative of a row's loss with all classes equally likely."""
        return (self.n_classes - 1) / self.n_classes**2

    def penalty(self, weight: float) -> float:
        """Return the penalty's coefficient in the mean objective."""
        return 1.0 / (self.C * weight)

    def standardise(self, moments: Moments) -> Standardisation:
        """Return the coordinates in which solvers work."""
        return standardisation(
            moments,
            curvature=self.curvature,
            penalty=self.penalty(moments.weight),
            fit_intercept=self.fit_intercept,
        )

    def moments(self, partition: Partition) -> PartitionMoments:
        """Return one partition's column moments, and where it is not finite."""
        found = column_moments(partition.X, partition.sample_weight)
        # Sums of finite values may overflow, so that only a look at the values tells.
        if np.isfinite(found.first).all() and np.isfinite(found.second).all():
            return PartitionMoments(found)
        where = first_non_finite(partition.X)
        if where is None:
            return PartitionMoments(
                found, "X has values whose squares overflow float64; rescale the columns"
            )
        row, column, what = where
        name = f" ({self.feature_names[column]!r})" if self.feature_names else ""
        return PartitionMoments(
            found,
            f"Input X contains {what} in partition {partition.index}, column {column}{name} "
            f"(row {row} of the partition)",
        )

    def sums(self, partition: Partition, at: Parameters) -> LossSums:
        """Return one partition's sums of loss and gradient."""
        return logistic_sums(
            partition.X, partition.y, partition.sample_weight, at.coef, at.intercept
        )

    def gradient_unit(self, value: float) -> float:
        r"""Return the unit in which gradients are compared with ``tol`` where f has this value.

        In coordinates of curvature one, half the squared gradient estimates how far f is above
        its minimum. In units of :math:`\sqrt{f / f(0)}` the gradient says so relative to f
        itself, which tends to zero, and with it all gradients, where classes are far apart.
        """
        return float(np.sqrt(value / np.log(self.n_classes)))

    def objective(
        self, sums: LossSums, at: Parameters, coordinates: Standardisation, weight: float
    ) -> tuple[float, Array]:
        """Return the mean objective and its gradient in the coordinates.

        `weight` is that of all partitions: a partition's own sums are divided by their own
        weight, and share in the whole problem's penalty.
        """
        penalty = self.penalty(weight)
        value = sums.loss / sums.weight + 0.5 * penalty * float(np.vdot(at.coef, at.coef))
        gradient = coordinates.gradient(
            sums.coef / sums.weight + penalty * at.coef, sums.intercept / sums.weight
        )
        return value, gradient
