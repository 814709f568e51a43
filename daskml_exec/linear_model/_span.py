"""Newton's method where rows are fewer than columns: all rows on the driver, and their span.

What travels and is remembered is as for a Hessian: the driver starts at the optimum that it found
by itself, a gradient over all partitions says whether that is it, and Newton directions in the
span of the rows correct what rounding left.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.executor import in_threads
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Target
from daskml_exec.kernels.row_span import InnerSolver, RowSpan, SpanProblem, row_span
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._problem import GLMProblem, Parameters
from daskml_exec.partitions import Partition


@dataclass(frozen=True)
class Spanned:
    """`Curvature` that knows all rows, near the optimum that was found, but no coupled outputs."""

    span: RowSpan
    solver: InnerSolver
    coordinates: Standardisation
    units: float | Array
    """Roots of the penalty's factors, by which the columns of the span were divided."""

    def solve(self, q: Array, point: Array) -> Array:
        """Return the inverse Hessian applied to q, of shape (K, p)."""
        to, d = self.coordinates, len(self.coordinates.scale)
        gradient = q[:, :d] * np.where(to.inverse > 0, to.scale, 0.0)
        solver = self.solver
        # With t = D (X w + b), the inverse of the sum of penalty and rows is a difference:
        # (penalty + D G) t - penalty D b = D X q, and the intercept's q is the sum of t.
        gradient = gradient / self.units
        right = self.span.margins(gradient) * solver.root**2
        total = q[:, d] * to.intercept_scale if to.fit_intercept else None
        factors, intercept = solver.solve(right, total)
        coef = (gradient - self.span.combined(factors)) / solver.penalty / self.units
        step = coef * to.scale
        if not to.fit_intercept:
            return step
        return np.column_stack([step, -intercept / solver.penalty * to.intercept_scale])


def spanned_optimum(
    problem: GLMProblem,
    rows: Partition,
    coordinates: Standardisation,
    start: Parameters,
    weight: float,
    target: Target,
    max_iter: int,
) -> tuple[Array, Spanned, int] | None:
    """Return where the objective of all rows is least, the curvature there, and the steps to it.

    Or None where the rows' inner products are not precise enough for that.

    Only the intercept of `start` counts. The rows, copies of the workers' in float64, are spent.
    """
    counted = rows.sample_weight > 0
    if not counted.all():
        rows = rows.take(np.flatnonzero(counted))
    penalty = problem.penalty.beside_mean(weight)
    share = rows.sample_weight / weight
    varies = coordinates.inverse > 0
    factors = problem.penalty.factors
    units = 1.0 if factors is None else np.sqrt(factors)
    X = rows.X if factors is None else _divided(rows.X, units)
    span = row_span(X, coordinates.center / units, varies, over=in_threads, overwrite=True)
    objective = SpanProblem(
        problem.family.loss, span.gram, rows.y, share, penalty, problem.fit_intercept
    )
    optimum = objective.optimum(
        objective.start(start.intercept),
        lambda value: problem.family.gradient_unit(abs(value), target) ** 2,
        max_iter,
    )
    if optimum is None:
        return None
    at, solver, steps = optimum
    coef = span.combined(at.factors)
    intercept = at.intercept - coef @ span.center
    found = coordinates.point(coef / units, intercept)
    return found, Spanned(span, solver, coordinates, units), steps


def _divided(X: Any, units: Any) -> Any:
    """Return the rows with their columns divided."""
    if not sp.issparse(X):
        X /= units
        return X
    return type(X)((X.data / units[X.indices], X.indices, X.indptr), shape=X.shape)
