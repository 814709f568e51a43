"""The penalised objective over partitions: what solvers minimise, in their coordinates."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Family, Target
from daskml_exec.kernels.loss_sums import LossSums, loss_sums
from daskml_exec.kernels.losses import Loss
from daskml_exec.kernels.moments import Moments, column_moments
from daskml_exec.kernels.row_sample import row_sample
from daskml_exec.kernels.standardisation import NO_VARIANCE, Standardisation, standardisation
from daskml_exec.kernels.sums import FieldwiseSum
from daskml_exec.partitions import ColumnError, Partition, Place


@dataclass(frozen=True)
class Parameters:
    """Where loss and gradient are wanted."""

    coef: Array
    intercept: Array
    center: Array | None = None
    """What is taken from each row first, and the intercept is about; None for nothing."""


@dataclass(frozen=True)
class PartitionMoments:
    """Moments of columns and targets."""

    columns: Moments
    target: Moments
    place: Place | None = None
    """Of the first value that is not finite; None if there is none."""

    def __add__(self, other: "PartitionMoments") -> "PartitionMoments":
        return PartitionMoments(
            self.columns + other.columns,
            self.target + other.target,
            self.place or other.place,
        )


@dataclass(frozen=True)
class Pool(FieldwiseSum):
    """Pieces of rows on the host, in partition order."""

    pieces: tuple[tuple[Any, Array, Array], ...] = ()
    """X, y and weights."""

    def joined(self) -> Partition:
        """Return all rows as one partition, in float64."""
        blocks = [X for X, _, _ in self.pieces]
        sparse = any(sp.issparse(X) for X in blocks)
        X: Any = sp.vstack(blocks, format="csr") if sparse else np.concatenate(blocks)
        y, weight = (np.concatenate([piece[i] for piece in self.pieces]) for i in (1, 2))
        return Partition(0, 0, X.astype(np.float64, copy=False), y, weight)


@dataclass(frozen=True)
class MomentsAndPool(FieldwiseSum):
    """The answer to the first query of a search."""

    moments: PartitionMoments
    pool: Pool


@dataclass(frozen=True)
class Penalty:
    r"""What stands beside the mean loss, of coefficients W.

    .. math:: \lambda \sum_j \bigl(\tfrac{1 - \rho}{2} f_j \|W_j\|_2^2
              + \rho \sqrt{f_j} \|W_j\|_1\bigr)
    """

    strength: float
    of_sum: bool
    """Whether `strength` stands beside the sum of the losses, or beside their mean."""
    factors: Array | None = None
    """The f of columns; None for ones."""
    l1_share: float = 0.0
    """The rho, from 0 to 1."""

    @property
    def sparse(self) -> bool:
        """Whether it makes coefficients zero."""
        return self.strength > 0 and self.l1_share > 0

    def beside_mean(self, weight: float) -> float:
        """Return lambda for rows of this total weight; it may overflow."""
        with np.errstate(over="ignore"):
            return float(np.float64(self.strength) / weight) if self.of_sum else self.strength

    def by_column(self, weight: float) -> float | Array:
        """Return the second derivative of each column, or one number for all."""
        strength = self.beside_mean(weight)
        if self.l1_share:
            strength *= 1.0 - self.l1_share
        with np.errstate(over="ignore"):
            return strength if self.factors is None else strength * self.factors

    def l1_by_column(self, weight: float) -> float | Array:
        """Return what the absolute value of each column's coefficient costs, or one number."""
        strength = self.beside_mean(weight) * self.l1_share
        with np.errstate(over="ignore"):
            return strength if self.factors is None else strength * np.sqrt(self.factors)

    def for_weights(self, exponent: int) -> "Penalty":
        """Return the penalty beside a sum whose weights were multiplied by ``2**-exponent``."""
        if not self.of_sum:
            return self
        with np.errstate(over="ignore"):
            return replace(self, strength=float(np.ldexp(self.strength, -exponent)))


@dataclass(frozen=True)
class GLMProblem:
    r"""A generalised linear model's objective, per unit of weight.

    .. math:: f(W, b) = \frac{1}{\sum_i s_i} \sum_i s_i\, \ell(W x_i + b, y_i)
              + \frac{\lambda}{2} \sum_j f_j \|W_j\|^2

    A share of L1 in the penalty is not part of f, which is smooth: `l1_of` says what it costs.

    Parameters
    ----------
    family : Family
    penalty : Penalty
    fit_intercept : bool
    columns : Moments, optional
        Of the columns of all partitions, if they are known to be finite, and these.
    """

    family: Family
    penalty: Penalty
    fit_intercept: bool
    columns: Moments | None = None

    @property
    def n_outputs(self) -> int:
        """Rows of coefficients: one for two classes."""
        return self.family.loss.n_outputs

    def without_penalty(self) -> "GLMProblem":
        """Return the problem with the mean loss alone."""
        return replace(self, penalty=replace(self.penalty, strength=0.0))

    def null_parameters(self, n_features: int, target: Target) -> Parameters:
        """Return parameters without coefficients, to start from."""
        intercept = self.family.null_intercept(target) if self.fit_intercept else 0.0
        K = self.n_outputs
        return Parameters(np.zeros((K, n_features)), np.full(K, intercept))

    def standardise(self, columns: Moments, target: Target) -> Standardisation:
        """Return the coordinates in which solvers work."""
        return standardisation(
            columns,
            curvature=self.family.curvature(target),
            penalty=self.penalty.by_column(columns.weight),
            fit_intercept=self.fit_intercept,
        )

    def l1_of(self, coordinates: Standardisation, weight: float) -> Array:
        """Return what the absolute value of each coordinate costs, of shape (1, p)."""
        costs = self.penalty.l1_by_column(weight) * coordinates.inverse
        return np.append(costs, [0.0] * coordinates.fit_intercept)[None]

    def require_usable(self, columns: Moments, target: Moments) -> None:
        """Raise ValueError for finite rows whose moments say that there is nothing to solve."""
        if not columns.finite.all():
            column = int(np.flatnonzero(~columns.finite)[0])
            raise ColumnError(
                f"X has values in column {column}",
                " whose squares overflow float64; rescale the column",
                column,
            )
        penalty = self.penalty.by_column(columns.weight) + self.penalty.l1_by_column(columns.weight)
        if not np.isfinite(penalty).all():
            raise ValueError(
                "the penalty overflows float64 when it is divided by the sum of sample_weight, to "
                "stand beside the mean loss; allowed are a weaker penalty or larger weights"
            )
        if refusal := self.family.refusal(self.target(target)):
            raise ValueError(refusal)

    def target(self, moments: Moments) -> Target:
        """Return what is to be known of the targets."""
        mean, variance = float(moments.mean[0]), float(moments.spread[0]) / moments.weight
        return Target(mean, residual_square(mean, variance, self.fit_intercept))

    def sums(self, partition: Partition, at: Parameters) -> LossSums:
        """Return one partition's sums of loss and gradient."""
        return partition_sums(self.family.loss, partition, at)

    def objective(
        self, sums: LossSums, at: Parameters, coordinates: Standardisation, weight: float
    ) -> tuple[float, Array]:
        """Return the mean objective and its gradient in the coordinates.

        `weight` is that of all partitions: a partition's own sums are divided by their own
        weight, and share in the whole problem's penalty.
        """
        penalty = self.penalty.by_column(weight)
        if isinstance(penalty, float):
            squares = penalty * float(np.vdot(at.coef, at.coef))
        else:
            squares = float(np.vdot(penalty * at.coef, at.coef))
        value = sums.loss / sums.weight + 0.5 * squares
        gradient = coordinates.gradient(
            sums.coef / sums.weight, sums.intercept / sums.weight, centred=at.center is not None
        )
        d = at.coef.shape[1]
        gradient[:, :d] += penalty * at.coef * coordinates.inverse
        return value, gradient


def partition_moments(partition: Partition, known: Moments | None = None) -> PartitionMoments:
    """Return one partition's moments, and where it is not finite.

    The columns' are not asked for where those of all partitions are known: then it is the first
    one that has them.
    """
    if known is None:
        columns = column_moments(partition.X, partition.sample_weight)
    else:
        zeros = np.zeros_like(known.mean)
        columns = known if partition.index == 0 else Moments(0.0, zeros, zeros)
    y = np.asarray(partition.y, dtype=np.float64)[:, None]
    target = column_moments(y, partition.sample_weight)
    place = None if columns.finite.all() else partition.first_non_finite()
    return PartitionMoments(columns, target, place)


def partition_sums(loss: Loss, partition: Partition, at: Parameters) -> LossSums:
    """Return one partition's sums of loss and gradient, for rows less ``at.center``."""
    X, y, weight, center = partition.X, partition.y, partition.sample_weight, at.center
    if center is None or not sp.issparse(X):
        return loss_sums(loss, X, y, weight, at.coef, at.intercept, center)
    sums = loss_sums(loss, X, y, weight, at.coef, at.intercept - at.coef @ center)
    return replace(sums, coef=sums.coef - sums.intercept[:, None] * center)


def residual_square(mean: float, variance: float, fit_intercept: bool) -> float:
    """Return the mean square of the targets about the best constant, or zero without an intercept.

    It is zero where the targets are a constant but for rounding.
    """
    if not fit_intercept:
        return variance + mean * mean
    return 0.0 if variance < NO_VARIANCE * (variance + mean * mean) else variance


def parameters_at(coordinates: Standardisation, point: Array) -> Parameters:
    """Return the parameters of a point in the coordinates, as rows are asked for sums at them."""
    coef, intercept = coordinates.parameters(point, centred=coordinates.far)
    return Parameters(coef, intercept, coordinates.center if coordinates.far else None)


def measured_at(
    problem: GLMProblem,
    sums: LossSums,
    coordinates: Standardisation,
    point: Array,
    weight: float,
    target: Target,
) -> tuple[float, Array, float, float]:
    """Return the objective at `point`, its gradient, the gradient's norm in its unit, the unit."""
    at = parameters_at(coordinates, point)
    value, gradient = problem.objective(sums, at, coordinates, weight)
    unit = problem.family.gradient_unit(value, target)
    # An objective of zero, its lower bound, is the optimum whatever is left of the gradient.
    norm = float(np.abs(gradient).max(initial=0.0)) / unit if unit else 0.0
    return value, gradient, norm, unit


def sample_of(partition: Partition, share: float) -> Partition:
    """Return the rows of a partition that belong to a sample of this share of all rows."""
    if share >= 1.0:
        return partition
    return partition.take(row_sample(partition.start, partition.X.shape[0], share))
