"""Which worker holds which blocks changes no bit, and each kind of exchange is kept to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.kernels.networks.blocks.cuts import BlockLayout
from daskml_exec.kernels.networks.blocks.group import BlockGroup
from tests.kernels.networks.blocks.training_runs import first_states, in_blocks, rows_of
from tests.kernels.networks.examples import N_OUTPUTS, OPTIMISERS, example


def owners_of(assignment):
    """Lists of blocks, one for each worker that has any."""
    return [
        [block for block, owner in enumerate(assignment) if owner == worker]
        for worker in sorted(set(assignment))
    ]


def assert_same_bits(found, expected):
    for block, state in expected.states.items():
        for name, array in state.arrays().items():
            assert np.array_equal(found.states[block].arrays()[name], array), (block, name)
    for sums in found.sums:
        assert (sums.loss, sums.weight) == (expected.sums[0].loss, expected.sums[0].weight)
    assert found.loss == expected.loss


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden", [(19,), (7, 16), (17, 6, 23), (8, 33, 9, 5)])
@pytest.mark.parametrize(
    "owners",
    [[[0, 1, 2, 3, 4]], [[0, 1, 2], [3, 4]], [[0], [1, 2, 3, 4]], [[0], [1, 2], [3, 4]]],
)
def test_ranges_of_blocks(dtype, hidden, owners):
    e = example(hidden=hidden).astype(dtype)
    found = in_blocks(e, OPTIMISERS["adam"], rows_of(8), 5, owners)
    assert_same_bits(found, in_blocks(e, OPTIMISERS["adam"], rows_of(8), 5))


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    hidden=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    output=st.sampled_from(sorted(N_OUTPUTS)),
    activation=st.sampled_from(["relu", "tanh"]),
    name=st.sampled_from(sorted(OPTIMISERS)),
)
def test_any_layout_over_workers(data, hidden, output, activation, name):
    n_blocks = data.draw(st.integers(1, min(hidden)))
    worker = st.integers(0, 2)
    assignment = data.draw(st.lists(worker, min_size=n_blocks, max_size=n_blocks))
    e = example(output, activation, tuple(hidden)).astype(np.float32)
    found = in_blocks(
        e, OPTIMISERS[name], rows_of(4), n_blocks, owners_of(assignment), weight=e.weight
    )
    expected = in_blocks(e, OPTIMISERS[name], rows_of(4), n_blocks, weight=e.weight)
    assert_same_bits(found, expected)


@pytest.mark.parametrize("hidden", [(5,), (5, 6), (5, 6, 7), (8, 5, 6, 7)])
def test_exchanges_are_those_that_the_layout_announces(hidden):
    e = example(hidden=hidden)
    found = in_blocks(e, OPTIMISERS["sgd"], rows_of(2), 3, [[0, 1], [2]])
    announced = BlockLayout(e.network.layout.units, 3).exchanges
    assert found.logs == [announced * 2] * 2


def test_a_group_must_fit_its_layout():
    e = example(hidden=(5,))
    layout = BlockLayout(e.network.layout.units, 2)
    states = first_states(e, layout, OPTIMISERS["sgd"])
    with pytest.raises(ValueError, match="layout has the units"):
        BlockGroup(e.network, BlockLayout((6, 4, 3), 2), states, None)
    with pytest.raises(ValueError, match=r"states has the blocks \[\]"):
        BlockGroup(e.network, layout, {}, None)
    with pytest.raises(ValueError, match=r"states has the blocks \[2\].* 0 to 1"):
        BlockGroup(e.network, layout, {2: states[0]}, None)
