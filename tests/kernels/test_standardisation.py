import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime

from daskml_exec.kernels.logistic_loss import logistic_sums
from daskml_exec.kernels.moments import column_moments
from daskml_exec.kernels.standardisation import standardisation

COLUMNS = np.array([1e-6, 1.0, 1e5])


def coordinates_of(X, *, fit_intercept, penalty=0.01, curvature=0.25, weight=None):
    return standardisation(
        column_moments(X, weight), curvature=curvature, penalty=penalty, fit_intercept=fit_intercept
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    n_outputs=st.integers(1, 4),
    fit_intercept=st.booleans(),
    penalty=st.sampled_from([0.0, 1e-3, 10.0]),
)
def test_point_and_parameters_are_inverse(seed, n_outputs, fit_intercept, penalty):
    rng = np.random.default_rng(seed)
    X = rng.normal(1.0, size=(20, 3)) * COLUMNS
    to = coordinates_of(X, fit_intercept=fit_intercept, penalty=penalty)
    point = rng.normal(size=(n_outputs, 3 + fit_intercept))
    coef, intercept = to.parameters(point)
    assert coef.shape == (n_outputs, 3) and intercept.shape == (n_outputs,)
    assert_allclose(to.point(coef, intercept), point, rtol=1e-9, atol=1e-9)
    assert fit_intercept or not intercept.any()


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradient_obeys_the_chain_rule(fit_intercept, n_classes):
    rng = np.random.default_rng(1)
    X, y = rng.normal(1.0, size=(50, 3)) * COLUMNS, rng.integers(0, n_classes, 50)
    to = coordinates_of(X, fit_intercept=fit_intercept)
    shape = (1 if n_classes == 2 else n_classes, 3 + fit_intercept)

    def sums(point):
        return logistic_sums(X, y, None, *to.parameters(point.reshape(shape)))

    at = rng.normal(size=shape)
    found = sums(at)
    gradient = to.gradient(found.coef, found.intercept)
    slope = approx_fprime(at.ravel(), lambda flat: sums(flat).loss, 1e-7)
    assert gradient.shape == shape
    assert_allclose(gradient.ravel(), slope, atol=1e-4)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_scales_are_the_square_roots_of_the_curvature(fit_intercept):
    rng = np.random.default_rng(2)
    X, weight = rng.normal(3.0, size=(200, 3)) * COLUMNS, rng.exponential(size=200)
    to = coordinates_of(X, fit_intercept=fit_intercept, weight=weight, penalty=0.5)
    mean = np.average(X, axis=0, weights=weight) if fit_intercept else np.zeros(3)
    spread = np.average((X - mean) ** 2, axis=0, weights=weight)
    assert_allclose(to.scale, np.sqrt(0.25 * spread + 0.5), rtol=1e-9)
    assert_allclose(to.center, mean)
    assert to.intercept_scale == 0.5


@pytest.mark.parametrize("value", [0.0, 1.0, 1e9 / 3, -1e-9 / 3])
@pytest.mark.parametrize("penalty", [0.0, 1e-8])
def test_a_constant_column_has_a_finite_positive_scale(value, penalty):
    X = np.full((1000, 1), value)
    to = coordinates_of(X, fit_intercept=True, penalty=penalty)
    assert to.scale[0] == (np.sqrt(penalty) or 1.0)


def test_a_large_mean_is_not_taken_for_constant():
    X = np.random.default_rng(3).normal(1e4, 1.0, size=(1000, 1))
    assert_allclose(coordinates_of(X, fit_intercept=True).scale, np.sqrt(0.26), rtol=0.1)
