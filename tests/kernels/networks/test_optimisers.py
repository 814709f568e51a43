"""Optimisers are their formulas; states may be averaged, and hold no numbers that crawl."""

import array_api_strict as xp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskml_exec.kernels.networks import compiled_updates, optimisers
from daskml_exec.kernels.networks.optimisers import (
    SGD,
    Adam,
    OptimiserState,
    flush_denormals,
    init,
)
from tests.kernels.networks.examples import OPTIMISERS

betas = st.floats(0.0, 0.999)


def after(optimiser, gradients, rate=0.1, start=None):
    parameters = np.zeros(gradients.shape[1], gradients.dtype) if start is None else start.copy()
    state = init(optimiser, len(parameters), parameters.dtype)
    for gradient in gradients:
        optimiser.update(parameters, gradient.copy(), state, rate, np.empty_like(parameters))
    return parameters, state


@given(beta_1=betas, beta_2=betas, steps=st.integers(1, 12), seed=st.integers(0, 2**32))
@settings(max_examples=30)
def test_adam_is_that_of_the_paper(beta_1, beta_2, steps, seed):
    gradients = np.random.default_rng(seed).normal(size=(steps, 3))
    m, v, theta = np.zeros(3), np.zeros(3), np.zeros(3)
    for t, g in enumerate(gradients, start=1):
        m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g**2
        corrections = np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        theta -= 0.1 * corrections * m / (np.sqrt(v) + 1e-8)
    found, state = after(Adam(beta_1, beta_2, 1e-8), gradients)
    assert_allclose(found, theta, rtol=1e-9, atol=1e-12)
    assert_allclose(state.moments, [m, v], rtol=1e-9, atol=1e-12)
    assert_allclose(state.scales, [1 - beta_1**steps, 1 - beta_2**steps], rtol=1e-12)


@pytest.mark.parametrize("rate", [1e-3, 1.0])
def test_first_step_of_adam_is_the_learning_rate(rate):
    gradient = np.array([[1e-3, -5.0, 1e4]])
    found, _ = after(Adam(0.9, 0.999, 1e-12), gradient, rate)
    assert_allclose(found, [-rate, rate, -rate], rtol=1e-6)


def test_momentum_by_hand():
    gradients = np.array([[1.0], [2.0]])
    plain, nothing = after(SGD(0.0, True), gradients)
    heavy, velocity = after(SGD(0.5, False), gradients)
    ahead, _ = after(SGD(0.5, True), gradients)
    assert nothing.moments.shape == (0, 1)
    assert plain == pytest.approx(-0.3)
    assert velocity.moments == pytest.approx(-0.25)  # 0.5 * -0.1 - 0.2
    assert heavy == pytest.approx(-0.1 - 0.25)
    assert ahead == pytest.approx((-0.05 - 0.1) + (-0.125 - 0.2))


@pytest.mark.parametrize("optimiser", OPTIMISERS.values(), ids=OPTIMISERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_devices_take_the_same_steps(optimiser, dtype):
    gradients = np.random.default_rng(0).normal(size=(6, 4)).astype(dtype)
    expected, state = after(optimiser, gradients)
    start = init(optimiser, 4, np.dtype(dtype))
    there = OptimiserState(xp.asarray(start.moments), start.scales)
    parameters = xp.asarray(np.zeros(4, dtype))
    for gradient in gradients:
        scratch = xp.zeros_like(parameters)
        optimiser.update(parameters, xp.asarray(gradient), there, 0.1, scratch)
    near = {"rtol": 1e-12 if dtype == np.float64 else 1e-5, "atol": 1e-6 * (dtype == np.float32)}
    assert_allclose(np.from_dlpack(parameters), expected, **near)
    assert_allclose(np.from_dlpack(there.moments), state.moments, **near)
    assert_allclose(there.scales, state.scales, rtol=1e-15)


def test_copies_are_apart():
    state = init(Adam(0.9, 0.999, 1e-8), 3, np.dtype(np.float32))
    copy = state.copy()
    copy.moments[:], copy.scales[:] = 1, 1
    assert state.moments.dtype == np.float32 and not state.moments.any()
    assert not state.scales.any()


@given(
    steps=st.lists(st.integers(0, 20), min_size=2, max_size=4),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=30)
def test_average_of_states_is_unbiased(steps, seed):
    """Of constant gradients, moment over scale is the gradient, whoever took how many steps."""
    rng = np.random.default_rng(seed)
    weight = rng.dirichlet(np.ones(len(steps)))
    if not any(steps):
        return
    optimiser, gradient = Adam(0.9, 0.99, 1e-8), np.array([0.5, -2.0])
    states = [after(optimiser, np.tile(gradient, (n, 1)).reshape(n, 2))[1] for n in steps]
    moments = sum(w * s.moments for w, s in zip(weight, states, strict=True))
    scales = sum(w * s.scales for w, s in zip(weight, states, strict=True))
    assert_allclose(moments / scales[:, None], [gradient, gradient**2], rtol=1e-9)
    # And a step from the average is one of about the learning rate, as Adam's are.
    parameters = np.zeros(2)
    optimiser.update(parameters, gradient.copy(), OptimiserState(moments, scales), 0.1, np.empty(2))
    assert_allclose(parameters, -0.1 * np.sign(gradient), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flush_takes_what_is_next_to_nothing_and_no_more(dtype):
    first, second = (1e-30, 1e-33) if dtype == np.float32 else (1e-290, 1e-300)
    tiny = float(np.finfo(dtype).tiny)
    moments = np.array(
        [
            [0.0, tiny / 4, first / 2, -first / 2, 2 * first, -2 * first, -1.0],
            [0.0, tiny / 4, second / 2, second / 4, 2 * second, 4 * second, 1.0],
        ],
        dtype,
    )
    state = OptimiserState(moments.copy(), np.ones(2))
    flush_denormals(state, np.empty(7, dtype))
    assert not state.moments[:, :4].any()
    assert np.array_equal(state.moments[:, 4:], moments[:, 4:])


@pytest.mark.parametrize("optimiser", [SGD(0.0, False), SGD(0.9, False)])
def test_flush_of_fewer_moments(optimiser):
    state = init(optimiser, 3, np.dtype(float))
    state.moments[:] = 1e-295
    flush_denormals(state, np.empty(3))
    assert not state.moments.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_step_is_that_of_numpy(dtype, monkeypatch):
    pytest.importorskip("numba", reason="numba is not installed")
    gradients = np.random.default_rng(0).normal(size=(5, 33)).astype(dtype)
    compiled, state = after(OPTIMISERS["adam"], gradients)
    monkeypatch.setattr(optimisers, "compiled_updates", lambda: None)
    plain, there = after(OPTIMISERS["adam"], gradients)
    eps = np.finfo(dtype).eps
    assert compiled.dtype == plain.dtype == dtype
    assert_allclose(compiled, plain, rtol=50 * eps, atol=50 * eps)
    assert_allclose(state.moments, there.moments, rtol=50 * eps, atol=50 * eps)


def test_absent_numba_is_found_out(monkeypatch):
    monkeypatch.setattr(compiled_updates.importlib.util, "find_spec", lambda name: None)
    compiled_updates.compiled_updates.cache_clear()
    try:
        assert compiled_updates.compiled_updates() is None
    finally:
        compiled_updates.compiled_updates.cache_clear()
