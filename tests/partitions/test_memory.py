"""Data of the driver, cut into partitions."""

import dask
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec import Executor
from daskml_exec.partitions import Labels, load_checked
from daskml_exec.partitions._memory import row_bounds
from tests.partitions.toolbox import check, gathered, labels, load, rows, weights


@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, sp.csr_matrix, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 200, "1MiB"])
def test_rows_are_cut_and_kept_in_order(executor, kind, dtype, size):
    with dask.config.set({"daskml-exec.partition-bytes": size}):
        data = load(executor, kind(rows(dtype)), labels(), weights())
    check(executor, data, rows(dtype), labels(), weights())
    assert data.partitions.dtype == dtype
    assert (len(data.partitions.rows) == 1) == (size == "1MiB")


def test_csr_matrices_are_made_canonical_without_touching_the_users(executor):
    X = sp.csr_matrix(([1.0, 2.0, 3.0, 4.0], [1, 0, 0, 1], [0, 3, 4]), (2, 2))
    before = X.indices.copy()
    check(executor, load(executor, X, np.array([0, 1])), [[5.0, 1.0], [0.0, 4.0]], [0, 1])
    assert np.array_equal(X.indices, before)


def test_feature_names_are_passed_on(executor):
    names = ("a", "b", "c", "d")
    data = load_checked(executor, rows(), labels(), None, target=Labels(), feature_names=names)
    assert data.feature_names == names


def test_workers_share_the_arrays_of_their_own_process(executor):
    X = rows()
    [piece] = gathered(executor, load(executor, X, labels()).partitions, y_kind="i")
    assert np.shares_memory(piece.X, X)


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csr_array])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_pieces_of_csr_matrices_are_views(executor, kind, index_dtype):
    X = kind(rows())
    X.indices, X.indptr = X.indices.astype(index_dtype), X.indptr.astype(index_dtype)
    with dask.config.set({"daskml-exec.partition-bytes": 200}):
        pieces = gathered(executor, load(executor, X, labels()).partitions, y_kind="i")
    assert len(pieces) > 3
    for piece in pieces:
        assert type(piece.X) is kind
        assert np.shares_memory(piece.X.data, X.data)
        assert np.shares_memory(piece.X.indices, X.indices)


def test_contiguous_ranges_go_to_workers_in_order(executor):
    with dask.config.set({"daskml-exec.partition-bytes": 200}):
        data = load(executor, rows(), labels())
    futures = data.partitions.futures
    gathered(executor, data.partitions, y_kind="i")
    [where] = zip(*executor.client.who_has(futures).values(), strict=True)
    by_key = dict(zip(executor.client.who_has(futures), where, strict=True))
    order = [by_key[future.key] for future in futures]
    assert len(set(order)) == 2 and sorted(order) in (order, order[::-1])


@given(
    n=st.integers(1, 1000),
    d=st.integers(1, 50),
    size=st.integers(1, 10_000),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_cuts_are_even_and_about_the_configured_size(n, d, size, dtype):
    X = np.empty((n, d), dtype)
    with dask.config.set({"daskml-exec.partition-bytes": size}):
        bounds = row_bounds(X)
    lengths = np.diff(bounds)
    assert bounds[0] == 0 and bounds[-1] == n
    assert lengths.min() >= 1 and lengths.max() - lengths.min() <= 1
    assert lengths.min() == 1 or (lengths.min() - 1) * d * X.itemsize <= size


def test_cuts_do_not_depend_on_the_cluster():
    X = np.ones((1000, 4))
    found = set()
    for n_workers in (1, 3):
        with (
            dask.config.set({"daskml-exec.partition-bytes": 3000}),
            Executor(processes=False, n_workers=n_workers) as executor,
        ):
            found.add(load(executor, X, np.arange(1000) % 2).partitions.rows)
    assert len(found) == 1


@pytest.mark.parametrize("size", [0, -5, "0 B"])
def test_a_size_that_is_no_size(size):
    with (
        dask.config.set({"daskml-exec.partition-bytes": size}),
        pytest.raises(ValueError, match=r"'daskml-exec.partition-bytes' is .*; allowed: from 1"),
    ):
        row_bounds(np.ones((3, 2)))
