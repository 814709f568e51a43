"""The imputer against scikit-learn's, on whatever holds the rows."""

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
from numpy.testing import assert_array_equal
from sklearn import impute
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskml_exec import Executor
from daskml_exec.preprocessing import SimpleImputer
from daskml_exec.training import load
from tests.estimator_kit import collection, transformer_over_cut_memory, transformer_over_dask
from tests.preprocessing.kit import assert_same, assert_same_attributes, fingerprint
from tests.tiers import each_value


def pair(**parameters):
    return SimpleImputer(**parameters), impute.SimpleImputer(**parameters)


OF_NUMBERS = [
    pair(),
    pair(strategy="median", add_indicator=True),
    pair(strategy="median", keep_empty_features=True),
    pair(keep_empty_features=True, add_indicator=True),
]
OF_ANY = [
    pair(strategy="most_frequent", add_indicator=True),
    pair(strategy="most_frequent", keep_empty_features=True),
    pair(strategy="constant", add_indicator=True),
    pair(strategy="constant", keep_empty_features=True),
]
PAIRS = OF_NUMBERS + OF_ANY


def named(some):
    names = [f"{ours.strategy}-{index}" for index, (ours, _) in enumerate(some)]
    return pytest.mark.parametrize(("ours", "theirs"), some, ids=names)


pytestmark = pytest.mark.filterwarnings("ignore:Skipping features:UserWarning")


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def rows(n=60, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 5, size=(n, 5)).astype(dtype)
    X[rng.random(X.shape) < 0.2] = np.nan
    X[:, 1] = np.nan
    X[:, 3] = 7.0
    return X


def mixed(n=60):
    rng = np.random.default_rng(1)
    texts = np.array(["red", "green", np.nan], dtype=object)
    return pd.DataFrame(
        {
            "colour": pd.Series(rng.choice(texts, n), dtype=object),
            "size": rng.choice([1.5, np.nan, 3.0], n),
            "none": pd.Series([np.nan] * n, dtype=object),
            "age": rng.integers(0, 3, n),
        },
        index=np.arange(n) * 2 + 1,
    )


def over(X, npartitions=3):
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(X, npartitions=npartitions)


def dense(made):
    return made.toarray() if sp.issparse(made) else np.asarray(made)


@named(PAIRS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_in_memory(ours, theirs, dtype):
    X = rows(dtype=dtype)
    if dtype == np.float32:
        X[:, 4] = np.round(X[:, 4])  # sums of integers are exact
    if ours.strategy == "mean" and dtype == np.float32:
        statistics = theirs.fit(X).statistics_
        np.testing.assert_allclose(ours.fit(X).statistics_, statistics, rtol=1e-6)
        assert ours.statistics_.dtype == statistics.dtype
        return
    assert_same_attributes(ours.fit(X), theirs.fit(X))
    assert_same(ours.transform(X), theirs.transform(X))
    assert list(ours.get_feature_names_out()) == list(theirs.get_feature_names_out())
    with dask.config.set({"daskml-exec.partition-bytes": 500}):
        assert_same_attributes(ours.fit(X.tolist()), theirs.fit(X.tolist()))


@named(PAIRS)
def test_dask_array(ours, theirs):
    X = rows()
    lazy = da.from_array(X, chunks=((0, 25, 1, 34), 2))
    assert_same_attributes(ours.fit(lazy), theirs.fit(X))
    made = ours.transform(lazy)
    assert made.chunks[0] == lazy.chunks[0]
    assert_same(made.compute(), theirs.transform(X))


@named(PAIRS)
def test_dask_frame(ours, theirs):
    X = pd.DataFrame(rows(), columns=list("abcde"), index=np.arange(60) * 2 + 5)
    X["d"] = 7
    lazy = over(X)
    for given_X in (lazy, lazy.clear_divisions(), X):
        assert_same_attributes(ours.fit(given_X), theirs.fit(X))
    ours.fit(lazy)
    made = ours.transform(lazy)
    assert made.divisions == lazy.divisions
    assert list(made.columns) == list(theirs.get_feature_names_out())
    assert_same(made.compute().to_numpy(), theirs.transform(X))
    assert list(made.compute().index) == list(X.index)


@named(OF_ANY)
def test_mixed_frames(ours, theirs):
    X = mixed()
    for given_X in (X, over(X), over(X).clear_divisions(), dd.from_pandas(X, npartitions=2)):
        assert_same_attributes(ours.fit(given_X), theirs.fit(X))
        made = ours.transform(given_X)
        made = made.compute() if dask.is_dask_collection(made) else made
        assert_same(np.asarray(made, dtype=object), theirs.transform(X).astype(object))


@each_value(
    parameters=[
        {"missing_values": -1},
        {"missing_values": -1, "strategy": "median", "add_indicator": True},
        {"missing_values": -1, "strategy": "most_frequent"},
        {"missing_values": 0, "strategy": "most_frequent"},
        {"missing_values": 1, "strategy": "constant", "fill_value": 9},
        {"missing_values": 0},
    ],
    dtype=[np.int64, np.float64],
)
def test_numbers_that_say_missing(parameters, dtype):
    ours, theirs = pair(**parameters)
    X = np.random.default_rng(0).integers(-1, 3, size=(40, 3)).astype(dtype)
    for given_X in (X, da.from_array(X, chunks=(15, 3)), over(pd.DataFrame(X))):
        assert_same_attributes(ours.fit(given_X), theirs.fit(X))
    assert_same(ours.transform(X), theirs.transform(X))


@pytest.mark.parametrize("missing", ["na", None])
@pytest.mark.parametrize("strategy", ["most_frequent", "constant"])
def test_objects_that_say_missing(missing, strategy):
    ours, theirs = pair(missing_values=missing, strategy=strategy, add_indicator=True)
    X = np.array([["a", missing], ["b", "c"], [missing, "d"], ["b", "d"], ["a", "c"]], dtype=object)
    for given_X in (X, da.from_array(X, chunks=(2, 2))):
        assert_same_attributes(ours.fit(given_X), theirs.fit(X))
        made = ours.transform(given_X)
        made = made.compute() if dask.is_dask_collection(made) else made
        assert_same(made, theirs.transform(X))


def test_values_of_several_types():
    X = np.array([["a", 1], [2, 1], [2, "b"], ["a", "b"], [np.nan, 7]], dtype=object)
    ours, theirs = pair(strategy="most_frequent")
    for given_X in (X, da.from_array(X, chunks=(2, 2))):
        assert_same_attributes(ours.fit(given_X), theirs.fit(X))


@named(PAIRS)
@pytest.mark.parametrize("density", [0.05, 0.6])
def test_sparse(ours, theirs, density):
    X = sp.random_array((50, 6), density=density, format="csr", rng=np.random.default_rng(0))
    X.data[:] = np.round(X.data * 3)
    X.data[::4] = np.nan
    for given_X in (X, collection(X)):
        assert_same_attributes(ours.fit(given_X), theirs.fit(X))
        made = ours.transform(given_X)
        made = made.compute() if dask.is_dask_collection(made) else made
        assert sp.issparse(made)
        assert_same(made.toarray(), theirs.transform(X).toarray())


@named(PAIRS)
def test_futures_and_loaded_data(ours, theirs, executor):
    X = rows()
    theirs.fit(X)
    futures = executor.client.scatter([X[:20], X[20:]], hash=False)
    assert_same_attributes(ours.fit(futures), theirs)
    made = executor.client.gather(ours.transform(futures))
    assert_same(np.concatenate(made), theirs.transform(X))
    for raw in (False, True):
        with load(da.from_array(X, chunks=(17, 5)), raw=raw) as data:
            assert_same_attributes(ours.fit(data), theirs)
            assert_same(ours.transform(data).compute(), theirs.transform(X))


@named(PAIRS)
def test_more_rows_later(ours, theirs):
    X = rows()
    ours.fit(X[:10])
    ours.partial_fit(da.from_array(X[10:40], chunks=(7, 5))).partial_fit(X[40:])
    assert_same_attributes(ours, theirs.fit(X))


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(0, 30), max_size=4))
def test_any_chunking_is_the_whole(cuts):
    X = rows(30)
    lengths = tuple(np.diff([0, *sorted(cuts), 30]).tolist())
    for ours, theirs in (PAIRS[1], PAIRS[3], PAIRS[4], PAIRS[6]):
        assert_same_attributes(ours.fit(da.from_array(X, chunks=(lengths, 5))), theirs.fit(X))


@named(PAIRS)
def test_the_same_bits_on_any_workers(ours, theirs):
    X = rows(400)
    found = []
    for n_workers in (1, 4):  # with two are all other tests
        with Executor(processes=False, n_workers=n_workers):
            found.append(fingerprint(ours.fit(da.from_array(X, chunks=(37, 5)))))
    assert found[0].split("indicator_")[0] == found[1].split("indicator_")[0]
    assert found[0].split("statistics_")[1] == found[1].split("statistics_")[1]


@named(PAIRS)
def test_nothing_is_computed_ahead(ours, theirs):
    X = rows()
    ours.fit(X)
    lazy = da.from_array(X, chunks=(23, 5)).map_blocks(_unwanted, dtype=X.dtype, meta=X[:0])
    assert dask.is_dask_collection(ours.transform(lazy))


def _unwanted(block):
    raise AssertionError("was computed")


@named(PAIRS)
def test_pickles_without_the_cluster(ours, theirs):
    X = rows()
    again = pickle.loads(pickle.dumps(ours.fit(da.from_array(X, chunks=(23, 5)))))
    assert_same(again.transform(X), theirs.fit(X).transform(X))
    assert_same_attributes(ours.to_sklearn(), theirs)


def test_and_back():
    X = rows()
    X[:, 1] = 2.0
    ours, theirs = pair(add_indicator=True)
    lazy = da.from_array(X, chunks=(23, 5))
    back = ours.fit(lazy).inverse_transform(ours.transform(lazy)).compute()
    assert_same(back, theirs.inverse_transform(theirs.fit_transform(X)))
    with pytest.raises(ValueError, match="'add_indicator=True'"):
        SimpleImputer().fit(X).inverse_transform(lazy)


def test_frames_are_wanted():
    X = pd.DataFrame(rows(), columns=list("abcde"))
    ours = SimpleImputer().set_output(transform="pandas").fit(X)
    wanted = impute.SimpleImputer().set_output(transform="pandas").fit_transform(X)
    pd.testing.assert_frame_equal(ours.transform(X), wanted)
    pd.testing.assert_frame_equal(ours.transform(over(X)).compute(), wanted)


def test_what_is_refused():
    for strategy in ("mean", "median"):
        for given_X in (mixed(), over(mixed())):
            with pytest.raises(ValueError, match=r"in column 'colour'"):
                SimpleImputer(strategy=strategy).fit(given_X)
        for given_X in (rows(), collection(rows())):
            with pytest.raises(ValueError, match="types are expected to be both numerical"):
                SimpleImputer(missing_values="na", strategy=strategy).fit(given_X)
            with pytest.raises(ValueError, match="contains NaN"):
                SimpleImputer(missing_values=-1, strategy=strategy).fit(given_X)
    X = rows()
    X[43, 2] = np.inf
    for ours, _ in PAIRS:
        with pytest.raises(ValueError, match="infinity"):
            ours.fit(da.from_array(X, chunks=(30, 5)))
        with pytest.raises(ValueError, match="X has 0 rows"):
            ours.fit(da.zeros((0, 3), chunks=(1, 3)))
    with pytest.raises(ValueError, match="'strategy' parameter"):
        SimpleImputer(strategy=np.mean).fit(rows())
    with pytest.raises(ValueError, match="cannot be cast"):
        SimpleImputer(strategy="constant", fill_value="x").fit(collection(rows()))
    for given_X in (sp.csr_array(np.eye(6)), collection(sp.csr_array(np.eye(6)))):
        with pytest.raises(ValueError, match="missing_values == 0 and input is sparse"):
            SimpleImputer(missing_values=0).fit(given_X)
    many = np.arange(60.0)[:, None]
    with (
        dask.config.set({"daskml-exec.max-categories": 20}),
        pytest.raises(ValueError, match=r"more than 20 categories in column 0; allowed"),
    ):
        SimpleImputer(strategy="most_frequent").fit(da.from_array(many, chunks=(10, 1)))


def test_other_columns_are_refused():
    X = pd.DataFrame(rows(), columns=list("abcde"))
    ours = SimpleImputer().fit(X)
    with pytest.raises(ValueError, match="feature names should match"):
        ours.transform(over(X)[list("edcba")])


IMPUTERS = [
    SimpleImputer(),
    SimpleImputer(strategy="median"),
    SimpleImputer(strategy="most_frequent"),
]


@parametrize_with_checks(IMPUTERS)
def test_checks_in_memory(estimator, check):
    check(estimator)


@parametrize_with_checks([transformer_over_cut_memory(IMPUTERS[0])])
def test_checks_in_several_partitions(estimator, check):
    check(estimator)


@pytest.mark.slow  # data are cut in the same way for them
@parametrize_with_checks([transformer_over_cut_memory(each) for each in IMPUTERS[1:]])
def test_checks_of_others_in_several_partitions(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([transformer_over_dask(each) for each in IMPUTERS])
def test_checks_over_dask(estimator, check):
    check(estimator)


@named(OF_NUMBERS)
def test_numbers_that_dask_has_as_texts(ours, theirs):
    some = ["1", "2.5", None, "7"] * 15
    frame = pd.DataFrame({"a": rows()[:, 0], "texts": some, "none": [None] * 60})
    wanted = clone(theirs).fit(frame)
    lazy = dd.from_pandas(frame, npartitions=3)
    found = clone(ours).fit(lazy)
    assert_array_equal(found.statistics_, wanted.statistics_)
    assert_array_equal(found.transform(lazy).compute(), wanted.transform(frame))
