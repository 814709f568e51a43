"""Partials of a worker's blocks are combined as far as the fixed tree allows, in few buffers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec.kernels.fixed_tree import fold, fold_siblings
from daskml_exec.kernels.networks.blocks.partial_sums import n_buffers, partial_sums


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(0, 100))
def test_sums_over_workers_are_those_of_the_fixed_tree(assignment, seed):
    n = len(assignment)
    leaves = np.random.default_rng(seed).normal(size=(n, 2, 3)).astype(np.float32)

    def write(block, out):
        out[:] = leaves[block]

    nodes = {}
    for worker in set(assignment):
        blocks = [block for block, owner in enumerate(assignment) if owner == worker]
        buffers = [np.full((2, 3), np.nan, np.float32) for _ in range(n_buffers(blocks, n))]
        partials = partial_sums(blocks, n, write, buffers)
        expected = fold_siblings({(0, block): leaves[block] for block in blocks}, n, np.add)
        assert partials.keys() == expected.keys()
        nodes |= partials
    (total,) = fold_siblings(nodes, n, np.add).values()
    assert np.array_equal(total, fold(list(leaves), np.add))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 64, 100])
def test_consecutive_blocks_need_few_buffers(n):
    logarithm = max(1, n - 1).bit_length()
    assert n_buffers(range(n), n) <= logarithm + 1
    for start in range(n):
        assert n_buffers(range(start, n), n) <= 2 * logarithm + 1
