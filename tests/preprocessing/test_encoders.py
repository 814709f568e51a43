"""Encoders against scikit-learn's, on whatever holds the rows."""

import itertools
import pickle

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn import preprocessing as sk
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskml_exec import Executor
from daskml_exec.preprocessing import LabelEncoder, OneHotEncoder, OrdinalEncoder
from daskml_exec.training import load
from tests.estimator_kit import transformer_over_cut_memory, transformer_over_dask
from tests.preprocessing.kit import assert_same, assert_same_attributes, fingerprint


def one_hot(**parameters):
    return OneHotEncoder(**parameters), sk.OneHotEncoder(**parameters)


def ordinal(**parameters):
    return OrdinalEncoder(**parameters), sk.OrdinalEncoder(**parameters)


PAIRS = [
    one_hot(),
    one_hot(drop="first", dtype=np.float32, sparse_output=False),
    one_hot(min_frequency=9, drop="if_binary"),
    one_hot(max_categories=3, handle_unknown="infrequent_if_exist"),
    one_hot(min_frequency=0.2, handle_unknown="ignore"),
    ordinal(),
    ordinal(max_categories=3, encoded_missing_value=-1, dtype=np.int32),
    ordinal(handle_unknown="use_encoded_value", unknown_value=-5, min_frequency=9),
]
NAMES = [f"{type(ours).__name__}-{index}" for index, (ours, _) in enumerate(PAIRS)]
pairs = pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=NAMES)


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def frame(n=60, seed=0):
    rng = np.random.default_rng(seed)
    texts = np.array(["red", "green", "blue", None, np.nan], dtype=object)
    return pd.DataFrame(
        {
            "colour": pd.Series(texts[rng.integers(0, 5, n) % rng.integers(1, 6, n)], dtype=object),
            "size": rng.integers(-2, 3, n) * 10,
            "width": rng.choice([0.5, np.nan, -1.0, 7.0], n),
            "kind": pd.Categorical(
                rng.choice(["u", "v", "w"], n), categories=["w", "never", "v", "u"]
            ),
            "yes": rng.random(n) < 0.3,
        },
        index=np.arange(n) * 3 + 7,
    )


def texts(n=60):
    return np.random.default_rng(0).choice(["a", "bcd", "ef"], size=(n, 2))


def dense(made):
    return made.toarray() if sp.issparse(made) else np.asarray(made)


def over(X, npartitions=3):
    """A Dask frame whose objects stay what they are."""
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(X, npartitions=npartitions)


@pairs
@pytest.mark.parametrize(
    "X",
    [
        frame(),
        texts(),
        texts().tolist(),
        texts().astype(object),
        frame()[["size", "width"]].to_numpy(),
        np.random.default_rng(0).integers(0, 4, size=(60, 2)),
        pl.DataFrame({"a": ["x", "y", "x"] * 20, "b": [3, 1, 2] * 20}),
    ],
    ids=["frame", "texts", "lists", "objects", "floats", "integers", "polars"],
)
def test_in_memory(ours, theirs, X):
    assert_same_attributes(ours.fit(X), theirs.fit(X))
    assert_same(dense(ours.transform(X)), dense(theirs.transform(X)))
    assert_array_equal(ours.get_feature_names_out(), theirs.get_feature_names_out())
    with dask.config.set({"daskml-exec.partition-bytes": 100}):
        assert_same_attributes(ours.fit(X), theirs)
    if theirs.infrequent_categories_ if hasattr(theirs, "infrequent_categories_") else False:
        for one, other in zip(
            ours.infrequent_categories_, theirs.infrequent_categories_, strict=True
        ):
            assert_array_equal(one, other)


@pairs
def test_dask_frame(ours, theirs):
    X = frame()
    theirs.fit(X)
    for lazy in (over(X), over(X).clear_divisions(), over(X, 1)):
        assert_same_attributes(ours.fit(lazy), theirs)
        made = ours.transform(lazy)
        if getattr(ours, "sparse_output", False):
            assert isinstance(made, da.Array)
            assert sp.issparse(made.compute())
        else:
            assert made.divisions == lazy.divisions
            assert list(made.columns) == list(theirs.get_feature_names_out())
            assert_array_equal(made.compute().index, X.index)
        assert_same(dense(made.compute()), dense(theirs.transform(X)))


@pairs
def test_texts_that_dask_has_made_of_objects(ours, theirs):
    X = frame()
    X["colour"] = X["colour"].where(X["colour"].notna(), np.nan)
    lazy = dd.from_pandas(X, npartitions=3)
    assert_same_attributes(ours.fit(lazy), theirs.fit(X))
    assert_same(dense(ours.transform(lazy).compute()), dense(theirs.transform(X)))
    in_memory = lazy.compute()
    assert_same_attributes(ours.fit(in_memory), theirs)
    assert_same(dense(ours.transform(in_memory)), dense(theirs.transform(X)))


@pairs
def test_unknown_categories_of_a_dask_frame(ours, theirs):
    X = frame()
    lazy = over(X)
    lazy["kind"] = lazy["kind"].astype(object).astype("category")
    assert not lazy["kind"].cat.known
    assert_same_attributes(ours.fit(lazy), theirs.fit(X))


@pairs
def test_dask_array(ours, theirs):
    for X in (texts(), texts().astype(object), frame()[["size", "width"]].to_numpy()):
        lazy = da.from_array(X, chunks=((0, 25, 1, 34), 1))
        assert_same_attributes(ours.fit(lazy), theirs.fit(X))
        made = ours.transform(lazy)
        assert made.chunks[0] == lazy.chunks[0]
        assert_same(dense(made.compute()), dense(theirs.transform(X)))
        back = ours.inverse_transform(made).compute()
        assert_same(back, theirs.inverse_transform(theirs.transform(X)))


def test_and_back():
    X = frame()
    for ours, theirs in (PAIRS[0], PAIRS[5]):
        lazy = over(X)
        wanted = theirs.inverse_transform(theirs.fit_transform(X))
        made = ours.fit(lazy).inverse_transform(ours.transform(lazy)).compute()
        assert list(map(repr, np.asarray(made, dtype=object).ravel())) == list(
            map(repr, wanted.ravel())
        )


@pairs
def test_futures_and_loaded_data(ours, theirs, executor):
    X = frame()
    theirs.fit(X)
    futures = executor.client.scatter([X[:20], X[20:]], hash=False)
    assert_same_attributes(ours.fit(futures), theirs)
    made = executor.client.gather(ours.transform(futures))
    assert_same(np.concatenate([dense(each) for each in made]), dense(theirs.transform(X)))
    with load(over(X), raw=True) as data:
        assert_same_attributes(ours.fit(data), theirs)
        assert_same(dense(ours.transform(data).compute()), dense(theirs.transform(X)))
    numbers = np.random.default_rng(0).integers(0, 4, size=(60, 2)).astype(float)
    with load(da.from_array(numbers, chunks=(17, 2))) as data:
        assert_same_attributes(ours.fit(data), theirs.fit(numbers))


@pairs
def test_more_rows_later(ours, theirs):
    X = frame()
    ours.fit(X[:10])
    ours.partial_fit(over(X[10:40])).partial_fit(X[40:])
    assert_same_attributes(ours, theirs.fit(X))


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(0, 30), max_size=4))
def test_any_chunking_is_the_whole(cuts, executor):
    X = frame(30)
    bounds = [0, *sorted(cuts), 30]
    pieces = [X.iloc[a:b] for a, b in itertools.pairwise(bounds)]
    futures = executor.client.scatter(pieces, hash=False)
    for ours, theirs in (PAIRS[2], PAIRS[6]):
        assert_same_attributes(ours.fit(futures), theirs.fit(X))


@pairs
def test_the_same_bits_on_any_workers(ours, theirs):
    X = frame(400)
    found = []
    for n_workers in (1, 4):  # with two are all other tests
        with Executor(processes=False, n_workers=n_workers):
            found.append(fingerprint(ours.fit(over(X, 9))))
    assert found[0] == found[1]


@pairs
def test_nothing_is_computed_ahead(ours, theirs):
    X = frame()
    ours.fit(X)
    lazy = over(X).map_partitions(_unwanted, meta=X[:0])
    assert dask.is_dask_collection(ours.transform(lazy))


def _unwanted(block):
    raise AssertionError("was computed")


@pairs
def test_pickles_without_the_cluster(ours, theirs):
    X = frame()
    again = pickle.loads(pickle.dumps(ours.fit(over(X))))
    assert_same(dense(again.transform(X)), dense(theirs.fit(X).transform(X)))
    assert type(ours.to_sklearn()) is type(theirs)
    assert_same_attributes(ours.to_sklearn(), theirs)


def test_given_categories():
    X = frame()[["size", "kind"]]
    categories = [[-20, -10, 0, 10, 20, 30], ["w", "v", "u", "x"]]
    for ours, theirs in (one_hot(categories=categories), ordinal(categories=categories)):
        assert_same_attributes(ours.fit(over(X)), theirs.fit(X))
    few = [[-20, -10, 0, 10], ["w", "v", "u"]]
    for ours, theirs in (one_hot(categories=few), ordinal(categories=few)):
        for model, given_X in ((ours, over(X)), (theirs, X)):
            with pytest.raises(ValueError, match=r"unknown categories \[.*20.*\] in column 0"):
                model.fit(given_X)


def test_frames_are_wanted():
    X = frame()
    encoder = OneHotEncoder(sparse_output=False).set_output(transform="pandas").fit(X)
    wanted = sk.OneHotEncoder(sparse_output=False).set_output(transform="pandas").fit_transform(X)
    pd.testing.assert_frame_equal(encoder.transform(X), wanted)
    pd.testing.assert_frame_equal(encoder.transform(over(X)).compute(), wanted)
    with pytest.raises(ValueError, match="sparse_output=False"):
        OneHotEncoder().set_output(transform="pandas").fit(X).transform(over(X))


def test_categories_that_were_not_seen():
    X = frame()
    other = X.assign(size=77)
    for ours in (OneHotEncoder(), OrdinalEncoder()):
        made = ours.fit(over(X)).transform(over(other))
        with pytest.raises(ValueError, match=r"Found unknown categories \[.*77.*\] in column 1"):
            made.compute()
    ours, theirs = one_hot(handle_unknown="ignore")
    assert_same(
        dense(ours.fit(over(X)).transform(over(other)).compute()),
        dense(theirs.fit(X).transform(other)),
    )


def test_too_many_categories():
    X = frame().assign(id=np.arange(60))
    with dask.config.set({"daskml-exec.max-categories": 20}):
        for given_X in (X, over(X), over(X, 1)):
            for ours in (OneHotEncoder(), OrdinalEncoder()):
                with pytest.raises(
                    ValueError,
                    match=r"more than 20 categories in column 5 \('id'\); allowed are at most so "
                    "many: leave the column out, or set dask config 'daskml-exec.max-categories'",
                ):
                    ours.fit(given_X)
        with pytest.raises(ValueError, match="more than 20 categories in column 0"):
            LabelEncoder().fit(da.arange(60, chunks=20))
    with (
        dask.config.set({"daskml-exec.max-categories": 0}),
        pytest.raises(ValueError, match=r"'daskml-exec.max-categories' is 0; allowed: from 1"),
    ):
        OneHotEncoder().fit(X)


def test_texts_and_numbers():
    X = frame().assign(both=pd.Series(["a", 1, 2] * 20, dtype=object, index=frame().index))
    for given_X in (X, over(X), over(X.sort_values("both", key=lambda x: x.astype(str)), 1)):
        with pytest.raises(
            TypeError,
            match=r"uniformly strings or numbers. Got \['int', 'str'\] in column 5 \('both'\)",
        ):
            OneHotEncoder().fit(given_X)
    apart = [np.full((5, 1), "a"), np.full((5, 1), 1.0)]
    with Executor.current() as executor:
        futures = executor.client.scatter(apart, hash=False)
        with pytest.raises(TypeError, match=r"Got \['float', 'str'\] in column 0"):
            OrdinalEncoder().fit(futures)


def test_other_columns_are_refused():
    X = frame()
    for ours in (OneHotEncoder(), OrdinalEncoder()):
        ours.fit(over(X))
        with pytest.raises(ValueError, match="feature names should match"):
            ours.transform(over(X)[["size", "colour", "width", "kind", "yes"]])
        with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 1"):
            ours.fit(texts()[:, :1]).transform(da.from_array(texts(), chunks=(20, 2)))
        with pytest.raises(TypeError, match=r"[Ss]parse"):
            ours.fit(sp.csr_array(np.eye(3)))


def test_no_rows():
    for ours in (OneHotEncoder(), OrdinalEncoder()):
        with pytest.raises(ValueError, match="X has 0 rows"):
            ours.fit(over(frame()[:0], 1))


def test_a_fit_that_fails_changes_nothing():
    encoder = OneHotEncoder().fit(frame())
    before = fingerprint(encoder)
    with pytest.raises(ValueError, match="Shape mismatch"):
        encoder.set_params(categories=[["a"]]).fit(over(frame()))
    assert fingerprint(encoder) == before


@pytest.mark.parametrize(
    "y",
    [
        np.array(["b", "a", "b", "c"] * 5),
        np.array([3, 1, 1, 2] * 5),
        pd.Series(["b", "a", "b", "c"] * 5, index=np.arange(20) * 2),
        ["b", "a", "b", "c"] * 5,
    ],
    ids=["texts", "numbers", "series", "list"],
)
def test_labels(y, executor):
    theirs = sk.LabelEncoder().fit(y)
    codes = theirs.transform(y)
    assert_same_attributes(LabelEncoder().fit(y), theirs)
    assert_same(LabelEncoder().fit_transform(y), codes)
    column = np.asarray(y)
    lazy = dd.from_pandas(y, npartitions=3) if isinstance(y, pd.Series) else None
    lazy = da.from_array(column, chunks=((0, 7, 13),)) if lazy is None else lazy
    ours = LabelEncoder().fit(lazy)
    assert_same_attributes(ours, theirs)
    made = ours.transform(lazy)
    assert_array_equal(made.compute(), codes)
    back = ours.inverse_transform(made).compute()
    assert_array_equal(back, column)
    if isinstance(y, pd.Series):
        assert_array_equal(back.index, y.index)
        assert made.divisions == lazy.divisions
    futures = executor.client.scatter([y[:7], y[7:]], hash=False)
    assert_same_attributes(ours.fit(futures), theirs)
    made = executor.client.gather(ours.transform(futures))
    assert_array_equal(np.concatenate(made), codes)
    ours = LabelEncoder().partial_fit(y[:3]).partial_fit(y[3:])
    assert_same_attributes(pickle.loads(pickle.dumps(ours)), theirs)
    assert type(ours.to_sklearn()) is sk.LabelEncoder


def test_labels_that_are_refused():
    with pytest.raises(ValueError, match="y should be a 1d array"):
        LabelEncoder().fit(da.ones((4, 2), chunks=2))
    with pytest.raises(TypeError, match=r"Got \['int', 'str'\]"):
        LabelEncoder().fit(np.array(["a", 1], dtype=object))
    with load(np.eye(3)) as data, pytest.raises(TypeError, match="y is a Data"):
        LabelEncoder().fit(data)
    with pytest.raises(ValueError, match="previously unseen labels"):
        LabelEncoder().fit(["a"]).transform(da.from_array(np.array(["b"]))).compute()


ENCODERS = [OneHotEncoder(sparse_output=False), OneHotEncoder(), OrdinalEncoder()]


@parametrize_with_checks(ENCODERS)  # scikit-learn has none for encoders of y
def test_checks_in_memory(estimator, check):
    check(estimator)


@parametrize_with_checks([transformer_over_cut_memory(ENCODERS[0])])
def test_checks_in_several_partitions(estimator, check):
    check(estimator)


@pytest.mark.slow  # data are cut in the same way for them
@parametrize_with_checks([transformer_over_cut_memory(each) for each in ENCODERS[1:]])
def test_checks_of_others_in_several_partitions(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([transformer_over_dask(each) for each in ENCODERS])
def test_checks_over_dask(estimator, check):
    check(estimator)
