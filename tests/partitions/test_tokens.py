"""Windows of token ids: any chunks give the windows of the whole."""

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.partitions import load_samples, tokens


def windows_of(array, window, stride):
    starts = range(0, len(array) - window + 1, stride)
    return np.array([array[start : start + window] for start in starts])


def samples(executor, data):
    return executor.client.gather(list(data.partitions.futures))


@st.composite
def chunked(draw):
    chunks = draw(st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(lambda c: sum(c) > 1))
    window = draw(st.integers(2, min(7, sum(chunks))))
    return tuple(chunks), window, draw(st.integers(1, 12)), draw(st.booleans())


@settings(max_examples=15)
@given(chunked())
def test_any_chunks_have_the_windows_of_the_whole(executor, case):
    chunks, window, stride, known = case
    whole = np.arange(sum(chunks), dtype=np.uint16) * 3
    array = da.from_array(whole, chunks=(chunks,))
    if not known:
        array = array[array >= 0]
    with load_samples(tokens(array, window, stride), executor=executor) as data:
        pieces = samples(executor, data)
    ends = np.cumsum(chunks)
    for piece, end, length in zip(pieces, ends, chunks, strict=True):
        starts = [s for s in range(0, len(whole) - window + 1, stride) if end - length <= s < end]
        assert piece.X[:, 0].tolist() == whole[starts].tolist()
        assert piece.X.flags.c_contiguous
    found = np.concatenate([piece.X for piece in pieces])
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, windows_of(whole, window, stride))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, ">i4"])
def test_in_memory_they_keep_their_dtype_and_are_cut_by_size(executor, dtype):
    array = np.arange(60).astype(dtype)
    expected = windows_of(array, 9, 8)
    with dask.config.set({"daskml-exec.partition-bytes": 3 * 9 * array.itemsize}):
        here = load_samples(tokens(array, 9))
        with load_samples(tokens(array, 9), executor=executor) as there:
            pieces = samples(executor, there)
            assert here.rows == there.rows == (2, 2, 3)
    for some in (here.partitions.partitions, pieces):
        np.testing.assert_array_equal(np.concatenate([piece.X for piece in some]), expected)
        assert {piece.X.dtype for piece in some} == {array.dtype.newbyteorder("=")}


def test_they_may_be_a_leaf_beside_others(executor):
    array = da.from_array(np.arange(11), chunks=4)
    X = {"ids": tokens(array, 3), "language": [0, 1, 0, 1, 0]}
    with load_samples(X, [1.0, 2, 3, 4, 5], executor=executor) as data:
        assert data.rows == (2, 2, 1)
        first, *_ = samples(executor, data)
    assert first.X["language"].tolist() == [0, 1]
    assert first.X["ids"].tolist() == [[0, 1, 2], [2, 3, 4]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones((3, 2), int), 2), ValueError, "array has 2 dimensions; allowed is one"),
        ((np.ones(9), 2), TypeError, "array has dtype float64; allowed are integers"),
        ((np.ones(9, bool), 2), TypeError, "array has dtype bool; allowed are integers"),
        (([1, 2, 3], 2), TypeError, "array is of list; allowed are NumPy and Dask arrays"),
        ((np.arange(9), 1), ValueError, "window=1; allowed are integers from 2"),
        ((np.arange(9), 2.5), TypeError, r"window=2\.5; allowed are integers from 2"),
        ((np.arange(9), True), TypeError, "window=True; allowed are integers from 2"),
        ((np.arange(9), 3, 0), ValueError, "stride=0; allowed are integers from 1"),
        ((np.arange(9), 3, "2"), TypeError, "stride='2'; allowed are integers from 1"),
        ((np.arange(9), 10), ValueError, "window=10 with an array of 9 tokens"),
        ((da.arange(9, chunks=3), 10), ValueError, "window=10 with an array of 9 tokens"),
    ],
)
def test_refusals(arguments, error, message):
    with pytest.raises(error, match=message):
        tokens(*arguments)


def test_refusals_of_what_only_the_chunks_tell(executor):
    array = da.arange(9, chunks=3)
    with pytest.raises(ValueError, match="window=10 with an array of 9 tokens"):
        load_samples(tokens(array[array >= 0], 10), executor=executor)
    floats = da.map_blocks(np.sqrt, array, dtype=int)
    with pytest.raises(TypeError, match="X has dtype float64; allowed are integers, of token ids"):
        load_samples(tokens(floats, 3), executor=executor)
    with pytest.raises(ValueError, match="X is of a collection for a cluster, and executor=None"):
        load_samples(tokens(array, 3))


def test_they_are_shown_in_short():
    array = np.arange(3000, dtype=np.uint16)
    shown = "TokenWindows: 999 x 4 of 3,000 tokens, uint16, stride 3"
    assert repr(tokens(array, 4)) == shown
    lazy = da.from_array(array, chunks=1000)
    assert repr(tokens(lazy, 4)) == shown
    unknown = "TokenWindows: unknown x 4 of unknown tokens, uint16, stride 3"
    assert repr(tokens(lazy[lazy >= 0], 4)) == unknown
