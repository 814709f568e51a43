"""The searches of a path's models: quasi-Newton ones, and proximal ones where L1 is penalised.

Both are states that somebody else evaluates the function for. What a path asks of them is said here
once, so that it may have models of both kinds.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from daskml_exec.kernels import lbfgs, proximal_newton
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.hessian_sums import HessianSums
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._curvature import Factorised, factorise, mean_hessian
from daskml_exec.linear_model._newton_l1 import NewtonL1, hold_the_sum_of_intercepts
from daskml_exec.linear_model._plan import HESSIAN, Plan
from daskml_exec.linear_model._pool import gram_of, pooled_optimum
from daskml_exec.linear_model._problem import GLMProblem
from daskml_exec.linear_model._search import Known
from daskml_exec.partitions import Partition

_MEMORY = 12
_TRUSTED = 2.0

Search = Any
"""`LBFGSState` or `ProximalState`."""


@dataclass(frozen=True)
class Matrix:
    """A Hessian as it is."""

    matrix: Array


class Method(Protocol):
    """What a path asks of one kind of search."""

    def start(self, problem: GLMProblem, to: Standardisation, weight: float, point: Array) -> Any:
        """Return the search that asks for the function at `point`."""

    def curvature(self, sums: HessianSums, penalty: Array, outputs: int) -> Any:
        """Return what directions come from; None if these sums do not say."""

    def steer(self, search: Any, curvature: Any) -> Any:
        """Choose the next direction."""

    def visit(self, search: Any, point: Array, value: float, gradient: Array) -> Any:
        """Take in the function at a point that others have chosen."""

    def advance(self, search: Any, value: float, gradient: Array, tol: float) -> Any:
        """Take in the function at the trial."""

    def advance_by_slope(self, search: Any, gradient: Array, tol: float) -> Any:
        """Take in its gradient alone: slopes say where a convex function's search may end."""

    def norm(self, search: Any, gradient: Array) -> float:
        """Return the largest component of the gradient, or least subgradient, at the trial."""

    def forget(self, search: Any) -> Any:
        """Return the search without its memory of past steps."""

    def ahead(self, search: Any, curvature: Any) -> tuple[Array, float]:
        """Return where the next step leads, and about by how much the function falls."""


@dataclass(frozen=True)
class _Smooth:
    """L-BFGS, with a factorised Hessian."""

    def start(self, problem: GLMProblem, to: Standardisation, weight: float, point: Array) -> Any:
        return lbfgs.start(point, memory=_MEMORY)

    def curvature(self, sums: HessianSums, penalty: Array, outputs: int) -> Factorised | None:
        return factorise(sums, penalty)

    def steer(self, search: lbfgs.LBFGSState, curvature: Factorised | None) -> lbfgs.LBFGSState:
        if curvature is None:
            return lbfgs.steer(search)
        return lbfgs.steer_by(search, partial(curvature.solve, point=search.point))

    def visit(self, search: Any, point: Array, value: float, gradient: Array) -> Any:
        return lbfgs.visit(search, point, value, gradient, 0.0)

    def advance(self, search: Any, value: float, gradient: Array, tol: float) -> Any:
        return lbfgs.advance(search, value, gradient, tol)

    def advance_by_slope(self, search: Any, gradient: Array, tol: float) -> Any:
        value = search.value if np.isfinite(search.value) else 0.0
        return lbfgs.advance(search, value, gradient, tol)

    def norm(self, search: Any, gradient: Array) -> float:
        return float(np.abs(gradient).max(initial=0.0))

    def forget(self, search: Any) -> Any:
        return lbfgs.forget(search)

    def ahead(self, search: Any, curvature: Any) -> tuple[Array, float]:
        ahead = self.steer(search, curvature)
        plain = self.steer(lbfgs.forget(search), curvature)
        if _longer(ahead.direction, plain.direction):
            ahead = plain
        return ahead.trial, -0.5 * ahead.start_slope


@dataclass(frozen=True)
class _Sparse:
    """Proximal Newton steps, with a Hessian as it is."""

    def start(self, problem: GLMProblem, to: Standardisation, weight: float, point: Array) -> Any:
        return proximal_newton.start(point, problem.l1_of(to, weight), memory=_MEMORY)

    def curvature(self, sums: HessianSums, penalty: Array, outputs: int) -> Matrix | None:
        matrix = mean_hessian(sums, penalty)
        if matrix is None:
            return None
        if outputs > 1 and len(penalty) and penalty[-1] == 0.0:
            hold_the_sum_of_intercepts(matrix, outputs)
        return Matrix(matrix)

    def steer(self, search: Any, curvature: Matrix | None) -> Any:
        if curvature is None:  # coordinates are of curvature one
            return proximal_newton.steer(search, np.eye(search.point.size))
        return proximal_newton.steer(search, curvature.matrix)

    def visit(self, search: Any, point: Array, value: float, gradient: Array) -> Any:
        return proximal_newton.visit(search, point, value, gradient, 0.0)

    def advance(self, search: Any, value: float, gradient: Array, tol: float) -> Any:
        return proximal_newton.advance(search, value, gradient, tol)

    def advance_by_slope(self, search: Any, gradient: Array, tol: float) -> Any:
        value = search.value if np.isfinite(search.value) else 0.0
        penalty = float(np.sum(search.l1 * np.abs(search.trial)))
        return proximal_newton.advance(search, value - penalty, gradient, tol)

    def norm(self, search: Any, gradient: Array) -> float:
        least = proximal_newton.least_subgradient(gradient, search.trial, search.l1)
        return float(np.abs(least).max(initial=0.0))

    def forget(self, search: Any) -> Any:
        return proximal_newton.forget(search)

    def ahead(self, search: Any, curvature: Any) -> tuple[Array, float]:
        step = proximal_newton.model_step(search, curvature.matrix)
        plain = proximal_newton.model_step(proximal_newton.forget(search), curvature.matrix)
        if _longer(step, plain):
            step = plain
        promised = proximal_newton.promised_change(search, step)
        # No step is no gain, and no worse than one.
        return search.point + step, -0.5 * promised if promised < 0.0 else np.inf


def _longer(step: Any, plain: Any) -> bool:
    """Whether a step is so much longer than one without memory that this must be rounding.

    What gradients near the optimum have turned by is.
    """
    return bool(np.linalg.norm(step) > _TRUSTED * np.linalg.norm(plain))


_SMOOTH, _SPARSE = _Smooth(), _Sparse()


def method_of(problem: GLMProblem) -> Method:
    """Return how the models of a problem are searched for."""
    return _SPARSE if problem.penalty.sparse else _SMOOTH


def resumed(search: Search) -> Search:
    """Return a search that has ended as one that goes on."""
    return replace(search, converged=False, stuck=False)


class PooledPath:
    """Where the pooled rows' own objectives are least, from one penalty to the next."""

    def __init__(self, rows: Partition) -> None:
        self._rows = rows
        self._first: tuple[Standardisation, Array | None] | None = None

    def optimum(self, problem: GLMProblem, known: Known) -> Array:
        """Return it for one penalty, from the point that is known."""
        to, rows = known.coordinates, self._rows
        if problem.penalty.sparse:
            alone = Plan(HESSIAN, "the pooled rows are few", 1.0, every_round=True)
            return NewtonL1(problem, 0.0).pooled(known, alone, rows)
        if self._first is None:
            self._first = to, gram_of(rows, to)
        first, gram = self._first
        if gram is not None:
            change = to.change_from(first)
            gram = gram * np.outer(change, change)
        return pooled_optimum(problem, rows, to, known.point, known.weight, known.target, gram)
