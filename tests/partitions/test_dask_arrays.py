"""Dask arrays of any chunks. `test_engines.py` runs this file on both engines of dask.array."""

import os

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.partitions import map_rows, meta_of_predictions
from tests.partitions.toolbox import D, N, check, gathered, labels, load, rows, weights

EMPTY_CHUNKS = (0, 9, 0, 0, 10, 4, 0)


def test_the_engine_is_the_one_asked_for():
    wanted = os.environ.get("DASKML_EXEC_TEST_ENGINE", "default")
    on_expressions = "array_expr" in da.Array.__module__
    assert wanted == "default" or on_expressions == (wanted == "expressions")


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32, np.uint8, bool])
@pytest.mark.parametrize("chunks", [N, 5, EMPTY_CHUNKS, 1])
def test_row_chunks_become_partitions(executor, dtype, chunks):
    X = rows(dtype)
    source = da.from_array(X, chunks=(chunks, D))
    data = load(executor, source, da.from_array(labels(), chunks=chunks))
    check(executor, data, X, labels())
    assert data.partitions.rows == source.chunks[0]
    assert data.partitions.dtype == (np.float32 if dtype == np.float32 else np.float64)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("chunks", [(6, 1), (6, 3), ((0, 23), (1, 0, 3))])
def test_feature_chunks_are_merged(executor, chunks, order):
    X = np.asarray(rows(), order=order)
    data = load(executor, da.from_array(X, chunks=chunks), da.from_array(labels(), chunks=6))
    check(executor, data, X, labels())


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.coo_matrix])
@pytest.mark.parametrize("chunks", [(6, D), (6, 3)])
def test_sparse_chunks_become_canonical_csr(executor, kind, chunks):
    source = da.from_array(rows(), chunks=chunks).map_blocks(kind, meta=kind((0, 0)))
    data = load(executor, source, da.from_array(labels(), chunks=6))
    check(executor, data, rows(), labels())
    assert all(sp.issparse(piece.X) for piece in gathered(executor, data.partitions, y_kind="i"))


@pytest.mark.parametrize("chunk", [400_000, 1_500_000])
def test_large_columns_in_memory_are_sent_in_pieces(executor, chunk):
    n = 1_500_000
    X, y, weight = da.ones((n, 1), chunks=(chunk, 1)), np.arange(n) % 2, np.arange(n) / n
    assert y.nbytes > 10_000_000  # Dask warns of graphs of that size
    data = load(executor, X, y, weight)
    assert data.partitions.rows == X.chunks[0]
    check(executor, data, np.ones((n, 1)), y, weight)


def test_duplicates_of_sparse_chunks_are_added(executor):
    def repeated(block):
        """The block as CSR with every value in two halves, columns backwards."""
        n, d = block.shape
        columns = np.tile(np.repeat(np.arange(d)[::-1], 2), n)
        values = np.repeat(block[:, ::-1] / 2, 2, axis=1).ravel()
        return sp.csr_matrix((values, columns, np.arange(0, 2 * n * d + 1, 2 * d)), block.shape)

    source = da.from_array(rows(), chunks=(6, D)).map_blocks(repeated, meta=sp.csr_matrix((0, 0)))
    check(executor, load(executor, source, labels()), rows(), labels())


def unknown(array, keep=lambda block: block):
    """The array with chunks of unknown sizes. (One engine does not index with masks.)"""
    rest = array.chunks[1:]
    return array.map_blocks(keep, chunks=((np.nan,) * array.numblocks[0], *rest), dtype=array.dtype)


def even_rows(block):
    return block[::2]


def test_chunks_of_unknown_size_are_counted_on_the_workers(executor):
    keep = np.concatenate([np.arange(23)[a : a + 7][::2] for a in range(0, 23, 7)])
    X, y, w = (
        unknown(da.from_array(a, chunks=(7, *a.shape[1:])), even_rows)
        for a in (rows(), labels(), weights())
    )
    assert np.isnan(X.chunks[0]).all()
    data = load(executor, X, y, w)
    check(executor, data, rows()[keep], labels()[keep], weights()[keep])


def test_unknown_sizes_of_one_align_with_known_sizes_of_the_other(executor):
    X, y = da.from_array(rows(), chunks=(9, D)), da.from_array(labels(), chunks=6)
    check(executor, load(executor, X, unknown(y)), rows(), labels())
    check(executor, load(executor, unknown(X), y), rows(), labels())


def test_persisted_and_shared_sources(executor):
    table = np.column_stack([rows(), labels()])
    both = da.from_array(table, chunks=(6, -1)).persist(scheduler=executor.client)
    data = load(executor, both[:, :D], both[:, D])
    check(executor, data, rows(), labels())


@pytest.mark.parametrize("y_kind", ["dask", "numpy", "list"])
@pytest.mark.parametrize("w_kind", ["dask", "numpy", "list", None])
def test_columns_may_be_elsewhere(executor, y_kind, w_kind):
    kinds = {"dask": lambda a: da.from_array(a, chunks=4), "numpy": np.asarray, "list": list}
    w = None if w_kind is None else weights()
    data = load(
        executor,
        da.from_array(rows(), chunks=(6, D)),
        kinds[y_kind](labels()),
        None if w is None else kinds[w_kind](w),
    )
    check(executor, data, rows(), labels(), w)


def test_a_column_may_be_a_matrix_of_one_column(executor):
    y = da.from_array(labels()[:, None], chunks=(5, 1))
    with pytest.warns(UserWarning, match="column-vector y"):
        data = load(executor, da.from_array(rows(), chunks=(6, D)), y)
    check(executor, data, rows(), labels())


cuts = st.lists(st.integers(0, 9), min_size=1, max_size=6)


def chunks_of(n, cuts):
    """Chunk lengths, zeros among them, that add up to `n`."""
    bounds = [0, *sorted(min(c * n // 9, n) for c in cuts), n]
    return tuple(np.diff(bounds).tolist())


@settings(max_examples=25)
@given(n=st.integers(1, 40), x=cuts, y=cuts, w=cuts, d=cuts)
def test_any_chunks_give_the_rows_in_order(executor, n, x, y, w, d):
    X, target, weight = rows(n=n), labels(n), weights(n) + 0.5
    target[:2] = [0, 1][: len(target[:2])]
    if n == 1:
        return
    data = load(
        executor,
        da.from_array(X, chunks=(chunks_of(n, x), chunks_of(D, d))),
        da.from_array(target, chunks=chunks_of(n, y)),
        da.from_array(weight, chunks=chunks_of(n, w)),
    )
    check(executor, data, X, target, weight)
    assert data.partitions.rows == chunks_of(n, x)


@pytest.mark.parametrize(
    ("function", "columns", "width"),
    [
        (lambda block: block[:, 0], None, ()),
        (lambda block: block[:, :2], ["a", "b"], ((2,),)),
    ],
)
def test_mapped_rows_are_lazy_and_know_chunks_and_dtype(executor, function, columns, width):
    X = da.from_array(rows(), chunks=(EMPTY_CHUNKS, 3))
    dtype = np.dtype(np.float64)
    meta = meta_of_predictions(X, columns, dtype, promote=False)
    result = map_rows(function, X, meta=meta)
    assert isinstance(result, da.Array)
    assert result.chunks == (EMPTY_CHUNKS, *width)
    assert result.dtype == dtype and result._meta.ndim == result.ndim
    assert np.array_equal(result.compute(scheduler=executor.client), function(rows()))


def test_mapped_rows_of_sparse_chunks_and_of_unknown_sizes(executor):
    X = da.from_array(rows(), chunks=(6, D)).map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0)))
    sums = map_rows(
        lambda block: np.asarray(block.sum(axis=1)).ravel(),
        X,
        meta=np.empty(0),
    )
    assert np.allclose(sums.compute(scheduler=executor.client), rows().sum(axis=1))
    some = unknown(da.from_array(rows(), chunks=(23, D)), even_rows)
    first = map_rows(lambda block: block[:, 0], some, meta=np.empty(0))
    assert np.isnan(first.chunks[0]).all()
    assert np.array_equal(first.compute(scheduler=executor.client), rows()[::2, 0])


@pytest.mark.parametrize(
    ("x_dtype", "dtype", "expected"),
    [("f4", "f4", "f4"), ("f8", "f4", "f8"), ("f4", "f8", "f8"), ("i4", "f4", "f8")],
)
def test_promoted_dtype_is_the_wider_one(x_dtype, dtype, expected):
    X = da.ones((4, 2), dtype=x_dtype)
    meta = meta_of_predictions(X, None, np.dtype(dtype), promote=True)
    assert map_rows(len, X, meta=meta).dtype == expected
