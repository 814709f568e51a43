"""Spark MLlib and dask-ml as sides of a comparison."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from peers.other_interpreter import DASK_ML, SPARK, running
from peers.problems import Problem
from peers.sides import Side, tolerances


@contextmanager
def spark(problem: Problem) -> Iterator[list[Side]]:
    with running(SPARK, problem) as server:
        fit = partial(server.fit, penalty=problem.penalty)
        yield [Side("Spark MLlib local[2]", tolerances(4, 10), fit)]


@contextmanager
def dask_ml(problem: Problem) -> Iterator[list[Side]]:
    """Its two best: "lbfgs", whose iterations are chosen, and "newton", which has no penalty.

    The `tol` of "lbfgs" is for the sum over rows, which no fit reaches before its iterations or
    SciPy's own criterion end it. "admm" wants a `rho` for the scale of that sum.
    """
    with running(DASK_ML, problem) as server:
        iterations = tuple({"max_iter": count} for count in (50, 70, 100, 140, 200, 280, 400))
        yield [
            Side(
                "dask-ml lbfgs",
                iterations,
                partial(server.fit, solver="lbfgs", C=problem.C, tol=1e-8),
            ),
            Side(
                "dask-ml newton (no penalty)",
                ({"tol": 1e-4},),
                partial(server.fit, solver="newton", max_iter=50),
            ),
        ]
