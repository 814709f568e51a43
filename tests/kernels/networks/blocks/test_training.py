"""A network trained in blocks is the network trained whole, up to rounding."""

import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec.kernels.networks.blocks.cuts import BlockLayout
from daskml_exec.kernels.networks.blocks.group import BlockGroup
from daskml_exec.kernels.networks.blocks.training import NOTHING, train_blocks
from tests.kernels.networks.blocks.exchanges import Rendezvous, ThreadExchange
from tests.kernels.networks.blocks.training_runs import (
    ALPHA,
    RATE,
    assert_layers_close,
    batches_of,
    finish,
    first_states,
    in_blocks,
    rows_of,
    whole,
)
from tests.kernels.networks.examples import ACTIVATIONS, N_OUTPUTS, OPTIMISERS, example

HIDDEN = {2: (5,), 3: (5, 6), 4: (7, 5, 6), 5: (6, 7, 5, 8)}

with_depths = pytest.mark.parametrize("depth", HIDDEN)
with_optimisers = pytest.mark.parametrize("name", OPTIMISERS)


@with_depths
@with_optimisers
@pytest.mark.parametrize("n_blocks", range(1, 6))
def test_fifty_steps_are_those_of_the_whole_network(depth, name, n_blocks):
    e = example(hidden=HIDDEN[depth])
    rows = rows_of(50)
    found = in_blocks(e, OPTIMISERS[name], rows, n_blocks)
    expected, sums = whole(e, OPTIMISERS[name], rows)
    assert_layers_close(found.layers, expected, 1e-10)
    assert found.loss == pytest.approx(sums.loss, rel=1e-11)
    assert (found.sums[0].steps, found.sums[0].weight) == (sums.steps, sums.weight)
    assert found.sums[0].finite


@with_depths
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("output", N_OUTPUTS)
@pytest.mark.parametrize("weighted", [False, True])
def test_activations_outputs_and_weights(depth, activation, output, weighted):
    e = example(output, activation, HIDDEN[depth])
    weight = e.weight if weighted else None
    rows = rows_of(50)
    found = in_blocks(e, OPTIMISERS["momentum"], rows, 3, weight=weight, rate=1e-3)
    expected, sums = whole(e, OPTIMISERS["momentum"], rows, weight=weight, rate=1e-3)
    assert_layers_close(found.layers, expected, 1e-10)
    assert found.loss == pytest.approx(sums.loss, rel=1e-11)


@with_depths
@with_optimisers
def test_sparse_rows_are_dense_rows(depth, name):
    e = example(hidden=HIDDEN[depth])
    rows = rows_of(10)
    expected = in_blocks(e, OPTIMISERS[name], rows, 3, weight=e.weight)
    sparse = e._replace(X=sp.csr_array(e.X))
    found = in_blocks(sparse, OPTIMISERS[name], rows, 3, [[0, 2], [1]], weight=e.weight)
    assert_layers_close(found.layers, expected.layers, 1e-10)
    assert found.loss == pytest.approx(expected.loss, rel=1e-11)


@with_depths
@pytest.mark.parametrize("output", N_OUTPUTS)
@pytest.mark.parametrize("n_blocks", [1, 2, 5])
def test_single_precision_gradients(depth, output, n_blocks):
    e = example(output, hidden=HIDDEN[depth]).astype(np.float32)
    rows = rows_of(1)
    # A rate so large that rounding of the weights does not count.
    found = in_blocks(e, OPTIMISERS["sgd"], rows, n_blocks, rate=10.0)
    double = e.astype(np.float64)
    expected, _ = whole(double, OPTIMISERS["sgd"], rows, rate=10.0)
    since = e.network.layout.layers(e.parameters)
    assert_layers_close(found.layers, expected, 1e-5, since=since)


@with_depths
@with_optimisers
def test_single_precision_losses(depth, name):
    e = example(hidden=HIDDEN[depth]).astype(np.float32)
    rows = rows_of(50)
    found = in_blocks(e, OPTIMISERS[name], rows, 2)
    _, sums = whole(e, OPTIMISERS[name], rows)
    assert found.layers.coefs[0].dtype == np.float32
    assert found.loss == pytest.approx(sums.loss, rel=1e-2)


@with_optimisers
def test_batches_without_weight_are_no_steps(name):
    e = example(hidden=HIDDEN[3])
    weight = e.weight.copy()
    weight[16:32] = 0
    found = in_blocks(e, OPTIMISERS[name], np.arange(60), 2, [[0], [1]], weight=weight)
    left = np.r_[0:16, 32:60]
    expected = in_blocks(e, OPTIMISERS[name], left, 2, [[0], [1]], weight=weight)
    assert_layers_close(found.layers, expected.layers, 0.0)
    assert found.sums == expected.sums and found.sums[0].steps == 3
    assert found.logs == expected.logs


@with_optimisers
def test_steps_may_be_taken_in_several_calls(name):
    e = example(hidden=HIDDEN[4])
    optimiser, rows = OPTIMISERS[name], np.arange(60)
    expected = in_blocks(e, optimiser, rows, 3)
    halfway = in_blocks(e, optimiser, rows[:32], 3)
    found = in_blocks(e, optimiser, rows[32:], 3, states=halfway.states, before=halfway.sums[0])
    assert found.sums == expected.sums
    for block, state in expected.states.items():
        for array_name, array in state.arrays().items():
            assert np.array_equal(found.states[block].arrays()[array_name], array), array_name


@pytest.mark.parametrize("owners", [[[0, 1, 2]], [[0, 2], [1]]])
def test_a_loss_that_is_not_finite_stops_all_workers(owners):
    e = example("identity", "relu", HIDDEN[4])
    X = e.X.copy()
    X[40] = np.inf
    broken = e._replace(X=X)
    optimiser = OPTIMISERS["adam"]
    found = in_blocks(broken, optimiser, np.arange(60), 3, owners)
    expected = in_blocks(e, optimiser, np.arange(32), 3)
    assert_layers_close(found.layers, expected.layers, 0.0)
    for sums in found.sums:
        assert not sums.finite and not np.isfinite(sums.loss)
        assert (sums.steps, sums.weight) == (2, 48.0)


@pytest.mark.parametrize("ended", [False, True])
def test_moments_that_have_decayed_are_flushed(ended):
    e = example("identity", "relu", (4,)).astype(np.float32)
    e = e._replace(X=np.zeros_like(e.X))
    optimiser = OPTIMISERS["momentum"]
    layout = BlockLayout(e.network.layout.units, 2)
    states = first_states(e, layout, optimiser)
    n = {block: np.prod(layout.coef_shape(0, block)) for block in states}
    for block, state in states.items():
        state.parameters[0][: n[block]] = 0  # and with them their penalty
        state.squares[0] = 0
    group = BlockGroup(e.network, layout, states, ThreadExchange(Rendezvous(1, 2), 0))
    steps = train_blocks(
        group,
        optimiser,
        batches_of(e, rows_of(10 if ended else 101)),
        learning_rate=RATE,
        alpha=ALPHA,
        before=NOTHING,
        ends_epoch=ended,
    )

    def velocities():
        return [state.optimiser[0].moments[:, : n[block]] for block, state in states.items()]

    for velocity in velocities():
        velocity[:] = 1e-32  # it takes hundreds of steps to come to nothing by itself
    for _ in range(9 if ended else 99):
        next(steps)
    assert all(velocity.all() for velocity in velocities())
    if ended:
        finish(steps)
    else:
        next(steps)
    assert not any(velocity.any() for velocity in velocities())


def test_the_penalty_is_that_of_the_weights_before_each_step():
    e = example(hidden=HIDDEN[4])
    found = in_blocks(e, OPTIMISERS["adam"], np.arange(20), 3, [[0], [1, 2]])
    layers = e.network.layout.layers(e.parameters)
    after_one = in_blocks(e, OPTIMISERS["adam"], np.arange(16), 3).layers
    squares = sum(float((c * c).sum()) for c in (*layers.coefs, *after_one.coefs))
    of_blocks = {block: s for sums in found.sums for block, s in sums.squares.items()}
    assert sorted(of_blocks) == [0, 1, 2]
    assert sum(of_blocks.values()) == pytest.approx(squares, rel=1e-12)
