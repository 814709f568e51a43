"""Numeric targets, over every kind of input."""

import itertools
import logging

import array_api_strict as xp
import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from daskml_exec import Executor
from daskml_exec.kernels.distributions import Poisson
from tests.partitions.toolbox import N, check_target, gathered, load_target, rows, target, weights

CUTS = [0, 4, 4, 15, N]
NAMES = list("abcd")


def chunked(array, chunks=5):
    return da.from_array(array, chunks=(chunks, *array.shape[1:]))


def unknown(array):
    return array.map_blocks(
        lambda block: block,
        chunks=((np.nan,) * array.numblocks[0], *array.chunks[1:]),
        dtype=array.dtype,
    )


def scattered(executor, data, kind=lambda piece: piece):
    pieces = [kind(data[a:b]) for a, b in itertools.pairwise(CUTS)]
    return executor.client.scatter(pieces, hash=False)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csr_array])
@pytest.mark.parametrize("weight", [None, weights()])
@pytest.mark.parametrize("size", [200, "1MiB"])
def test_data_in_memory(executor, kind, weight, size):
    with dask.config.set({"daskml-exec.partition-bytes": size}):
        found = load_target(executor, kind(rows()), target(), weight, feature_names=tuple(NAMES))
    check_target(executor, found, rows(), target(), weight)
    assert found.feature_names == tuple(NAMES)
    assert (len(found.rows) == 1) == (size == "1MiB")


def test_what_has_the_dtypes_already_is_not_copied(executor):
    X, y, weight = rows(), target(), weights()
    [piece] = gathered(executor, load_target(executor, X, y, weight))
    assert np.shares_memory(piece.X, X)
    assert np.shares_memory(piece.y, y)
    assert np.shares_memory(piece.sample_weight, weight)
    futures = executor.client.scatter([X], hash=False), executor.client.scatter([y], hash=False)
    [piece] = gathered(executor, load_target(executor, *futures))
    assert np.shares_memory(piece.X, X) and np.shares_memory(piece.y, y)


@pytest.mark.parametrize("y_chunks", [5, 7, (0, 9, 0, 0, 10, 4, 0), None])
@pytest.mark.parametrize("chunks", [N, 5, (0, 9, 0, 0, 10, 4, 0)])
def test_dask_arrays(executor, chunks, y_chunks):
    y = target() if y_chunks is None else chunked(target(), y_chunks)
    found = load_target(executor, chunked(rows(), chunks), y, chunked(weights(), 4))
    check_target(executor, found, rows(), target(), weights())
    assert found.rows == chunked(rows(), chunks).chunks[0]


def test_unknown_chunks(executor):
    X, y = chunked(rows(), 9), chunked(target(), 6)
    for given in ((X, unknown(y)), (unknown(X), y), (unknown(X), unknown(y))):
        check_target(executor, load_target(executor, *given), rows(), target())


def test_sparse_chunks(executor):
    X = chunked(rows()).map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0)))
    check_target(executor, load_target(executor, X, target()), rows(), target())


def test_dataframes_left_empty_in_parts_by_a_filter(executor):
    frame = pd.DataFrame(rows(), columns=NAMES).assign(y=target())
    some = dd.from_pandas(frame, npartitions=6)
    some = some[some["a"] > 60]
    keep = frame["a"] > 60
    found = load_target(executor, some[NAMES], some["y"])
    check_target(executor, found, rows()[keep], target()[keep])
    assert 0 in found.rows and found.feature_names == tuple(NAMES)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, pd.DataFrame])
def test_futures(executor, kind):
    found = load_target(
        executor,
        scattered(executor, rows(), kind),
        scattered(executor, target(), pd.Series),
        scattered(executor, weights()),
    )
    check_target(executor, found, rows(), target(), weights())
    assert found.rows == (4, 0, 11, 8)


def test_targets_on_a_device_come_to_the_host(executor):
    X, y = (scattered(executor, a.astype(np.float32), xp.asarray) for a in (rows(), target()))
    pieces = executor.client.gather(list(load_target(executor, X, y).futures))
    assert [piece.start for piece in pieces] == CUTS[:-1]
    assert np.array_equal(np.concatenate([piece.y for piece in pieces]), target())


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint64, bool, object, "Int64"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_numbers_of_any_dtype_become_float64(executor, dtype, in_memory):
    y = pd.Series(target().astype(int)).astype(dtype)
    if dtype is object:  # Dask would make strings of a series of objects
        y = y.to_numpy()
    spread = chunked if dtype is object else lambda y: dd.from_pandas(y, npartitions=3)
    given = (rows(), y) if in_memory else (chunked(rows()), spread(y))
    check_target(executor, load_target(executor, *given), rows(), y)


@pytest.mark.parametrize("in_memory", [True, False])
def test_columns_of_matrices(executor, in_memory):
    place = (lambda a: a) if in_memory else chunked
    with pytest.warns(UserWarning, match="column-vector y"):
        found = load_target(executor, place(rows()), place(target()[:, None]))
    check_target(executor, found, rows(), target())
    with pytest.raises(ValueError, match="y has 2 dimensions and 2 columns; allowed is one"):
        load_target(executor, place(rows()), place(rows()[:, :2]))


def changed(value, column=None):
    column = (target() if column is None else column).astype(np.result_type(type(value), float))
    column[12] = value
    return column


LOSS = r"Some value\(s\) of y are out of the valid range of the loss 'HalfPoissonLoss'"
REFUSALS = {
    "nan": (changed(np.nan), None, "Input y contains NaN or infinity in row {row} of {where}"),
    "infinity": (changed(np.inf), None, "Input y contains NaN or infinity in row {row} of"),
    "below": (changed(-2.0), None, LOSS + ": y has -2 in row {row} of {where}; allowed .* from 0"),
    "strings": (np.full(N, "3"), None, "y has dtype <U1 in .*; allowed are real numbers"),
    "objects": (np.full(N, "3", object), None, "y has dtype object with string values in"),
    "complex": (changed(1j), None, "Complex data not supported"),
    "dates": (
        np.full(N, "2020-01-01", "M8[s]"),
        None,
        r"y has datetime64\[s\]; allowed are numbers",
    ),
    "huge": (np.full(N, 10**400, object), None, "y has a value that is too large for float64 in"),
    "weight": (target(), changed(-1.0, weights()), "sample_weight has -1 in row {row} of {where};"),
    "weightless": (target(), np.zeros(N), "all sample weights are zero: a fit needs at least one"),
    "short": (target()[1:], None, "X has 23 rows, y has 22; they must be the same"),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("in_memory", [True, False])
def test_what_is_wrong_is_told_with_its_place(executor, name, in_memory):
    y, weight, message = REFUSALS[name]
    where, row = ("the data", 12) if in_memory else ("partition 2", 2)
    X = rows() if in_memory else chunked(rows())
    with pytest.raises((ValueError, TypeError), match=message.format(row=row, where=where)):
        load_target(executor, X, y, weight, distribution=Poisson())


@pytest.mark.parametrize("X", [np.ones((0, 3)), da.ones((0, 3))], ids=["memory", "dask"])
def test_no_rows(executor, X):
    with pytest.raises(ValueError, match="X has 0 rows: a fit needs at least one row"):
        load_target(executor, X, np.ones(0))


def test_rows_of_weight_zero_need_a_finite_target_too(executor):
    with pytest.raises(ValueError, match="Input y contains NaN or infinity in row 2 of partition"):
        load_target(executor, chunked(rows()), changed(np.nan), (np.arange(N) < 5) * 1.0)


def test_columns_that_differ(executor):
    X = executor.client.scatter([rows()[:10], rows()[10:, :3]], hash=False)
    with pytest.raises(ValueError, match="partition 1 of X has 3 columns, partition 0 has 4"):
        load_target(executor, X, target())


def test_workers_log_no_failure(caplog):
    caplog.set_level(logging.WARNING, logger="distributed.worker")
    with Executor(processes=False, n_workers=1) as executor, pytest.raises(ValueError, match=LOSS):
        load_target(executor, chunked(rows()), chunked(target() - 1), distribution=Poisson())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
