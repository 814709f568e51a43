"""Sums of Hessians in the coordinates: against differences of the gradients that go with them."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskml_exec.kernels.block_sizes import sized_blocks
from daskml_exec.kernels.distributions import Gaussian, Poisson
from daskml_exec.kernels.hessian_sums import HessianSums, hessian_sums
from daskml_exec.kernels.loss_sums import loss_sums
from daskml_exec.kernels.losses import BinaryLogistic, Multinomial
from daskml_exec.kernels.moments import column_moments
from daskml_exec.kernels.standardisation import standardisation

LOSSES = {
    "binary": BinaryLogistic(),
    "squares": Gaussian(),
    "poisson": Poisson(),
    "softmax-2": Multinomial(2),
    "softmax-3": Multinomial(3),
}
KINDS = [np.asarray, sp.csr_array, sp.csr_matrix]
on_losses = pytest.mark.parametrize("name", LOSSES)


@pytest.fixture(autouse=True)
def small_blocks():
    """Several blocks of rows, the last one not full."""
    with sized_blocks(product_bytes=8 * 5 * 13):
        yield


def problem(loss, n=60, d=4, *, seed=0, fit_intercept=True, constant=False):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) + 1.0) * np.logspace(-2, 2, d) * (rng.random((n, d)) < 0.7)
    if constant:
        X[:, 1] = 3.0 if fit_intercept else 0.0
    to = standardisation(
        column_moments(X, None), curvature=0.25, penalty=0.01, fit_intercept=fit_intercept
    )
    assert constant == (to.inverse[1] == 0.0)
    K = loss.n_outputs
    y = rng.integers(0, max(2, K), n)
    return X, y, rng.exponential(size=n), to, 0.3 * rng.normal(size=(K, to.size))


def by_differences(loss, X, y, weight, to, point, step=1e-5):
    """The slope of the gradient in the coordinates, column by column."""

    def gradient(flat):
        sums = loss_sums(loss, X, y, weight, *to.parameters(flat.reshape(point.shape)))
        return to.gradient(sums.coef, sums.intercept).ravel()

    steps = step * np.eye(point.size)
    flat = point.ravel()
    return np.array([(gradient(flat + s) - gradient(flat - s)) / (2 * step) for s in steps]).T


@on_losses
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("constant", [False, True])
def test_it_is_the_slope_of_the_gradient(name, kind, weighted, fit_intercept, constant):
    loss = LOSSES[name]
    X, y, weight, to, point = problem(loss, fit_intercept=fit_intercept, constant=constant)
    weight = weight if weighted else None
    found = hessian_sums(loss, kind(X), weight, to, point)
    expected = by_differences(loss, X, y, weight, to, point)
    assert found.weight == (60 if weight is None else weight.sum())
    assert found.matrix.dtype == np.float64
    assert_allclose(found.matrix, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


@on_losses
def test_a_column_without_a_coordinate_has_no_second_derivatives(name):
    loss = LOSSES[name]
    X, _, weight, to, point = problem(loss, constant=True)
    found = hessian_sums(loss, X, weight, to, point).matrix
    of_column = np.arange(1, point.size, to.size)
    assert not found[of_column].any() and not found[:, of_column].any()


@on_losses
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_single_precision_is_enough_for_a_model(name, kind, dtype, weighted):
    loss = LOSSES[name]
    X, _, weight, to, point = problem(loss)
    X, weight = kind(X.astype(dtype)), weight if weighted else None
    double = hessian_sums(loss, X, weight, to, point)
    single = hessian_sums(loss, X, weight, to, point, single=True)
    assert single.weight == double.weight
    assert single.matrix.dtype == np.float32 and double.matrix.dtype == np.float64
    assert_allclose(single.matrix, double.matrix, rtol=1e-5, atol=1e-5 * double.matrix.max())
    assert not np.array_equal(single.matrix, double.matrix) or name == "squares"


@pytest.mark.parametrize("single", [False, True])
def test_columns_far_from_zero_keep_their_digits(single):
    """Time stamps: centred before they are scaled, in double precision."""
    rng = np.random.default_rng(0)
    away = rng.integers(-1000, 1000, (300, 2)).astype(float)
    near, far = (
        (X, standardisation(column_moments(X, None), curvature=1, penalty=0, fit_intercept=True))
        for X in (away, away + 1.7e9)
    )
    at = np.zeros((1, 3))
    expected = hessian_sums(Gaussian(), near[0], None, near[1], at).matrix
    found = hessian_sums(Gaussian(), far[0], None, far[1], at, single=single).matrix
    assert_allclose(found, expected, rtol=1e-5 if single else 1e-9, atol=1e-3 if single else 1e-6)


@on_losses
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("single", [False, True])
def test_no_rows_have_no_hessian(name, kind, single):
    loss = LOSSES[name]
    X, _, weight, to, point = problem(loss)
    for w in (None, weight[:0]):
        found = hessian_sums(loss, kind(X[:0]), w, to, point, single=single)
        assert found.weight == 0.0
        assert found.matrix.shape == (point.size, point.size) and not found.matrix.any()


@on_losses
def test_rows_of_weight_zero_count_for_nothing(name):
    loss = LOSSES[name]
    X, _, weight, to, point = problem(loss)
    weight[::3] = 0.0
    found = hessian_sums(loss, X, weight, to, point)
    expected = hessian_sums(loss, X[weight > 0], weight[weight > 0], to, point)
    assert_allclose(found.weight, expected.weight)
    assert_allclose(found.matrix, expected.matrix, atol=1e-12)


@on_losses
@pytest.mark.parametrize("single", [False, True])
def test_margins_may_be_extreme(name, single):
    """What overflows shows as such, and without a warning: solvers then shorten the step."""
    loss = LOSSES[name]
    X, _, weight, to, point = problem(loss)
    found = hessian_sums(loss, X, weight, to, 1e4 * point, single=single).matrix
    assert np.isfinite(found).all() == (name != "poisson")


def test_arguments_are_left_alone():
    X, _, weight, to, point = problem(Multinomial(3))
    before = [a.copy() for a in (X, weight, to.center, to.inverse, point)]
    for loss, at in ((Multinomial(3), point), (BinaryLogistic(), point[:1])):
        hessian_sums(loss, X, weight, to, at)
    for old, new in zip(before, (X, weight, to.center, to.inverse, point), strict=True):
        assert np.array_equal(old, new)


@given(
    n=st.integers(0, 60),
    cut=st.integers(0, 60),
    name=st.sampled_from(sorted(LOSSES)),
    sparse=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_sums_of_parts_add_up(n, cut, name, sparse, seed):
    loss = LOSSES[name]
    X, _, weight, to, point = problem(loss, seed=seed)
    X, weight = sp.csr_array(X[:n]) if sparse else X[:n], weight[:n]
    whole = hessian_sums(loss, X, weight, to, point)
    added = hessian_sums(loss, X[:cut], weight[:cut], to, point) + hessian_sums(
        loss, X[cut:], weight[cut:], to, point
    )
    assert isinstance(added, HessianSums)
    assert_allclose(added.weight, whole.weight)
    assert_allclose(added.matrix, whole.matrix, rtol=1e-10, atol=1e-10)
