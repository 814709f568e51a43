import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskml_exec.kernels.block_sizes import sized_blocks
from daskml_exec.kernels.moments import Moments, column_moments, first_non_finite
from daskml_exec.kernels.standardisation import standardisation

KINDS = [np.asarray, sp.csr_array, sp.csr_matrix]


@pytest.fixture(params=["compiled", "numpy"])
def loops(request, monkeypatch):
    """With the loops that Numba compiles, where it is installed, and without."""
    if request.param == "numpy":
        monkeypatch.setattr("daskml_exec.kernels.moments.compiled_loops", lambda: None)


def expected(X, weight):
    """The definition, in NumPy's widest float."""
    exact = X.astype(np.longdouble)
    w = np.ones(len(X)) if weight is None else weight.astype(np.longdouble)
    mean = w @ exact / w.sum()
    return float(w.sum()), mean.astype(float), (w @ (exact - mean) ** 2).astype(float)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.usefixtures("loops")
def test_moments_are_the_sums_of_the_definition(kind, dtype, weighted):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(97, 6)) * (rng.random((97, 6)) < 0.4)).astype(dtype)
    weight = rng.exponential(size=97) if weighted else None
    found = column_moments(kind(X), weight)
    total, mean, spread = expected(X, weight)
    assert found.mean.dtype == found.spread.dtype == np.float64
    assert_allclose(found.weight, total)
    assert_allclose(found.mean, mean, atol=1e-12 / total)
    assert_allclose(found.spread, spread, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("mean", "spread"), [(1.7e9, 1e3), (1e9, 1.0), (-1e12, 1.0), (1e4, 1.0)])
@sized_blocks(row_bytes=8 * 3 * 100)
def test_columns_far_from_zero_keep_their_digits(kind, weighted, mean, spread):
    """Time stamps; beside them a column about zero, and one that is mostly zero."""
    rng = np.random.default_rng(0)
    X = np.column_stack(
        [
            mean + np.round(spread * rng.normal(size=1000), 3),
            rng.normal(size=1000),
            rng.normal(size=1000) * (rng.random(1000) < 0.1),
        ]
    )
    weight = rng.exponential(size=1000) if weighted else None
    of_parts = [
        column_moments(kind(X[a:b]), None if weight is None else weight[a:b])
        for a, b in ((0, 333), (333, 334), (334, 1000))
    ]
    total, means, spreads = expected(X, weight)
    # Means that are added are rounded to the spacing of doubles.
    spacing = np.spacing(abs(mean)) / spread
    for found, precision in (
        (column_moments(kind(X), weight), 1e-11),
        (sum(of_parts[1:], of_parts[0]), max(1e-11, spacing)),
    ):
        assert_allclose(found.weight, total)
        assert_allclose(found.mean, means, rtol=1e-14, atol=1e-14)
        assert_allclose(found.spread, spreads, rtol=precision)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1.7e9, -1e9 / 3, 1e-9 / 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cuts", [(), (1,), (13, 400, 401)])
@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_column_does_not_vary(kind, value, weighted, cuts, dtype):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.full(1000, value), rng.normal(size=1000)]).astype(dtype)
    weight = rng.exponential(size=1000) if weighted else None
    bounds = [0, *cuts, 1000]
    parts = [
        column_moments(kind(X[a:b]), None if weight is None else weight[a:b])
        for a, b in itertools.pairwise(bounds)
    ]
    found = sum(parts[1:], parts[0])
    assert 0.0 <= found.spread[0] <= 1e-26 * found.weight * value**2
    to = standardisation(found, curvature=0.25, penalty=0.0, fit_intercept=True)
    assert to.inverse[0] == 0.0 and to.inverse[1] > 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_have_no_moments(kind):
    found = column_moments(kind(np.empty((0, 3))), None)
    assert found.weight == 0.0
    assert np.array_equal(found.mean, np.zeros(3)) and np.array_equal(found.spread, np.zeros(3))


@given(
    n=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    seed=st.integers(0, 2**32 - 1),
    mean=st.sampled_from([0.0, -3.0, 1e5]),
    zeros=st.booleans(),
    sparse=st.booleans(),
)
def test_moments_of_parts_add_up(n, cuts, seed, mean, zeros, sparse):
    rng = np.random.default_rng(seed)
    X, weight = mean + rng.normal(size=(n, 2)), rng.exponential(size=n)
    if zeros:
        weight[: n // 2] = 0.0
    X = sp.csr_array(X) if sparse else X
    bounds = [0, *sorted(min(cut, n) for cut in cuts), n]
    parts = [column_moments(X[a:b], weight[a:b]) for a, b in itertools.pairwise(bounds)]
    added, whole = sum(parts[1:], parts[0]), column_moments(X, weight)
    assert isinstance(added, Moments)
    assert_allclose(added.weight, whole.weight, rtol=1e-12)
    assert_allclose(added.mean, whole.mean, rtol=1e-12, atol=1e-12)
    assert_allclose(added.spread, whole.spread, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("kind", [*KINDS, np.float32])
@pytest.mark.parametrize(
    ("value", "name"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
@pytest.mark.parametrize("weight", [None, np.array([1.0, 2.0, 0.0, 1.0])])
def test_what_is_not_finite_shows_in_the_moments_and_is_found(kind, value, name, weight):
    X = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, value, 0.0], [value, 0.0, 0.0]])
    found = column_moments(kind(X), weight)
    assert not np.isfinite(found.spread[1])  # also where a weight of zero stands before it
    assert np.isfinite(found.spread[2])
    assert first_non_finite(kind(X)) == (2, 1, name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("weight", [None, np.zeros(2)])
def test_what_is_not_finite_stays_in_sums_of_parts(kind, value, weight):
    bad = column_moments(kind(np.array([[value, 1.0], [value, 2.0]])), weight)
    good = column_moments(kind(np.eye(2)), None)
    for found in (bad + good, good + bad, bad + bad):
        assert not np.isfinite(found.spread[0]) and np.isfinite(found.spread[1])


@pytest.mark.parametrize("kind", KINDS)
def test_squares_may_overflow_without_a_warning(kind):
    X = np.array([[1e200, 1.0], [-1e200, 2.0]])
    found = column_moments(kind(X), None)
    assert found.spread[0] == np.inf and np.isfinite(found.mean).all()
    assert first_non_finite(kind(X)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_finite_values_are_not_reported(kind):
    assert first_non_finite(kind(np.eye(3))) is None
    assert first_non_finite(kind(np.empty((0, 3)))) is None
