"""ColumnTransformer over Dask dataframes: scikit-learn's columns, learned from all rows."""

import pickle

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn import compose
from sklearn import preprocessing as sk
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.preprocessing import (
    ColumnTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)

SELECTED = make_column_selector("size|weight")


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def frame(n=2500):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 80, n),
            "size": np.sort(rng.normal(size=n)),  # the first 1,000 rows are not like the others
            "weight": rng.normal(size=n) + 5,
            "word": rng.choice(["a", "b"], n),
        }
    )


def ours(**arguments):
    return ColumnTransformer(
        [
            ("range", MinMaxScaler(), ["age"]),
            (
                "twice",
                make_pipeline(StandardScaler(), MinMaxScaler()),
                make_column_selector("size|we"),
            ),
            ("largest", MaxAbsScaler(), [1]),
            ("none", FunctionTransformer(np.abs, feature_names_out="one-to-one"), ["weight"]),
        ],
        **arguments,
    )


def theirs(**arguments):
    return compose.ColumnTransformer(
        [
            ("range", sk.MinMaxScaler(), ["age"]),
            ("twice", make_pipeline(sk.StandardScaler(), sk.MinMaxScaler()), ["size", "weight"]),
            ("largest", sk.MaxAbsScaler(), ["size"]),
            ("none", FunctionTransformer(np.abs, feature_names_out="one-to-one"), ["weight"]),
        ],
        **arguments,
    )


@pytest.mark.parametrize("weights", [None, {"range": 3.0}])
def test_it_is_scikit_learns(weights, executor):
    X = frame()
    lazy = dd.from_pandas(X, npartitions=4)
    found = ours(transformer_weights=weights).fit(lazy)
    wanted = theirs(transformer_weights=weights).fit(X)
    made = found.transform(lazy)
    assert made.divisions == lazy.divisions
    assert list(made.columns) == list(wanted.get_feature_names_out())
    assert_allclose(made.compute(), wanted.transform(X), rtol=1e-12)
    assert_allclose(found.transform(X), wanted.transform(X), rtol=1e-12)
    assert_allclose(found.to_sklearn().transform(X), wanted.transform(X), rtol=1e-12)
    again = pickle.loads(pickle.dumps(found))
    assert_allclose(again.transform(lazy).compute(), wanted.transform(X), rtol=1e-12)
    assert found.get_params()["range__feature_range"] == (0, 1)
    assert isinstance(found.named_transformers_["range"], MinMaxScaler)


@pytest.mark.parametrize("remainder", ["drop", "passthrough", MaxAbsScaler()])
def test_the_other_columns(remainder, executor):
    X = frame()[["age", "size", "weight"]]
    given = [("range", MinMaxScaler(), ["age"])]
    found = ColumnTransformer(given, remainder=remainder).fit(dd.from_pandas(X, npartitions=3))
    other = sk.MaxAbsScaler() if isinstance(remainder, MaxAbsScaler) else remainder
    wanted = compose.ColumnTransformer([("range", sk.MinMaxScaler(), ["age"])], remainder=other)
    assert_allclose(
        found.transform(dd.from_pandas(X, npartitions=2)).compute(), wanted.fit_transform(X)
    )
    assert found.remainder is remainder


def test_columns_in_another_order_and_more_of_them(executor):
    X = frame()
    found = ours().fit(dd.from_pandas(X, npartitions=4))
    other = dd.from_pandas(X[["word", "weight", "age", "size"]].assign(more=1), npartitions=2)
    assert_allclose(found.transform(other).compute(), found.transform(X), rtol=1e-12)


def test_in_memory_and_over_arrays(executor):
    X = frame()
    assert_allclose(ours().fit_transform(X), theirs().fit_transform(X), rtol=1e-12)
    values = X[["age", "size"]].to_numpy()
    lazy = da.from_array(values, chunks=(900, 2))
    given = [("a", MinMaxScaler(), [0]), ("b", StandardScaler(), [1])]
    for kind in (ColumnTransformer, compose.ColumnTransformer):
        made = kind(given).fit_transform(lazy)
        assert isinstance(made, da.Array)
        assert_allclose(made.compute(), kind(given).fit_transform(values), rtol=1e-12)


def test_in_a_pipeline_in_front_of_a_model(executor):
    X = frame()
    lazy = dd.from_pandas(X, npartitions=4)
    model = make_pipeline(ours(), LogisticRegression()).fit(lazy, lazy["size"] > 0.3)
    in_memory = make_pipeline(ours(), LogisticRegression()).fit(X, X["size"] > 0.3)
    assert_allclose(model[-1].coef_, in_memory[-1].coef_, rtol=1e-4)
    assert model.predict(lazy).compute().tolist() == model.predict(X).tolist()


def test_what_it_refuses(executor):
    lazy = dd.from_pandas(frame(), npartitions=2)
    with pytest.raises(TypeError, match=r"'a' has StandardScaler of sklearn.preprocessing"):
        ColumnTransformer([("a", sk.StandardScaler(), ["age"])]).fit(lazy)
    with pytest.raises(ValueError, match=r"not columns of the dataframe: \{'ages'\}"):
        ColumnTransformer([("a", StandardScaler(), ["ages"])]).fit(lazy)
    with pytest.raises(ValueError, match="X has 0 rows"):
        ours().fit(lazy[lazy["age"] > 100])
    model = ours()
    with pytest.raises(ValueError, match=r"'[ab]' in column 'word'"):
        clone(model).set_params(remainder=StandardScaler()).fit(lazy)
    assert_allclose(model.fit(lazy).transform(frame()), theirs().fit_transform(frame()), rtol=1e-12)
    with pytest.raises(ValueError, match=r"columns are missing: \{'age'\}"):
        model.transform(lazy[["size", "weight"]]).compute()


def test_a_fit_that_fails_leaves_it_as_it_was(executor):
    lazy = dd.from_pandas(frame(), npartitions=2)
    model = ours(remainder=StandardScaler())
    given = dict(vars(model))
    with pytest.raises(ValueError, match="word"):
        model.fit(lazy)
    assert vars(model) == given


@pytest.mark.parametrize("threshold", [0, 0.3, 0.9])
def test_parts_of_an_array_are_all_dense_or_all_sparse(threshold):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=20), rng.integers(0, 4, 20)])
    theirs = compose.ColumnTransformer(
        [("n", sk.StandardScaler(), [0]), ("o", sk.OneHotEncoder(), [1])],
        sparse_threshold=threshold,
    )
    ours = ColumnTransformer(
        [("n", StandardScaler(), [0]), ("o", OneHotEncoder(), [1])], sparse_threshold=threshold
    )
    wanted, lazy = theirs.fit_transform(X), da.from_array(X, chunks=((0, 7, 7, 6), (2,)))
    for made in (ours.fit_transform(lazy), ours.transform(lazy)):
        assert made.chunks == ((0, 7, 7, 6), (5,))
        assert sp.issparse(made._meta) == sp.issparse(wanted) == ours.sparse_output_
        found = made.compute()
        assert type(found) is type(wanted)
        assert_allclose(
            *(each.toarray() if sp.issparse(each) else each for each in (found, wanted))
        )
    with pytest.raises(ValueError, match=r"unknown sizes; allowed .* X.compute_chunk_sizes\(\)"):
        ours.fit(lazy[lazy[:, 1] > 0])


def test_a_transformer_without_columns():
    frame = dd.from_pandas(pd.DataFrame({"c": list("abca")}), npartitions=2)
    numbers = make_column_selector(dtype_include="number")
    made = ColumnTransformer([("n", StandardScaler(), numbers), ("o", OneHotEncoder(), ["c"])])
    assert made.fit_transform(frame).compute().shape == (4, 3)


def test_futures_are_no_table(executor):
    pieces = executor.client.scatter([np.ones((2, 1))] * 2, hash=False)
    with pytest.raises(TypeError, match="X is a list; a ColumnTransformer takes columns"):
        ColumnTransformer([("n", StandardScaler(), [0])]).fit(pieces)
