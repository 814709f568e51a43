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

from daskml_exec.kernels.cross_moments import CrossMoments, cross_moments
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._family import Target
from daskml_exec.linear_model._problem import (
    GLMProblem,
    Parameters,
    measured_at,
    parameters_at,
)
from daskml_exec.partitions import Partition, describe_non_finite
from daskml_exec.training import Measured

Array = np.ndarray[Any, np.dtype[np.float64]]

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
    """What travels back from the first round."""

    moments: CrossMoments
    not_finite: str = ""

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(self.moments + other.moments, self.not_finite or other.not_finite)


@dataclass(frozen=True)
class LeastSquaresFit:
    """The state between two rounds."""

    max_iter: int
    weight: float = 0.0
    target: Target | None = None
    coordinates: Standardisation | None = None
    solver: Solver | None = None
    point: Array | None = None
    gradient_norm: float = np.inf
    correction: float = np.inf
    """Of the last refinement, relative to the coefficients."""
    n_iter: int = 0
    finished: bool = False
    converged: bool = False
    failure: ValueError | None = None

    @property
    def step(self) -> str:
        return "normal" if self.point is None else "refine"

    @property
    def done(self) -> bool:
        return self.finished or self.failure is not None or self.n_iter >= self.max_iter

    @property
    def stuck(self) -> bool:
        return self.finished and not self.converged

    @property
    def parameters(self) -> Parameters:
        """The best parameters so far."""
        assert self.coordinates is not None and self.point is not None
        return Parameters(*self.coordinates.parameters(self.point))


@dataclass(frozen=True)
class LeastSquaresRounds:
    """`Round` of the normal equations."""

    problem: GLMProblem
    tol: float

    def outgoing(self, state: LeastSquaresFit) -> Parameters | None:
        if state.point is None:
            return None
        assert state.coordinates is not None
        return parameters_at(state.coordinates, state.point)

    def partial(self, partition: Partition, message: Parameters | None) -> Any:
        if message is not None:
            return self.problem.sums(partition, message)
        moments = cross_moments(partition.X, partition.y, partition.sample_weight)
        finite = moments.columns(slice(-1)).finite.all()
        where = "" if finite else describe_non_finite(partition, self.problem.feature_names)
        return Totals(moments, where)

    def combine(self, left: Any, right: Any) -> Any:
        return left + right

    def update(self, state: LeastSquaresFit, total: Any) -> tuple[LeastSquaresFit, Measured]:
        if isinstance(total, Totals):
            return self._solve(state, total), Measured()
        return self._refine(state, total)

    def _solve(self, state: LeastSquaresFit, total: Totals) -> LeastSquaresFit:
        moments, weight = total.moments, total.moments.weight
        d = len(moments.mean) - 1
        columns, of_target = moments.columns(slice(d)), moments.columns(slice(d, None))
        if refusal := total.not_finite or self.problem.refusal(columns, of_target):
            return replace(state, failure=ValueError(refusal))
        target = self.problem.target(of_target)
        to = self.problem.standardise(columns, target)
        scatter = moments.scatter / weight
        if not self.problem.fit_intercept:
            scatter += np.outer(moments.mean, moments.mean)
        penalty = self.problem.penalty.beside_mean(weight)
        matrix = scatter[:d, :d] * np.outer(to.inverse, to.inverse)
        solver = _solver(matrix, to.penalty(penalty)[:d], to.scale)
        point = solver.solve(scatter[:d, d] * to.inverse)
        if self.problem.fit_intercept:
            point = np.append(point, target.mean * to.intercept_scale)
        return replace(
            state,
            weight=weight,
            target=target,
            coordinates=to,
            solver=solver,
            point=point[None],
        )

    def _refine(self, state: LeastSquaresFit, sums: LossSums) -> tuple[LeastSquaresFit, Measured]:
        assert state.coordinates is not None and state.point is not None
        assert state.target is not None and state.solver is not None
        to, d = state.coordinates, len(state.coordinates.scale)
        value, gradient, norm, _ = measured_at(
            self.problem, sums, to, state.point, state.weight, state.target
        )
        step = state.solver.solve(gradient[0, :d])
        if self.problem.fit_intercept:
            step = np.append(step, gradient[0, d])
        size = float(np.linalg.norm(state.point))
        correction = float(np.linalg.norm(step)) / size if size else 0.0
        # Corrections that no longer shrink are rounding of the gradient.
        useful = correction < _DIVERGES * state.correction
        refined = replace(
            state,
            point=state.point - step if useful else state.point,
            gradient_norm=norm,
            correction=correction,
            n_iter=state.n_iter + 1,
            finished=not useful or (correction <= _CORRECTED and norm <= self.tol),
            converged=norm <= self.tol,
        )
        return refined, Measured(value, norm)


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
