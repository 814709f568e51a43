"""How many rounds there are depends on the problem, neither on the cut nor on the order of rows."""

from functools import cache

import numpy as np
import pytest

from daskml_exec.linear_model._plan import HESSIAN, PRODUCTS, Plan
from tests.linear_model import without_dask
from tests.linear_model.oracles import OPTIMA, assert_optimum, features, fitted, relative, targets
from tests.tiers import each_value

N = 4000
FAMILIES = [("logistic", 2), ("logistic", 3), ("poisson", 1)]
PLANS = {
    "auto": None,
    "sampled hessian": Plan(HESSIAN, "", 1 / 16, 1 / 10),
    "products": Plan(PRODUCTS, "", pool_share=1 / 8),
}


on_families_and_plans = each_value(family=FAMILIES, plan=PLANS)


@cache
def problem(kind, K):
    rng = np.random.default_rng(3)
    X = features(rng, N, 10)
    y = targets(rng, X, kind, K)
    return X, y, getattr(without_dask, kind), OPTIMA[kind](X, y)


def cuts(n_partitions):
    return np.linspace(0, N, n_partitions + 1).astype(int)[1:-1]


def orders(X, y):
    """Row orders: shuffled, by label or count, by time, and classes in turn."""
    rng = np.random.default_rng(0)
    by_label = np.argsort(y, kind="stable")
    return {
        "shuffled": rng.permutation(N),
        "by label": by_label,
        "by time": np.argsort(X[:, 4], kind="stable"),
        "in turn": by_label.reshape(8, -1).T.ravel(),
    }


@on_families_and_plans
def test_rounds_do_not_grow_with_partitions(family, plan):
    X, y, fit, _ = problem(*family)
    found = [fit(X, y, cuts=cuts(k), plan=PLANS[plan]) for k in (1, 4, 16, 64, 256)]
    counts = [len(rounds) for _, rounds in found]
    assert max(counts) - min(counts) <= 1
    for state, _ in found:
        assert relative(fitted(state)[0], fitted(found[0][0])[0]) <= 1e-7


@on_families_and_plans
def test_sorted_rows_take_about_as_many_rounds_as_shuffled_ones(family, plan):
    X, y, fit, optimum = problem(*family)
    for n_partitions in (4, 64):
        counts = {}
        for name, order in orders(X, y).items():
            state, rounds = fit(X[order], y[order], cuts=cuts(n_partitions), plan=PLANS[plan])
            assert state.converged
            assert_optimum(state, optimum)
            counts[name] = len(rounds)
        # Samples are of other rows in another order, and may serve a little worse.
        assert max(counts.values()) <= counts["shuffled"] + (2 if plan == "auto" else 4)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_least_squares_takes_two_rounds_whatever_the_cut(alpha):
    rng = np.random.default_rng(0)
    X = features(rng, N, 10)
    y = targets(rng, X, "ridge")
    optimum = OPTIMA["ridge"](X, y, alpha=alpha)
    for order in orders(X, (y > 3).astype(int)).values():
        for k in (1, 4, 256):
            state, rounds = without_dask.least_squares(
                X[order], y[order], alpha=alpha, cuts=cuts(k)
            )
            assert [step for step, _ in rounds] == ["normal", "refine"]
            assert_optimum(state, optimum)


def test_a_large_problem_takes_a_handful_of_rounds():
    """The regime of many rows: a pooled start, and one Hessian from a sixteenth of them."""
    rng = np.random.default_rng(0)
    n = 10**6
    X = rng.normal(size=(n, 20))
    y = targets(rng, X, "logistic", 2)
    state, rounds = without_dask.logistic(X, y, cuts=(n // 3, n // 2))
    steps = [step for step, _ in rounds]
    assert steps[:2] == ["moments", "hessian"] and steps.count("hessian") == 1
    assert state.converged and len(rounds) <= 8
