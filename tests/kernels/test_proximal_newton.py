"""The search as an explicit state, driven by hand."""

import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression

from daskml_exec.kernels import proximal_newton
from daskml_exec.kernels.coordinate_descent import coordinate_descent
from daskml_exec.kernels.loss_sums import loss_sums
from daskml_exec.kernels.losses import BinaryLogistic


def minimise(function, matrix, point, l1, *, tol, evaluations=300):
    """Run the search to its end; return it and the values of the accepted points."""
    state, values = proximal_newton.start(np.asarray(point, dtype=float), l1), []
    for _ in range(evaluations):
        if state.done:
            break
        if state.needs_direction:
            state = proximal_newton.steer(state, matrix)
        before = state.n_iter
        state = proximal_newton.advance(state, *function(state.trial), tol)
        if state.n_iter > before or not values:
            values.append(state.value)
    return state, values


def logistic(n, d, seed=0):
    """Return a mean loss of rows, its Hessian at zero, the rows and their labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 0.5 * rng.normal(size=(n, 1))
    w = np.where(rng.random(d) < 0.4, rng.normal(size=d), 0.0)
    y = (X @ w + rng.logistic(size=n) > 0).astype(np.intp)

    def function(w):
        sums = loss_sums(BinaryLogistic(), X, y, None, w[None], np.zeros(1))
        return sums.loss / n, sums.coef[0] / n

    return function, 0.25 * X.T @ X / n, X, y


@pytest.mark.parametrize("matrix", ["whole", "sample", "identity"])
def test_logistic_with_a_hessian_taken_once(matrix):
    n, d, strength = 2000, 12, 0.02
    function, hessian, X, y = logistic(n, d)
    if matrix == "sample":
        hessian = 0.25 * X[::10].T @ X[::10] / len(X[::10])
    if matrix == "identity":
        hessian = np.eye(d)
    state, values = minimise(function, hessian, np.zeros(d), np.full(d, strength), tol=1e-11)
    assert state.converged
    assert np.diff(values).max() <= 1e-10
    model = LogisticRegression(
        solver="saga", l1_ratio=1.0, C=1 / (n * strength), fit_intercept=False, tol=1e-12
    )
    model.set_params(max_iter=100_000, random_state=0).fit(X, y)
    assert_allclose(state.point, model.coef_[0], atol=1e-8)
    assert_array_equal(state.point != 0, model.coef_[0] != 0)
    assert 0 < np.count_nonzero(state.point) < d
    if matrix == "sample":
        assert state.n_iter <= 12


@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 6))
def test_the_memory_makes_any_matrix_know_its_last_step(seed, d):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(d + 2, d))
    true, matrix = factor.T @ factor + np.eye(d), np.diag(rng.uniform(0.5, 2.0, size=d))
    steps = [rng.normal(size=d) for _ in range(3)]
    changes = [true @ s for s in steps]
    corrected = proximal_newton.with_memory(matrix, steps, changes)
    assert_allclose(corrected @ steps[-1], changes[-1], rtol=1e-8, atol=1e-8)
    assert np.linalg.eigvalsh(corrected).min() > 0
    assert_array_equal(matrix, np.diag(np.diagonal(matrix)))


def test_a_quadratic_takes_one_step():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(30, 8))
    Q, c, l1 = factor.T @ factor / 30, rng.normal(size=8), np.full(8, 0.3)

    def function(w):
        return 0.5 * w @ Q @ w - c @ w, Q @ w - c

    state, _ = minimise(function, Q, np.ones(8), l1, tol=1e-12)
    assert state.converged
    assert state.n_iter == 1
    assert_allclose(state.point, coordinate_descent(Q, c, l1), atol=1e-13)


def test_a_step_that_is_too_long_is_shortened():
    function, hessian, _, _ = logistic(500, 5)
    l1 = np.full(5, 0.01)
    state, _ = minimise(function, 1e-3 * hessian, np.zeros(5), l1, tol=1e-10)
    expected, _ = minimise(function, hessian, np.zeros(5), l1, tol=1e-10)
    assert state.converged
    assert_allclose(state.point, expected.point, atol=1e-8)


def test_only_some_coordinates_move():
    function, hessian, _, _ = logistic(500, 6)
    columns = np.array([1, 4])
    state = proximal_newton.start(np.zeros(6), np.full(6, 0.01))
    state = proximal_newton.advance(state, *function(state.trial), 1e-10)
    state = proximal_newton.steer(state, hessian[np.ix_(columns, columns)], columns)
    assert set(np.flatnonzero(state.trial)) <= {1, 4}
    assert state.trial.any()


def test_values_that_are_no_numbers_shorten_the_step():
    state = proximal_newton.start(np.ones(2), np.full(2, 0.1))
    state = proximal_newton.advance(state, 1.0, np.ones(2), 1e-10)
    state = proximal_newton.steer(state, np.eye(2))
    worse = proximal_newton.advance(state, np.inf, np.full(2, np.nan), 1e-10)
    assert worse.step == pytest.approx(0.1 * state.step)
    for _ in range(40):
        worse = proximal_newton.advance(worse, np.inf, np.full(2, np.nan), 1e-10)
        if worse.done:
            break
    assert worse.stuck
    assert_array_equal(worse.point, np.ones(2))


def test_states_travel():
    function, hessian, _, _ = logistic(100, 3)
    state, _ = minimise(function, hessian, np.zeros(3), np.full(3, 0.05), tol=1e-10)
    again = pickle.loads(pickle.dumps(state))
    assert_array_equal(again.point, state.point)
    with pytest.raises(FrozenInstanceError):
        state.step = 1.0
    assert replace(state, step=0.5).step == 0.5
