"""Compiled loops over single-precision rows give what NumPy gives, to rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskml_exec.kernels import compiled_loops, loss_sums, moments
from daskml_exec.kernels.distributions import Gaussian, Poisson
from daskml_exec.kernels.losses import BinaryLogistic

pytest.importorskip("numba", reason="numba is not installed: pip install 'daskml-exec[numba]'")


@pytest.fixture
def without_numba(monkeypatch):
    def absent():
        return None

    def use(module):
        monkeypatch.setattr(module, "compiled_loops", absent)

    return use


def single(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)).astype(np.float32), rng.exponential(size=n)


@given(n=st.integers(0, 40), d=st.integers(0, 9), seed=st.integers(0, 2**32 - 1))
def test_loops_are_the_products_they_say(n, d, seed):
    X, w = single(n, d, seed)
    loops = compiled_loops.compiled_loops()
    assert loops is not None
    coef, z = np.linspace(-1, 1, d), np.empty(n)
    g, first, second = np.zeros(d), np.zeros(d), np.zeros(d)
    loops.margins(X, coef, z)
    loops.products(X, w, g)
    loops.moments(X, w, first, second)
    double = X.astype(np.float64)
    assert_allclose(z, double @ coef, rtol=1e-12, atol=1e-12)
    assert_allclose(g, w @ double, rtol=1e-12, atol=1e-12)
    assert_allclose(first, g, rtol=1e-12, atol=1e-12)
    assert_allclose(second, w @ double**2, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", [BinaryLogistic(), Gaussian(), Poisson()])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_with_and_without(loss, weighted, without_numba):
    X, w = single(3000, 300)
    y = (X[:, 0] > 0).astype(np.intp)
    weight = w if weighted else None
    coef, intercept = 0.01 * np.ones((1, 300)), np.array([0.3])
    with_loops = loss_sums.loss_sums(loss, X, y, weight, coef, intercept)
    without_numba(loss_sums)
    expected = loss_sums.loss_sums(loss, X, y, weight, coef, intercept)
    for name in ("weight", "loss", "coef", "intercept"):
        assert_allclose(getattr(with_loops, name), getattr(expected, name), rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_moments_with_and_without(weighted, without_numba):
    X, w = single(3000, 300)
    weight = w if weighted else None
    with_loops = moments.column_moments(X, weight)
    without_numba(moments)
    expected = moments.column_moments(X, weight)
    assert_allclose(with_loops.mean, expected.mean, rtol=1e-11, atol=1e-12)
    assert_allclose(with_loops.spread, expected.spread, rtol=1e-11)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so(value):
    X, _ = single(50, 3)
    X[17, 1] = value
    found = moments.column_moments(X, np.zeros(50))
    assert np.isfinite(found.mean[[0, 2]]).all() and not np.isfinite(found.mean[1])


def test_rows_at_odd_addresses():
    X, _ = single(100, 7)
    odd = np.frombuffer(b"odd" + X.tobytes(), dtype=np.float32, offset=3).reshape(X.shape)
    assert not odd.flags.aligned
    here, there = (moments.column_moments(rows, None) for rows in (X, odd))
    assert np.array_equal(here.mean, there.mean) and np.array_equal(here.spread, there.spread)


def test_absent_numba_is_found_out(monkeypatch):
    monkeypatch.setattr(compiled_loops.importlib.util, "find_spec", lambda name: None)
    compiled_loops.compiled_loops.cache_clear()
    try:
        assert compiled_loops.compiled_loops() is None
    finally:
        compiled_loops.compiled_loops.cache_clear()
