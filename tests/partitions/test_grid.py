"""Data of all kinds, cut along rows and features, is all there and in order."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec import Executor
from daskml_exec.partitions import Cells, Labels, Numbers, load_checked
from daskml_exec.partitions._grid_columns import block_bounds, column_chunks, overlaps
from tests.executor.rounds import until_released
from tests.partitions.toolbox import D, N, dense, labels, rows, target, weights


def as_csr(X, chunks):
    return da.from_array(X, chunks=chunks).map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0)))


def unknown_rows(X):
    """A Dask array whose row chunks are of unknown size, with two column chunks."""
    frame = dd.from_pandas(pd.DataFrame(X), npartitions=3)
    left, right = frame[[0, 1, 2]].to_dask_array(), frame[[3]].to_dask_array()
    return da.concatenate([left, right], axis=1, allow_unknown_chunksizes=True)


KINDS = {
    "memory": lambda X: X,
    "csr in memory": sp.csr_array,
    "both axes": lambda X: da.from_array(X, chunks=((5, 0, 10, 8), (1, 3))),
    "one column chunk": lambda X: da.from_array(X, chunks=(9, D)),
    "csr": lambda X: as_csr(X, (9, 3)),
    "empty column chunk": lambda X: da.from_array(X, chunks=(9, (2, 0, 2))),
    "unknown rows": unknown_rows,
    "dataframe": lambda X: dd.from_pandas(pd.DataFrame(X, columns=list("abcd")), npartitions=3),
}


def load(executor, X, y, weight=None, n_blocks="auto", **options):
    target = Numbers(several=False)
    data = load_checked(executor, X, y, weight, target=target, cut=Cells(n_blocks), **options)
    return data.partitions


def gathered(executor, grid):
    """X, y and weights of the grid, checked to keep what `Grid` promises."""
    cells = executor.client.gather([list(row) for row in grid.cells])
    targets = {}
    for band in grid.bands:
        held = executor.client.gather(band.future)
        assert tuple(held) == band.indices
        targets |= held
    assert sorted(targets) == list(range(len(grid.rows)))
    start = 0
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            assert (cell.row, cell.column, cell.start) == (i, j, grid.column_bounds[j])
            assert cell.X.shape == (grid.rows[i], grid.columns[j].stop - grid.columns[j].start)
            assert cell.X.dtype == grid.dtype
            if sp.issparse(cell.X):
                assert cell.X.format == "csr" and cell.X.has_canonical_format
            else:
                assert cell.X.flags.c_contiguous
        assert (targets[i].index, targets[i].start, targets[i].X) == (i, start, None)
        assert targets[i].__sizeof__() >= targets[i].y.nbytes
        assert len(targets[i].y) == grid.rows[i]
        start += grid.rows[i]
    X = np.concatenate([np.concatenate([dense(c.X) for c in row], axis=1) for row in cells])
    pieces = [targets[i] for i in sorted(targets)]
    weight = None if pieces[0].sample_weight is None else [p.sample_weight for p in pieces]
    y = np.concatenate([piece.y for piece in pieces])
    return X, y, None if weight is None else np.concatenate(weight)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("n_blocks", "dtype"), [("auto", np.float64), (1, np.float64), (3, np.float32)]
)
def test_all_kinds(executor, kind, n_blocks, dtype):
    X = rows(dtype)
    with dask.config.set({"daskml-exec.partition-bytes": 9 * D * dtype().itemsize}):
        grid = load(executor, KINDS[kind](X), target(), weights(), n_blocks)
    found = gathered(executor, grid)
    for got, expected in zip(found, (X, target(), weights()), strict=True):
        np.testing.assert_array_equal(got, expected)
    own = {"both axes": 2, "csr": 2, "empty column chunk": 2, "unknown rows": 2}.get(kind, D)
    assert grid.n_blocks == (own if n_blocks == "auto" else n_blocks)
    assert grid.n_features == D and len(grid.rows) in (3, 4, 5)
    assert grid.feature_names == (tuple("abcd") if kind == "dataframe" else None)
    assert (grid.nonzeros is not None) == (kind in ("csr", "csr in memory"))


def test_released_cells_leave_the_cluster(executor):
    grid = load(executor, da.from_array(rows(), chunks=(9, 2)), target())
    executor.client.gather([list(row) for row in grid.cells])
    grid.release()
    for word in ("cell", "band", "rows-only"):
        until_released(executor.client, word)
    with pytest.raises(ValueError, match="y has 22"):
        load(executor, rows(), target()[1:])
    until_released(executor.client, "cell")


CALLS = []


def read(i):
    CALLS.append(int(i[0]))
    here = slice(i[0] * 8, i[0] * 8 + 8)
    return np.column_stack([rows()[here], target()[here]])


def test_targets_on_the_cluster_come_from_the_same_reader(executor):
    """X and y of one graph are computed once."""
    CALLS.clear()
    table = da.from_array(np.arange(3), chunks=1).map_blocks(
        read, new_axis=1, chunks=((8, 8, 7), (D + 1,)), dtype=float, meta=np.empty((0, 0))
    )
    grid = load(executor, table[:, :D], table[:, D], da.from_array(weights(), chunks=7), 2)
    found = gathered(executor, grid)
    for got, expected in zip(found, (rows(), target(), weights()), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert sorted(CALLS) == [0, 1, 2]


def test_classes_are_those_of_partitions(executor):
    X = da.from_array(rows(), chunks=(9, 2))
    names = np.array(["a", "b", "c"])[labels()]
    weight = (names != "c").astype(float)
    target = Labels({"a": 2.0})
    data = load_checked(executor, X, names, weight, target=target, cut=Cells())
    assert data.classes.tolist() == ["a", "b"]
    _, codes, found = gathered(executor, data.partitions)
    np.testing.assert_array_equal(found, weight * np.where(names == "a", 2.0, 1.0))
    np.testing.assert_array_equal(codes[weight > 0], (names == "b")[weight > 0])


def test_dtypes_are_made_one(executor):
    X = rows()
    mixed = da.concatenate([da.from_array(X[:, :2].astype(np.float32)), da.from_array(X[:, 2:])], 1)
    assert load(executor, mixed, target()).dtype == np.float64
    whole = da.from_array(X.astype(np.int32), chunks=(9, 2))
    assert load(executor, whole, target()).dtype == np.float64


def test_nobody_holds_whole_rows():
    for n_workers, n_blocks in [(2, 4), (4, 2), (3, 3)]:
        with Executor(processes=False, n_workers=n_workers) as executor:
            X = da.from_array(rows(), chunks=(8, D))
            grid = load(executor, X, target(), n_blocks=n_blocks)
            held = executor.client.who_has([f for row in grid.cells for f in row])
            per_worker = {}
            for row in grid.cells:
                for j, future in enumerate(row):
                    (worker,) = held[future.key]
                    per_worker.setdefault(worker, set()).add(j)
            assert len(per_worker) == n_workers
            assert all(len(columns) < n_blocks for columns in per_worker.values())


def test_many_rows_meet_in_several_bands(executor):
    X = da.zeros((600_000, 2), chunks=(100_000, 1))
    grid = load(executor, X, da.ones(600_000, chunks=100_000))
    assert [band.indices for band in grid.bands] == [(0, 1), (2, 3), (4, 5)]


@pytest.mark.parametrize(
    ("X", "n_blocks", "message"),
    [
        (rows(), 5, r"n_blocks=5, but X has 4 columns"),
        (da.from_array(rows(), chunks=(9, 2)), 5, r"n_blocks=5, but X has 4 columns"),
        (da.zeros((N, 0), chunks=(9, 1)), "auto", "0 feature"),
        (da.from_array(rows() + 1j, chunks=(9, 2)), "auto", "Complex data not supported"),
    ],
)
def test_refusals(executor, X, n_blocks, message):
    with pytest.raises(ValueError, match=message):
        load(executor, X, target(), n_blocks=n_blocks)


def test_futures_and_unknown_columns_are_refused(executor):
    with pytest.raises(ValueError, match="X is a list of futures, with parallel='model'"):
        load(executor, executor.client.scatter([rows()]), target())
    frame = dd.from_pandas(pd.DataFrame(rows()), npartitions=2)
    unknown = frame.map_partitions(lambda x: x.to_numpy(), meta=np.empty((0, 0)))
    if column_chunks(unknown) is None:
        with pytest.raises(ValueError, match="column chunks of unknown size"):
            load(executor, unknown, target())


def test_column_blocks_of_different_lengths_are_named(executor):
    right = da.from_array(np.arange(N), chunks=12).map_blocks(
        lambda i: rows()[i][1:, 2:],
        new_axis=1,
        chunks=((12, 11), (2,)),
        dtype=float,
        meta=np.empty((0, 0)),
    )
    X = da.concatenate([da.from_array(rows()[:, :2], chunks=(12, 2)), right], axis=1)
    with pytest.raises(ValueError, match="partition 0 of X has 12 rows in column block 0 and 11"):
        load(executor, X, target())


def test_wrong_lengths_of_targets(executor):
    with pytest.raises(ValueError, match="X has 23 rows, y has 22"):
        load(executor, rows(), target()[1:])


@given(
    widths=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    n_blocks=st.one_of(st.just("auto"), st.integers(1, 8)),
)
def test_blocks_cover_all_columns_once(widths, n_blocks):
    d = sum(widths)
    if n_blocks != "auto" and n_blocks > max(1, d):
        with pytest.raises(ValueError, match="n_blocks"):
            block_bounds(widths, n_blocks)
        return
    bounds = block_bounds(widths, n_blocks)
    columns = np.split(np.arange(d), np.cumsum(widths)[:-1])
    cut = [
        np.concatenate([columns[i][a:b] for i, a, b in pieces])
        for pieces in overlaps(widths, bounds)
    ]
    assert np.concatenate(cut).tolist() == list(range(d))
    assert [len(block) for block in cut] == np.diff(bounds).tolist()
    assert d == 0 or min(len(block) for block in cut) > 0
    if n_blocks != "auto":
        assert len(cut) == n_blocks and np.ptp(np.diff(bounds)) <= 1
