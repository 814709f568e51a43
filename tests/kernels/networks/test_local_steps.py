"""Local training is the loop that it says, in memory that does not grow with the steps."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from daskml_exec.kernels.networks import optimisers
from daskml_exec.kernels.networks.local_steps import train_locally
from daskml_exec.kernels.networks.optimisers import SGD, Adam, init
from tests.kernels.networks.examples import (
    N_OUTPUTS,
    OPTIMISERS,
    example,
    loss_and_gradient,
    odd,
)
from tests.tiers import each_pair

RATE, PENALTY, BATCH = 0.02, 0.3, 16

with_optimisers = pytest.mark.parametrize("optimiser", OPTIMISERS.values(), ids=OPTIMISERS)
with_outputs = pytest.mark.parametrize("output", N_OUTPUTS)
weighted_or_not = pytest.mark.parametrize("weighted", [False, True])


def trained(e, optimiser, weight=None, *, rows=None, batch=BATCH, state=None, penalty=PENALTY):
    """Return parameters, state and sums; nothing that is given changes."""
    parameters = e.parameters.copy()
    state = init(optimiser, len(parameters), parameters.dtype) if state is None else state.copy()
    sums = train_locally(
        e.network,
        optimiser,
        e.X,
        e.y,
        weight,
        rows=np.arange(e.X.shape[0]) if rows is None else rows,
        batch=batch,
        parameters=parameters,
        state=state,
        learning_rate=RATE,
        penalty=penalty,
    )
    return parameters, state, sums


def written_out(e, optimiser, weight, rows, batch):
    """The same steps, as a textbook has them."""
    theta = e.parameters.copy()
    m, v, t = np.zeros_like(theta), np.zeros_like(theta), 0
    total_loss = seen = 0.0
    for start in range(0, len(rows), batch):
        chosen = rows[start : start + batch]
        s = np.ones(len(chosen)) if weight is None else weight[chosen]
        if not s.sum():
            continue
        loss, g = loss_and_gradient(e.network, theta, e.X[chosen], e.y[chosen], s, PENALTY)
        total_loss, seen, t = total_loss + s.sum() * loss, seen + s.sum(), t + 1
        if isinstance(optimiser, Adam):
            b1, b2 = optimiser.beta_1, optimiser.beta_2
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            rate = RATE * np.sqrt(1 - b2**t) / (1 - b1**t)
            theta = theta - rate * m / (np.sqrt(v) + optimiser.epsilon)
        else:
            mu = optimiser.momentum
            m = mu * m - RATE * g
            theta = theta + (mu * m - RATE * g if optimiser.nesterov else m)
    return theta, total_loss, seen, t


@with_optimisers
@with_outputs
@weighted_or_not
@pytest.mark.parametrize("shuffled", [False, True])
def test_is_the_loop_written_out(optimiser, output, weighted, shuffled):
    e = example(output)
    weight = e.weight if weighted else None
    rows = np.random.default_rng(1).permutation(60) if shuffled else np.arange(60)
    parameters, _, sums = trained(e, optimiser, weight, rows=rows)
    expected, loss, seen, steps = written_out(e, optimiser, weight, rows, BATCH)
    assert 60 % BATCH and sums.steps == steps == 4  # the last batch is smaller
    assert_allclose(parameters, expected, rtol=1e-11, atol=1e-13)
    assert sums.loss == pytest.approx(loss, rel=1e-12)
    assert sums.weight == pytest.approx(seen, rel=1e-13)


@with_optimisers
@with_outputs
def test_single_precision_differs_by_rounding(optimiser, output):
    e = example(output, "tanh")
    double, _, sums = trained(e, optimiser, e.weight)
    single = e.astype(np.float32)
    found, state, there = trained(single, optimiser, single.weight)
    assert found.dtype == state.moments.dtype == np.float32
    assert_allclose(found, double, rtol=1e-4, atol=1e-4)
    assert there.loss == pytest.approx(sums.loss, rel=1e-5)


@with_optimisers
@with_outputs
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shuffled", [False, True])
def test_rows_at_odd_addresses_are_rows(optimiser, output, dtype, shuffled):
    e = example(output).astype(dtype)
    rows = np.random.default_rng(1).permutation(60) if shuffled else np.arange(3, 60)
    expected, _, sums = trained(e, optimiser, e.weight, rows=rows)
    there = e._replace(X=odd(e.X), y=odd(e.y))
    found, _, sums_there = trained(there, optimiser, odd(e.weight), rows=rows)
    assert np.array_equal(found, expected) and sums_there == sums


@with_optimisers
def test_consecutive_rows_are_chosen_rows(optimiser):
    e = example()
    order = np.random.default_rng(2).permutation(60)
    consecutive = e._replace(X=e.X[order], y=e.y[order])
    expected, _, sums = trained(consecutive, optimiser, e.weight[order])
    found, _, there = trained(e, optimiser, e.weight, rows=order)
    assert np.array_equal(found, expected) and there == sums


@with_outputs
def test_neither_gaps_nor_repeats_are_taken_for_consecutive_rows(output):
    e = example(output)
    for rows in ([0, 1, 1, 3], [0, 2, 1, 3], [5, 4, 3, 2], [0, 3, 0, 3]):
        rows = np.array(rows)
        found, _, _ = trained(e, SGD(0.0, False), e.weight, rows=rows, batch=3)
        expected, *_ = written_out(e, SGD(0.0, False), e.weight, rows, 3)
        assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@with_optimisers
@weighted_or_not
def test_sparse_rows_are_dense_rows(optimiser, weighted):
    e = example()
    weight = e.weight if weighted else None
    rows = np.random.default_rng(1).permutation(60)
    expected, _, sums = trained(e, optimiser, weight, rows=rows)
    found, _, there = trained(e._replace(X=sp.csr_array(e.X)), optimiser, weight, rows=rows)
    assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert there.loss == pytest.approx(sums.loss, rel=1e-12)


@with_optimisers
def test_rows_without_weight_are_rows_removed(optimiser):
    e = example()
    weight = e.weight.copy()
    weight[::4] = 0
    rows = np.arange(60)
    found, _, sums = trained(e, optimiser, weight, rows=rows, batch=20)
    # Without them 15 rows of each batch of 20 are left.
    expected, _, there = trained(e, optimiser, weight, rows=rows[weight > 0], batch=15)
    assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
    assert sums.steps == there.steps and sums.loss == pytest.approx(there.loss, rel=1e-12)


@with_optimisers
def test_batches_without_weight_are_no_steps(optimiser):
    e = example()
    weight = e.weight.copy()
    weight[16:32] = 0
    found, state, sums = trained(e, optimiser, weight)
    left = np.r_[0:16, 32:60]
    expected, there, sums_there = trained(e, optimiser, weight, rows=left)
    assert sums == sums_there and sums.steps == 3
    assert np.array_equal(found, expected) and np.array_equal(state.scales, there.scales)


@with_optimisers
def test_no_weight_at_all_changes_nothing(optimiser):
    e = example()
    parameters, state, sums = trained(e, optimiser, np.zeros(60))
    assert np.array_equal(parameters, e.parameters) and not state.moments.any()
    assert (sums.loss, sums.weight, sums.steps) == (0.0, 0.0, 0)


@with_optimisers
def test_steps_may_be_taken_in_several_calls(optimiser):
    e = example()
    expected, state, _ = trained(e, optimiser)
    halfway, between, _ = trained(e, optimiser, rows=np.arange(32))
    found, there, _ = trained(
        e._replace(parameters=halfway), optimiser, rows=np.arange(32, 60), state=between
    )
    assert np.array_equal(found, expected)
    assert np.array_equal(there.moments, state.moments)
    assert np.array_equal(there.scales, state.scales)


@with_optimisers
def test_repeats_to_the_bit(optimiser):
    e = example().astype(np.float32)
    one, other = (trained(e, optimiser, e.weight) for _ in range(2))
    assert np.array_equal(one[0], other[0]) and one[2] == other[2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_with_and_without_numba(dtype, monkeypatch):
    pytest.importorskip("numba", reason="numba is not installed")
    e = example().astype(dtype)
    optimiser = OPTIMISERS["adam"]
    compiled, state, _ = trained(e, optimiser, e.weight)
    monkeypatch.setattr(optimisers, "compiled_updates", lambda: None)
    plain, there, _ = trained(e, optimiser, e.weight)
    again, _, _ = trained(e, optimiser, e.weight)
    eps = np.finfo(dtype).eps
    # A moment near zero is a difference: its rounding is that of what it was taken from.
    assert_allclose(compiled, plain, rtol=1e3 * eps, atol=1e3 * eps)
    assert_allclose(state.moments, there.moments, rtol=1e3 * eps, atol=1e2 * eps)
    assert np.array_equal(plain, again)


@pytest.mark.parametrize("order", ["consecutive", "permuted", "odd addresses"])
def test_memory_does_not_grow_with_the_steps(order):
    e = example(n=2000, d=50, hidden=(20,)).astype(np.float32)
    optimiser = OPTIMISERS["adam"]
    rows = np.arange(2000) if order != "permuted" else np.random.default_rng(0).permutation(2000)
    if order == "odd addresses":
        e = e._replace(X=odd(e.X), y=odd(e.y))

    def peak(n):
        chosen = rows[:n].copy()
        parameters = e.parameters.copy()
        state = init(optimiser, len(parameters), parameters.dtype)
        arguments = {"batch": 100, "parameters": parameters, "state": state, "penalty": 0.1}
        tracemalloc.start()
        try:
            train_locally(
                e.network, optimiser, e.X, e.y, None, rows=chosen, learning_rate=0.01, **arguments
            )
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # What is counted is the whole process: threads that other tests have left can only add to it.
    few, many = (min(peak(n) for _ in range(5)) for n in (200, 2000))
    batch = 100 * 50 * 4
    # Nine bytes a row tell whether rows are consecutive.
    assert many <= few + 9 * 1800 + 0.25 * batch
    assert many < e.X.nbytes / 2


@each_pair(
    dtype=[np.float32, np.float64],
    name=["adam", "momentum", "nesterov"],
    compiled=[True, False],
)
def test_constant_inputs_leave_no_subnormal_moments(dtype, name, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(optimisers, "compiled_updates", lambda: None)
    e = example("identity", "relu", (4,), n=64).astype(dtype)
    optimiser = Adam(0.9, 0.9, 1e-8) if name == "adam" else OPTIMISERS[name]
    _, state, _ = trained(e, optimiser)
    blind = e._replace(X=np.zeros_like(e.X))
    parameters = e.parameters.copy()
    steps = 0
    tiny = np.finfo(dtype).tiny
    while steps < (3000 if dtype == np.float32 else 9000):
        sums = train_locally(
            blind.network,
            optimiser,
            blind.X,
            blind.y,
            None,
            rows=np.tile(np.arange(64), 10),
            batch=2,
            parameters=parameters,
            state=state,
            learning_rate=1e-3,
            penalty=0.0,
        )
        steps += sums.steps
        magnitudes = np.abs(state.moments)
        assert not ((magnitudes > 0) & (magnitudes < tiny)).any()
    n = blind.network.layout.shapes[0][0] * blind.network.layout.shapes[0][1]
    assert not state.moments[:, :n].any()  # of the weights of inputs that are zero


@pytest.mark.parametrize("steps", [1, 3, 130])
@pytest.mark.parametrize("name", ["adam", "momentum"])
def test_moments_are_flushed_at_the_end_of_short_rounds_too(steps, name):
    e = example("identity", "relu", (4,), n=64).astype(np.float32)
    e = e._replace(X=np.zeros_like(e.X))
    optimiser = OPTIMISERS[name]
    state = init(optimiser, len(e.parameters), np.dtype(np.float32))
    state.moments[:] = 1e-34
    rows = np.arange(steps) % 64
    _, after, _ = trained(e, optimiser, rows=rows, batch=1, state=state, penalty=0.0)
    n = int(np.prod(e.network.layout.shapes[0]))
    assert not after.moments[:, :n].any()
