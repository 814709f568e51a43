"""Splits per user: exact shares, the same rows for every kind of data and all partitions."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV

from daskml_exec import Executor
from daskml_exec.recommendation import split_interactions


def table(*counts, seed=0):
    """Return rows of users with so many each, in a mixed order, that have their numbers."""
    rng = np.random.default_rng(seed)
    users = rng.permutation(np.repeat([f"u{place}" for place in range(len(counts))], counts))
    n = len(users)
    return pd.DataFrame(
        {
            "user": users,
            "item": rng.permutation(n),
            "rating": rng.random(n),
            "day": rng.integers(0, 4, n),
        },
        index=np.arange(n),
    )


def rows(parts):
    """Return the numbers of the rows of each part."""
    return [np.asarray(part.index) for part in parts]


counts_of_users = st.lists(st.integers(1, 12), min_size=1, max_size=9)


@given(
    counts=counts_of_users,
    test_size=st.one_of(st.floats(0.01, 0.99), st.integers(1, 4)),
    min_train=st.integers(0, 4),
    by_time=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
)
def test_each_user_has_the_share(counts, test_size, min_train, by_time, seed):
    data = table(*counts, seed=seed % 7)
    wanted = [
        min(
            test_size if isinstance(test_size, int) else int(np.floor(test_size * n + 0.5)),
            max(n - min_train, 0),
        )
        for n in counts
    ]
    options = {"test_size": test_size, "min_train": min_train, "random_state": seed}
    if not any(wanted):
        with pytest.raises(ValueError, match="takes none of them"):
            split_interactions(data, **options)
        return
    train, test = split_interactions(data, time="day" if by_time else None, **options)
    assert_array_equal(sorted([*train.index, *test.index]), data.index)
    assert train.index.is_monotonic_increasing and test.index.is_monotonic_increasing
    of_users = test["user"].value_counts().reindex([f"u{place}" for place in range(len(counts))])
    assert_array_equal(of_users.fillna(0), wanted)
    if by_time:
        for name, after in test.groupby("user"):
            before = train[train["user"] == name]
            last = max(zip(before["day"], before.index, strict=True), default=(-1, -1))
            assert last < min(zip(after["day"], after.index, strict=True))


@given(counts=counts_of_users, n_splits=st.integers(2, 5), seed=st.integers(0, 2**31 - 1))
def test_each_row_is_in_one_fold(counts, n_splits, seed):
    data = table(*counts)
    if len(data) < n_splits:
        with pytest.raises(ValueError, match="as many folds as rows, at most"):
            split_interactions(data, n_splits=n_splits)
        return
    folds = split_interactions(data, n_splits=n_splits, random_state=seed)
    assert len(folds) == n_splits
    assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(len(data)))
    for train, test in folds:
        assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(data)))
        assert train.dtype == test.dtype == np.int64
    sizes = np.array(
        [data["user"].iloc[test].value_counts().reindex(data["user"].unique()) for _, test in folds]
    )
    for of_folds in [np.nan_to_num(sizes).T, [[len(test) for _, test in folds]]]:
        assert all(np.ptp(each) <= 1 for each in of_folds)


def test_rows_are_drawn_evenly():
    data = table(*[4] * 500)
    _, test = split_interactions(data, test_size=1, random_state=0)
    ranks = data.groupby("user").cumcount()[test.index]
    assert np.bincount(ranks).min() > 90


def test_the_same_seed_gives_the_same_split():
    data = table(5, 9, 3, 8)
    first, again, other = (rows(split_interactions(data, random_state=seed)) for seed in (3, 3, 4))
    assert_array_equal(first[1], again[1])
    assert first[1].tolist() != other[1].tolist()
    states = [np.random.RandomState(3) for _ in range(2)]
    for one, two in zip(
        *(split_interactions(data, random_state=each) for each in states), strict=True
    ):
        assert_array_equal(one.index, two.index)


KINDS = {
    "polars": pl.from_pandas,
    "arrays": lambda data: tuple(data[name].to_numpy() for name in ("user", "item", "rating")),
    "pairs": lambda data: tuple(data[name].to_numpy() for name in ("user", "item")),
    "lists": lambda data: tuple(data[name].tolist() for name in ("user", "item", "rating")),
    "series": lambda data: (data["user"], pl.Series(data["item"].to_numpy()), data["rating"]),
    "categories": lambda data: data.astype({"user": "category"}),
}


def items_of(part):
    return list(part[1] if isinstance(part, tuple) else part["item"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_split_alike(kind):
    data = table(5, 9, 1, 8)
    given = KINDS[kind](data)
    parts = split_interactions(given, random_state=0)
    expected = split_interactions(data, random_state=0)
    for part, other in zip(parts, expected, strict=True):
        assert type(part) is type(given)
        if isinstance(part, tuple):
            assert [type(each) for each in part] == [type(each) for each in given]
        assert items_of(part) == list(other["item"])
    folds = split_interactions(given, n_splits=2, random_state=0)
    for fold, same in zip(folds, split_interactions(data, n_splits=2, random_state=0), strict=True):
        assert_array_equal(fold[1], same[1])


@pytest.mark.parametrize("times", ["dates", "zoned", "texts", "floats", "polars"])
def test_times_of_all_kinds(times):
    data = table(5, 9, 1, 8)
    dates = pd.Timestamp("2024-02-27") + pd.to_timedelta(data["day"], unit="D")
    made = {
        "dates": dates,
        "zoned": dates.dt.tz_localize("Europe/Paris"),
        "texts": dates.dt.strftime("%Y-%m-%d"),
        "floats": data["day"] / 10,
        "polars": dates,
    }[times]
    given = data.assign(day=made)
    expected = split_interactions(data, time="day")
    found = split_interactions(pl.from_pandas(given) if times == "polars" else given, time="day")
    for part, other in zip(found, expected, strict=True):
        assert list(part["item"]) == list(other["item"])


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil"])
@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csr_array])
def test_entries_of_a_matrix(form, make):
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((20, 30)) < 0.4, rng.random((20, 30)), 0)
    dense[3] = 0
    given = make(dense).asformat(form)
    train, test = split_interactions(given, test_size=0.25, random_state=0)
    for part in (train, test):
        assert (type(part), part.shape, part.dtype) == (type(given), given.shape, given.dtype)
    assert_array_equal((train + test).toarray(), dense)
    n, n_test = np.count_nonzero(dense, axis=1), np.count_nonzero(test.toarray(), axis=1)
    assert_array_equal(n_test, np.floor(n * 0.25 + 0.5))
    users, items = np.nonzero(dense)
    expected = split_interactions((users, items), test_size=0.25, random_state=0)[1]
    assert_array_equal(np.nonzero(test.toarray()), expected)


def test_stored_zeros_are_entries():
    given = sp.csr_array((np.array([0.0, 1.0]), np.array([2, 0]), np.array([0, 2])), shape=(1, 3))
    parts = split_interactions(given, test_size=1, random_state=0)
    assert [part.nnz for part in parts] == [1, 1]


def test_indices_of_two_dtypes():
    given = sp.csr_array((1, 3))
    given.data, given.indices = np.ones(2), np.array([0, 2], np.int32)
    given.indptr = np.array([0, 2], np.int64)
    parts = split_interactions(given, test_size=1, random_state=0)
    assert_array_equal(sum(part.toarray() for part in parts), [[1, 0, 1]])


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as made:
        yield made


@pytest.mark.parametrize("n_partitions", [1, 3, 7])
@pytest.mark.parametrize("time", [None, "day"])
def test_any_partitions_equal_the_whole(executor, n_partitions, time):
    data = table(5, 9, 1, 8, 20)
    lazy = dd.from_pandas(data, npartitions=n_partitions, sort=False)
    parts = split_interactions(lazy, time=time, random_state=0)
    expected = split_interactions(data, time=time, random_state=0)
    for part, other in zip(parts, expected, strict=True):
        assert isinstance(part, dd.DataFrame)
        assert part.npartitions == lazy.npartitions
        pd.testing.assert_frame_equal(part.compute(), other, check_dtype=False)


def test_a_split_reads_once(executor):
    data, reads = table(5, 9, 1, 8), []

    def read(place):
        reads.append(place)
        return data[place::3]

    lazy = dd.from_map(read, range(3), meta=data[:0])
    parts = split_interactions(lazy, random_state=0)
    assert sorted(reads) == [0, 1, 2]
    assert sum(map(len, parts)) == len(data)


def test_numbers_of_users_beyond_floats(executor):
    data = table(3, 3).assign(user=lambda each: (each["user"] == "u1") + 2**53)
    lazy = dd.from_pandas(data, npartitions=2)
    for part, other in zip(
        split_interactions(lazy, random_state=0),
        split_interactions(data, random_state=0),
        strict=True,
    ):
        assert_array_equal(part["item"].compute(), other["item"])


class Counts(BaseEstimator):
    """Remembers how many rows it is fitted on."""

    def __init__(self, power=1):
        self.power = power

    def fit(self, X, y=None):
        self.n_ = len(X)
        return self

    def score(self, X, y=None):
        return (len(X) / self.n_) ** self.power


@pytest.mark.parametrize("make", [lambda data: data, pl.from_pandas])
def test_folds_are_those_of_a_search(make):
    data = table(10, 10)
    search = GridSearchCV(
        Counts(), {"power": [1, 2]}, cv=split_interactions(data, n_splits=5), error_score="raise"
    )
    search.fit(make(data))
    assert search.best_score_ == pytest.approx(4 / 16)


DATA = table(5, 9, 1, 8)
MATRIX = sp.csr_array(np.ones((3, 4)))


@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        (DATA, {"test_size": 0.0}, ValueError, "test_size=0.0; allowed are shares"),
        (DATA, {"test_size": 1.0}, ValueError, "test_size=1.0"),
        (DATA, {"test_size": np.nan}, ValueError, "test_size=nan"),
        (DATA, {"test_size": 0}, ValueError, "test_size=0;"),
        (DATA, {"test_size": True}, ValueError, "test_size=True"),
        (DATA, {"test_size": "half"}, ValueError, "test_size='half'"),
        (DATA, {"min_train": -1}, ValueError, "min_train=-1; allowed are integers from 0"),
        (DATA, {"min_train": 1.5}, ValueError, "min_train=1.5"),
        (DATA, {"min_train": 9}, ValueError, "23 rows of 4 users, at most 9 of each"),
        (DATA, {"n_splits": 1}, ValueError, "n_splits=1; allowed are integers from 2"),
        (DATA, {"n_splits": 3, "test_size": 0.5}, ValueError, "n_splits=3 and test_size"),
        (DATA, {"n_splits": 3, "min_train": 2, "time": "day"}, ValueError, "min_train and time"),
        (DATA, {"user": "who"}, ValueError, "no 'who'; user= names another"),
        (DATA, {"time": "when"}, ValueError, "no 'when'; time= names another"),
        (DATA.assign(user=None), {}, ValueError, "'user' of ids has 23 missing"),
        (DATA.assign(user=pd.Timestamp(0)), {}, TypeError, "dates or durations"),
        (DATA.assign(day=[np.nan, *range(22)]), {"time": "day"}, ValueError, "1 missing .* row 0"),
        (DATA[:0], {}, ValueError, "have no rows"),
        (MATRIX, {"time": "day"}, ValueError, "time='day' and interactions are a sparse matrix"),
        (MATRIX, {"n_splits": 2}, ValueError, "n_splits=2 and interactions are a sparse matrix"),
        (([1], [2]), {"time": "day"}, ValueError, "interactions are a tuple of arrays"),
        (([1, 2], [2]), {}, ValueError, "arrays of 2, 1 rows"),
        (([1], [2], [3], [4]), {}, TypeError, "interactions are of tuple; allowed are"),
        (np.ones((3, 3)), {}, TypeError, "interactions are of ndarray"),
        (pl.from_pandas(DATA).lazy(), {}, TypeError, "polars LazyFrame"),
        (da.ones((3, 3)), {}, TypeError, "interactions are of Array"),
        (dd.from_pandas(DATA, npartitions=2), {"n_splits": 2}, ValueError, "are a Dask dataframe"),
        (dd.from_pandas(DATA, npartitions=2), {"user": "who"}, ValueError, "no 'who'"),
    ],
)
def test_wrong_arguments(executor, given, options, error, message):
    with pytest.raises(error, match=message):
        split_interactions(given, **options)
