"""Quadratic problems with L1 penalties, against scikit-learn and the conditions of the optimum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.linear_model import enet_path

from daskml_exec.kernels import coordinate_descent as module
from daskml_exec.kernels.coordinate_descent import coordinate_descent, descent_path


def problem(n, p, *, correlation=0.0, seed=0):
    """Return a Gram matrix and inner products with a target of few columns, per row."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    for j in range(1, p):
        X[:, j] = correlation * X[:, j - 1] + np.sqrt(1 - correlation**2) * X[:, j]
    w = rng.normal(size=p) * (rng.uniform(size=p) < 0.3)
    y = X @ w + rng.normal(size=n)
    X, y = X - X.mean(axis=0), y - y.mean()
    return X, y, X.T @ X / n, X.T @ y / n


def objective(Q, c, l1, l2, w):
    return 0.5 * w @ Q @ w - c @ w + np.sum(l1 * np.abs(w)) + 0.5 * np.sum(l2 * w**2)


def violation(Q, c, l1, l2, w):
    """Return the largest component of the least subgradient."""
    gradient = Q @ w - c + l2 * w
    kept = np.abs(gradient + l1 * np.sign(w))
    return np.max(np.where(w != 0, kept, np.maximum(np.abs(gradient) - l1, 0)), initial=0.0)


@pytest.fixture(params=["compiled", "numpy"])
def sweeps(request, monkeypatch):
    """With Numba from the first column on, and without it."""
    if request.param == "compiled":
        pytest.importorskip("numba")
        monkeypatch.setattr(module, "_FEW", 0)
    else:
        monkeypatch.setattr(module, "_sweep_compiled", lambda: None)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.05])
@pytest.mark.parametrize(("n", "p", "correlation"), [(200, 30, 0.0), (300, 60, 0.9), (40, 80, 0.3)])
def test_the_path_is_scikit_learns(sweeps, n, p, correlation, share):
    X, y, Q, c = problem(n, p, correlation=correlation)
    alphas = np.abs(c).max() / share * np.geomspace(1, 1e-2, 20)
    ours = descent_path(Q, c, alphas * share, alphas * (1 - share))
    assert not ours[0].any()
    _, theirs, gaps = enet_path(X, y, l1_ratio=share, alphas=alphas, tol=1e-14, max_iter=10**6)
    assert gaps.max() < 1e-10
    assert_allclose(ours, theirs.T, atol=2e-7)
    for w, alpha in zip(ours, alphas, strict=True):
        assert violation(Q, c, alpha * share, alpha * (1 - share), w) < 1e-12 * np.abs(c).max()


def test_a_path_is_its_problems_one_by_one():
    _, _, Q, c = problem(300, 50, correlation=0.8)
    alphas = np.abs(c).max() * np.geomspace(0.9, 1e-3, 30)
    path = descent_path(Q, c, alphas)
    alone = [coordinate_descent(Q, c, alpha) for alpha in alphas]
    assert_allclose(path, alone, atol=1e-12)
    np.testing.assert_array_equal(path != 0, np.array(alone) != 0)
    backwards = descent_path(Q, c, alphas[::-1], start=path[-1])
    assert_allclose(backwards, path[::-1], atol=1e-12)


@given(
    p=st.integers(0, 12),
    rank=st.integers(0, 12),
    seed=st.integers(0, 2**32 - 1),
    ridge=st.sampled_from([0.0, 1e-3, 1.0]),
)
def test_the_conditions_of_the_optimum_hold(p, rank, seed, ridge):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(rank, p)) * rng.choice([0.0, 1e-3, 1.0, 30.0], size=p)
    Q, c = factor.T @ factor, factor.T @ rng.normal(size=rank)
    l1 = np.abs(c).max(initial=1e-9) * rng.choice([0.01, 0.3, 2.0], size=p)
    w = coordinate_descent(Q, c, l1, ridge, start=rng.normal(size=p))
    unit = np.abs(c).max(initial=1e-12) + np.abs(Q).max(initial=0.0) * np.abs(w).max(initial=0.0)
    assert violation(Q, c, l1, ridge, w) <= 1e-11 * unit


def test_twice_the_same_columns():
    """The minimiser is not unique; the objective is."""
    _, _, Q, c = problem(200, 20)
    twice = np.tile(Q, (2, 2))
    l1 = 0.1 * np.abs(c).max()
    w = coordinate_descent(Q, c, l1)
    both = coordinate_descent(twice, np.tile(c, 2), l1)
    expected = objective(Q, c, l1, 0.0, w)
    assert_allclose(objective(twice, np.tile(c, 2), l1, 0.0, both), expected, rtol=1e-12)


def test_columns_without_a_penalty_or_without_curvature():
    _, _, Q, c = problem(200, 10, correlation=0.5)
    Q[3], Q[:, 3], c[3] = 0.0, 0.0, 0.0
    l1 = np.full(10, 0.2)
    l1[0] = 0.0
    w = coordinate_descent(Q, c, l1, start=np.ones(10))
    assert w[3] == 0
    assert w[0] != 0
    assert violation(Q, c, l1, 0.0, w) < 1e-13
    least = coordinate_descent(Q, c, 0.0)
    assert_allclose(Q @ least, c, atol=1e-13)


def test_a_penalty_that_leaves_nothing():
    _, _, Q, c = problem(100, 40)
    assert not coordinate_descent(Q, c, np.abs(c).max(), start=np.ones(40)).any()
