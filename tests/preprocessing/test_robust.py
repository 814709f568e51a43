"""Transformers by the order of values against scikit-learn's, on whatever holds the rows."""

import pickle
import warnings

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
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskml_exec import Executor
from daskml_exec.preprocessing import QuantileTransformer, RobustScaler
from daskml_exec.preprocessing import _orders as orders
from daskml_exec.training import load
from tests.estimator_kit import collection, transformer_over_cut_memory, transformer_over_dask
from tests.preprocessing.kit import assert_same_attributes, fingerprint


def quantiles(**parameters):
    ours = QuantileTransformer(n_quantiles=20, **parameters)
    return ours, sk.QuantileTransformer(n_quantiles=20, subsample=None, **parameters)


PAIRS = [
    (RobustScaler(), sk.RobustScaler()),
    (
        RobustScaler(with_centering=False, quantile_range=(10, 80), unit_variance=True),
        sk.RobustScaler(with_centering=False, quantile_range=(10, 80), unit_variance=True),
    ),
    (RobustScaler(with_scaling=False), sk.RobustScaler(with_scaling=False)),
    quantiles(),
    quantiles(output_distribution="normal"),
]
NAMES = [f"{type(ours).__name__}-{index}" for index, (ours, _) in enumerate(PAIRS)]
pairs = pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=NAMES)
SPARSE = [PAIRS[1], PAIRS[3], quantiles(ignore_implicit_zeros=True)]

pytestmark = pytest.mark.filterwarnings("ignore:n_quantiles .* is greater:UserWarning")


@pytest.fixture(scope="module", autouse=True)
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


@pairs
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_in_memory(ours, theirs, dtype):
    X = rows(dtype=dtype)
    assert_same_attributes(ours.fit(X), theirs.fit(X))
    assert_array_equal(ours.transform(X), theirs.transform(X))
    assert ours.transform(X).dtype == theirs.transform(X).dtype
    assert_array_equal(
        ours.inverse_transform(ours.transform(X)), theirs.inverse_transform(theirs.transform(X))
    )


@pairs
def test_dask_array(ours, theirs):
    X = rows()
    lazy = da.from_array(X, chunks=((0, 25, 1, 34), 2))
    assert_same_attributes(ours.fit(lazy), theirs.fit(X))
    made = ours.transform(lazy)
    assert made.chunks == (lazy.chunks[0], (5,))
    assert_array_equal(made.compute(), theirs.transform(X))


@pairs
def test_dask_frame(ours, theirs):
    X = pd.DataFrame(rows(), columns=list("abcde"), index=np.arange(60) * 2 + 5)
    X["d"] = 7  # of integers
    lazy = dd.from_pandas(X, npartitions=3)
    assert_same_attributes(ours.fit(lazy), theirs.fit(X))
    wanted = pd.DataFrame(theirs.transform(X), columns=X.columns, index=X.index)
    made = ours.transform(lazy)
    assert made.divisions == lazy.divisions
    pd.testing.assert_frame_equal(made.compute(), wanted)
    unknown = lazy.clear_divisions()
    pd.testing.assert_frame_equal(ours.fit(unknown).transform(unknown).compute(), wanted)


@pytest.mark.parametrize(("ours", "theirs"), SPARSE)
def test_sparse(ours, theirs):
    X = sp.random_array((50, 6), density=0.3, format="csr", rng=np.random.default_rng(0))
    X.data[::7] = np.nan
    X.data[::5] = 0.0
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
    assert_array_equal(np.concatenate(made), theirs.transform(X))
    for raw in (False, True):
        with load(da.from_array(X, chunks=(17, 5)), raw=raw) as data:
            assert_same_attributes(ours.fit(data), theirs.fit(X))
    with load(X) as data:
        assert_array_equal(ours.fit(data).transform(data).compute(), theirs.transform(X))


@pairs
def test_columns_in_groups(ours, theirs, monkeypatch):
    X = rows()
    monkeypatch.setattr(orders, "GROUP_BYTES", 2 * 8 * 60)
    for given_X in (X, da.from_array(X, chunks=(17, 5)), pd.DataFrame(X)):
        assert_same_attributes(ours.fit(given_X), theirs.fit(X))
    X[50, 3] = np.inf
    with pytest.raises(ValueError, match=r"infinity in partition 2, column 3 \(row 16 of"):
        ours.fit(da.from_array(X, chunks=(17, 5)))


@pairs
def test_more_rows_later(ours, theirs):
    X = rows()
    ours = ours.__class__(**ours.get_params())
    ours.partial_fit(X[:10])
    ours.partial_fit(da.from_array(X[10:40], chunks=(7, 5))).partial_fit(X[40:])
    assert_same_attributes(ours, theirs.fit(X))
    ours.fit(X[:25]).partial_fit(X[25:])
    assert_same_attributes(ours, theirs)
    many = rows(30_000)
    with pytest.raises(ValueError, match="allowed is `partial_fit` from the first on"):
        ours.fit(many).partial_fit(X)


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(0, 30), max_size=4))
def test_any_chunking_is_the_whole(cuts):
    X = rows(30)
    lengths = tuple(np.diff([0, *sorted(cuts), 30]).tolist())
    for ours, theirs in (PAIRS[0], PAIRS[3]):
        assert_same_attributes(ours.fit(da.from_array(X, chunks=(lengths, 5))), theirs.fit(X))


@pairs
def test_the_same_bits_on_any_workers(ours, theirs):
    X = rows(400)
    found = []
    for n_workers in (1, 4):  # with two are all other tests
        with Executor(processes=False, n_workers=n_workers):
            found.append(fingerprint(ours.fit(da.from_array(X, chunks=(37, 5)))))
    assert found[0] == found[1]


def test_more_rows_than_are_exact():
    n = 2_500_000
    lazy = da.arange(n, chunks=400_000)[:, None] ** 2 / n
    ours = RobustScaler().fit(lazy)
    off = n // 2048
    low, middle, high = (
        np.array([n * share - off, n * share + off]) ** 2 / n for share in (0.25, 0.5, 0.75)
    )
    assert middle[0] <= ours.center_[0] <= middle[1]
    assert high[0] - low[1] <= ours.scale_[0] <= high[1] - low[0]


@pairs
def test_nothing_is_computed_ahead(ours, theirs):
    X = rows()
    ours.fit(X)
    lazy = da.from_array(X, chunks=(23, 5)).map_blocks(_unwanted, dtype=X.dtype, meta=X[:0])
    assert dask.is_dask_collection(ours.transform(lazy))


def _unwanted(block):
    raise AssertionError("was computed")


@pairs
def test_pickles_without_the_cluster(ours, theirs):
    X = rows(30_000)
    ours.fit(da.from_array(X, chunks=(8000, 5)))
    pickled = pickle.dumps(ours)
    assert len(pickled) < 4000  # without the values
    assert_array_equal(pickle.loads(pickled).transform(X), ours.transform(X))


def test_columns_without_values():
    X = rows()
    X[:, 1] = np.nan
    for ours, theirs in PAIRS:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
            theirs.fit(X)
        assert_same_attributes(ours.fit(X), theirs)


def test_what_is_refused():
    X = sp.csr_array(-np.eye(6))
    for given_X in (X, collection(X)):
        with pytest.raises(ValueError, match="Cannot center sparse matrices"):
            RobustScaler().fit(given_X)
        with pytest.raises(ValueError, match="only accepts non-negative sparse matrices"):
            QuantileTransformer().fit(given_X)
    for given_X in (rows(), collection(rows())):
        with pytest.raises(ValueError, match=r"Invalid quantile range: \(80, 20\); allowed"):
            RobustScaler(quantile_range=(80, 20)).fit(given_X)
    with pytest.warns(UserWarning, match="takes effect only with sparse matrix"):
        QuantileTransformer(ignore_implicit_zeros=True).fit(rows())
    for ours, _ in PAIRS:
        with pytest.raises(ValueError, match="X has 0 rows"):
            ours.fit(da.zeros((0, 3), chunks=(1, 3)))


def test_other_columns_are_refused():
    frame = pd.DataFrame(rows(), columns=list("abcde"))
    lazy = dd.from_pandas(frame, npartitions=2)
    for ours, _ in (PAIRS[0], PAIRS[3]):
        ours.fit(frame)
        with pytest.raises(ValueError, match="feature names should match"):
            ours.transform(lazy[list("edcba")])
        with pytest.raises(ValueError, match=r"4 features, but .* is expecting 5"):
            ours.fit(rows()).transform(da.from_array(rows()[:, :4], chunks=(20, 4)))


@parametrize_with_checks([RobustScaler(), QuantileTransformer(n_quantiles=10)])
def test_checks_in_memory(estimator, check):
    check(estimator)


CUT = [RobustScaler(), QuantileTransformer(n_quantiles=10)]


@parametrize_with_checks([transformer_over_cut_memory(CUT[0])])
def test_checks_in_several_partitions(estimator, check):
    check(estimator)


@pytest.mark.slow  # data are cut in the same way for them
@parametrize_with_checks([transformer_over_cut_memory(each) for each in CUT[1:]])
def test_checks_of_others_in_several_partitions(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([transformer_over_dask(each) for each in CUT])
def test_checks_over_dask(estimator, check):
    check(estimator)
