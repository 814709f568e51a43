"""Losses row by row: against differences, and against scikit-learn's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn import _loss as oracles

from daskml_exec.kernels.distributions import Gaussian, Poisson
from daskml_exec.kernels.losses import BinaryLogistic, Multinomial, far_steps, weighted_residuals

LOSSES = {
    "binary": (BinaryLogistic(), oracles.HalfBinomialLoss()),
    "softmax-3": (Multinomial(3), oracles.HalfMultinomialLoss(n_classes=3)),
    "softmax-6": (Multinomial(6), oracles.HalfMultinomialLoss(n_classes=6)),
    "squares": (Gaussian(), oracles.HalfSquaredError()),
    "poisson": (Poisson(), oracles.HalfPoissonLoss()),
}
on_losses = pytest.mark.parametrize("name", LOSSES)


def rows(loss, n, seed=0, scale=2.0):
    """Margins (K, n), targets and weights."""
    rng = np.random.default_rng(seed)
    y = {
        BinaryLogistic: lambda: rng.integers(0, 2, n),
        Multinomial: lambda: rng.integers(0, loss.n_outputs, n),
        Gaussian: lambda: rng.normal(size=n),
        Poisson: lambda: rng.poisson(1.0, n).astype(float),
    }[type(loss)]()
    return scale * rng.normal(size=(loss.n_outputs, n)), y, rng.exponential(size=n)


def residuals(loss, z, y, weight=None):
    """Return the value, and residuals without spoiling the margins."""
    with far_steps():
        return weighted_residuals(loss, z.copy(), y, weight)


def hessian(loss, z):
    """Return each row's second derivatives, shape (n, K, K)."""
    h = loss.curvatures(z)
    if loss.n_outputs == 1:
        return h.T[:, :, None]
    return h.T[:, :, None] * np.eye(len(h)) - np.einsum("kn,ln->nkl", h, h)


@on_losses
@pytest.mark.parametrize("weighted", [False, True])
def test_values_and_residuals_are_those_of_scikit_learn(name, weighted):
    loss, oracle = LOSSES[name]
    z, y, weight = rows(loss, 200)
    weight = weight if weighted else None
    raw = z[0] if loss.n_outputs == 1 else np.ascontiguousarray(z.T)
    of_row, slope = oracle.loss_gradient(y.astype(float), raw, sample_weight=weight)
    value, found = residuals(loss, z, y, weight)
    assert_allclose(value, of_row.sum(), rtol=1e-13)
    assert_allclose(found, np.atleast_2d(slope.T), rtol=1e-12, atol=1e-14)


@on_losses
def test_residuals_are_the_slopes_of_the_loss(name):
    loss, step = LOSSES[name][0], 1e-6
    z, y, weight = rows(loss, 20)
    _, found = residuals(loss, z, y, weight)
    for k, i in np.ndindex(z.shape):
        up, down = z.copy(), z.copy()
        up[k, i] += step
        down[k, i] -= step
        slope = (residuals(loss, up, y, weight)[0] - residuals(loss, down, y, weight)[0]) / 2 / step
        assert_allclose(found[k, i], slope, rtol=1e-6, atol=2e-7)


@on_losses
def test_curvatures_are_the_slopes_of_the_residuals(name):
    loss, step = LOSSES[name][0], 1e-6
    z, y, _ = rows(loss, 50)
    expected = hessian(loss, z)
    for k in range(loss.n_outputs):
        up, down = z.copy(), z.copy()
        up[k] += step
        down[k] -= step
        slope = (residuals(loss, up, y)[1] - residuals(loss, down, y)[1]) / 2 / step
        assert_allclose(expected[:, k, :], slope.T, rtol=1e-6, atol=1e-8)


@on_losses
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-3, 1.0, 30.0]))
def test_every_loss_is_convex(name, seed, scale):
    loss = LOSSES[name][0]
    z, *_ = rows(loss, 5, seed, scale)
    # Of diag(p) - p p' what is left is the difference of terms near one.
    assert np.linalg.eigvalsh(hessian(loss, z)).min() >= -1e-15


@on_losses
def test_curvatures_leave_margins_alone_and_keep_their_dtype(name):
    loss = LOSSES[name][0]
    z, *_ = rows(loss, 50)
    before, single = z.copy(), z.astype(np.float32)
    double = loss.curvatures(z)
    assert np.array_equal(z, before)
    assert loss.curvatures(single).dtype == np.float32
    assert_allclose(loss.curvatures(single), double, rtol=2e-5)


@on_losses
def test_no_rows_have_no_loss(name):
    loss = LOSSES[name][0]
    z, y, weight = rows(loss, 0)
    for w in (None, weight):
        value, found = residuals(loss, z, y, w)
        assert value == 0.0 and found.shape == z.shape
    assert loss.curvatures(z).shape == z.shape


@pytest.mark.parametrize("z", [50.0, 700.0, 1e4, 1e300])
def test_binary_margins_may_be_extreme(z):
    margins, y = np.array([[z, -z, z, -z]]), np.array([1, 0, 0, 1])
    value, found = residuals(BinaryLogistic(), margins, y)
    small = np.exp(-z)
    assert_allclose(value, 2 * z)
    assert_allclose(found, [[-small, small, 1.0, -1.0]], rtol=1e-14)
    assert_allclose(BinaryLogistic().curvatures(margins), [[small] * 4], rtol=1e-14)


@pytest.mark.parametrize("z", [50.0, 700.0, 1e4, 1e300])
def test_multinomial_margins_may_be_extreme(z):
    margins = np.array([[z, z], [0.0, 0.0], [-z, -z]])
    value, found = residuals(Multinomial(3), margins, np.array([0, 2]))
    small = np.exp(-z)
    assert_allclose(value, 2 * z)
    assert_allclose(found, [[-small, 1.0], [small, small], [0.0, -1.0]], rtol=1e-14, atol=1e-40)
    p = Multinomial(3).curvatures(margins)
    assert_allclose(p.sum(axis=0), 1.0)
    assert np.isfinite(p).all()


def test_margins_that_are_equal_are_no_tie_to_break():
    value, found = residuals(Multinomial(3), np.full((3, 2), 7.0), np.array([0, 2]))
    assert_allclose(value, 2 * np.log(3))
    third = 1 / 3
    assert_allclose(found.T, [[third - 1, third, third], [third, third, third - 1]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_poisson_margins_may_overflow_and_vanish_without_a_warning(dtype):
    z, y = np.array([[1e4, -1e4, 0.0]], dtype), np.array([1.0, 0.0, 1.0])
    value, found = residuals(Poisson(), z, y)
    assert value == np.inf
    assert_allclose(found, [[np.inf, 0.0, 0.0]])
    assert_allclose(Poisson().curvatures(z), [[np.inf, 0.0, 1.0]])
    value, _ = residuals(Poisson(), z, y, np.array([0.0, 1.0, 1.0]))
    assert not value < np.inf  # a row that weighs nothing may spoil it, but not flatter it


def test_poisson_is_least_at_the_logarithm_of_the_target():
    y = np.array([0.5, 1.0, 7.0, 1e6])
    value, found = residuals(Poisson(), np.log(y)[None], y)
    assert_allclose(found, 0.0, atol=1e-9)
    assert_allclose(value, (y - y * np.log(y)).sum())
