"""Blocks tile the network, start from its values, and are put together again."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.kernels.networks.blocks.assemble import assemble, cut
from daskml_exec.kernels.networks.blocks.cuts import BlockLayout
from daskml_exec.kernels.networks.blocks.initial import initial_pieces
from daskml_exec.kernels.networks.blocks.states import first_state, from_arrays
from daskml_exec.kernels.networks.layout import Layout, initial_parameters
from tests.kernels.networks.examples import OPTIMISERS, odd

units = st.tuples(
    st.integers(1, 9),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(1, 4),
).map(lambda t: (t[0], *t[1], t[2]))


@st.composite
def layouts(draw):
    shape = draw(units)
    return BlockLayout(shape, draw(st.integers(1, min(shape[1:-1]))))


@given(layouts())
def test_each_parameter_belongs_to_one_block(layout):
    counts = Layout(layout.units).layers(np.zeros(Layout(layout.units).size, int))
    for layer in range(layout.n_layers):
        for block in range(layout.n_blocks):
            counts.coefs[layer][layout.coef_index(layer, block)] += 1
            counts.intercepts[layer][layout.intercept_index(layer, block)] += 1
    assert all((count == 1).all() for kind in counts for count in kind)
    total = sum(
        layout.size(layer, block)
        for layer in range(layout.n_layers)
        for block in range(layout.n_blocks)
    )
    assert total == Layout(layout.units).size


@given(layouts())
def test_slices_are_balanced(layout):
    for layer in range(layout.n_layers - 1):
        lengths = [piece.stop - piece.start for piece in layout.slices(layer)]
        assert max(lengths) - min(lengths) <= 1 and min(lengths) >= 1


@given(layouts())
def test_a_layer_by_rows_stands_behind_each_by_columns(layout):
    kinds = [layout.by_columns(layer) for layer in range(layout.n_layers)]
    assert kinds[0] and not kinds[-1]
    assert not any(a and b for a, b in itertools.pairwise(kinds))


def test_what_cannot_be_cut():
    with pytest.raises(ValueError, match=r"units=\(3, 2\) has no hidden layer"):
        BlockLayout((3, 2), 1)
    for n_blocks in (0, 5):
        with pytest.raises(ValueError, match=f"n_blocks={n_blocks} must be from 1 to 4"):
            BlockLayout((9, 8, 4, 9), n_blocks)


@settings(max_examples=50)
@given(layouts(), st.integers(0, 2**32), st.booleans(), st.sampled_from(["f4", "f8"]))
def test_first_values_are_those_of_the_whole_network(layout, seed, logistic, dtype):
    expected = initial_parameters(
        Layout(layout.units), seed=seed, logistic=logistic, dtype=np.dtype(dtype)
    )
    pieces = {
        block: initial_pieces(layout, block, seed=seed, logistic=logistic, dtype=np.dtype(dtype))
        for block in range(layout.n_blocks)
    }
    found = Layout(layout.units).flat(*assemble(layout, pieces))
    assert found.dtype == expected.dtype and np.array_equal(found, expected)


def test_first_values_in_several_chunks():
    layout = BlockLayout((300, 2100, 700, 3), 3)
    expected = Layout(layout.units).layers(
        initial_parameters(Layout(layout.units), seed=7, logistic=False, dtype=np.dtype("f4"))
    )
    for block in range(3):
        tracemalloc.start()
        try:
            pieces = initial_pieces(layout, block, seed=7, logistic=False, dtype=np.dtype("f4"))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < sum(flat.nbytes for flat in pieces) + 3 * 2**18 * 8
        for found, wanted in zip(pieces, cut(layout, expected, block), strict=True):
            assert np.array_equal(found, wanted)


@given(layouts(), st.integers(0, 100))
def test_pieces_are_put_together_as_they_were_cut(layout, seed):
    flat = np.random.default_rng(seed).normal(size=Layout(layout.units).size)
    layers = Layout(layout.units).layers(flat)
    pieces = {block: cut(layout, layers, block) for block in reversed(range(layout.n_blocks))}
    assert np.array_equal(Layout(layout.units).flat(*assemble(layout, pieces)), flat)


def test_all_blocks_are_needed():
    layout = BlockLayout((3, 4, 2), 2)
    piece = initial_pieces(layout, 0, seed=0, logistic=False, dtype=np.dtype(float))
    with pytest.raises(ValueError, match=r"pieces has the blocks \[0\].* 2 from 0"):
        assemble(layout, {0: piece})


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_state_is_its_arrays(name, dtype):
    layout, optimiser = BlockLayout((6, 5, 4, 7, 2), 3), OPTIMISERS[name]
    pieces = initial_pieces(layout, 1, seed=0, logistic=False, dtype=np.dtype(dtype))
    state = first_state(layout, 1, pieces, optimiser)
    for memory in state.optimiser:
        memory.moments[:] = np.random.default_rng(0).normal(size=memory.moments.shape)
    sent = {key: odd(array) if array.size else array for key, array in state.arrays().items()}
    found = from_arrays(sent)
    assert found.arrays().keys() == state.arrays().keys()
    for key, array in found.arrays().items():
        assert np.array_equal(array, state.arrays()[key]) and array.dtype == sent[key].dtype
        assert array.flags.writeable and array.flags.aligned
    coefs = [layout.views(layer, 1, flat)[0] for layer, flat in enumerate(pieces)]
    np.testing.assert_allclose(state.squares, [(c.astype(float) ** 2).sum() for c in coefs], 1e-6)
