import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime

from daskml_exec.kernels.loss_sums import loss_sums
from daskml_exec.kernels.losses import BinaryLogistic, Multinomial
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
    loss = BinaryLogistic() if n_classes == 2 else Multinomial(n_classes)
    shape = (loss.n_outputs, 3 + fit_intercept)

    def sums(point):
        return loss_sums(loss, X, y, None, *to.parameters(point.reshape(shape)))

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
def test_a_constant_column_has_no_coordinate(value, penalty):
    """Its scale is finite and positive all the same, and its coefficient stays zero."""
    X = np.column_stack([np.full(1000, value), np.random.default_rng(0).normal(size=1000)])
    to = coordinates_of(X, fit_intercept=True, penalty=penalty)
    assert to.scale[0] == 1.0 and to.inverse[0] == 0.0
    assert to.inverse[1] == 1.0 / to.scale[1]
    coef, intercept = to.parameters(np.array([[5.0, 1.0, 0.0]]))
    assert coef[0, 0] == 0.0 and np.isfinite(intercept).all()
    assert to.gradient(np.ones((1, 2)), np.ones(1))[0, 0] == 0.0
    assert to.penalty(penalty)[0] == 1.0
    assert not to.far


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_without_an_intercept_only_zeros_have_no_coordinate(value):
    to = coordinates_of(np.full((10, 1), value), fit_intercept=False, penalty=0.5)
    assert to.inverse[0] == (value and 1.0 / np.sqrt(0.75))
    assert np.array_equal(to.center, [0.0]) and not to.far


@pytest.mark.parametrize(("mean", "far"), [(10.0, False), (500.0, False), (1e4, True)])
def test_a_large_mean_is_not_taken_for_constant(mean, far):
    X = np.random.default_rng(3).normal(mean, 1.0, size=(1000, 1))
    to = coordinates_of(X, fit_intercept=True)
    assert_allclose(to.scale, np.sqrt(0.25 * X.var() + 0.01), rtol=1e-9)
    assert to.far == far


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_size_counts_the_coordinates_of_one_output(fit_intercept):
    to = coordinates_of(np.eye(3), fit_intercept=fit_intercept)
    assert to.size == 3 + fit_intercept == len(to.penalty(1.0))
    assert to.parameters(np.zeros((2, to.size)))[0].shape == (2, 3)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_centred_parameters_are_for_rows_less_the_center(n_outputs):
    rng = np.random.default_rng(4)
    X = rng.normal(5.0, size=(50, 3)) * COLUMNS
    to = coordinates_of(X, fit_intercept=True)
    point = rng.normal(size=(n_outputs, 4))
    coef, intercept = to.parameters(point)
    there, about_center = to.parameters(point, centred=True)
    assert np.array_equal(there, coef)
    assert_allclose(
        (X - to.center) @ coef.T + about_center, X @ coef.T + intercept, rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_gradient_of_centred_rows_is_the_gradient(n_classes):
    rng = np.random.default_rng(5)
    X, y = rng.normal(5.0, size=(50, 3)) * COLUMNS, rng.integers(0, n_classes, 50)
    to = coordinates_of(X, fit_intercept=True)
    loss = BinaryLogistic() if n_classes == 2 else Multinomial(n_classes)
    point = rng.normal(size=(loss.n_outputs, 4))
    plain = loss_sums(loss, X, y, None, *to.parameters(point))
    away = loss_sums(loss, X, y, None, *to.parameters(point, centred=True), to.center)
    assert_allclose(away.loss, plain.loss, rtol=1e-11)
    assert_allclose(
        to.gradient(away.coef, away.intercept, centred=True),
        to.gradient(plain.coef, plain.intercept),
        rtol=1e-9,
        atol=1e-9,
    )


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("centred", [True, False])
def test_a_gradient_that_overflowed_stays_so_without_a_warning(fit_intercept, centred):
    X = np.random.default_rng(7).normal(1.0, size=(50, 3)) * COLUMNS * [1.0, 0.0, 1.0]
    to = coordinates_of(X, fit_intercept=fit_intercept)
    found = to.gradient(np.full((1, 3), np.inf), np.full(1, np.inf), centred=centred)
    assert not np.isfinite(found[0, [0, 2]]).any()


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_penalty_is_the_second_derivative_of_the_squared_norm(fit_intercept):
    X = np.random.default_rng(6).normal(1.0, size=(50, 3)) * COLUMNS
    to = coordinates_of(X, fit_intercept=fit_intercept)

    def half_norm(flat):
        coef, _ = to.parameters(flat[None])
        return 0.5 * 7.0 * float((coef**2).sum())

    steps = np.eye(to.size)
    second = [half_norm(s) + half_norm(-s) - 2 * half_norm(0 * s) for s in steps]
    assert_allclose(to.penalty(7.0), second, rtol=1e-12)
