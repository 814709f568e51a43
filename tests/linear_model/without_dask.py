"""Run an algorithm's rounds over partitions in this process: numerics without a cluster."""

import itertools
from functools import reduce

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.distributions import Gaussian, Logistic, Poisson
from daskml_exec.linear_model._first_order import Beginning, Gradients
from daskml_exec.linear_model._lasso_rounds import Lasso, LassoBeginning
from daskml_exec.linear_model._least_squares import LeastSquares, LeastSquaresBeginning
from daskml_exec.linear_model._newton import Newton, NewtonBeginning
from daskml_exec.linear_model._newton_l1 import NewtonL1
from daskml_exec.linear_model._plan import GRAM, Shape, l1_plan, newton_plan
from daskml_exec.linear_model._problem import GLMProblem, Penalty
from daskml_exec.partitions import Partition

FAMILIES = {"logistic": Logistic, "poisson": Poisson, "gaussian": Gaussian}


def cut(X, y, weight=None, cuts=()):
    """Return partitions of the rows between the cuts."""
    bounds = [0, *sorted(cuts), X.shape[0]]
    return [
        Partition(i, a, X[a:b], y[a:b], None if weight is None else weight[a:b])
        for i, (a, b) in enumerate(itertools.pairwise(bounds))
    ]


def run(algorithm, state, partitions, *, max_rounds=1000):
    """Return the last state, and the step and what was measured of each round."""
    rounds = []
    while (query := algorithm.ask(state)) is not None and len(rounds) < max_rounds:
        total = reduce(query.combine, [query.partial(part) for part in partitions])
        state, measured = algorithm.tell(state, query, total)
        rounds.append((query.step, measured))
    return state, rounds


def shape_of(X, outputs=1, fit_intercept=True):
    sparse = sp.issparse(X)
    nbytes = X.data.nbytes + X.indices.nbytes if sparse else X.nbytes
    return Shape(X.shape[0], X.shape[1], outputs, fit_intercept, nbytes / X.shape[0], sparse)


def newton(family, X, y, weight=None, *, penalty, cuts=(), plan=None, tol=1e-10, intercept=True):
    """Fit by Newton rounds; return the state and the rounds."""
    problem = GLMProblem(family, penalty, intercept)
    shape = shape_of(X, problem.n_outputs, intercept)
    plan = plan or newton_plan(shape, penalised=penalty.strength > 0)
    return run(Newton(problem, tol), NewtonBeginning(plan, 200), cut(X, y, weight, cuts))


def logistic(X, y, weight=None, *, C=1.0, **options):
    family = Logistic(int(np.max(y)) + 1)
    return newton(family, X, y, weight, penalty=Penalty(1.0 / C, of_sum=True), **options)


def poisson(X, y, weight=None, *, alpha=1.0, **options):
    return newton(Poisson(), X, y, weight, penalty=Penalty(alpha, of_sum=False), **options)


def least_squares(X, y, weight=None, *, alpha=0.0, cuts=(), intercept=True, tol=1e-10):
    problem = GLMProblem(Gaussian(), Penalty(alpha, of_sum=True), intercept)
    algorithm = LeastSquares(problem, tol)
    return run(algorithm, LeastSquaresBeginning(50), cut(X, y, weight, cuts))


def lbfgs(family, X, y, weight=None, *, penalty, cuts=(), tol=1e-10, intercept=True):
    problem = GLMProblem(family, penalty, intercept)
    return run(Gradients(problem, tol), Beginning(2000), cut(X, y, weight, cuts), max_rounds=5000)


def with_l1(family, X, y, weight=None, *, penalty, cuts=(), plan=None, tol=1e-10, intercept=True):
    """Fit by rounds with a share of L1 in the penalty; return the state and the rounds."""
    problem = GLMProblem(family, penalty, intercept)
    squares = isinstance(family, Gaussian)
    plan = plan or l1_plan(shape_of(X, problem.n_outputs, intercept), least_squares=squares)
    partitions = cut(X, y, weight, cuts)
    if plan.regime == GRAM:
        return run(Lasso(problem, tol), LassoBeginning(plan, 200), partitions)
    return run(NewtonL1(problem, tol), NewtonBeginning(plan, 200), partitions)
