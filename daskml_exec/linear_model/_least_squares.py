"""Least squares: the normal equations in one pass, and refinement from the rows themselves.

The normal equations square the condition number of the rows, so that their solution has half the
digits that the rows determine. The gradient at the solution, summed over the rows, says what is
missing, and one more solution with the same factor adds it (iterative refinement: Higham 2002,
Accuracy and Stability of Numerical Algorithms, chapters 12 and 20).
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import scipy.linalg

from daskml_exec.executor import Query
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.cross_moments import CrossMoments, cross_moments
from daskml_exec.kernels.distributions import Target
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._problem import (
    GLMProblem,
    Parameters,
    measured_at,
    parameters_at,
)
from daskml_exec.linear_model._queries import Refine
from daskml_exec.partitions import Partition, Place, not_finite
from daskml_exec.training import Measured

# Equations whose reciprocal condition number is above this are solved by Cholesky's factor.
_WELL_POSED = 1e-11
# Corrections end when the last one changed coefficients by less than this share of their norm:
# it had about as many digits, and the next one would change those that follow.
_CORRECTED = 1e-8
_DIVERGES = 0.5


class Solver(Protocol):
    """The inverse of the normal equations' matrix, or its pseudo-inverse."""

    def solve(self, q: Array) -> Array:
        """Return the least solution, in the coordinates."""


@dataclass(frozen=True)
class Cholesky:
    """The Cholesky factor of a regular matrix."""

    factor: Array

    def solve(self, q: Array) -> Array:
        solved: Array = scipy.linalg.cho_solve((self.factor, True), q, check_finite=False)
        return solved


@dataclass(frozen=True)
class PseudoInverse:
    """Eigenvalues and eigenvectors of a matrix that is singular to rounding, or nearly so."""

    values: Array
    vectors: Array
    null: Array
    """Directions that the rows do not determine, orthonormal in the columns' own units."""
    scale: Array

    def solve(self, q: Array) -> Array:
        solution = self.vectors @ ((self.vectors.T @ q) / self.values)
        if not self.null.shape[1]:
            return solution
        coef = solution / self.scale
        return (coef - self.null @ (self.null.T @ coef)) * self.scale


@dataclass(frozen=True)
class Totals:
    """Moments of all columns and the target with one another."""

    moments: CrossMoments
    place: Place | None = None
    """Of the first value that is not finite; None if there is none."""

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(self.moments + other.moments, self.place or other.place)


@dataclass(frozen=True)
class Normal(Query[Totals]):
    """The query for what the normal equations are made of."""

    def partial(self, partition: Partition) -> Totals:
        moments = cross_moments(partition.X, partition.y, partition.sample_weight)
        finite = moments.columns(slice(-1)).finite.all()
        return Totals(moments, None if finite else partition.first_non_finite())


@dataclass(frozen=True)
class LeastSquaresBeginning:
    """Before anything is known of the rows."""

    max_iter: int

    def ask(self, by: "LeastSquares") -> Normal:
        return Normal()

    def tell(self, by: "LeastSquares", answer: Totals) -> tuple["LeastSquaresState", Measured]:
        return by.solved(self, answer), Measured()


@dataclass(frozen=True)
class LeastSquaresState:
    """A solution, between two refinements.

    Attributes
    ----------
    max_iter : int
    weight : float
    target : Target
    coordinates : Standardisation
    solver : Solver
    point : ndarray of shape (1, p)
    gradient_norm : float
        In the problem's unit.
    correction : float
        Of the last refinement, relative to the coefficients.
    n_iter : int
    finished, converged : bool
    """

    max_iter: int
    weight: float
    target: Target
    coordinates: Standardisation
    solver: Solver
    point: Array
    gradient_norm: float = np.inf
    correction: float = np.inf
    n_iter: int = 0
    finished: bool = False
    converged: bool = False

    @property
    def done(self) -> bool:
        """Whether no further round is needed."""
        return self.finished or self.n_iter >= self.max_iter

    @property
    def stuck(self) -> bool:
        """Whether rounding stopped progress."""
        return self.finished and not self.converged

    @property
    def solution(self) -> "LeastSquaresState":
        """What a fit is judged by."""
        return self

    @property
    def parameters(self) -> Parameters:
        """The best parameters so far."""
        return Parameters(*self.coordinates.parameters(self.point))

    def ask(self, by: "LeastSquares") -> Refine | None:
        if self.done:
            return None
        return Refine(by.problem.family.loss, parameters_at(self.coordinates, self.point))

    def tell(self, by: "LeastSquares", answer: LossSums) -> tuple["LeastSquaresState", Measured]:
        to, d = self.coordinates, len(self.coordinates.scale)
        value, gradient, norm, _ = measured_at(
            by.problem, answer, to, self.point, self.weight, self.target
        )
        step = self.solver.solve(gradient[0, :d])
        if by.problem.fit_intercept:
            step = np.append(step, gradient[0, d])
        size = float(np.linalg.norm(self.point))
        correction = float(np.linalg.norm(step)) / size if size else 0.0
        # Corrections that no longer shrink are rounding of the gradient.
        useful = correction < _DIVERGES * self.correction
        refined = replace(
            self,
            point=self.point - step if useful else self.point,
            gradient_norm=norm,
            correction=correction,
            n_iter=self.n_iter + 1,
            finished=not useful or (correction <= _CORRECTED and norm <= by.tol),
            converged=norm <= by.tol,
        )
        return refined, Measured(value, norm)


@dataclass(frozen=True)
class LeastSquares:
    """`Algorithm` of the normal equations.

    Parameters
    ----------
    problem : GLMProblem
    tol : float
    """

    problem: GLMProblem
    tol: float

    states = (
        LeastSquaresBeginning,
        LeastSquaresState,
        Target,
        Standardisation,
        Cholesky,
        PseudoInverse,
    )

    def ask(self, state: LeastSquaresBeginning | LeastSquaresState) -> Normal | Refine | None:
        return state.ask(self)

    def tell(
        self, state: LeastSquaresBeginning | LeastSquaresState, query: Any, answer: Any
    ) -> tuple[LeastSquaresState, Measured]:
        return state.tell(self, answer)

    def solved(self, before: LeastSquaresBeginning, total: Totals) -> LeastSquaresState:
        """Return the first solution."""
        given = equations(self.problem, total)
        to = given.coordinates
        solver = _solver(given.matrix, given.penalty, to.scale)
        point = solver.solve(given.right)
        if self.problem.fit_intercept:
            point = np.append(point, given.target.mean * to.intercept_scale)
        return LeastSquaresState(
            before.max_iter, given.weight, given.target, to, solver, point[None]
        )


@dataclass(frozen=True)
class Equations:
    """The normal equations of d columns in the coordinates, without the intercept's.

    Attributes
    ----------
    weight : float
    target : Target
    coordinates : Standardisation
    matrix : ndarray of shape (d, d)
        Of the mean loss.
    penalty : ndarray of shape (d,)
        What belongs on its diagonal.
    right : ndarray of shape (d,)
    """

    weight: float
    target: Target
    coordinates: Standardisation
    matrix: Array
    penalty: Array
    right: Array


def equations(problem: GLMProblem, total: Totals) -> Equations:
    """Return the normal equations.

    Raises
    ------
    ValueError
        There is nothing to train on.
    """
    moments, weight = total.moments, total.moments.weight
    d = len(moments.mean) - 1
    columns, of_target = moments.columns(slice(d)), moments.columns(slice(d, None))
    if total.place is not None:
        raise not_finite(total.place)
    problem.require_usable(columns, of_target)
    target = problem.target(of_target)
    to = problem.standardise(columns, target)
    scatter = moments.scatter / weight
    if not problem.fit_intercept:
        scatter += np.outer(moments.mean, moments.mean)
    penalty = problem.penalty.by_column(weight)
    matrix = scatter[:d, :d] * np.outer(to.inverse, to.inverse)
    right = scatter[:d, d] * to.inverse
    return Equations(weight, target, to, matrix, to.penalty(penalty)[:d], right)


def _solver(matrix: Array, penalty: Array, scale: Array) -> Solver:
    """Factorise the penalised matrix, or decompose it where it is singular to rounding.

    Then directions that the rows do not determine are found, too. The solution has no part of
    them, with a penalty as without, but rounding gives it one.
    """
    whole = matrix + np.diag(penalty)
    try:
        factor = scipy.linalg.cholesky(whole, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        factor = None
    if factor is not None:
        norm = float(np.abs(whole).sum(axis=0).max(initial=0.0))
        reciprocal, _ = scipy.linalg.lapack.dpocon(factor, norm, uplo="L")
        if reciprocal > _WELL_POSED:
            return Cholesky(factor)
    values, vectors = scipy.linalg.eigh(matrix, check_finite=False)
    null = np.linalg.qr(vectors[:, ~_positive(values)] / scale[:, None])[0]
    if penalty.any():
        values, vectors = scipy.linalg.eigh(whole, check_finite=False)
    kept = _positive(values)
    return PseudoInverse(values[kept], vectors[:, kept], null, scale)


def _positive(values: Array) -> Any:
    """Return which eigenvalues, in ascending order, are more than rounding."""
    return values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
