"""The target encoder against scikit-learn's, on whatever holds the rows."""

import gc
import pickle

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn import preprocessing as sk
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskml_exec import Executor
from daskml_exec.preprocessing import OneHotEncoder, TargetEncoder
from daskml_exec.training import load
from tests.estimator_kit import transformer_over_cut_memory, transformer_over_dask
from tests.preprocessing.kit import assert_same, assert_same_attributes, fingerprint
from tests.tiers import each_pair, each_value

pytestmark = pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")


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
            "kind": pd.Categorical(rng.choice(["u", "v", "w"], n), categories=["w", "x", "v", "u"]),
        },
        index=np.arange(n) * 3 + 7,
    )


def targets(n=60):
    rng = np.random.default_rng(1)
    return {
        "binary": rng.integers(0, 2, n),
        "texts": rng.choice(["no", "yes"], n),
        "multiclass": rng.choice(["c", "a", "b"], n, p=[0.6, 0.3, 0.1]),
        "continuous": rng.normal(50, 3, n),
    }


def folds_of(y, n=5):
    return KFold(n) if y.dtype.kind == "f" else StratifiedKFold(n)


def pair(y, n=5, **parameters):
    theirs = sk.TargetEncoder(**parameters, cv=folds_of(y, n))
    return TargetEncoder(**parameters, cv=n), theirs


def over(X, npartitions=4):
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(X, npartitions=npartitions)


cases = pytest.mark.parametrize("kind", list(targets()))
SMOOTH = ["auto", 0.0, 3.5]


@each_pair(kind=list(targets()), smooth=SMOOTH, cut=[100, 10**7])
def test_in_memory(kind, smooth, cut):
    X, y = frame(), targets()[kind]
    ours, theirs = pair(y, smooth=smooth)
    with dask.config.set({"daskml-exec.partition-bytes": cut}):
        made = ours.fit_transform(X, y)
        assert_allclose(made, theirs.fit_transform(X, y), rtol=1e-12)
        assert_same_attributes(ours, theirs)
        assert_same_attributes(ours.fit(X, y), theirs)
    assert_allclose(ours.transform(X), theirs.transform(X), rtol=1e-12)
    assert list(ours.get_feature_names_out()) == list(theirs.get_feature_names_out())


@each_value(kind=list(targets()), smooth=SMOOTH)
def test_dask_frame(kind, smooth):
    X, y = frame(), targets()[kind]
    ours, theirs = pair(y, n=3, smooth=smooth)
    wanted = theirs.fit_transform(X, y)
    for lazy in (over(X), over(X).clear_divisions(), dd.from_pandas(X, npartitions=3)):
        if str(lazy.dtypes["colour"]) != "object":
            lazy = lazy.assign(colour=lazy["colour"])  # texts, of which None and NaN are one
            theirs.fit(X.assign(colour=X["colour"].where(X["colour"].notna(), np.nan)), y)
            assert_same_attributes(ours.fit(lazy, da.from_array(y, chunks=17)), theirs)
            continue
        made = ours.fit_transform(lazy, da.from_array(y, chunks=17))
        assert_same_attributes(ours, theirs)
        assert list(made.columns) == list(theirs.get_feature_names_out())
        assert_allclose(made.compute(), wanted, rtol=1e-12)
        assert list(made.compute().index) == list(X.index)
        assert_allclose(ours.transform(lazy).compute(), theirs.transform(X), rtol=1e-12)
        assert_same_attributes(ours.fit(lazy, y), theirs)


@cases
def test_dask_array(kind):
    X, y = frame()[["size", "width"]].to_numpy(), targets()[kind]
    ours, theirs = pair(y)
    lazy = da.from_array(X, chunks=((0, 25, 1, 34), 1)), da.from_array(y, chunks=((31, 29),))
    made = ours.fit_transform(*lazy)
    assert isinstance(made, da.Array)
    assert made.chunks[0] == lazy[0].chunks[0]
    assert_allclose(made.compute(), theirs.fit_transform(X, y), rtol=1e-12)
    assert_same_attributes(ours, theirs)


@cases
def test_futures_and_loaded_data(kind, executor):
    X, y = frame()[["size", "width"]].to_numpy(), targets()[kind]
    ours, theirs = pair(y)
    wanted = theirs.fit_transform(X, y)
    futures = executor.client.scatter([X[:20], X[20:]], hash=False)
    made = ours.fit_transform(futures, y)
    assert_allclose(np.concatenate(executor.client.gather(made)), wanted, rtol=1e-12)
    target = "numbers" if kind == "continuous" else "labels"
    for raw in (True, False):
        with load(da.from_array(X, chunks=(17, 2)), y, target=target, raw=raw) as data:
            assert_allclose(ours.fit_transform(data).compute(), wanted, rtol=1e-12)
            assert_same_attributes(ours, theirs)


@cases
def test_more_rows_later(kind):
    X, y = frame(), targets()[kind]
    ours, theirs = pair(y)
    ours.partial_fit(X[:10], y[:10])
    ours.partial_fit(over(X[10:40]), y[10:40]).partial_fit(X[40:], y[40:])
    assert_same_attributes(ours, theirs.fit(X, y))
    with pytest.raises(ValueError, match="labels in some calls and numbers in others"):
        ours.partial_fit(X, targets()["binary" if kind == "continuous" else "continuous"])


@settings(max_examples=8)
@given(
    cuts=st.lists(st.integers(0, 30), max_size=4),
    y_cut=st.integers(0, 30),
    n_folds=st.integers(2, 6),
)
def test_any_chunking_is_the_whole(cuts, y_cut, n_folds):
    X = frame(30)[["size", "width"]].to_numpy()
    lengths = tuple(np.diff([0, *sorted(cuts), 30]).tolist())
    for y in (targets(30)["multiclass"], targets(30)["continuous"]):
        ours, theirs = pair(y, n=n_folds)
        made = ours.fit_transform(
            da.from_array(X, chunks=(lengths, 2)), da.from_array(y, chunks=((y_cut, 30 - y_cut),))
        )
        assert_allclose(made.compute(), theirs.fit_transform(X, y), rtol=1e-12)
        assert_same_attributes(ours, theirs)


@cases
def test_the_same_bits_on_any_workers(kind):
    X, y = frame(400), targets(400)[kind]
    found = []
    for n_workers in (1, 4):  # with two are all other tests
        with Executor(processes=False, n_workers=n_workers):
            encoder = TargetEncoder()
            made = encoder.fit_transform(over(X, 9), y).compute()
            found.append((fingerprint(encoder), made.to_numpy().tobytes()))
    assert found[0] == found[1]


def test_nothing_is_computed_ahead():
    X, y = frame(), targets()["binary"]
    encoder = TargetEncoder().fit(X, y)
    lazy = over(X).map_partitions(_unwanted, meta=X[:0])
    assert dask.is_dask_collection(encoder.transform(lazy))


def _unwanted(block):
    raise AssertionError("was computed")


@cases
def test_pickles_and_frames(kind):
    X, y = frame(), targets()[kind]
    ours, theirs = pair(y)
    again = pickle.loads(pickle.dumps(ours.fit(over(X), y)))
    assert_allclose(again.transform(X), theirs.fit(X, y).transform(X), rtol=1e-12)
    assert type(ours.to_sklearn()) is sk.TargetEncoder
    wanted = theirs.set_output(transform="pandas").fit_transform(X, y)
    pd.testing.assert_frame_equal(
        ours.set_output(transform="pandas").fit_transform(X, y), wanted, rtol=1e-12
    )


def test_given_categories_and_others_later():
    X, y = frame()[["size", "kind"]], targets()["multiclass"]
    parameters = {"categories": [[-20, -10, 0, 10], ["w", "v", "u"]]}
    ours, theirs = pair(y, **parameters)
    wanted = theirs.fit_transform(X, y)
    assert_allclose(ours.fit_transform(over(X), y).compute(), wanted, rtol=1e-12)
    assert_same_attributes(ours, theirs)
    other = X.assign(size=77)
    ours, theirs = pair(y)
    theirs.fit(X, y)
    assert_allclose(
        ours.fit(over(X), y).transform(over(other)).compute(), theirs.transform(other), rtol=1e-12
    )


def test_given_folds():
    X, y = frame(), targets()["binary"]
    for cv in (KFold(4), StratifiedKFold(3)):
        ours, theirs = TargetEncoder(cv=cv), sk.TargetEncoder(cv=cv)
        assert_allclose(ours.fit_transform(X, y), theirs.fit_transform(X, y), rtol=1e-12)


def test_what_is_refused():
    X, targets_ = frame(), targets()
    y = targets_["binary"]
    with pytest.raises(ValueError, match="allowed are folds that do not shuffle"):
        TargetEncoder(cv=KFold(3, shuffle=True)).fit_transform(X, y)
    with pytest.raises(ValueError, match="y has numbers; allowed is KFold"):
        TargetEncoder(cv=StratifiedKFold(3)).fit_transform(X, targets_["continuous"])
    with pytest.raises(ValueError, match="n_splits=61 greater than the number of samples"):
        TargetEncoder(cv=61).fit_transform(X, y)
    with pytest.raises(ValueError, match="n_splits=50 cannot be greater"):
        TargetEncoder(cv=50).fit_transform(X, y)
    with pytest.raises(ValueError, match="y has 3 classes"):
        TargetEncoder(target_type="binary").fit(X, targets_["multiclass"])
    with pytest.raises(ValueError, match="requires y to be passed"):
        TargetEncoder().fit(X)
    with load(np.eye(3)) as data, pytest.raises(ValueError, match="a Data without y"):
        TargetEncoder().fit(data)
    with (
        dask.config.set({"daskml-exec.max-categories": 20}),
        pytest.raises(ValueError, match=r"more than 20 categories in column 4 \('id'\)"),
    ):
        TargetEncoder().fit(over(X.assign(id=np.arange(60))), y)
    both = X.assign(both=pd.Series(["a", 1, 2] * 20, dtype=object, index=X.index))
    with pytest.raises(TypeError, match=r"Got \['int', 'str'\] in column 4 \('both'\)"):
        TargetEncoder().fit(over(both), y)
    with pytest.raises(ValueError, match="feature names should match"):
        TargetEncoder().fit(X, y).transform(over(X)[["size", "colour", "width", "kind"]])


def test_whole_numbers_may_be_continuous():
    X, y = frame(), np.arange(60) % 7
    ours = TargetEncoder(target_type="continuous").fit(over(X), y)
    assert_same_attributes(ours, sk.TargetEncoder(target_type="continuous").fit(X, y))
    assert_same(ours.target_mean_, np.mean(y))


@parametrize_with_checks([TargetEncoder()])
def test_checks_in_memory(estimator, check):
    check(estimator)


@parametrize_with_checks([transformer_over_cut_memory(TargetEncoder())])
def test_checks_in_several_partitions(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([transformer_over_dask(TargetEncoder())])
def test_checks_over_dask(estimator, check):
    check(estimator)


def test_what_is_made_of_a_result_holds_it():
    X, y = frame(), targets()["binary"]
    crossed = TargetEncoder().fit_transform(over(X[["size"]]), y)
    encoder = OneHotEncoder().fit(crossed)
    lazy, wanted = encoder.transform(crossed), encoder.transform(crossed.compute())
    del crossed
    gc.collect()
    assert (lazy.compute() != wanted).nnz == 0
