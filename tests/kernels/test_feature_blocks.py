"""Column blocks together give the margins and the gradient of the whole."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskml_exec.kernels.feature_blocks import partial_gradient, partial_margins

KINDS = [np.asarray, sp.csr_array, sp.csr_matrix]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@settings(max_examples=20)
@given(
    n=st.integers(0, 7),
    cuts=st.lists(st.integers(1, 5), max_size=3, unique=True),
    K=st.integers(1, 3),
    centred=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_blocks_are_the_whole(kind, dtype, n, cuts, K, centred, seed):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, 6)) * (rng.random((n, 6)) < 0.6)).astype(dtype)
    coef, residual = rng.normal(size=(K, 6)), rng.normal(size=(K, n))
    center = rng.normal(size=6) if centred else None
    bounds = [0, *sorted(cuts), 6]
    margins, gradients = np.zeros((K, n)), []
    for a, b in itertools.pairwise(bounds):
        about = None if center is None else center[a:b]
        margins += partial_margins(kind(X[:, a:b]), coef[:, a:b], about)
        gradients.append(partial_gradient(kind(X[:, a:b]), residual, about))
        assert gradients[-1].dtype == np.float64 and gradients[-1].flags.c_contiguous
    rows = X.astype(np.float64) - (0 if center is None else center)
    assert_allclose(margins, coef @ rows.T, atol=1e-12)
    assert_allclose(np.concatenate(gradients, axis=1), residual @ rows, atol=1e-12)


def test_columns_far_from_zero_keep_their_digits():
    rng = np.random.default_rng(0)
    X, coef, center = rng.normal(size=(20, 3)), rng.normal(size=(1, 3)), np.full(3, 1e9)
    far = X + center
    assert_allclose(partial_margins(far, coef, center), coef @ (far - center).T, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_is_far_too_long_overflows_in_silence(kind):
    X = kind(np.full((2, 2), 1e200))
    assert np.isinf(partial_margins(X, np.full((1, 2), 1e200))).all()
    assert not np.isfinite(partial_gradient(X, np.array([[np.inf, -np.inf]]))).any()


def test_more_rows_than_fit_in_one_piece():
    rng = np.random.default_rng(0)
    X, coef = rng.normal(size=(600_000, 1)), np.array([[2.0]])
    residual = rng.normal(size=(1, len(X)))
    assert_allclose(partial_margins(X, coef), 2 * X.T)
    assert_allclose(partial_gradient(X, residual), residual @ X)
