"""The sums of the logistic loss: against differences, and against scikit-learn's own loss."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime
from sklearn._loss import HalfBinomialLoss, HalfMultinomialLoss
from sklearn.linear_model._linear_loss import LinearModelLoss

from daskml_exec.kernels.logistic_loss import LossSums, logistic_sums


def problem(n, d, n_classes, *, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    rows = 1 if n_classes == 2 else n_classes
    return (
        rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.5),
        rng.integers(0, n_classes, n),
        rng.exponential(size=n),
        scale * rng.normal(size=(rows, d)),
        scale * rng.normal(size=rows),
    )


def sklearn_sums(X, y, weight, coef, intercept):
    """Loss and gradients from scikit-learn, whose losses are means over the weights."""
    n_classes = coef.shape[0] if coef.shape[0] > 1 else 2
    loss = HalfBinomialLoss() if n_classes == 2 else HalfMultinomialLoss(n_classes=n_classes)
    model = LinearModelLoss(base_loss=loss, fit_intercept=True)
    flat = np.column_stack([coef, intercept])
    w = np.ones(len(y)) if weight is None else weight
    at = flat[0] if n_classes == 2 else np.asfortranarray(flat)
    value, gradient = model.loss_gradient(at, X, y.astype(X.dtype), sample_weight=w)
    gradient = gradient.reshape(flat.shape, order="F") * w.sum()
    return value * w.sum(), gradient[:, :-1], gradient[:, -1]


@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csr_array])
def test_sums_are_those_of_scikit_learn(n_classes, weighted, kind):
    X, y, weight, coef, intercept = problem(301, 5, n_classes)
    weight = weight if weighted else None
    sums = logistic_sums(kind(X), y, weight, coef, intercept)
    loss, grad_coef, grad_intercept = sklearn_sums(X, y, weight, coef, intercept)
    assert sums.weight == (301 if weight is None else weight.sum())
    assert_allclose(sums.loss, loss, rtol=1e-12)
    assert_allclose(sums.coef, grad_coef, rtol=1e-11, atol=1e-11)
    assert_allclose(sums.intercept, grad_intercept, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_gradient_is_the_slope_of_the_loss(n_classes, kind):
    X, y, weight, coef, intercept = problem(40, 3, n_classes)
    shape, size = coef.shape, coef.size

    def loss(flat):
        at = flat[:size].reshape(shape), flat[size:]
        return logistic_sums(kind(X), y, weight, *at).loss

    slope = approx_fprime(np.concatenate([coef.ravel(), intercept]), loss, 1e-7)
    sums = logistic_sums(kind(X), y, weight, coef, intercept)
    assert_allclose(sums.coef.ravel(), slope[:size], atol=2e-5)
    assert_allclose(sums.intercept, slope[size:], atol=2e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_single_precision_rows_are_summed_in_double(n_classes, kind):
    X, y, weight, coef, intercept = problem(1000, 4, n_classes)
    X = X.astype(np.float32)
    single = logistic_sums(kind(X), y, weight, coef, intercept)
    double = logistic_sums(kind(X.astype(np.float64)), y, weight, coef, intercept)
    assert single.coef.dtype == single.intercept.dtype == np.float64
    assert_allclose(single.coef, double.coef, rtol=1e-12, atol=1e-12)
    assert_allclose(single.loss, double.loss, rtol=1e-13)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_rows_sum_to_zero(n_classes, kind, dtype):
    X, y, weight, coef, intercept = problem(0, 4, n_classes)
    for w in (None, weight):
        sums = logistic_sums(kind(X.astype(dtype)), y, w, coef, intercept)
        assert sums.weight == sums.loss == 0.0
        assert sums.coef.shape == coef.shape and not sums.coef.any()
        assert sums.intercept.shape == intercept.shape and not sums.intercept.any()


@pytest.mark.parametrize("margin", [1e3, 1e8])
def test_extreme_binary_margins_neither_overflow_nor_lose_the_loss(margin):
    X, y = np.array([[margin], [margin], [-margin], [-margin]]), np.array([1, 0, 0, 1])
    sums = logistic_sums(X, y, None, np.ones((1, 1)), np.zeros(1))
    assert sums.loss == 2 * margin
    assert_allclose(sums.coef, [[2 * margin]])


@pytest.mark.parametrize("margin", [1e3, 1e8])
def test_extreme_multinomial_margins_neither_overflow_nor_lose_the_loss(margin):
    X, y = np.array([[margin], [-margin]]), np.array([0, 2])
    coef = np.array([[1.0], [0.0], [-1.0]])
    assert logistic_sums(X, y, None, coef, np.zeros(3)).loss == 0.0
    assert logistic_sums(X, y[::-1], None, coef, np.zeros(3)).loss == 4 * margin


@given(
    n=st.integers(0, 60),
    cut=st.integers(0, 60),
    n_classes=st.integers(2, 4),
    sparse=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_sums_of_parts_add_up(n, cut, n_classes, sparse, seed):
    X, y, weight, coef, intercept = problem(n, 3, n_classes, seed=seed)
    X = sp.csr_array(X) if sparse else X
    whole = logistic_sums(X, y, weight, coef, intercept)
    head, tail = (
        logistic_sums(X[rows], y[rows], weight[rows], coef, intercept)
        for rows in (slice(None, cut), slice(cut, None))
    )
    added = head + tail
    assert isinstance(added, LossSums)
    for name in ("weight", "loss", "coef", "intercept"):
        assert_allclose(getattr(added, name), getattr(whole, name), rtol=1e-12, atol=1e-12)


def test_arguments_are_left_alone():
    X, y, weight, coef, intercept = problem(50, 3, 3)
    before = [a.copy() for a in (X, y, weight, coef, intercept)]
    logistic_sums(X, y, weight, coef, intercept)
    for old, new in zip(before, (X, y, weight, coef, intercept), strict=True):
        assert np.array_equal(old, new)


@pytest.mark.parametrize("z", [1.0, 30.0, 37.0, 300.0])
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_rows_predicted_well_keep_their_relative_precision(z, label, n_outputs):
    """The exact loss of two classes is log1p(exp(-z)), and its slope sigmoid(-z)."""
    X = np.array([[z if label else -z]])
    coef = np.array([[1.0]]) if n_outputs == 1 else np.array([[-0.5], [0.5]])
    sums = logistic_sums(X, np.array([label]), None, coef, np.zeros(n_outputs))
    assert_allclose(sums.loss, np.log1p(np.exp(-z)), rtol=1e-14)
    assert_allclose(np.abs(sums.intercept), np.exp(-z) / (1 + np.exp(-z)), rtol=1e-14)
