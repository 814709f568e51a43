"""Linear models against their peers, each at the same precision."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from daskml_exec import Executor
from daskml_exec.linear_model import LinearRegression, PoissonRegressor, Ridge
from peers import other_peers, ours, problems, sklearn_peers
from peers.compare import compare, tight
from peers.objective import Optimum
from peers.options import Options
from peers.other_interpreter import PeerUnavailableError
from peers.problems import Problem
from peers.sides import Side
from peers.table import Row

Result = tuple[list[Row], list[str]]
"""Rows, and remarks on what is missing."""


def dense(options: Options) -> Result:
    """scikit-learn to 1e-8; Spark and dask-ml to 1e-6, each alone, as they want memory."""
    problem = _dense_problem(options)
    optimum = Optimum(problem)
    remarks = []
    with ours.two_workers(options) as executor:
        own = ours.logistic(*ours.persisted(executor, problem), problem)
        solvers = [sklearn_peers.logistic(problem, name) for name in ("newton-cholesky", "lbfgs")]
        tight(optimum, own, solvers[0])
        rows = compare("dense", optimum, own, solvers, target=1e-8, options=options)
        others: list[Callable[[Problem], AbstractContextManager[list[Side]]]]
        others = [other_peers.spark, other_peers.dask_ml]
        for other in others:
            try:
                with other(problem) as peers:
                    rows += compare("dense", optimum, own, peers, target=1e-6, options=options)
            except PeerUnavailableError as missing:
                remarks.append(str(missing))
    return rows, remarks


def multinomial(options: Options) -> Result:
    problem = problems.multinomial(*((200, 3, 3) if options.tiny else (300_000, 100, 10)))
    return _on_two_workers(
        "multinomial", problem, ("lbfgs", "newton-cholesky", "newton-cg"), 1e-6, options
    )


def sparse(options: Options) -> Result:
    problem = problems.sparse(*((200, 32, 8) if options.tiny else (200_000, 2**18, 60)))
    return _on_two_workers("sparse", problem, ("saga", "liblinear", "lbfgs"), 1e-5, options)


def wide(options: Options) -> Result:
    problem = problems.wide(*((100, 6) if options.tiny else (20_000, 5_000)))
    return _on_two_workers("wide", problem, ("lbfgs", "newton-cg"), 1e-6, options)


def small(options: Options) -> Result:
    """NumPy arrays, and the threads of this process that `fit` takes by itself."""
    problem = problems.dense(*((200, 3) if options.tiny else (50_000, 50)))
    optimum = Optimum(problem)
    Executor.current()  # opened here, and not by the first fit
    own = ours.logistic(problem.X, problem.y, problem)
    peers = [sklearn_peers.logistic(problem, name) for name in ("lbfgs", "newton-cholesky")]
    tight(optimum, own, peers[1])
    return compare("small", optimum, own, peers, target=1e-6, options=options), []


def float32(options: Options) -> Result:
    """Our fit of the same rows in half the memory; both are judged on the rows in float64."""
    problem = _dense_problem(options)
    single = replace(problem, X=problem.X.astype(np.float32))
    optimum = Optimum(problem)
    with ours.two_workers(options) as executor:
        double = ours.logistic(
            *ours.persisted(executor, problem), problem, who="daskml_exec float64"
        )
        half = ours.logistic(*ours.persisted(executor, single), problem, who="daskml_exec float32")
        tight(optimum, double)
        return compare("float32", optimum, half, [double], target=1e-8, options=options), []


def ridge(options: Options) -> Result:
    problem = problems.squared(*_rows_and_columns(options), penalty=1e-4)
    alpha = problem.rows * problem.penalty
    make = partial(Ridge, alpha=alpha)
    return _regression("ridge", problem, make, [sklearn_peers.ridge(problem)], options)


def linear(options: Options) -> Result:
    problem = problems.squared(*_rows_and_columns(options), penalty=0.0)
    return _regression(
        "linear", problem, LinearRegression, [sklearn_peers.linear(problem)], options
    )


def poisson(options: Options) -> Result:
    problem = problems.poisson(*_rows_and_columns(options))
    make = partial(PoissonRegressor, alpha=problem.penalty)
    peers = [sklearn_peers.poisson(problem, name) for name in ("newton-cholesky", "lbfgs")]
    return _regression("poisson", problem, make, peers, options)


def _on_two_workers(
    case: str, problem: Problem, solvers: Iterable[str], target: float, options: Options
) -> Result:
    optimum = Optimum(problem)
    peers = [sklearn_peers.logistic(problem, solver) for solver in solvers]
    with ours.two_workers(options) as executor:
        own = ours.logistic(*ours.persisted(executor, problem), problem)
        tight(optimum, own)
        return compare(case, optimum, own, peers, target=target, options=options), []


def _regression(
    case: str, problem: Problem, make: Any, peers: list[Side], options: Options
) -> Result:
    optimum = Optimum(problem)
    with ours.two_workers(options) as executor:
        own = ours.side(*ours.persisted(executor, problem), make)
        tight(optimum, own, peers[0])
        return compare(case, optimum, own, peers, target=1e-8, options=options), []


def _dense_problem(options: Options) -> Problem:
    return problems.dense(*_rows_and_columns(options))


def _rows_and_columns(options: Options) -> tuple[int, int]:
    return (200, 3) if options.tiny else (1_000_000, 100)
