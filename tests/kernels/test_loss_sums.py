"""Sums of losses and gradients: against differences, and against scikit-learn's own losses."""

from dataclasses import astuple

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime
from sklearn import _loss as oracles
from sklearn.linear_model._linear_loss import LinearModelLoss

from daskml_exec.kernels.block_sizes import sized_blocks
from daskml_exec.kernels.distributions import Gaussian, Poisson
from daskml_exec.kernels.loss_sums import LossSums, loss_sums
from daskml_exec.kernels.losses import BinaryLogistic, Multinomial

LOSSES = {
    "binary": (BinaryLogistic(), oracles.HalfBinomialLoss()),
    "softmax-3": (Multinomial(3), oracles.HalfMultinomialLoss(n_classes=3)),
    "softmax-7": (Multinomial(7), oracles.HalfMultinomialLoss(n_classes=7)),
    "squares": (Gaussian(), oracles.HalfSquaredError()),
    "poisson": (Poisson(), oracles.HalfPoissonLoss()),
}
KINDS = [np.asarray, sp.csr_matrix, sp.csr_array]
NAMES = ("weight", "loss", "coef", "intercept")


@pytest.fixture(params=["compiled", "numpy"])
def loops(request, monkeypatch):
    """With the loops that Numba compiles, where it is installed, and without."""
    if request.param == "numpy":
        monkeypatch.setattr("daskml_exec.kernels.loss_sums.compiled_loops", lambda: None)


def problem(n, d, loss, *, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    K = loss.n_outputs
    y = {
        BinaryLogistic: lambda: rng.integers(0, 2, n),
        Multinomial: lambda: rng.integers(0, K, n),
        Gaussian: lambda: rng.normal(size=n),
        Poisson: lambda: rng.poisson(2.0, n).astype(float),
    }[type(loss)]()
    return (
        rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.5),
        y,
        rng.exponential(size=n),
        scale * rng.normal(size=(K, d)),
        scale * rng.normal(size=K),
    )


def sklearn_sums(oracle, X, y, weight, coef, intercept):
    """Loss and gradients from scikit-learn, whose losses are means over the weights."""
    model = LinearModelLoss(base_loss=oracle, fit_intercept=True)
    flat = np.column_stack([coef, intercept])
    w = np.ones(len(y)) if weight is None else weight
    at = flat[0] if len(coef) == 1 else np.asfortranarray(flat)
    value, gradient = model.loss_gradient(at, X, y.astype(X.dtype), sample_weight=w)
    gradient = gradient.reshape(flat.shape, order="F") * w.sum()
    return value * w.sum(), gradient[:, :-1], gradient[:, -1]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_those_of_scikit_learn(name, weighted, kind):
    loss, oracle = LOSSES[name]
    X, y, weight, coef, intercept = problem(301, 5, loss)
    weight = weight if weighted else None
    sums = loss_sums(loss, kind(X), y, weight, coef, intercept)
    value, grad_coef, grad_intercept = sklearn_sums(oracle, X, y, weight, coef, intercept)
    assert sums.weight == (301 if weight is None else weight.sum())
    assert_allclose(sums.loss, value, rtol=1e-12)
    assert_allclose(sums.coef, grad_coef, rtol=1e-11, atol=1e-11)
    assert_allclose(sums.intercept, grad_intercept, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("loss", [BinaryLogistic(), Multinomial(4), Gaussian(), Poisson()])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_gradient_is_the_slope_of_the_loss(loss, kind):
    X, y, weight, coef, intercept = problem(40, 3, loss)
    shape, size = coef.shape, coef.size

    def value(flat):
        return loss_sums(loss, kind(X), y, weight, flat[:size].reshape(shape), flat[size:]).loss

    slope = approx_fprime(np.concatenate([coef.ravel(), intercept]), value, 1e-7)
    sums = loss_sums(loss, kind(X), y, weight, coef, intercept)
    scale = max(1.0, np.abs(slope).max() / 10)
    assert_allclose(sums.coef.ravel(), slope[:size], atol=2e-5 * scale)
    assert_allclose(sums.intercept, slope[size:], atol=2e-5 * scale)


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES.values()])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.usefixtures("loops")
def test_single_precision_rows_are_summed_in_double(loss, kind):
    X, y, weight, coef, intercept = problem(1000, 4, loss)
    X = X.astype(np.float32)
    single = loss_sums(loss, kind(X), y, weight, coef, intercept)
    double = loss_sums(loss, kind(X.astype(np.float64)), y, weight, coef, intercept)
    assert single.coef.dtype == single.intercept.dtype == np.float64
    assert_allclose(single.coef, double.coef, rtol=1e-12, atol=1e-12)
    assert_allclose(single.loss, double.loss, rtol=1e-13)


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES.values()])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_rows_sum_to_zero(loss, kind, dtype):
    X, y, weight, coef, intercept = problem(0, 4, loss)
    for w in (None, weight):
        sums = loss_sums(loss, kind(X.astype(dtype)), y, w, coef, intercept)
        assert sums.weight == sums.loss == 0.0
        assert sums.coef.shape == coef.shape and not sums.coef.any()
        assert sums.intercept.shape == intercept.shape and not sums.intercept.any()


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES.values()])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@sized_blocks(row_bytes=8 * 4 * 17)
def test_a_center_is_taken_from_each_row(loss, dtype, weighted):
    X, y, weight, coef, intercept = problem(90, 4, loss, scale=0.5)
    weight = weight if weighted else None
    center = np.array([0.5, -1.0, 0.0, 3.0])
    X = (X + center).astype(dtype)
    found = loss_sums(loss, X, y, weight, coef, intercept, center)
    expected = loss_sums(loss, X - center, y, weight, coef, intercept)
    assert astuple(found)[0] == astuple(expected)[0]
    for name in NAMES:
        assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12, atol=1e-12)


def test_a_center_keeps_the_digits_of_columns_far_from_zero():
    rng = np.random.default_rng(0)
    away, center = rng.integers(-1000, 1000, (200, 2)).astype(float), np.array([1.7e9, -1.7e9])
    y, coef = rng.integers(0, 2, 200), np.array([[1e-3, 2e-3]])
    loss = BinaryLogistic()
    found = loss_sums(loss, away + center, y, None, coef, np.zeros(1), center)
    expected = loss_sums(loss, away, y, None, coef, np.zeros(1))
    for name in NAMES:
        assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-13)


@pytest.mark.parametrize("margin", [1e3, 1e8])
def test_extreme_binary_margins_neither_overflow_nor_lose_the_loss(margin):
    X, y = np.array([[margin], [margin], [-margin], [-margin]]), np.array([1, 0, 0, 1])
    sums = loss_sums(BinaryLogistic(), X, y, None, np.ones((1, 1)), np.zeros(1))
    assert sums.loss == 2 * margin
    assert_allclose(sums.coef, [[2 * margin]])


@pytest.mark.parametrize("margin", [1e3, 1e8])
def test_extreme_multinomial_margins_neither_overflow_nor_lose_the_loss(margin):
    X, y = np.array([[margin], [-margin]]), np.array([0, 2])
    coef, loss = np.array([[1.0], [0.0], [-1.0]]), Multinomial(3)
    assert loss_sums(loss, X, y, None, coef, np.zeros(3)).loss == 0.0
    assert loss_sums(loss, X, y[::-1], None, coef, np.zeros(3)).loss == 4 * margin


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("kind", [np.asarray, np.float32, sp.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_poisson_step_that_is_far_too_long_is_not_finite_and_does_not_warn(kind, weighted):
    X = np.array([[1e3, 0.0], [-1e3, 1.0], [0.0, 0.0], [1e3, -2.0]])
    weight = np.array([1.0, 2.0, 1.0, 0.0]) if weighted else None
    sums = loss_sums(Poisson(), kind(X), np.ones(4), weight, np.ones((1, 2)), np.zeros(1))
    assert not np.isfinite(sums.loss)


@given(
    n=st.integers(0, 60),
    cut=st.integers(0, 60),
    name=st.sampled_from(sorted(LOSSES)),
    sparse=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_sums_of_parts_add_up(n, cut, name, sparse, seed):
    loss = LOSSES[name][0]
    X, y, weight, coef, intercept = problem(n, 3, loss, seed=seed)
    X = sp.csr_array(X) if sparse else X
    whole = loss_sums(loss, X, y, weight, coef, intercept)
    head, tail = (
        loss_sums(loss, X[rows], y[rows], weight[rows], coef, intercept)
        for rows in (slice(None, cut), slice(cut, None))
    )
    added = head + tail
    assert isinstance(added, LossSums)
    for field in NAMES:
        assert_allclose(getattr(added, field), getattr(whole, field), rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES.values()])
def test_arguments_are_left_alone(loss):
    X, y, weight, coef, intercept = problem(50, 3, loss)
    center = np.ones(3)
    before = [a.copy() for a in (X, y, weight, coef, intercept, center)]
    loss_sums(loss, X, y, weight, coef, intercept, center)
    loss_sums(loss, X, y, weight, coef, intercept)
    for old, new in zip(before, (X, y, weight, coef, intercept, center), strict=True):
        assert np.array_equal(old, new)


@pytest.mark.parametrize("z", [1.0, 30.0, 37.0, 300.0])
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_rows_predicted_well_keep_their_relative_precision(z, label, n_outputs):
    """The exact loss of two classes is log1p(exp(-z)), and its slope sigmoid(-z)."""
    X = np.array([[z if label else -z]])
    coef = np.array([[1.0]]) if n_outputs == 1 else np.array([[-0.5], [0.5]])
    loss = BinaryLogistic() if n_outputs == 1 else Multinomial(2)
    sums = loss_sums(loss, X, np.array([label]), None, coef, np.zeros(n_outputs))
    assert_allclose(sums.loss, np.log1p(np.exp(-z)), rtol=1e-14)
    assert_allclose(np.abs(sums.intercept), np.exp(-z) / (1 + np.exp(-z)), rtol=1e-14)
