"""From a plan to rounds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import is_host
from daskml_exec.kernels.compiled_loops import compile_loops
from daskml_exec.linear_model._family import Gaussian
from daskml_exec.linear_model._gradient_rounds import GradientFit, GradientRounds
from daskml_exec.linear_model._grid_fit import fit_on_grid
from daskml_exec.linear_model._least_squares import LeastSquaresFit, LeastSquaresRounds
from daskml_exec.linear_model._newton import NewtonFit, NewtonRounds
from daskml_exec.linear_model._plan import (
    AVERAGING,
    GRADIENTS,
    GRAM,
    Plan,
    Shape,
)
from daskml_exec.linear_model._problem import GLMProblem, Parameters
from daskml_exec.linear_model._search import iterations
from daskml_exec.partitions import Grid, Partition, Partitions
from daskml_exec.training import Callback, FitResult, compile_ahead, run_rounds


def shape_of(partitions: Partitions | Grid, problem: GLMProblem) -> Shape:
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


def opening(shape: Shape, plan: Plan, partitions: Partitions | Grid) -> str:
    """Return what there is to solve, and how, in words."""
    n = len(partitions.rows)
    return (
        f"{shape.rows:,} rows x {shape.features:,} columns in {n:,} partition{'s' * (n != 1)}, by "
        f"{plan.regime}"
    )


def prepare(partitions: Partitions | Grid, *, say: Callable[[str], object]) -> None:
    """Have compiled what the rounds of these partitions call, and say so if it is to be."""
    if isinstance(partitions, Partitions) and partitions.dtype == np.float32:
        compile_ahead(partitions, _compile, "loops of float32", say=say)


def _compile(partition: Partition) -> None:
    if is_host(partition.X) and not sp.issparse(partition.X):
        compile_loops(partition.X)


def solve(
    plan: Plan,
    problem: GLMProblem,
    partitions: Partitions | Grid,
    *,
    tol: float,
    max_iter: int,
    start: Parameters | None,
    callbacks: Sequence[Callback],
    snapshot: Callable[[Any], Callable[[], Any]],
    name: str,
) -> FitResult[Any]:
    """Run the rounds of a plan to their end."""
    if isinstance(partitions, Grid):
        return fit_on_grid(
            plan,
            problem,
            partitions,
            tol=tol,
            max_iter=max_iter,
            start=start,
            callbacks=callbacks,
            snapshot=snapshot,
            name=name,
        )
    algorithm: Any
    state: Any
    if plan.regime == GRAM:
        algorithm, state = LeastSquaresRounds(problem, tol), LeastSquaresFit(max_iter)
    elif plan.regime in (GRADIENTS, AVERAGING):
        algorithm = GradientRounds(problem, tol)
        # Where rows do not determine all coefficients, those are asked for that have no part of
        # what is left open. Gradients have none either, in the columns' own units.
        open_ended = problem.penalty.strength == 0 or sum(partitions.rows) < partitions.n_features
        state = GradientFit(
            start,
            max_iter,
            averaging=plan.regime == AVERAGING,
            uniform=isinstance(problem.family, Gaussian) and open_ended,
        )
    else:
        if start is not None and plan.hessian_share:
            plan = replace(plan, pool_share=0.0)  # the pool would only say where to start
        algorithm, state = NewtonRounds(problem, tol), NewtonFit(start, max_iter, plan=plan)
    return run_rounds(
        algorithm,
        state,
        partitions,
        callbacks=callbacks,
        snapshot=snapshot,
        reached=partial(iterations, tol=tol),
        name=name,
    )
