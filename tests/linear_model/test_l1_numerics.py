"""Fits with a share of L1 in the penalty, without a cluster, against scikit-learn's optimum."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import ElasticNet, LogisticRegression

from daskml_exec.kernels.distributions import Gaussian, Logistic, Poisson
from daskml_exec.kernels.proximal_newton import least_subgradient
from daskml_exec.linear_model._plan import GRAM, HESSIAN, WORKING_SET, Plan
from daskml_exec.linear_model._problem import Penalty
from tests.linear_model.oracles import targets
from tests.linear_model.without_dask import with_l1
from tests.tiers import slow

PLANS = {
    "auto": None,
    "every round": Plan(HESSIAN, "", 1.0, every_round=True),
    "sampled": Plan(HESSIAN, "", 1 / 2, 1 / 5),
    "working set": Plan(WORKING_SET, "", 1 / 2, 1 / 5),
    "working set without a pool": Plan(WORKING_SET, "", 1.0, patience=3),
}


def rows(n=400, d=12, *, sparse=False, seed=0):
    """Return columns of like units, correlated, as saga needs them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(0.3, size=(n, d)) + 0.5 * rng.normal(size=(n, 1))
    if sparse:
        X *= rng.random((n, d)) < 0.4
    return rng, X


def saga(X, y, weight, *, C, share, intercept=True):
    model = LogisticRegression(
        C=C, l1_ratio=share, solver="saga", tol=1e-12, max_iter=100_000, random_state=0
    )
    return model.set_params(fit_intercept=intercept).fit(X, y, weight)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("kind", ["dense", "sparse", "weighted", "without intercept"])
def test_two_classes(plan, share, kind):
    rng, X = rows(sparse=kind == "sparse")
    y = targets(rng, X, "logistic")
    weight = rng.exponential(size=len(y)) if kind == "weighted" else None
    intercept = kind != "without intercept"
    given = sp.csr_array(X) if kind == "sparse" else X
    penalty = Penalty(10.0, of_sum=True, l1_share=share)
    state, taken = with_l1(
        Logistic(2),
        given,
        y,
        weight,
        penalty=penalty,
        cuts=(100, 250),
        plan=PLANS[plan],
        intercept=intercept,
    )
    expected = saga(X, y, weight, C=0.1, share=share, intercept=intercept)
    assert state.converged
    assert_allclose(state.parameters.coef, expected.coef_, atol=2e-8)
    assert_allclose(state.parameters.intercept, expected.intercept_, atol=2e-8)
    assert_array_equal(state.parameters.coef != 0, expected.coef_ != 0)
    assert 0 < np.count_nonzero(state.parameters.coef) < 12
    assert len(taken) <= 16


@pytest.mark.parametrize("plan", ["auto", "sampled", "working set"])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_three_classes(plan, share):
    rng, X = rows(600, 8)
    y = targets(rng, X, "logistic", 3)
    penalty = Penalty(10.0, of_sum=True, l1_share=share)
    state, _ = with_l1(Logistic(3), X, y, penalty=penalty, cuts=(200,), plan=PLANS[plan])
    expected = saga(X, y, None, C=0.1, share=share)
    assert state.converged
    assert_allclose(state.parameters.coef, expected.coef_, atol=1e-7)
    assert_array_equal(state.parameters.coef != 0, np.abs(expected.coef_) > 1e-9)
    centred = state.parameters.intercept - state.parameters.intercept.mean()
    assert_allclose(centred, expected.intercept_ - expected.intercept_.mean(), atol=1e-7)


@pytest.mark.parametrize("plan", ["auto", "working set"])
@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("kind", ["dense", "sparse", "weighted", "without intercept"])
def test_squared_errors(plan, share, kind):
    rng, X = rows(sparse=kind == "sparse")
    y = targets(rng, X, "ridge") + 7.0
    weight = rng.exponential(size=len(y)) if kind == "weighted" else None
    intercept = kind != "without intercept"
    given = sp.csr_array(X) if kind == "sparse" else X
    state, taken = with_l1(
        Gaussian(),
        given,
        y,
        weight,
        penalty=Penalty(0.2, of_sum=False, l1_share=share),
        cuts=(100, 250),
        plan=PLANS[plan] and replace(PLANS[plan], pool_share=0.3),
        intercept=intercept,
    )
    expected = ElasticNet(0.2, l1_ratio=share, fit_intercept=intercept, tol=1e-12, max_iter=10**5)
    expected.fit(X, y, weight)
    assert state.converged
    assert_allclose(state.parameters.coef[0], expected.coef_, atol=1e-8)
    assert_allclose(state.parameters.intercept[0], expected.intercept_, atol=1e-8)
    assert_array_equal(state.parameters.coef[0] != 0, expected.coef_ != 0)
    if plan == "auto":
        assert state.plan.regime == GRAM
        assert len(taken) <= 3


def subgradient(state, X, y, loss_slope, penalty):
    """Return the least subgradient of the mean objective at a state's parameters."""
    coef, intercept = state.parameters.coef[0], state.parameters.intercept[0]
    gradient = X.T @ loss_slope(X @ coef + intercept, y) / len(y)
    gradient += penalty.strength * (1 - penalty.l1_share) * coef
    return least_subgradient(gradient, coef, penalty.strength * penalty.l1_share)


@pytest.mark.parametrize("plan", ["auto", "sampled", "working set"])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_counts_fulfil_the_conditions_of_the_optimum(plan, share):
    rng, X = rows(500, 10)
    y = targets(rng, X, "poisson")
    penalty = Penalty(0.3, of_sum=False, l1_share=share)
    state, _ = with_l1(Poisson(), X, y, penalty=penalty, cuts=(200,), plan=PLANS[plan])
    assert state.converged
    assert np.abs(subgradient(state, X, y, lambda z, y: np.exp(z) - y, penalty)).max() < 1e-9
    assert 0 < np.count_nonzero(state.parameters.coef) < 10


def test_a_strong_penalty_leaves_nothing():
    rng, X = rows()
    y = targets(rng, X, "logistic")
    for family, target in [(Logistic(2), y), (Gaussian(), targets(rng, X, "ridge"))]:
        penalty = Penalty(100.0, of_sum=False, l1_share=1.0)
        state, _ = with_l1(family, X, target, penalty=penalty)
        assert state.converged
        assert not state.parameters.coef.any()


def test_constant_and_repeated_columns():
    rng, X = rows(400, 6)
    y = targets(rng, X, "logistic")
    more = np.column_stack([X, np.full(len(y), 3.0), X[:, 0], np.zeros(len(y))])
    penalty = Penalty(5.0, of_sum=True, l1_share=1.0)
    alone, _ = with_l1(Logistic(2), X, y, penalty=penalty)
    state, _ = with_l1(Logistic(2), more, y, penalty=penalty)
    assert state.converged
    coef = state.parameters.coef[0]
    assert not coef[[6, 8]].any()
    assert_allclose(state.search.value, alone.search.value, rtol=1e-12)
    assert_allclose(more @ coef, X @ alone.parameters.coef[0], atol=1e-7)


def test_factors_are_scaled_columns():
    rng, X = rows(400, 6)
    y, scale = targets(rng, X, "logistic"), np.logspace(-1, 1, 6)
    penalty = Penalty(5.0, of_sum=True, l1_share=0.6)
    scaled, _ = with_l1(Logistic(2), X / scale, y, penalty=penalty)
    folded, _ = with_l1(Logistic(2), X, y, penalty=replace(penalty, factors=scale**2))
    assert_allclose(folded.parameters.coef * scale, scaled.parameters.coef, atol=1e-8)
    assert_array_equal(folded.parameters.coef != 0, scaled.parameters.coef != 0)


@pytest.mark.parametrize("sparse", [slow(False), True])
def test_more_columns_than_rows(sparse):
    rng, X = rows(150, 600, sparse=sparse)
    y = (X[:, :5].sum(axis=1) + rng.logistic(size=150) > X[:, :5].sum(axis=1).mean()).astype(int)
    given = sp.csr_array(X) if sparse else X
    state, taken = with_l1(
        Logistic(2),
        given,
        y,
        penalty=Penalty(5.0, of_sum=True, l1_share=1.0),
        plan=Plan(WORKING_SET, "", 1.0, patience=3),
        cuts=(70,),
    )
    expected = saga(X, y, None, C=0.2, share=1.0)
    assert state.converged
    assert_allclose(state.parameters.coef, expected.coef_, atol=1e-6)
    assert_array_equal(state.parameters.coef != 0, np.abs(expected.coef_) > 1e-8)
    assert len(taken) <= 16


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 300), max_size=4), plan=st.sampled_from(list(PLANS)[1:]))
def test_any_cuts_equal_the_whole(cuts, plan):
    rng, X = rows(300, 6)
    y = targets(rng, X, "logistic")
    penalty = Penalty(5.0, of_sum=True, l1_share=0.9)
    whole, _ = with_l1(Logistic(2), X, y, penalty=penalty)
    state, _ = with_l1(Logistic(2), X, y, penalty=penalty, cuts=cuts, plan=PLANS[plan])
    assert_allclose(state.parameters.coef, whole.parameters.coef, atol=1e-8)
    assert_array_equal(state.parameters.coef != 0, whole.parameters.coef != 0)
