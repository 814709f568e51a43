import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskml_exec.kernels.moments import Moments, column_moments, first_non_finite

KINDS = [np.asarray, sp.csr_array, sp.csr_matrix]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_are_the_sums_of_the_definition(kind, dtype, weighted):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(97, 6)) * (rng.random((97, 6)) < 0.4)).astype(dtype)
    weight = rng.exponential(size=97) if weighted else None
    w, exact = np.ones(97) if weight is None else weight, X.astype(np.float64)
    found = column_moments(kind(X), weight)
    assert found.first.dtype == found.second.dtype == np.float64
    assert_allclose(found.weight, w.sum())
    assert_allclose(found.first, w @ exact, atol=1e-12)
    assert_allclose(found.second, w @ exact**2, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_have_no_moments(kind):
    found = column_moments(kind(np.empty((0, 3))), None)
    assert found.weight == 0.0
    assert np.array_equal(found.first, np.zeros(3)) and np.array_equal(found.second, np.zeros(3))


@given(n=st.integers(0, 40), cut=st.integers(0, 40), seed=st.integers(0, 2**32 - 1))
def test_moments_of_parts_add_up(n, cut, seed):
    rng = np.random.default_rng(seed)
    X, weight = rng.normal(size=(n, 2)), rng.exponential(size=n)
    whole = column_moments(X, weight)
    added = column_moments(X[:cut], weight[:cut]) + column_moments(X[cut:], weight[cut:])
    assert isinstance(added, Moments)
    for name in ("weight", "first", "second"):
        assert_allclose(getattr(added, name), getattr(whole, name), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("value", "name"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
@pytest.mark.parametrize("weight", [None, np.array([1.0, 2.0, 0.0, 1.0])])
def test_what_is_not_finite_shows_in_the_moments_and_is_found(kind, value, name, weight):
    X = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, value, 0.0], [value, 0.0, 0.0]])
    found = column_moments(kind(X), weight)
    assert not np.isfinite(found.second[1])  # also where a weight of zero stands before it
    assert np.isfinite(found.second[2])
    assert first_non_finite(kind(X)) == (2, 1, name)


@pytest.mark.parametrize("kind", KINDS)
def test_squares_may_overflow_without_a_warning(kind):
    X = np.array([[1e200, 1.0], [-1e200, 2.0]])
    found = column_moments(kind(X), None)
    assert found.second[0] == np.inf and np.isfinite(found.first).all()
    assert first_non_finite(kind(X)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_finite_values_are_not_reported(kind):
    assert first_non_finite(kind(np.eye(3))) is None
    assert first_non_finite(kind(np.empty((0, 3)))) is None
