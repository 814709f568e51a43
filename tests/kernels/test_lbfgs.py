"""The search as an explicit state, driven by hand."""

import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskml_exec.kernels import lbfgs
from daskml_exec.kernels.loss_sums import loss_sums
from daskml_exec.kernels.losses import BinaryLogistic


def minimise(function, point, *, tol, evaluations=2000, preconditioner=None):
    """Run the search to its end; return it and the values of the accepted points."""
    state, values = lbfgs.start(np.asarray(point, dtype=float)), []
    for _ in range(evaluations):
        if state.done:
            break
        if state.needs_direction:
            inner = None if preconditioner is None else preconditioner(lbfgs.residual(state))
            state = lbfgs.steer(state, inner)
        before = state.n_iter
        state = lbfgs.advance(state, *function(state.trial), tol)
        if state.n_iter > before or not values:
            values.append(state.value)
    return state, values


def quadratic(hessian, minimum, offset=0.0):
    def function(x):
        gradient = hessian @ (x - minimum)
        return offset + 0.5 * float((x - minimum) @ gradient), gradient

    return function


def log_cosh(x):
    """Convex, flat far from the minimum: a first step of length one is far too short there."""
    return float(np.logaddexp(x, -x).sum()), np.tanh(x)


def quartic(x):
    """Convex with a Hessian that vanishes at the minimum."""
    return float((x**4).sum()) / 4 + 0.5 * float(x @ x) * 1e-3, x**3 + 1e-3 * x


def exponential(x):
    """Convex and steep: a step that is too long overflows."""
    with np.errstate(over="ignore"):
        return float(np.exp(x).sum() + np.exp(-x).sum()), np.exp(x) - np.exp(-x)


def logistic(seed=0, n=200, d=5, penalty=1e-3, scale=1.0):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)) * scale, rng.integers(0, 2, n)

    def function(w):
        sums = loss_sums(BinaryLogistic(), X, y, None, w[None], np.zeros(1))
        value = sums.loss / n + 0.5 * penalty * float(w @ w)
        return value, sums.coef[0] / n + penalty * w

    return function


@pytest.mark.parametrize(
    ("function", "point"),
    [
        pytest.param(quadratic(np.eye(4), np.arange(4.0)), np.zeros(4), id="sphere"),
        pytest.param(quadratic(np.diag([1.0, 1e4]), np.ones(2)), [50.0, -3.0], id="narrow"),
        pytest.param(
            quadratic(np.diag(np.logspace(0, 6, 8)), np.ones(8)), np.zeros(8), id="very-narrow"
        ),
        pytest.param(quadratic(np.diag([1e-7, 2e-7]), np.ones(2)), [1e6, 3.0], id="flat"),
        pytest.param(quadratic(np.eye(2), np.ones(2), offset=1e6), [30.0, 4.0], id="large-offset"),
        pytest.param(log_cosh, [30.0, -2.0], id="log-cosh"),
        pytest.param(quartic, [10.0, -1e3], id="quartic"),
        pytest.param(exponential, [20.0, -5.0], id="exponential"),
        pytest.param(logistic(), np.zeros(5), id="logistic"),
        pytest.param(logistic(penalty=1e-6), np.full(5, 100.0), id="logistic-far"),
        pytest.param(logistic(scale=np.logspace(-2, 2, 5)), np.zeros(5), id="logistic-scales"),
    ],
)
def test_converges_and_never_rises(function, point):
    state, values = minimise(function, point, tol=1e-12)
    assert state.converged and not state.stuck
    assert state.gradient_norm <= 1e-12
    assert_allclose(function(state.point)[1], state.gradient)
    # Where differences of values are rounding, the slopes decide, and they may lie by that much.
    rounding = 1e-10 * np.abs(values[:-1])
    assert (np.diff(values) <= rounding).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    d=st.integers(1, 6),
    condition=st.floats(0, 6),
    distance=st.floats(-3, 6),
)
def test_any_convex_quadratic_is_minimised_monotonically(seed, d, condition, distance):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
    hessian = basis @ np.diag(10 ** rng.uniform(-condition, 0, d)) @ basis.T
    minimum = rng.normal(size=d)
    function = quadratic((hessian + hessian.T) / 2, minimum, offset=1.0)
    state, values = minimise(function, minimum + 10**distance * rng.normal(size=d), tol=1e-9)
    assert state.converged
    assert (np.diff(values) <= 1e-10 * np.abs(values[:-1])).all()


@given(seed=st.integers(0, 2**32 - 1), distance=st.integers(-9, 2))
def test_a_logistic_loss_is_minimised_from_anywhere(seed, distance):
    start = 10.0**distance * np.random.default_rng(seed).normal(size=5)
    state, _ = minimise(logistic(seed, n=40, penalty=1e-2), start, tol=1e-12)
    assert state.converged


@pytest.mark.parametrize("offset", [1.0, 1e3])
def test_converges_where_differences_of_values_are_rounding(offset):
    """From 1e-9 beside the minimum no step changes the value by more than its last bits."""
    hessian, minimum = np.diag([1.0, 30.0, 900.0]), np.array([1.0, -2.0, 3.0])
    function = quadratic(hessian, minimum, offset)
    start = minimum + 1e-9 * np.array([1.0, -1.0, 1.0])
    assert abs(function(start)[0] - function(minimum)[0]) <= 4 * np.spacing(offset)
    state, _ = minimise(function, start, tol=1e-13)
    assert state.converged and state.n_iter > 1


def test_the_value_may_be_noise_near_the_minimum():
    """Sums over partitions carry noise of some bits; the gradient's precision is what counts."""
    rng, function = np.random.default_rng(0), logistic(penalty=1e-2)

    def noisy(w):
        value, gradient = function(w)
        return value * (1 + 1e-14 * rng.normal()), gradient

    state, _ = minimise(noisy, np.zeros(5), tol=1e-14)
    assert state.converged


def test_starts_at_the_minimum():
    state, values = minimise(quadratic(np.eye(2), np.ones(2)), np.ones(2), tol=1e-12)
    assert state.converged and state.n_iter == 0 and values == [0.0]


def test_an_exact_inverse_as_preconditioner_needs_one_step():
    hessian = np.diag([1.0, 1e3, 1e6])
    function, inverse = quadratic(hessian, np.ones(3)), np.linalg.inv(hessian)
    state, _ = minimise(function, np.zeros(3), tol=1e-8, preconditioner=lambda q: inverse @ q)
    assert state.converged and state.n_iter == 1


def test_the_memory_makes_up_for_a_preconditioner_that_is_off():
    curvature = np.logspace(0, 6, 40)
    error = np.linspace(0.5, 2.0, 40)
    function = quadratic(np.diag(curvature), np.ones(40))
    good, _ = minimise(
        function, np.zeros(40), tol=1e-8, preconditioner=lambda q: error * q / curvature
    )
    none, _ = minimise(function, np.zeros(40), tol=1e-8)
    assert good.converged and 2 * good.n_iter < none.n_iter


def test_a_preconditioner_that_points_uphill_is_not_followed():
    state, values = minimise(logistic(), np.ones(5), tol=1e-10, preconditioner=lambda q: -q)
    assert state.converged and (np.diff(values) <= 1e-10).all()


def test_steer_with_the_residual_itself_is_the_unscaled_identity():
    value, gradient = quadratic(np.eye(2), np.zeros(2))(np.ones(2))
    state = lbfgs.advance(lbfgs.start(np.ones(2)), value, gradient, 0)
    assert np.array_equal(lbfgs.residual(state), state.gradient)
    assert np.array_equal(lbfgs.steer(state, lbfgs.residual(state)).trial, np.zeros(2))


def test_a_function_whose_gradient_lies_gets_stuck_and_says_so():
    """No step lowers the value: the search gives up instead of going on for ever."""
    state, _ = minimise(lambda x: (float(x @ x), -2 * x), np.ones(2), tol=1e-12)
    assert state.stuck and state.done and not state.converged
    assert np.array_equal(state.point, state.trial)
    assert np.array_equal(state.point, np.ones(2))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_steps_to_where_the_function_is_not_finite_are_shortened(bad):
    def function(x):
        if abs(x[0]) > 2.0:
            return bad, np.full(1, bad)
        return float(np.cosh(x[0] - 1.0)), np.sinh(x - 1.0)

    state, _ = minimise(function, [-1.9], tol=1e-12)
    assert state.converged
    assert_allclose(state.point, 1.0)


@pytest.mark.parametrize("memory", [1, 3, 7])
def test_memory_holds_the_last_steps(memory):
    hessian = np.diag(np.logspace(0, 3, 20))
    function = quadratic(hessian, np.ones(20))
    state, points = lbfgs.start(np.zeros(20), memory=memory), [np.zeros(20)]
    while not state.done:
        if state.needs_direction:
            state = lbfgs.steer(state)
        state = lbfgs.advance(state, *function(state.trial), 1e-10)
        if not np.array_equal(state.point, points[-1]):
            points.append(state.point)
            assert len(state.steps) == min(memory, state.n_iter)
    assert state.converged and state.n_iter > memory
    assert np.array_equal(state.steps, np.diff(points, axis=0)[-memory:])
    assert_allclose(state.changes, np.array(state.steps) @ hessian, rtol=1e-6, atol=1e-9)


def test_forget_takes_the_memory_and_nothing_else():
    function = logistic()
    state = lbfgs.start(np.ones(5), memory=4)
    while state.n_iter < 3:
        if state.needs_direction:
            state = lbfgs.steer(state)
        state = lbfgs.advance(state, *function(state.trial), 0.0)
    forgetful = lbfgs.forget(state)
    assert len(state.steps) == 3 and forgetful.steps == forgetful.changes == ()
    for name in ("trial", "point", "value", "gradient", "n_iter", "memory", "converged", "stuck"):
        assert getattr(forgetful, name) is getattr(state, name)
    # What is steered by then is the new inverse Hessian alone.
    assert np.array_equal(lbfgs.residual(forgetful), state.gradient)
    steered = lbfgs.steer(forgetful, 0.1 * state.gradient)
    assert_allclose(steered.trial, state.point - 0.1 * state.gradient)


def test_a_search_that_forgets_on_the_way_converges_all_the_same():
    function, state = logistic(penalty=1e-2), lbfgs.start(np.ones(5))
    while not state.done:
        if state.needs_direction:
            state = lbfgs.steer(lbfgs.forget(state) if state.n_iter % 3 == 0 else state)
        state = lbfgs.advance(state, *function(state.trial), 1e-12)
    through, _ = minimise(function, np.ones(5), tol=1e-12)
    assert state.converged
    assert_allclose(state.point, through.point, rtol=1e-9, atol=1e-10)


def test_memory_is_bounded():
    hessian = np.diag(np.logspace(0, 3, 60))
    state, _ = minimise(quadratic(hessian, np.ones(60)), np.zeros(60), tol=1e-10)
    assert state.n_iter > lbfgs.MEMORY
    assert state.converged and len(state.steps) == len(state.changes) == lbfgs.MEMORY


def test_matrices_are_points_too():
    target = np.arange(6.0).reshape(2, 3)
    state, _ = minimise(
        lambda x: (0.5 * float(np.vdot(x - target, x - target)), x - target),
        np.zeros((2, 3)),
        tol=1e-12,
    )
    assert state.converged and state.point.shape == (2, 3)


def test_the_state_is_immutable_and_goes_on_after_a_pickle():
    function = logistic()
    state = lbfgs.start(np.zeros(5))
    while not state.done:
        if state.needs_direction:
            state = lbfgs.steer(state)
        state = lbfgs.advance(pickle.loads(pickle.dumps(state)), *function(state.trial), 1e-12)
    through, _ = minimise(function, np.zeros(5), tol=1e-12)
    assert np.array_equal(state.point, through.point) and state.n_iter == through.n_iter
    with pytest.raises(FrozenInstanceError):
        state.n_iter = 0
    assert replace(state, n_iter=0).n_iter == 0
