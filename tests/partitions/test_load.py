"""What users hold becomes a `Data`, which many fits share and its `with` releases."""

import pickle
from dataclasses import dataclass

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import DataConversionWarning

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression, Ridge
from daskml_exec.training import Cells, Labels, Query, load, reduce
from tests.partitions.toolbox import D, N, labels, rows, target, weights, whole

NAMES = list("abcd")


@dataclass(frozen=True)
class Counts(Query):
    def partial(self, partition):
        return np.array([partition.n_rows, 1])


def chunked(array, chunks=5):
    return da.from_array(array, chunks=(chunks, *array.shape[1:]))


def scattered(array, kind=np.asarray):
    client = Executor.current().client
    return client.scatter([kind(array[a:b]) for a, b in ((0, 4), (4, 4), (4, N))], hash=False)


KINDS = {
    "memory": lambda X: X,
    "list": lambda X: X.tolist(),
    "csr in memory": sp.csr_array,
    "frame in memory": lambda X: pd.DataFrame(X, columns=NAMES),
    "dask": chunked,
    "dask csr": lambda X: chunked(X).map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0))),
    "dask frame": lambda X: dd.from_pandas(pd.DataFrame(X, columns=NAMES), npartitions=3),
    "futures": scattered,
}


def held(data):
    return data.executor.client.gather(list(data.partitions.futures))


@pytest.fixture(autouse=True)
def on_threads(executor):
    return executor


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds(kind):
    with load(KINDS[kind](rows()), labels(), weights(), target="labels") as data:
        X, codes, weight = whole(held(data))
        np.testing.assert_array_equal(X, rows())
        np.testing.assert_array_equal(data.classes[codes][weight > 0], labels()[weight > 0])
        np.testing.assert_array_equal(weight, weights())
        assert (data.n_features, sum(data.rows), data.dtype) == (D, N, np.float64)
        assert data.n_partitions == len(data.rows) and data.weighted
        assert data.feature_names == (tuple(NAMES) if "frame" in kind else None)
        assert reduce(Counts(), data).tolist() == [N, data.n_partitions]


@pytest.mark.parametrize("kind", KINDS)
def test_without_y(kind):
    with load(KINDS[kind](rows())) as data:
        pieces = held(data)
        assert all(piece.y is None and piece.sample_weight is None for piece in pieces)
        X = np.concatenate([getattr(p.X, "toarray", lambda p=p: p.X)() for p in pieces])
        np.testing.assert_array_equal(X, rows())
        assert data.classes is None and not data.weighted
        first = next(piece for piece in pieces if piece.n_rows > 2)
        some = first.take(np.array([2, 0]))
        assert (some.n_rows, some.y) == (2, None)
        assert first.__sizeof__() > 8 * first.n_rows
        assert reduce(Counts(), data)[0] == N


def test_weights_without_y():
    for X in (rows(), chunked(rows())):
        with load(X, sample_weight=weights() * 2.0**100) as data:
            found = np.concatenate([piece.sample_weight for piece in held(data)])
            exponent = data.partitions.form.exponent
            assert exponent > 50 and np.array_equal(np.ldexp(found, exponent - 100), weights())


def test_no_rows_are_data_without_y():
    for X in (np.empty((0, 3)), da.ones((0, 3))):
        with load(X) as data:
            assert data.n_features == 3 and sum(data.rows) == 0


@pytest.mark.parametrize("of", [np.asarray, lambda y: np.array(["no", "x", "yes"])[y]])
@pytest.mark.parametrize("X", [rows, lambda: chunked(rows())])
def test_labels_of_any_type(of, X):
    y = of(labels())
    record = Labels(class_weight={y[0]: 2.0})
    with load(X(), y, target=record) as data:
        assert data.classes.tolist() == np.unique(y).tolist()
        assert data.classes.dtype == y.dtype
        _, codes, weight = whole(held(data))
        np.testing.assert_array_equal(data.classes[codes], y)
        np.testing.assert_array_equal(weight, np.where(y == y[0], 2.0, 1.0))
    with load(X(), labels(), target=Labels(known=[5, 2, 1, 0])) as data:
        assert data.classes.tolist() == [0, 1, 2, 5]


@pytest.mark.parametrize("place", [np.asarray, chunked, lambda y: chunked(y).rechunk((4, 1))])
def test_several_numbers_a_row(place):
    y = np.column_stack([target(), -target(), target() ** 2])
    for X in (rows(), da.from_array(rows(), chunks=((0, 9, 14), D))):
        with load(X, place(y), weights(), target="numbers") as data:
            np.testing.assert_array_equal(np.concatenate([p.y for p in held(data)]), y)
            with pytest.raises(ValueError, match="y has 2 dimensions and 3 columns"):
                Ridge().fit(data)
    with pytest.raises(ValueError, match="one value per row"):
        load(rows(), y, target="labels")
    bad = y.copy()
    bad[7, 1] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in row 7 of the data"):
        load(rows(), bad, target="numbers")


@pytest.mark.parametrize("place", [np.asarray, chunked])
def test_a_matrix_of_one_column_is_one_number_a_row(place):
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        data = load(place(rows()), place(target()[:, None]), target="numbers")
    with data:
        np.testing.assert_array_equal(np.concatenate([p.y for p in held(data)]), target())


@pytest.mark.parametrize("of", [sp.csc_array, sp.coo_array, sp.csr_matrix])
def test_raw_sparse_matrices_of_any_format(of):
    with dask.config.set({"daskml-exec.partition-bytes": 100}), load(of(rows()), raw=True) as data:
        found = np.concatenate([piece.X.toarray() for piece in held(data)])
        np.testing.assert_array_equal(found, rows())
        assert data.n_partitions > 1 and data.nbytes > 0
    X = Executor.current().client.scatter([of(rows()[:9]), of(rows()[9:])], hash=False)
    with load(X, raw=True) as data:
        assert data.rows == (9, 14) and data.nbytes > 0


def test_futures_of_several_numbers_of_other_widths():
    client = Executor.current().client
    y = client.scatter([np.ones((4, 2)), np.ones((N - 4, 3))], hash=False)
    with pytest.raises(ValueError, match="y has another number of columns: 2 in partition 0, 3 in"):
        load(client.scatter([rows()[:4], rows()[4:]], hash=False), y, target="numbers")


@pytest.mark.parametrize("kind", ["memory", "csr in memory", "dask", "dask csr", "dask frame"])
def test_cells(kind):
    with load(KINDS[kind](rows()), target(), target="numbers", cut=Cells(n_blocks=2)) as data:
        grid = data.partitions
        cells = data.executor.client.gather([list(row) for row in grid.cells])
        assert data.n_blocks == 2 == len(cells[0]) and data.cut == "cells"
        model = Ridge(parallel="model").fit(data)
        assert np.array_equal(
            model.coef_,
            Ridge(parallel="model", n_blocks=2).fit(KINDS[kind](rows()), target()).coef_,
        )
        assert np.array_equal(Ridge(parallel="auto").fit(data).coef_, model.coef_)
        assert "cells" in str(Ridge(parallel="auto").fit(data).explain())


# Raw


def frame():
    texts = [f"t{i}" if i % 5 else None for i in range(N)]
    return pd.DataFrame({"n": np.where(np.arange(N) % 4, np.arange(N), np.nan), "text": texts})


RAW = {
    "frame": (frame, frame().iloc),
    "objects": (lambda: frame().to_numpy(), frame().to_numpy()),
    "texts": (lambda: frame()["text"].tolist(), frame()["text"].tolist()),
    "series": (lambda: frame()["text"], frame()["text"].iloc),
    "numbers with gaps": (lambda: frame()["n"].to_numpy()[:, None], frame()[["n"]].to_numpy()),
}


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("in_memory", [True, False])
def test_raw_rows_stay_as_they_are(name, in_memory):
    make, slices = RAW[name]
    X = make()
    if not in_memory:
        cuts = ((0, 4), (4, 4), (4, N))
        client = Executor.current().client
        X = client.scatter([slices[a:b] for a, b in cuts], hash=False)
    with (
        dask.config.set({"daskml-exec.partition-bytes": 50}),
        load(X, labels(), weights(), target="labels", raw=True) as data,
    ):
        start = 0
        assert data.n_partitions > 1 and data.nbytes > 0 and data.dtype == object
        for piece, n in zip(held(data), data.rows, strict=True):
            expected = slices[start : start + n]
            assert type(piece.X) is type(expected)
            if isinstance(expected, (pd.DataFrame, pd.Series)):
                assert piece.X.equals(expected)
            else:
                assert pickle.dumps(list(piece.X)) == pickle.dumps(list(expected))
            assert piece.n_rows == n == len(piece.y) and piece.__sizeof__() > 10 * n
            assert len(piece.take(np.arange(n)[::-1]).X) == n
            start += n
        assert start == N
        assert reduce(Counts(), data)[0] == N
        with pytest.raises(ValueError, match="loaded with raw=True"):
            LogisticRegression().fit(data)


def test_raw_collections():
    for X in (
        dd.from_pandas(frame(), npartitions=3),
        dd.from_pandas(frame(), npartitions=3)["text"],
        da.from_array(frame().to_numpy(), chunks=(9, 1)),
    ):
        with load(X, raw=True) as data:
            assert sum(data.rows) == N and data.n_partitions == 3
    with pytest.raises(ValueError, match="raw=True with cut='cells'"):
        load(rows(), raw=True, cut="cells")


# Refusals

WRONG = {
    "no target": ({"y": labels()}, "y is given, and target is None; allowed are y with target="),
    "no y": ({"target": "labels"}, "y is None, target='labels'; allowed are y with"),
    "target": ({"y": labels(), "target": "label"}, "target='label'; allowed are 'labels', 'numb"),
    "cut": ({"cut": "columns"}, r"cut='columns'; allowed are 'rows', 'cells', Cells\(...\)"),
    "rows": ({"y": labels()[1:], "target": "labels"}, "X has 23 rows, y has 22"),
    "weights": ({"sample_weight": np.ones(3)}, "X has 23 rows, sample_weight has 3"),
    "negative": ({"sample_weight": -np.ones(N)}, "sample_weight has -1 in row 0 of"),
    "one class": ({"y": np.ones(N), "target": "labels"}, "one class: 1.0"),
    "fractions": ({"y": target() / 3, "target": "labels"}, "Unknown label type: continuous"),
    "words": ({"y": ["a"] * N, "target": "numbers"}, "allowed are real numbers"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("place", [np.asarray, chunked])
def test_wrong_arguments_are_named(name, place):
    arguments, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        load(place(rows()), **arguments)


def test_what_is_no_matrix_of_numbers():
    for X, message in (
        (rows()[0], "Expected 2D array"),
        ([["a", "b"]], "could not convert string to float: 'a'"),
        (np.ma.masked_less(rows(), 3), "masked array"),
        (np.ones((3, 2)) * 1j, "Complex data not supported"),
    ):
        with pytest.raises(ValueError, match=message):
            load(X)
    with pytest.raises(TypeError, match="X has datetime64"):
        load(np.full((3, 2), "2020-01-01", "M8[s]"))


@settings(max_examples=12)
@given(
    cuts=st.lists(st.integers(0, N), max_size=6),
    column_cuts=st.lists(st.integers(0, N), max_size=6),
    size=st.integers(20, 2000),
)
def test_any_chunking_is_the_whole(cuts, column_cuts, size):
    X, y = rows(), target()

    def chunks(at):
        return tuple(np.diff([0, *sorted(at), N]).tolist())

    lazy = da.from_array(X, chunks=(chunks(cuts), D))
    column = da.from_array(y, chunks=(chunks(column_cuts),))
    with dask.config.set({"daskml-exec.partition-bytes": size}):
        for given_X, given_y in ((X, y), (lazy, column), (lazy, y)):
            with load(given_X, given_y, weights(), target="numbers") as data:
                found = whole(held(data))
                for a, b in zip(found, (X, y, weights()), strict=True):
                    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(
    ("X", "what"), [(None, "None"), (3, "of int"), ("rows.csv", "of str"), ({"a": [1]}, "of dict")]
)
def test_what_has_no_rows_is_named(X, what, raw):
    with pytest.raises(TypeError, match=f"X is {what}; allowed are arrays, lists, sparse matrices"):
        load(X, raw=raw)
