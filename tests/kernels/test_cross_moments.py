"""Means and scatter of columns and target, against NumPy in high precision."""

import itertools
from functools import reduce
from operator import add

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskml_exec.kernels.block_sizes import sized_blocks
from daskml_exec.kernels.cross_moments import CrossMoments, cross_moments
from daskml_exec.kernels.moments import Moments
from daskml_exec.kernels.standardisation import standardisation

KINDS = [np.asarray, sp.csr_array, sp.csr_matrix]


@pytest.fixture
def small_blocks():
    """Several blocks of rows, the last one not full."""
    with sized_blocks(product_bytes=8 * 5 * 13):
        yield


def problem(n=97, d=4, *, seed=0, mean=0.0):
    rng = np.random.default_rng(seed)
    X = mean + rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.6)
    return X, mean + X[:, 0] - mean + rng.normal(size=n), rng.exponential(size=n)


def expected(X, y, weight):
    """The definition, in NumPy's widest float."""
    v = np.column_stack([X, y]).astype(np.longdouble)
    w = np.ones(len(v)) if weight is None else weight.astype(np.longdouble)
    mean = w @ v / w.sum()
    away = v - mean
    return float(w.sum()), mean.astype(float), ((away.T * w) @ away).astype(float)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [1, 12, 13, 97])
def test_moments_are_those_of_the_definition(kind, dtype, weighted, n):
    X, y, weight = problem(n)
    X, weight = X.astype(dtype), weight if weighted else None
    found = cross_moments(kind(X), y, weight)
    assert found.mean.dtype == found.scatter.dtype == np.float64
    total, mean, scatter = expected(X, y, weight)
    assert_allclose(found.weight, total, rtol=1e-14)
    assert_allclose(found.mean, mean, rtol=1e-13, atol=1e-14)
    assert_allclose(found.scatter, scatter, rtol=1e-12, atol=1e-12)


def test_the_scatter_is_numpys_covariance():
    X, y, weight = problem()
    found = cross_moments(X, y, weight)
    covariance = np.cov(np.column_stack([X, y]), rowvar=False, aweights=weight, ddof=0)
    assert_allclose(found.scatter / found.weight, covariance, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rows", [13, 3000])
def test_a_mean_of_1e9_leaves_a_spread_of_one_its_digits(kind, weighted, rows):
    """Means that are added are rounded to the spacing of doubles, 1e-7 here; others are not."""
    X, y, weight = problem(3000, mean=1e9)
    weight = weight if weighted else None
    with sized_blocks(product_bytes=8 * 5 * rows):
        found = cross_moments(kind(X), y, weight)
    _, mean, scatter = expected(X, y, weight)
    assert_allclose(found.mean, mean, rtol=1e-15)
    precision = 1e-11 if rows == 3000 else np.spacing(1e9)
    assert_allclose(found.scatter, scatter, rtol=precision, atol=precision * found.weight)


@pytest.mark.parametrize("n", [1000, 200_000])
@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -1e9 / 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_constant_column_does_not_vary(n, value, weighted):
    rng = np.random.default_rng(0)
    weight = rng.exponential(size=n) if weighted else None
    X, y = np.full((n, 2), value), rng.normal(size=n)
    X[:, 1] = y
    cut = n // 3
    found = cross_moments(X[:cut], y[:cut], None if weight is None else weight[:cut])
    found += cross_moments(X[cut:], y[cut:], None if weight is None else weight[cut:])
    columns = Moments(found.weight, found.mean[:2], np.diagonal(found.scatter)[:2])
    to = standardisation(columns, curvature=1.0, penalty=0.0, fit_intercept=True)
    assert found.scatter[0, 0] >= 0.0
    assert to.inverse[0] == 0.0 and to.inverse[1] > 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_have_no_moments(kind):
    found = cross_moments(kind(np.empty((0, 3))), np.empty(0), None)
    assert found.weight == 0.0
    assert np.array_equal(found.mean, np.zeros(4))
    assert np.array_equal(found.scatter, np.zeros((4, 4)))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_weight_zero_count_for_nothing(kind):
    X, y, weight = problem()
    weight[20:60] = 0.0  # whole blocks of them
    found = cross_moments(kind(X), y, weight)
    kept = weight > 0
    total, mean, scatter = expected(X[kept], y[kept], weight[kept])
    assert_allclose(found.weight, total)
    assert_allclose(found.mean, mean, atol=1e-14)
    assert_allclose(found.scatter, scatter, atol=1e-12)
    nothing = cross_moments(kind(X), y, np.zeros(97))
    for both in (found + nothing, nothing + found):
        assert both.weight == found.weight
        assert np.array_equal(both.mean, found.mean)
        assert np.array_equal(both.scatter, found.scatter)


@pytest.mark.usefixtures("small_blocks")
@given(
    n=st.integers(1, 80),
    cuts=st.lists(st.integers(0, 80), max_size=4),
    seed=st.integers(0, 2**32 - 1),
    mean=st.sampled_from([0.0, -3.0, 1e5]),
    zeros=st.booleans(),
    sparse=st.booleans(),
)
def test_moments_of_parts_add_up(n, cuts, seed, mean, zeros, sparse):
    X, y, weight = problem(n, 2, seed=seed, mean=mean)
    if zeros:
        weight[: n // 2] = 0.0
    X = sp.csr_array(X) if sparse else X
    bounds = [0, *sorted(min(cut, n) for cut in cuts), n]
    parts = [cross_moments(X[a:b], y[a:b], weight[a:b]) for a, b in itertools.pairwise(bounds)]
    added, whole = reduce(add, parts), cross_moments(X, y, weight)
    assert isinstance(added, CrossMoments)
    assert_allclose(added.weight, whole.weight, rtol=1e-13)
    assert_allclose(added.mean, whole.mean, rtol=1e-13, atol=1e-13)
    assert_allclose(added.scatter, whole.scatter, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("weight", [None, np.array([1.0, 0.0, 2.0]), np.zeros(3)])
def test_what_is_not_finite_shows_and_stays(kind, value, weight):
    """Also in a row of weight zero, and through sums with other parts; never with a warning."""
    X, y = np.array([[0.0, 1.0], [0.0, value], [1.0, 1.0]]), np.zeros(3)
    bad = cross_moments(kind(X), y, weight)
    good = cross_moments(np.ones((2, 2)), np.ones(2), None)
    for found in (bad, bad + good, good + bad, bad + bad):
        assert not np.isfinite(found.mean[1])
        assert not np.isfinite(found.scatter[1, 1])
        assert np.isfinite(found.mean[[0, 2]]).all()


def test_squares_may_overflow_without_a_warning():
    found = cross_moments(np.array([[1e200, 1.0], [-1e200, 2.0]]), np.zeros(2), None)
    assert found.scatter[0, 0] == np.inf and np.isfinite(found.mean).all()
    assert not np.isfinite((found + found).scatter[0, 0])


def test_arguments_are_left_alone():
    X, y, weight = problem()
    before = [a.copy() for a in (X, y, weight)]
    cross_moments(X, y, weight)
    cross_moments(X, y, None)
    for old, new in zip(before, (X, y, weight), strict=True):
        assert np.array_equal(old, new)
