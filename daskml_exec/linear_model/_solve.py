"""From a plan to training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import is_host
from daskml_exec.kernels.compiled_loops import compile_loops
from daskml_exec.kernels.distributions import Gaussian
from daskml_exec.linear_model._first_order import Averaging, Beginning, Gradients
from daskml_exec.linear_model._lasso_rounds import Lasso, LassoBeginning
from daskml_exec.linear_model._least_squares import LeastSquares, LeastSquaresBeginning
from daskml_exec.linear_model._newton import Newton, NewtonBeginning, NewtonState
from daskml_exec.linear_model._newton_l1 import NewtonL1
from daskml_exec.linear_model._on_cells import NOT_LEAST, missed_least_norm, on_cells
from daskml_exec.linear_model._plan import AVERAGING, GRADIENTS, GRAM, Plan, Shape
from daskml_exec.linear_model._problem import GLMProblem, Parameters
from daskml_exec.linear_model._search import iterations
from daskml_exec.partitions import Grid, Partition, Partitions, Pieces
from daskml_exec.training import (
    Algorithm,
    Callback,
    FitWarning,
    History,
    compile_ahead,
    train,
)


def shape_of(partitions: Partitions | Pieces | Grid, problem: GLMProblem) -> Shape:
    """Return what a plan needs to know of the data."""
    rows = sum(partitions.rows)
    return Shape(
        rows=rows,
        features=partitions.n_features,
        outputs=problem.n_outputs,
        fit_intercept=problem.fit_intercept,
        row_bytes=partitions.nbytes / max(1, rows),
        sparse=partitions.nonzeros is not None,
    )


def opening(shape: Shape, plan: Plan, partitions: Partitions | Pieces | Grid) -> str:
    """Return what there is to solve, and how, in words."""
    n = len(partitions.rows)
    return (
        f"{shape.rows:,} rows x {shape.features:,} columns in {n:,} partition{'s' * (n != 1)}, by "
        f"{plan.regime}"
    )


def prepare(partitions: Partitions | Pieces | Grid, *, say: Callable[[str], object]) -> None:
    """Have compiled what the rounds of these partitions call, and say so if it is to be."""
    if not isinstance(partitions, Grid) and partitions.dtype == np.float32:
        compile_ahead(partitions, _compile, "loops of float32", say=say)


def _compile(partition: Partition) -> None:
    if is_host(partition.X) and not sp.issparse(partition.X):
        compile_loops(partition.X)


@dataclass(frozen=True)
class FittedLinear:
    """What comes of a fit.

    Attributes
    ----------
    state : object
        The last one: parameters, `n_iter`, whether it converged.
    history : History
    stopped : bool
        Whether a callback stopped it.
    plan : Plan
        That was followed in the end.
    warnings : tuple of FitWarning
    """

    state: Any
    history: History
    stopped: bool
    plan: Plan
    warnings: tuple[FitWarning, ...]


def solve(
    plan: Plan,
    problem: GLMProblem,
    partitions: Partitions | Pieces | Grid,
    *,
    tol: float,
    max_iter: int,
    start: Parameters | None,
    callbacks: Sequence[Callback],
    view: Callable[[Parameters], Callable[[Any], Any]],
    name: str,
) -> FittedLinear:
    """Train as planned.

    Parameters
    ----------
    plan : Plan
    problem : GLMProblem
    partitions : Partitions, Pieces or Grid
    tol : float
    max_iter : int
    start : Parameters or None
    callbacks : sequence of callables
    view : callable
        Takes parameters and returns what makes an estimator of them.
    name : str
        What tasks are called.
    """
    if isinstance(partitions, Grid):
        algorithm, state = _on_grid(plan, problem, partitions, tol, max_iter, start)
    else:
        algorithm, state = _on_rows(plan, problem, partitions, tol, max_iter, start)
    fitted = train(
        algorithm,
        state,
        partitions,
        callbacks=callbacks,
        view=lambda state: view(state.solution.parameters),
        reached=lambda state: iterations(state.solution, tol),
        name=name,
    )
    last = fitted.state.solution
    return FittedLinear(
        last,
        fitted.history,
        fitted.stopped == "callback",
        last.plan if isinstance(last, NewtonState) else plan,
        (NOT_LEAST,) if missed_least_norm(fitted.state) else (),
    )


def _on_rows(
    plan: Plan,
    problem: GLMProblem,
    partitions: Partitions | Pieces,
    tol: float,
    max_iter: int,
    start: Parameters | None,
) -> tuple[Algorithm[Any], Any]:
    if problem.penalty.sparse:
        if plan.regime == GRAM:
            return Lasso(problem, tol), LassoBeginning(plan, max_iter, start)
        if start is not None:
            plan = replace(plan, pool_share=0.0)
        return NewtonL1(problem, tol), NewtonBeginning(plan, max_iter, start)
    if plan.regime == GRAM:
        return LeastSquares(problem, tol), LeastSquaresBeginning(max_iter)
    if plan.regime == AVERAGING:
        n_classes = max(2, problem.n_outputs)
        return Averaging(problem, tol, n_classes), Beginning(max_iter, start)
    if plan.regime == GRADIENTS:
        # Where rows do not determine all coefficients, those are asked for that have no part of
        # what is left open. Gradients have none either, in the columns' own units.
        open_ended = problem.penalty.strength == 0 or sum(partitions.rows) < partitions.n_features
        uniform = isinstance(problem.family, Gaussian) and open_ended
        return Gradients(problem, tol, uniform), Beginning(max_iter, start)
    if start is not None and plan.hessian_share:
        plan = replace(plan, pool_share=0.0)  # the pool would only say where to start
    return Newton(problem, tol), NewtonBeginning(plan, max_iter, start)


def _on_grid(
    plan: Plan,
    problem: GLMProblem,
    grid: Grid,
    tol: float,
    max_iter: int,
    start: Parameters | None,
) -> tuple[Algorithm[Any], Any]:
    return on_cells(
        plan,
        problem,
        (sum(grid.rows), grid.n_features),
        tol=tol,
        max_iter=max_iter,
        start=start,
    )
