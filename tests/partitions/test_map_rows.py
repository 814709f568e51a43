"""The lazy map: every kind of rows to every kind of result."""

import cloudpickle
import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from daskml_exec.partitions import map_rows
from tests.partitions.toolbox import dense

CHUNKS = (4, 0, 11, 8)
N = sum(CHUNKS)
VALUES = np.arange(2.0 * N).reshape(N, 2)
INDEX = pd.Index(np.arange(N) * 10)
WORDS = np.array([f"{value:g}" for value in VALUES[:, 0]], dtype=object)


def with_an_empty_partition(data):
    parts = [data.iloc[:4], data.iloc[:0], data.iloc[4:15], data.iloc[15:]]
    return dd.from_map(lambda i: parts[i], range(4), meta=data.iloc[:0])


def array():
    return da.from_array(VALUES, chunks=(CHUNKS, 1))


def unknown():
    chunks = ((np.nan,) * 4, (2,))
    return da.from_array(VALUES, chunks=(CHUNKS, 2)).map_blocks(lambda b: b, chunks=chunks)


SOURCES = {
    "array": array,
    "unknown": unknown,
    "csr": lambda: array().map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0))),
    "texts": lambda: da.from_array(WORDS, chunks=(CHUNKS,)),
    "frame": lambda: with_an_empty_partition(pd.DataFrame(VALUES, INDEX, ["a", "b"])),
    "series": lambda: with_an_empty_partition(pd.Series(WORDS, INDEX, dtype=object)),
    "bag": lambda: db.from_delayed(
        [dask.delayed(list)(WORDS[:4]), dask.delayed(list)([]), dask.delayed(list)(WORDS[4:])]
    ).map(str),
}
METAS = {
    "column": np.empty(0),
    "matrix": np.empty((0, 3), np.float32),
    "objects": np.empty((0, 2), object),
    "texts": np.empty(0, "<U4"),
    "csr": sp.csr_matrix((0, 5)),
    "frame": pd.DataFrame({"n": pd.Series([], dtype=float), "t": pd.Series([], dtype=object)}),
    "series": pd.Series([], dtype=object, name="t"),
}


def first_values(block):
    """What all sources have: the first column, as numbers."""
    if isinstance(block, (pd.DataFrame, pd.Series)):
        block = block.to_numpy()
    values = dense(block)
    return np.asarray(values if values.ndim == 1 else values[:, 0], dtype=float)


def made(kind, values):
    words = np.array([f"{value:g}" for value in values], dtype=object)
    if kind == "frame":
        return pd.DataFrame({"n": values, "t": pd.Series(words, dtype=object)})
    return {
        "column": values,
        "matrix": np.column_stack([values] * 3).astype(np.float32),
        "objects": np.column_stack([words, words]),
        "texts": words.astype("<U4"),
        "csr": sp.csr_matrix(np.column_stack([values] * 5)),
        "series": words,
    }[kind]


def to(kind):
    def function(block):
        return made(kind, first_values(block))

    return function


@pytest.mark.parametrize("kind", METAS)
@pytest.mark.parametrize("source", SOURCES)
def test_any_rows_become_what_the_meta_says(executor, source, kind):
    X, meta = SOURCES[source](), METAS[kind]
    result = map_rows(to(kind), X, meta=meta)
    found = result.compute(scheduler=executor.client)
    expected = made(kind, VALUES[:, 0])
    if kind in ("frame", "series"):
        from_pandas = source in ("frame", "series")
        assert isinstance(result, dd.DataFrame if kind == "frame" else dd.Series)
        assert from_pandas <= (result.divisions == getattr(X, "divisions", None))
        assert type(result._meta) is type(meta) and not result._meta.size
        assert np.all(result.dtypes == meta.dtypes) and np.all(found.dtypes == meta.dtypes)
        if from_pandas or source not in ("unknown", "bag"):
            expected = pd.Series(expected, dtype=object, name="t") if kind == "series" else expected
            index = INDEX if from_pandas else pd.RangeIndex(N)
            check = pd.testing.assert_frame_equal
            check = check if kind == "frame" else pd.testing.assert_series_equal
            check(found, expected.set_axis(index), check_index_type=False)
        return
    assert isinstance(result, da.Array) and type(result._meta) is type(meta)
    assert type(found) is type(meta) and found.dtype == result.dtype == meta.dtype
    assert (dense(found) == dense(expected)).all() and found.shape == (N, *meta.shape[1:])
    assert result.chunks[1:] == tuple((width,) for width in meta.shape[1:])
    known = source in ("array", "csr", "texts")
    assert result.numblocks[0] == getattr(X, "numblocks", (X.npartitions,))[0]
    assert result.chunks[0] == CHUNKS if known else np.isnan(result.chunks[0]).all()


@pytest.mark.parametrize("kind", METAS)
def test_futures_become_futures_of_what_the_meta_says(executor, kind):
    cuts = np.split(np.arange(N), np.cumsum(CHUNKS)[:-1])
    frames = [pd.DataFrame(VALUES[cut], INDEX[cut], ["a", "b"]) for cut in cuts]
    X = executor.client.scatter(frames, hash=False)
    pieces = executor.client.gather(map_rows(to(kind), X, meta=METAS[kind]))
    assert [piece.shape[0] for piece in pieces] == list(CHUNKS)
    for piece, cut in zip(pieces, cuts, strict=True):
        assert type(piece) is type(METAS[kind])
        if kind in ("frame", "series"):
            assert list(piece.index) == list(INDEX[cut])


class Heavy:
    """A model that counts how often it is pickled, and where it is called."""

    __name__ = "heavy"
    pickled = 0

    def __call__(self, block):
        raise AssertionError("called where there is no data to call it with")

    def __reduce__(self):
        Heavy.pickled += 1
        return Heavy, ()


@pytest.mark.parametrize("kind", ["column", "csr", "frame"])
@pytest.mark.parametrize("source", SOURCES)
def test_the_model_is_one_node_and_is_not_called_to_plan(source, kind):
    result = map_rows(Heavy(), SOURCES[source](), meta=METAS[kind])
    result = result.optimize() if kind == "frame" else dask.optimize(result)[0]
    with_model = []
    for key, task in dict(result.__dask_graph__()).items():
        Heavy.pickled = 0
        cloudpickle.dumps(task)
        with_model += [key] * Heavy.pickled
    assert len(with_model) == 1
