"""The best items by blocks are those of a sort of all scores, on every path."""

from contextlib import contextmanager
from importlib.util import find_spec

import array_api_strict as xp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daskml_exec.kernels.factors import top_n as module
from daskml_exec.kernels.factors.top_n import Shape, top_n
from tests.kernels.test_devices import DEVICES, no_other_way_to_the_host

WITH_NUMBA = pytest.param(
    "numba",
    marks=pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed"),
)
on_paths = pytest.mark.parametrize("path", [WITH_NUMBA, "numpy", "device"])


def absent():
    return None


@contextmanager
def by_path(path, shape=None):
    """Let `top_n` go one of its ways, in blocks of another shape."""
    with pytest.MonkeyPatch.context() as patch:
        if path == "numpy":
            patch.setattr(module, "compiled_keep", absent)
        if shape is not None:
            for name in ("IN_CACHE", "BY_CALLS", "ON_DEVICE"):
                patch.setattr(module, name, shape)
            patch.setattr(module, "MULTIPLE", 16)
        yield


def found_by(path, users, items, n, *, shape=None, **options):
    with by_path(path, shape):
        if path == "device":
            users, items = xp.asarray(users), xp.asarray(items)
        return top_n(users, items, n, **options)


def sorted_scores(users, items, n, seen=None, allowed=None):
    """Return the items, scores and counts that a sort of all scores gives."""
    with np.errstate(all="ignore"):
        scores = users @ items.T
    b = len(scores)
    expected = np.full((b, n), -1), np.full((b, n), -np.inf, scores.dtype), np.zeros(b, np.int64)
    for row in range(b):
        there = scores[row] > -np.inf
        if seen is not None:
            there &= ~seen[row]
        if allowed is not None:
            there &= allowed
        columns = np.flatnonzero(there)
        order = np.lexsort((columns, -scores[row, columns]))[:n]
        expected[0][row, : len(order)] = columns[order]
        expected[1][row, : len(order)] = scores[row, columns[order]]
        expected[2][row] = len(order)
    return expected


def random_seen(rng, b, m, density):
    """Return what was seen as a mask, and as arguments."""
    mask = rng.random((b, m)) < density
    indptr = np.append(0, np.cumsum(mask.sum(axis=1)))
    return mask, {"seen_indptr": indptr, "seen_indices": np.nonzero(mask)[1].astype(np.int32)}


def assert_equal(found, expected):
    for mine, theirs in zip(found, expected, strict=True):
        assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype


@on_paths
@given(
    b=st.integers(0, 9),
    m=st.integers(0, 100),
    n=st.integers(1, 120),
    values=st.integers(0, 4),
    density=st.sampled_from([0.0, 0.1, 1.0]),
    single=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_equal_to_a_sort(path, b, m, n, values, density, single, seed):
    """Factors are small integers: products are exact, and many of them are equal."""
    rng = np.random.default_rng(seed)
    dtype = np.float32 if single else np.float64
    users, items = (rng.integers(-values, values + 1, (rows, 3)).astype(dtype) for rows in (b, m))
    (mask, seen), allowed = random_seen(rng, b, m, density), rng.random(m) < 0.7
    found = found_by(path, users, items, n, shape=Shape(4, 48), allowed=allowed, **seen)
    assert_equal(found, sorted_scores(users, items, n, mask, allowed))


@on_paths
@pytest.mark.parametrize("n", [1, 10, 3000])
def test_equal_to_a_sort_in_large_blocks(path, n):
    rng = np.random.default_rng(0)
    users, items = (rng.integers(-9, 10, (rows, 8)).astype(np.float32) for rows in (150, 2500))
    mask, seen = random_seen(rng, 150, 2500, 0.05)
    found = found_by(path, users, items, n, **seen)
    assert_equal(found, sorted_scores(users, items, n, mask))


@on_paths
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "k"), [(37, 5), (2100, 64), (1025, 1)])
def test_a_user_alone_has_the_same_bits(path, dtype, m, k):
    rng = np.random.default_rng(0)
    users, items = (rng.normal(size=(rows, k)).astype(dtype) for rows in (131, m))
    whole = found_by(path, users, items, 20)
    assert_allclose(
        whole.scores,
        np.sort(users.astype(np.float64) @ items.T.astype(np.float64))[:, :-21:-1],
        rtol=1e-5 if dtype == np.float32 else 1e-13,
        atol=1e-5 if dtype == np.float32 else 1e-13,
    )
    order = rng.permutation(131)
    for rows in (order, order[:1], order[:63], order[60:]):
        assert_equal(found_by(path, users[rows], items, 20), tuple(each[rows] for each in whole))


@on_paths
def test_what_is_not_finite(path):
    users = np.array([[1.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [0.0, 0.0], [0.0, 1.0]])
    items = np.array([[-1.0, 2.0], [0.0, np.nan], [3.0, np.inf], [3.0, -np.inf], [0.0, 1.0]])
    assert_equal(found_by(path, users, items, 5), sorted_scores(users, items, 5))


@on_paths
def test_rows_of_a_larger_matrix(path):
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(20, 4)), rng.normal(size=(30, 4))
    _, seen = random_seen(rng, 20, 30, 0.3)
    whole = found_by(path, users, items, 4, **seen)
    some = {**seen, "seen_indptr": seen["seen_indptr"][7:16]}
    part = found_by(path, users[7:15], items, 4, **some)
    assert_equal(part, tuple(each[7:15] for each in whole))


@on_paths
def test_arrays_may_be_read_only_and_in_any_order(path):
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(64, 4)), rng.normal(size=(80, 4))
    _, seen = random_seen(rng, 64, 80, 0.3)
    expected = found_by(path, users, items, 4, **seen)
    strided = np.asfortranarray(items)
    seen = {name: each.astype(np.int64) for name, each in seen.items()}
    for each in (users, strided, *seen.values()):
        each.flags.writeable = False
    assert_equal(found_by(path, users, strided, 4, **seen), expected)


@pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
def test_one_loop_is_compiled_for_each_precision():
    rng = np.random.default_rng(0)
    keep = module.compiled_keep()
    for dtype in (np.float32, np.float64):
        factors = rng.normal(size=(20, 3)).astype(dtype)
        for indices in (np.int32, np.int64):
            _, seen = random_seen(rng, 20, 20, 0.3)
            seen["seen_indices"] = seen["seen_indices"].astype(indices)
            seen["seen_indices"].flags.writeable = False
            top_n(factors, factors, 4, **seen)
            top_n(factors, factors, 4)
    assert len(keep.signatures) == 2


@pytest.mark.parametrize(("device", "dtype"), DEVICES)
def test_on_devices(device, dtype):
    rng = np.random.default_rng(0)
    users, items = (rng.integers(-3, 4, (rows, 4)).astype(dtype) for rows in (9, 100))
    (mask, seen), allowed = random_seen(rng, 9, 100, 0.2), rng.random(100) < 0.8
    there = [xp.asarray(each, device=device) for each in (users, items)]
    with by_path("device", Shape(4, 48)), no_other_way_to_the_host():
        found = top_n(*there, 7, allowed=allowed, **seen)
    assert_equal(found, sorted_scores(users, items, 7, mask, allowed))


ONES = np.ones((2, 3))


@pytest.mark.parametrize(
    ("users", "items", "n", "options", "error", "message"),
    [
        (ONES, ONES, 0, {}, ValueError, "n is 0; allowed are numbers from 1"),
        (ONES, ONES[:, :2], 1, {}, ValueError, r"shape \(2, 3\) and items of shape \(2, 2\)"),
        (ONES[0], ONES, 1, {}, ValueError, r"users are of shape \(3,\)"),
        (ONES, ONES.astype(np.float32), 1, {}, TypeError, "of float64 and items of float32"),
        (ONES.astype(int), ONES.astype(int), 1, {}, TypeError, "users are of int64"),
        (ONES, ONES, 1, {"allowed": np.ones(3, bool)}, ValueError, r"shape \(3,\).* each of 2"),
        (ONES, ONES, 1, {"allowed": np.ones(2)}, ValueError, "allowed is of float64"),
        (ONES, ONES, 1, {"seen_indices": np.zeros(1, int)}, ValueError, "one of .* is None"),
    ],
)
def test_wrong_arguments(users, items, n, options, error, message):
    with pytest.raises(error, match=message):
        top_n(users, items, n, **options)


@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        ([0, 1], [0], r"seen_indptr is of shape \(2,\); allowed is one more than 2 users"),
        ([0, 2, 1], [0, 1], "seen_indptr falls"),
        ([-1, 0, 1], [0], "seen_indptr falls"),
        ([0, 1, 3], [0, 1], "places outside of 2 seen_indices"),
        ([0, 1, 2], [0, 2], "seen_indices are from 0 to 2; allowed are those of 2 items"),
        ([0, 1, 2], [-1, 1], "seen_indices are from -1 to 1"),
        ([0, 1, 3], [1, 1, 0], "not sorted in row 1"),
        ([1, 3, 3], [0, 1, 0], "not sorted in row 0"),
    ],
)
def test_wrong_seen(indptr, indices, message):
    with pytest.raises(ValueError, match=message):
        top_n(ONES, ONES, 1, seen_indptr=np.array(indptr), seen_indices=np.array(indices))


def test_rows_of_what_was_seen_may_be_empty():
    found = top_n(ONES, ONES, 2, seen_indptr=np.array([0, 0, 2]), seen_indices=np.array([0, 1]))
    assert_array_equal(found.counts, [2, 0])
