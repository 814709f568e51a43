"""Least squares: the normal equations in one pass, and refinement from the rows themselves.

The normal equations square the condition number of the rows, so that their solution has half the
digits that the rows determine. The gradient at the solution, summed over the rows, says what is
missing, and one more solution with the same factor adds it (iterative refinement: Higham 2002,
Accuracy and Stability of Numerical Algorithms, chapters 12 and 20).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg

from daskml_exec.kernels.cross_moments import CrossMoments, cross_moments
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.kernels.moments import Moments
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._family import Target
from daskml_exec.linear_model._problem import (
    GLMProblem,
    Parameters,
    describe_non_finite,
    parameters_at,
)
from daskml_exec.partitions import Partition
from daskml_exec.training import Measured

Array = np.ndarray[Any, np.dtype[np.float64]]

# Equations whose reciprocal condition number is above this are solved by Cholesky's factor.
_WELL_POSED = 1e-11
# Corrections end when the last one changed coefficients by less than this share of their norm:
# it had about as many digits, and the next one would change those that follow.
_CORRECTED = 1e-8
_DIVERGES = 0.5


@dataclass(frozen=True)
class Solver:
    """The inverse of the normal equations' matrix, or its pseudo-inverse."""

    factor: Array | None
    values: Array
    vectors: Array
    null: Array | None
    """Directions that the rows do not determine, orthonormal in the columns' own units."""

    def solve(self, q: Array) -> Array:
        """Return the least solution, in the coordinates."""
        if self.factor is not None:
            solved: Array = scipy.linalg.cho_solve((self.factor, True), q, check_finite=False)
            return solved
        return self.vectors @ ((self.vectors.T @ q) / self.values)


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
    failure: str = ""

    @property
    def step(self) -> str:
        return "normal" if self.point is None else "refine"

    @property
    def done(self) -> bool:
        return self.finished or bool(self.failure) or self.n_iter >= self.max_iter

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
        finite = np.isfinite(moments.mean) & np.isfinite(np.diagonal(moments.scatter))
        where = ""
        if not finite[:-1].all():
            where = describe_non_finite(partition, self.problem.feature_names)
        elif not finite[-1]:
            where = "y has values whose squares overflow float64; rescale y"
        return Totals(moments, where)

    def combine(self, left: Any, right: Any) -> Any:
        return left + right

    def update(self, state: LeastSquaresFit, total: Any) -> tuple[LeastSquaresFit, Measured]:
        if isinstance(total, Totals):
            return self._solve(state, total), Measured()
        return self._refine(state, total)

    def _solve(self, state: LeastSquaresFit, total: Totals) -> LeastSquaresFit:
        if total.not_finite:
            return replace(state, failure=total.not_finite)
        moments, weight = total.moments, total.moments.weight
        d = len(moments.mean) - 1
        target = Target(
            float(moments.mean[d]), float(moments.scatter[d, d] / weight + moments.mean[d] ** 2)
        )
        columns = Moments(weight, moments.mean[:d], np.diagonal(moments.scatter)[:d].copy())
        to = self.problem.standardise(columns, target)
        scatter = moments.scatter / weight
        if not self.problem.fit_intercept:
            scatter += np.outer(moments.mean, moments.mean)
        penalty = self.problem.penalty.beside_mean(weight)
        matrix = scatter[:d, :d] * np.outer(to.inverse, to.inverse)
        solver = _solver(matrix, to.penalty(penalty)[:d], to.scale)
        solution = _least(solver, solver.solve(scatter[:d, d] * to.inverse), to.scale)
        point = solution
        if self.problem.fit_intercept:
            point = np.append(solution, target.mean * to.intercept_scale)
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
        at = parameters_at(to, state.point)
        value, gradient = self.problem.objective(sums, at, to, state.weight)
        unit = self.problem.family.gradient_unit(value, state.target)
        norm = float(np.abs(gradient).max(initial=0.0)) / unit if unit else 0.0
        step = _least(state.solver, state.solver.solve(gradient[0, :d]), to.scale)
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
    d = len(matrix)
    nothing = np.zeros((d, 0))
    whole = matrix + np.diag(penalty)
    try:
        factor = scipy.linalg.cholesky(whole, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        factor = None
    if factor is not None:
        norm = float(np.abs(whole).sum(axis=0).max(initial=0.0))
        reciprocal, _ = scipy.linalg.lapack.dpocon(factor, norm, uplo="L") if d else (1.0, 0)
        if reciprocal > _WELL_POSED:
            return Solver(factor, np.ones(0), nothing, None)
    values, vectors = scipy.linalg.eigh(matrix, check_finite=False)
    undetermined = vectors[:, ~_positive(values)]
    null = None
    if undetermined.shape[1]:
        null = np.linalg.qr(undetermined / scale[:, None])[0]
    if penalty.any():
        values, vectors = scipy.linalg.eigh(whole, check_finite=False)
    kept = _positive(values)
    return Solver(None, values[kept], vectors[:, kept], null)


def _positive(values: Array) -> Any:
    """Return which eigenvalues, in ascending order, are more than rounding."""
    return values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)


def _least(solver: Solver, solution: Array, scale: Array) -> Array:
    """Return the solution of least norm in the columns' own units, in the coordinates."""
    if solver.null is None:
        return solution
    coef = solution / scale
    return (coef - solver.null @ (solver.null.T @ coef)) * scale
