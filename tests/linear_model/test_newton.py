"""Newton rounds in this process: the optimum of scikit-learn's direct solvers, in few rounds."""

import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec.kernels.distributions import Gaussian, Logistic, Poisson
from daskml_exec.kernels.row_sample import row_sample
from daskml_exec.linear_model._newton import Newton, NewtonBeginning
from daskml_exec.linear_model._plan import HESSIAN, PRODUCTS, Plan
from daskml_exec.linear_model._problem import GLMProblem, Parameters, Penalty
from tests.linear_model import without_dask
from tests.linear_model.oracles import (
    OPTIMA,
    assert_optimum,
    features,
    fitted,
    logistic_optimum,
    ridge_optimum,
    targets,
)
from tests.linear_model.without_dask import cut, logistic, newton, poisson, run
from tests.tiers import each_pair, each_value

CUTS = (90, 107, 107, 207)
FAMILIES = [("logistic", 2), ("logistic", 4), ("poisson", 1)]
STRENGTH = {"logistic": "C", "poisson": "alpha"}


def problem(kind, K=2, *, n=300, d=6, seed=0, sparse=False):
    rng = np.random.default_rng(seed)
    X = features(rng, n, d, sparse=sparse)
    return X, targets(rng, X, kind, K), rng.exponential(size=n)


def dense(X):
    return X.toarray() if sp.issparse(X) else X


@each_pair(
    family=FAMILIES,
    sparse=[False, True],
    weighted=[False, True],
    intercept=[False, True],
    strength=[1e-3, 1.0, 100.0],
)
def test_the_optimum_in_few_rounds(family, sparse, weighted, intercept, strength):
    kind, K = family
    X, y, weight = problem(kind, K, sparse=sparse)
    options = {STRENGTH[kind]: strength, "intercept": intercept}
    weight = weight if weighted else None
    state, rounds = getattr(without_dask, kind)(X, y, weight, cuts=CUTS, **options)
    assert state.converged and len(rounds) <= 20
    # newton-cg stops early on columns of such different units, and newton-cholesky is dense.
    assert_optimum(state, OPTIMA[kind](dense(X), y, weight, **options))


@pytest.mark.parametrize(("kind", "K"), FAMILIES)
@pytest.mark.parametrize("sparse", [False, True])
def test_single_precision_data(kind, K, sparse):
    X, y, weight = problem(kind, K, sparse=sparse)
    X = X.astype(np.float32)
    state, _ = getattr(without_dask, kind)(X, y, weight, cuts=CUTS)
    assert state.converged
    assert_optimum(state, OPTIMA[kind](dense(X).astype(np.float64), y, weight))


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_squared_errors_are_a_family_like_others(alpha):
    X, y, weight = problem("ridge")
    penalty = Penalty(alpha, of_sum=True)
    state, rounds = newton(Gaussian(), X, y, weight, penalty=penalty, cuts=CUTS)
    assert state.converged and len(rounds) <= 4  # moments, and the step and its proof
    assert_optimum(state, ridge_optimum(X, y, weight, alpha=alpha))


PLANS = {
    "all rows, every round": (Plan(HESSIAN, "", 1.0, 0.0, every_round=True), 14),
    "all rows, pooled start": (Plan(HESSIAN, "", 1.0, 1 / 20), 16),
    "a sample, pooled start": (Plan(HESSIAN, "", 1 / 16, 1 / 20), 24),
    "a sample": (Plan(HESSIAN, "", 1 / 16), 40),
    "ten rows": (Plan(HESSIAN, "", 1 / 400), 80),
    "products, all rows": (Plan(PRODUCTS, "", pool_share=1.0), 20),
    "products, a sample": (Plan(PRODUCTS, "", pool_share=1 / 16), 40),
    "products, ten rows": (Plan(PRODUCTS, "", pool_share=1 / 400), 150),
}
"""With the most rounds that each may take."""


@each_value(family=FAMILIES, plan=PLANS)
def test_any_regime_and_any_sample_reaches_the_optimum(family, plan):
    (kind, K), (plan, most) = family, PLANS[plan]
    X, y, weight = problem(kind, K, n=4000, d=8)
    state, rounds = getattr(without_dask, kind)(X, y, weight, plan=plan, cuts=(0, 100, 2000))
    assert state.converged and len(rounds) <= most
    assert_optimum(state, OPTIMA[kind](X, y, weight))


@each_value(share=[1.0, 1 / 8], family=FAMILIES)
def test_products_on_sparse_rows(family, share):
    kind, K = family
    X, y, weight = problem(kind, K, n=2000, d=40, sparse=True)
    plan = Plan(PRODUCTS, "", pool_share=share)
    state, rounds = getattr(without_dask, kind)(X, y, weight, plan=plan, cuts=(500, 600))
    assert state.converged and len(rounds) <= 60
    assert_optimum(state, OPTIMA[kind](X.toarray(), y, weight))


def test_a_hessian_that_serves_badly_is_taken_anew_from_more_rows():
    X, y, _ = problem("logistic", 3, n=4000, d=8)
    state, rounds = logistic(X, y, plan=Plan(HESSIAN, "", 1 / 400), cuts=(2000,))
    assert [step for step, _ in rounds].count("hessian") > 1
    assert state.last_share > 1 / 400 and state.converged


def test_a_hessian_that_serves_well_is_kept():
    X, y, _ = problem("poisson", n=4000, d=8)
    _, rounds = poisson(X, y, plan=Plan(HESSIAN, "", 1 / 16, 1 / 20), cuts=(2000,))
    assert [step for step, _ in rounds].count("hessian") == 1


def test_a_sample_without_weight_says_nothing():
    """Only rows outside the samples weigh anything."""
    X, y, weight = problem("logistic", n=2000)
    weight[row_sample(0, 2000, 1 / 4)] = 0.0
    for plan in (Plan(HESSIAN, "", 1 / 8, 1 / 16), Plan(PRODUCTS, "", pool_share=1 / 16)):
        state, _ = logistic(X, y, weight, plan=plan, cuts=(700,))
        assert state.converged
        assert_optimum(state, logistic_optimum(X, y, weight))


def resumed(family, X, y, start, *, max_iter=200, plan=None, tol=1e-10):
    problem = GLMProblem(family, Penalty(1.0, of_sum=True), True)
    plan = plan or Plan(HESSIAN, "", 1.0, 0.0, every_round=True)
    return run(Newton(problem, tol), NewtonBeginning(plan, max_iter, start), cut(X, y))


@pytest.mark.parametrize("regime", [HESSIAN, PRODUCTS])
@pytest.mark.parametrize(("kind", "K"), FAMILIES)
def test_a_start_at_the_optimum_takes_two_rounds(kind, K, regime):
    X, y, _ = problem(kind, K)
    family = Logistic(K) if kind == "logistic" else Poisson()
    plan = Plan(regime, "", float(regime == HESSIAN), 0.25 if regime == PRODUCTS else 0.0)
    first, _ = resumed(family, X, y, None, plan=plan, tol=1e-12)
    _, rounds = resumed(family, X, y, first.parameters, plan=plan)
    assert len(rounds) == 2
    far = Parameters(first.parameters.coef * 3, first.parameters.intercept - 1.0)
    again, _ = resumed(family, X, y, far, plan=plan)
    assert again.converged
    assert_optimum(again, fitted(first))


@pytest.mark.parametrize(("kind", "K"), FAMILIES)
def test_max_iter_counts_accepted_steps_and_keeps_the_best(kind, K):
    X, y, _ = problem(kind, K)
    family = Logistic(K) if kind == "logistic" else Poisson()
    values = []
    for max_iter in (1, 2, 3):
        state, rounds = resumed(family, X, y, None, max_iter=max_iter)
        assert state.n_iter == max_iter and state.done and not state.converged
        values.append(rounds[-1][1].loss)
        assert state.search.value == values[-1]
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize(("kind", "K"), FAMILIES)
def test_a_tolerance_below_rounding_ends_in_stuck(kind, K):
    X, y, _ = problem(kind, K)
    state, rounds = getattr(without_dask, kind)(X, y, tol=0.0)
    assert state.done and (state.stuck or state.converged)
    assert len(rounds) < 500
    assert_optimum(state, OPTIMA[kind](X, y))


@pytest.mark.parametrize("sparse", [False, True])
def test_rows_sorted_by_label_without_a_pooled_start(sparse):
    X, y, _ = problem("logistic", n=2000, sparse=sparse)
    order = np.argsort(y, kind="stable")
    plan = Plan(HESSIAN, "", 1 / 16)
    state, rounds = logistic(X[order], y[order], plan=plan, cuts=range(100, 2000, 100))
    assert state.converged and len(rounds) <= 40
    assert_optimum(state, logistic_optimum(dense(X), y))


@each_value(share=[0.05, 0.2, 1.0], C=[1.0, 1e4])
def test_sampled_rows_that_say_nothing_of_most_columns(share, C):
    """Directions that are wrong by the inverse of the penalty end in plain gradients."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 400))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    plan = Plan(PRODUCTS, "", pool_share=share)
    state, _ = logistic(X, y, C=C, plan=plan)
    assert state.converged
    assert_optimum(state, logistic_optimum(X, y, C=C), tol=1e-5)
