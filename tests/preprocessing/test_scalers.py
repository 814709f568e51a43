"""Scalers against scikit-learn's, on whatever holds the rows."""

import pickle

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import preprocessing as sk
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskml_exec import Executor
from daskml_exec.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler
from daskml_exec.training import load
from tests.estimator_kit import collection, transformer_over_cut_memory

PAIRS = [
    (StandardScaler(), sk.StandardScaler()),
    (StandardScaler(with_mean=False), sk.StandardScaler(with_mean=False)),
    (StandardScaler(with_std=False), sk.StandardScaler(with_std=False)),
    (MinMaxScaler((-1, 3), clip=True), sk.MinMaxScaler((-1, 3), clip=True)),
    (MaxAbsScaler(), sk.MaxAbsScaler()),
]
NAMES = [f"{type(ours).__name__}-{index}" for index, (ours, _) in enumerate(PAIRS)]
pairs = pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=NAMES)
SPARSE = [PAIRS[1], PAIRS[4]]


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def rows(n=60, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.normal(5.0, 2.0, size=(n, 5))
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 3] = 7.0
    X[:, 4] += 1e6
    return X.astype(dtype)


def assert_same_attributes(ours, theirs):
    names = {name for name in vars(theirs) if name.endswith("_") and name[0] != "_"}
    assert names == {name for name in vars(ours) if name.endswith("_") and name[0] != "_"}
    for name in names:
        got, wanted = getattr(ours, name), getattr(theirs, name)
        if wanted is None or name == "feature_names_in_":
            assert_array_equal(got, wanted)
        else:
            if name != "n_samples_seen_":  # scikit-learn counts in floats, too
                assert np.asarray(got).dtype == np.asarray(wanted).dtype, name
            assert_allclose(got, wanted, rtol=1e-12, err_msg=name)


@pairs
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_in_memory(ours, theirs, dtype):
    X = rows(dtype=dtype)
    assert_same_attributes(ours.fit(X), theirs.fit(X))
    assert_array_equal(ours.transform(X), ours.to_sklearn().transform(X))
    assert_allclose(
        ours.inverse_transform(ours.transform(X)),
        theirs.inverse_transform(theirs.transform(X)),
        rtol=1e-6,
    )


@pairs
def test_dask_array(ours, theirs, executor):
    X = rows()
    lazy = da.from_array(X, chunks=((0, 25, 1, 34), 2))
    assert_same_attributes(ours.fit(lazy), theirs.fit(X))
    made = ours.transform(lazy)
    assert made.chunks == (lazy.chunks[0], (5,))
    assert_allclose(made.compute(), theirs.transform(X), rtol=1e-12, atol=1e-9)
    assert_allclose(
        ours.inverse_transform(made).compute(), theirs.inverse_transform(theirs.transform(X))
    )


@pairs
def test_dask_frame(ours, theirs, executor):
    X = pd.DataFrame(rows(), columns=list("abcde"), index=np.arange(60) * 2 + 5)
    X["d"] = 7  # of integers
    lazy = dd.from_pandas(X, npartitions=3)
    assert_same_attributes(ours.fit(lazy), theirs.fit(X))
    made = ours.transform(lazy)
    assert made.divisions == lazy.divisions
    wanted = pd.DataFrame(theirs.transform(X), columns=X.columns, index=X.index)
    pd.testing.assert_frame_equal(made.compute(), wanted, rtol=1e-12, atol=1e-9)
    unknown = lazy.clear_divisions()
    pd.testing.assert_frame_equal(ours.fit(unknown).transform(unknown).compute(), wanted)


@pytest.mark.parametrize(("ours", "theirs"), SPARSE)
def test_sparse(ours, theirs, executor):
    X = sp.random_array((50, 6), density=0.3, format="csr", rng=np.random.default_rng(0))
    X.data[::7] = np.nan
    assert_same_attributes(ours.fit(X), theirs.fit(X))
    lazy = collection(X)
    assert_same_attributes(ours.fit(lazy), theirs.fit(X))
    made = ours.transform(lazy).compute()
    assert sp.issparse(made)
    assert_allclose(made.toarray(), theirs.transform(X).toarray(), rtol=1e-12)


@pairs
def test_futures_and_loaded_data(ours, theirs, executor):
    X = rows()
    futures = executor.client.scatter([X[:20], X[20:]], hash=False)
    assert_same_attributes(ours.fit(futures), theirs.fit(X))
    made = executor.client.gather(ours.transform(futures))
    assert_allclose(np.concatenate(made), theirs.transform(X), rtol=1e-12, atol=1e-9)
    for raw in (False, True):
        with load(da.from_array(X, chunks=(17, 5)), raw=raw) as data:
            assert_same_attributes(ours.fit(data), theirs.fit(X))
    with load(X) as data:
        assert_allclose(
            ours.fit(data).transform(data).compute(), theirs.transform(X), rtol=1e-12, atol=1e-9
        )


def test_weights(executor):
    X, w = rows(), np.random.default_rng(1).random(60)
    for scale in (1.0, 2.0**40):
        wanted = sk.StandardScaler().fit(X, sample_weight=w * scale)
        lazy = da.from_array(X, chunks=(23, 5)), da.from_array(w * scale, chunks=30)
        assert_same_attributes(StandardScaler().fit(X, sample_weight=w * scale), wanted)
        assert_same_attributes(StandardScaler().fit(lazy[0], sample_weight=lazy[1]), wanted)


@pytest.mark.parametrize("cut", [np.asarray, lambda values: da.from_array(values, chunks=20)])
def test_weights_that_are_all_zero(executor, cut):
    X, none = cut(rows()), cut(np.zeros(60))
    for learn in (StandardScaler().fit, StandardScaler().fit(X).partial_fit):
        with pytest.raises(ValueError, match="must contain at least one non-zero"):
            learn(X, sample_weight=none)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # scikit-learn's, of the column without any
def test_numbers_that_dask_has_as_texts(executor):
    """With gaps, and a column of nothing else: scikit-learn reads both."""
    some = ["1", "2.5", None, "7"] * 15
    frame = pd.DataFrame({"a": rows()[:, 0], "texts": some, "none": [None] * 60})
    for ours, theirs in PAIRS:
        wanted = clone(theirs).fit(frame)
        lazy = dd.from_pandas(frame, npartitions=3)
        for X in (lazy, lazy.compute()):
            found = clone(ours).fit(X)
            assert_same_attributes(found, wanted)
            values = found.transform(X)
            assert_allclose(dask.compute(values)[0], wanted.transform(frame), rtol=1e-12)


@pairs
def test_more_rows_later(ours, theirs, executor):
    X = rows()
    theirs.fit(X)
    ours.fit(X[:10])
    ours.partial_fit(da.from_array(X[10:40], chunks=(7, 5))).partial_fit(X[40:])
    assert_same_attributes(ours, theirs)


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(0, 30), max_size=4))
def test_any_chunking_is_the_whole(cuts, executor):
    X = rows(30)
    bounds = [0, *sorted(cuts), 30]
    lengths = tuple(np.diff(bounds).tolist())
    for ours, theirs in PAIRS:
        assert_same_attributes(ours.fit(da.from_array(X, chunks=(lengths, 5))), theirs.fit(X))


@pairs
def test_the_same_bits_on_any_workers(ours, theirs):
    X = rows(400)
    found = []
    for n_workers in (1, 4):  # with two are all other tests
        with Executor(processes=False, n_workers=n_workers):
            found.append(pickle.dumps(vars(ours.fit(da.from_array(X, chunks=(37, 5))))))
    assert found[0] == found[1]


@pairs
def test_nothing_is_computed_ahead(ours, theirs, executor):
    X = rows()
    ours.fit(X)
    lazy = da.from_array(X, chunks=(23, 5)).map_blocks(_unwanted, dtype=X.dtype, meta=X[:0])
    assert dask.is_dask_collection(ours.transform(lazy))


def _unwanted(block):
    raise AssertionError("was computed")


@pairs
def test_pickles_without_the_cluster(ours, theirs, executor):
    X = rows()
    ours.fit(da.from_array(X, chunks=(23, 5)))
    again = pickle.loads(pickle.dumps(ours))
    assert_array_equal(again.transform(X), ours.transform(X))


def test_frames_are_wanted(executor):
    X = rows()
    scaler = StandardScaler().fit(X).set_output(transform="pandas")
    assert list(scaler.transform(X).columns) == [f"x{i}" for i in range(5)]
    made = scaler.transform(da.from_array(X, chunks=(23, 5)))
    assert list(made.columns) == [f"x{i}" for i in range(5)]
    assert_allclose(made.compute(), scaler.transform(X), rtol=1e-12)
    scaler.set_output(transform="polars")
    with pytest.raises(ValueError, match="allowed for Dask collections are 'default' and 'pandas'"):
        scaler.transform(da.from_array(X, chunks=(23, 5)))


def test_infinities_are_placed(executor):
    X = rows()
    X[43, 2] = np.inf
    for ours, _ in PAIRS:
        with pytest.raises(ValueError, match=r"infinity in partition 1, column 2 \(row 13 of"):
            ours.fit(da.from_array(X, chunks=(30, 5)))
        frame = pd.DataFrame(X, columns=list("abcde"))
        with pytest.raises(ValueError, match=r"infinity in partition 1, column 2 \('c'\)"):
            ours.fit(dd.from_pandas(frame, npartitions=2))


def test_texts_are_named(executor):
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    for X in (frame, dd.from_pandas(frame, npartitions=1)):
        with pytest.raises(ValueError, match=r"'x' in column 'b'"):
            StandardScaler().fit(X)


def test_sparse_rows_are_refused(executor):
    X = sp.csr_array(np.eye(6))
    for given_X in (X, collection(X)):
        with pytest.raises(ValueError, match="with_mean=False"):
            StandardScaler().fit(given_X)
        with pytest.raises(TypeError, match="MaxAbsScaler"):
            MinMaxScaler().fit(given_X)


def test_names_of_several_types_are_refused(executor):
    frame = pd.DataFrame(rows()[:, :2], columns=["a", 1])
    for X in (frame, dd.from_pandas(frame, npartitions=2)):
        with pytest.raises(TypeError, match="Feature names are only supported"):
            StandardScaler().fit(X)


def test_other_columns_are_refused(executor):
    frame = pd.DataFrame(rows(), columns=list("abcde"))
    scaler = StandardScaler().fit(frame)
    lazy = dd.from_pandas(frame, npartitions=2)
    with pytest.raises(ValueError, match="feature names should match"):
        scaler.transform(lazy[list("edcba")])
    with pytest.raises(ValueError, match="4 features, but StandardScaler is expecting 5"):
        StandardScaler().fit(rows()).transform(da.from_array(rows()[:, :4], chunks=(20, 4)))


def test_a_fit_that_fails_changes_nothing(executor):
    X = rows()
    scaler = StandardScaler().fit(X)
    before = pickle.dumps(vars(scaler))
    with pytest.raises(ValueError, match="infinity"):
        scaler.fit(da.from_array(np.full((4, 2), np.inf), chunks=(2, 2)))
    assert pickle.dumps(vars(scaler)) == before


def test_no_rows(executor):
    for ours, _ in PAIRS:
        with pytest.raises(ValueError, match="X has 0 rows"):
            ours.fit(da.zeros((0, 3), chunks=(1, 3)))


CHECKED = [StandardScaler(), MinMaxScaler(), MaxAbsScaler()]


@parametrize_with_checks(CHECKED)
def test_checks_in_memory(estimator, check):
    check(estimator)


@parametrize_with_checks([transformer_over_cut_memory(CHECKED[0])])
def test_checks_in_several_partitions(estimator, check):
    check(estimator)


@pytest.mark.slow  # data are cut in the same way for them
@parametrize_with_checks([transformer_over_cut_memory(each) for each in CHECKED[1:]])
def test_checks_of_others_in_several_partitions(estimator, check):
    check(estimator)


def test_what_is_refused_is_in_no_log(executor, caplog):
    """Of several partitions that are refused, the error is of the first."""
    X = rows()
    X[[20, 40], 1] = np.inf
    with pytest.raises(ValueError, match="infinity in partition 1, column 1"):
        StandardScaler().fit(da.from_array(X, chunks=(15, 5)))
    assert not caplog.records
