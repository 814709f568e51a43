import numpy as np
import pytest

from daskml_exec.kernels.block_sizes import sized_blocks
from daskml_exec.kernels.row_blocks import row_blocks


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (7, 3), (8, 3), (5, 0), (3, 1000)])
@sized_blocks(row_bytes=4 * 8 * 3)
def test_blocks_are_the_rows_in_order(shape, dtype):
    X = np.arange(shape[0] * shape[1], dtype=dtype).reshape(shape)
    rows, seen = [], []
    for where, block in row_blocks(X):
        assert block.dtype == np.float64
        rows.extend(range(*where.indices(shape[0])))
        seen.append(block.copy())
    assert rows == list(range(shape[0]))
    assert not seen or np.array_equal(np.concatenate(seen), X)


def test_double_precision_is_not_copied():
    X = np.ones((10, 3))
    [(_, block)] = row_blocks(X)
    assert np.shares_memory(block, X)


def test_a_block_is_about_two_mebibytes():
    X = np.zeros((10_000, 100))
    sizes = {block.nbytes for _, block in row_blocks(X)}
    assert max(sizes) <= 2**21 < max(sizes) + 8 * 100


@pytest.mark.parametrize("offset", [1, 4, 7])
@sized_blocks(row_bytes=4 * 8 * 3)
def test_rows_at_odd_addresses_are_brought_to_even_ones(offset):
    """They come out of messages like that, and BLAS would copy them in each call."""
    X = np.random.default_rng(0).normal(size=(10, 3))
    odd = np.frombuffer(bytes(offset) + X.tobytes(), offset=offset).reshape(10, 3)
    assert not odd.flags.aligned
    blocks = [(block.copy(), block.flags.aligned) for _, block in row_blocks(odd)]
    assert all(aligned for _, aligned in blocks)
    assert np.array_equal(np.concatenate([block for block, _ in blocks]), X)
