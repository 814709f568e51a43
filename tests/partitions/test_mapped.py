"""Partitions of any kind: made by users, by a query, exchanged by a key."""

import itertools
from dataclasses import dataclass, replace

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import HashingVectorizer

from daskml_exec import Executor
from daskml_exec.executor import LostPartitionError
from daskml_exec.linear_model import LogisticRegression, Ridge
from daskml_exec.training import Data, Labels, Query, exchange, load, reduce
from tests.executor.rounds import until_released
from tests.partitions.toolbox import N, labels, rows, target, weights, whole


@dataclass(frozen=True)
class Ratings:
    """A partition as a user may make it."""

    user: np.ndarray
    words: list
    about: str = "ratings"


@dataclass(frozen=True)
class Sums(Query):
    def partial(self, partition):
        return np.array([len(partition.user), partition.user.sum(), len(partition.words)])


@dataclass(frozen=True)
class Scaled(Query):
    by: float
    dtype: type = float

    def prepare(self):
        return self.by

    def partial(self, partition, prepared):
        return replace(partition, X=(partition.X / prepared).astype(self.dtype))


@dataclass(frozen=True)
class Words(Query):
    def partial(self, partition):
        return replace(partition, X=HashingVectorizer(n_features=64).transform(partition.X))


@dataclass(frozen=True)
class Pairs(Query):
    def partial(self, partition):
        return Ratings((10 * partition.X[:, 0]).astype(int), [str(x) for x in partition.X[:, 1]])


@dataclass(frozen=True)
class Fails(Query):
    how: str

    def partial(self, partition):
        if self.how == "raises":
            raise ValueError(f"no such thing in partition {partition.index}")
        if self.how == "rows":
            return partition.take(np.arange(partition.n_rows - 1))
        if self.how == "uneven":
            return partition.X, partition.X[1:]
        if self.how == "widths":
            return replace(partition, X=np.ones((partition.n_rows, 2 + partition.index % 2)))
        return partition.n_rows


@pytest.fixture(autouse=True)
def on_threads(executor):
    return executor


def chunked(array, chunks=5):
    return da.from_array(array, chunks=(chunks, *array.shape[1:]))


def held(data):
    return data.executor.client.gather(list(data.partitions.futures))


def ratings(sizes=(3, 0, 4)):
    starts = np.cumsum([0, *sizes])
    return [
        Ratings(np.arange(a, a + n), [f"w{i}" for i in range(a, a + n)])
        for a, n in zip(starts, sizes, strict=False)
    ]


def placed(sizes=(3, 0, 4)):
    futures = Executor.current().client.scatter(ratings(sizes), hash=False)
    return Data.from_partitions(
        futures, rows=sizes, nbytes=[20 * n for n in sizes], fields=("user", "words")
    )


def test_partitions_that_users_make():
    with placed() as data:
        assert reduce(Sums(), data).tolist() == [7, 21, 7]
        assert repr(data) == "Data: 7 rows of user, words in 3 partitions on 2 workers, 140 B"
        assert "user, words" in data._repr_html_()
        with pytest.raises(ValueError, match="kind of their own; Ridge needs rows"):
            Ridge().fit(data)
    futures = [Executor.current().submit(rows) for _ in range(2)]
    with Data.from_partitions(futures, rows=[N, N], nbytes=[9, 9], fields=("X",)) as data:
        assert [piece.shape for piece in held(data)] == [rows().shape] * 2
    for name, value in (("rows", [1]), ("nbytes", [1, 2, 3])):
        arguments = {"rows": [1, 1], "nbytes": [1, 1], "fields": ()} | {name: value}
        with pytest.raises(ValueError, match=f"{name} has {len(value)} values for 2 futures"):
            Data.from_partitions(futures, **arguments)


def test_what_users_made_is_not_made_again():
    with Executor(processes=False, n_workers=1) as executor, placed() as data:
        executor.client.restart()
        with pytest.raises(LostPartitionError):
            reduce(Sums(), data)


@pytest.mark.parametrize("X", [rows, lambda: chunked(rows())])
def test_mapped_rows_of_numbers_are_trained_on(X):
    with load(X(), labels(), weights(), target="labels") as data:
        with data.map(Scaled(10.0)) as scaled, scaled.map(Scaled(0.5, np.float32)) as small:
            found, codes, weight = whole(held(scaled))
            np.testing.assert_array_equal(found, rows() / 10)
            np.testing.assert_array_equal(codes[weight > 0], labels()[weight > 0])
            np.testing.assert_array_equal(weight, weights())
            np.testing.assert_array_equal(
                LogisticRegression().fit(scaled).coef_,
                LogisticRegression()
                .fit(chunked(rows() / 10, data.rows[0]), labels(), weights())
                .coef_,
            )
            assert small.dtype == np.float32 and small.classes.tolist() == [0, 1, 2]
        assert sum(data.rows) == N == sum(len(piece.y) for piece in held(data))


def test_texts_become_rows_of_numbers():
    texts = np.array([f"a{i % 3} b{i % 2}" for i in range(N)])
    client = Executor.current().client
    X = client.scatter([texts[:9].tolist(), texts[9:].tolist()], hash=False)
    with (
        load(X, labels(), target=Labels({0: 2.0}), raw=True) as raw,
        raw.map(Words()) as data,
    ):
        assert data.n_features == 64 and data.partitions.nonzeros == 2 * N
        assert all(sp.issparse(piece.X) for piece in held(data))
        assert (
            LogisticRegression()
            .fit(data)
            .score(HashingVectorizer(n_features=64).transform(texts), labels())
            == 1.0
        )


def test_mapped_to_another_kind_and_released():
    executor = Executor.current()
    with load(chunked(rows()), target(), target="numbers") as data:
        with data.map(Pairs()) as pairs:
            assert "23 rows of Pairs in 5 partitions" in repr(pairs)
            assert reduce(Sums(), pairs)[0] == N and pairs.nbytes > 0
        until_released(executor.client, "map")
        for how, message in {
            "raises": "no such thing in partition 0",
            "rows": r"Fails.partial returned 4 rows for partition 0, which has 5",
            "uneven": r"has leaves of \[4, 5\] rows",
            "widths": "different numbers of columns: 2 in partition",
            "number": "of type int has no leaf with rows",
        }.items():
            with pytest.raises(ValueError, match=message):
                data.map(Fails(how))
        until_released(executor.client, "map")
        assert np.isfinite(Ridge().fit(data).coef_).all()
    with load(rows(), target(), target="numbers", cut="cells") as cells:
        for use in (lambda: cells.map(Pairs()), lambda: exchange(cells, len, 2)):
            with pytest.raises(ValueError, match="a Data with cut='cells'"):
                use()


def test_what_was_made_is_made_again_after_a_restart():
    with (
        Executor(processes=False, n_workers=2) as executor,
        load(chunked(rows()), labels(), target="labels") as data,
        data.map(Scaled(10.0)) as scaled,
        exchange(scaled, lambda partition: partition.y, 2) as dealt,
    ):
        before = [LogisticRegression().fit(each).coef_ for each in (data, scaled, dealt)]
        executor.client.restart()
        for each, coef in zip((dealt, scaled, data), before[::-1], strict=True):
            np.testing.assert_array_equal(LogisticRegression().fit(each).coef_, coef)


def user(partition):
    return partition.user % 3


def test_rows_are_exchanged_by_a_key():
    with placed((4, 0, 5)) as data, exchange(data, user, 2) as found:
        first, second = held(found)
        assert first.user.tolist() == [0, 3, 6, 2, 5, 8] and second.user.tolist() == [1, 4, 7]
        assert first.words == [f"w{i}" for i in first.user] and first.about == "ratings"
        assert found.rows == (6, 3) and found.nbytes == 180
    for key, n, message in (
        (user, 0, "n_partitions=0; allowed are integers from 1"),
        (len, 2, "object of type 'Ratings' has no len"),
        (lambda p: p.user / 2, 2, r"key returned float64 values of shape \(4,\) for 4 rows"),
        (lambda p: p.user[:1], 2, r"key returned int64 values of shape \(1,\) for 4 rows"),
    ):
        with placed((4, 0, 5)) as data, pytest.raises((ValueError, TypeError), match=message):
            exchange(data, key, n)


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(sum),
    n=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_exchanged_rows_are_a_stable_sort(sizes, n, seed):
    total = sum(sizes)
    keys = np.random.default_rng(seed).integers(-4, 5, total)
    frame = pd.DataFrame({"row": np.arange(total), "key": keys})
    cuts = np.cumsum([0, *sizes])
    futures = Executor.current().client.scatter(
        [
            (frame.iloc[a:b], sp.csr_array(frame.to_numpy()[a:b]))
            for a, b in itertools.pairwise(cuts)
        ],
        hash=False,
    )
    about = {"rows": sizes, "nbytes": sizes, "fields": ("frame", "csr")}
    with (
        Data.from_partitions(futures, **about) as data,
        exchange(data, lambda partition: partition[0]["key"].to_numpy(), n) as found,
    ):
        for target_index, (part, csr) in enumerate(held(found)):
            mine = frame[keys % n == target_index].sort_values("key", kind="stable")
            pd.testing.assert_frame_equal(part, mine)
            np.testing.assert_array_equal(csr.toarray(), mine.to_numpy().reshape(-1, 2))
            assert found.rows[target_index] == len(mine)


@dataclass(frozen=True)
class OtherColumn(Query):
    name: str
    value: object

    def partial(self, partition):
        return replace(partition, **{self.name: self.value})


@pytest.mark.parametrize("name", ["y", "sample_weight"])
@pytest.mark.parametrize("value", [None, np.ones(3), np.full(3, 7)])
def test_columns_that_loading_has_checked_must_stay(name, value):
    columns = {"y": np.array([0.0, 1.0, 2.0] * 2), "sample_weight": np.arange(6.0)}
    X = da.from_array(np.ones((6, 2)), chunks=(3, -1))
    match = f"OtherColumn.partial returned another {name}"
    with (
        Executor(processes=False, n_workers=1),
        load(X, **columns, target="numbers") as data,
        pytest.raises(ValueError, match=match),
    ):
        data.map(OtherColumn(name, value))


@pytest.mark.parametrize(("query", "what"), [(abs, "a builtin"), (OtherColumn, "the class Other")])
def test_what_is_no_query_is_refused_before_any_task(query, what):
    with (
        Executor(processes=False, n_workers=1),
        load(np.ones((6, 2))) as data,
        pytest.raises(TypeError, match=f"query is {what}"),
    ):
        data.map(query)
