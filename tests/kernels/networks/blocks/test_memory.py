"""A step makes no array as large as a block's gradient, and none at all that lasts."""

import tracemalloc

import numpy as np
import pytest

from daskml_exec.kernels.block_sizes import sized_blocks
from daskml_exec.kernels.networks.blocks.cuts import BlockLayout
from daskml_exec.kernels.networks.blocks.group import BlockGroup
from daskml_exec.kernels.networks.blocks.training import NOTHING, train_blocks
from tests.kernels.networks.blocks.exchanges import Rendezvous, ThreadExchange
from tests.kernels.networks.blocks.training_runs import batches_of, first_states, in_blocks
from tests.kernels.networks.examples import OPTIMISERS, example


class WithoutCopies(ThreadExchange):
    """An exchange of one worker that leaves nothing behind."""

    def _exchange(self, kind, tag, arrays, write, units):
        return lambda: write(arrays)


def peak_of_steps(steps, n):
    tracemalloc.start()
    try:
        for _ in range(n):
            next(steps)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_later_steps_allocate_no_gradient(name):
    e = example(hidden=(500, 400, 300), d=300, n=64).astype(np.float32)
    optimiser = OPTIMISERS[name]
    layout = BlockLayout(e.network.layout.units, 2)
    states = first_states(e, layout, optimiser)
    group = BlockGroup(e.network, layout, states, WithoutCopies(Rendezvous(1, 2), 0))
    rows = np.tile(np.arange(64), 7)
    steps = train_blocks(
        group,
        optimiser,
        batches_of(e, rows),
        learning_rate=0.01,
        alpha=0.1,
        before=NOTHING,
        ends_epoch=True,
    )
    for _ in range(4):  # work space is made, and updates are compiled
        next(steps)
    # What is counted is the whole process: threads that other tests have left can only add to it.
    peak = min(peak_of_steps(steps, 6) for _ in range(4))
    smallest = min(layout.size(layer, 0) for layer in range(3)) * 4
    assert peak < smallest / 2


def test_chunks_change_nothing_but_rounding():
    e = example(hidden=(9, 8, 7))
    rows = np.tile(np.arange(60), 3)
    expected = in_blocks(e, OPTIMISERS["adam"], rows, 2)
    for elements in (1, 13, 40):
        with sized_blocks(chunk_elements=elements):
            found = in_blocks(e, OPTIMISERS["adam"], rows, 2, [[0], [1]])
        for block, state in expected.states.items():
            for name, array in state.arrays().items():
                np.testing.assert_allclose(
                    found.states[block].arrays()[name], array, rtol=1e-9, atol=1e-12
                )
