"""Preprocessors and pipelines in files: what is opened does to the bit what was saved."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.compose import make_column_selector
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from daskml_exec import Executor, open_model, save
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.preprocessing import (
    ColumnTransformer,
    LabelEncoder,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    RobustScaler,
    SimpleImputer,
    StandardScaler,
    TargetEncoder,
)

FILE = "memory://preprocessor.safetensors"


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.normal(size=(40, 3)), columns=["age", "size", "weight"])


def opened(model):
    save(model, FILE)
    return open_model(FILE)


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(clip=True), MaxAbsScaler()])
def test_scalers(scaler, executor):
    X = frame()
    lazy = dd.from_pandas(X, npartitions=3)
    again = opened(scaler.fit(lazy))
    assert again.get_params() == scaler.get_params()
    assert_array_equal(again.transform(lazy).compute(), scaler.transform(X))
    more = X * 3
    assert_array_equal(again.partial_fit(more).transform(X), scaler.partial_fit(more).transform(X))
    assert_array_equal(opened(StandardScaler()).fit_transform(X), StandardScaler().fit_transform(X))


CATEGORIES = pd.DataFrame({"letter": list("abca") * 10, "town": ["p", "q", None, "p"] * 10})
NUMBERS = frame().mask(np.random.default_rng(1).random((40, 3)) < 0.2)


@pytest.mark.parametrize(
    ("model", "X"),
    [
        (RobustScaler(), NUMBERS),
        (QuantileTransformer(n_quantiles=10), NUMBERS),
        (SimpleImputer(add_indicator=True), NUMBERS),
        (SimpleImputer(strategy="median"), NUMBERS),
        (SimpleImputer(strategy="most_frequent"), CATEGORIES[["letter"]]),
        (OneHotEncoder(min_frequency=15, dtype=np.float32), CATEGORIES),
        (OrdinalEncoder(), CATEGORIES),
        (TargetEncoder(), CATEGORIES),
    ],
    ids=lambda value: type(value).__name__,
)
def test_encoders_and_imputers(model, X, executor):
    y = np.arange(40) % 3 == 0
    model.fit(dd.from_pandas(X, npartitions=3), dd.from_pandas(pd.Series(y), npartitions=3))
    again = opened(model)
    assert repr(again) == repr(model)
    found, wanted = again.transform(X), model.transform(X)
    if hasattr(wanted, "toarray"):
        found, wanted = found.toarray(), wanted.toarray()
    pd.testing.assert_frame_equal(pd.DataFrame(found), pd.DataFrame(wanted), check_exact=True)


def test_labels():
    model = LabelEncoder().fit(["b", "a", "b"])
    assert_array_equal(opened(model).inverse_transform([0, 1]), ["a", "b"])


@pytest.mark.parametrize("over_frames", [True, False])
def test_columns_in_a_pipeline(over_frames, executor):
    X = frame()
    given = dd.from_pandas(X, npartitions=3) if over_frames else X
    y = X["age"] > 0
    target = dd.from_pandas(y, npartitions=3) if over_frames else y
    inner = make_pipeline(StandardScaler(), MaxAbsScaler())
    columns = ColumnTransformer(
        [("range", MinMaxScaler(), ["age"]), ("twice", inner, slice(1, 2))], remainder="passthrough"
    )
    model = make_pipeline(columns, LogisticRegression()).fit(given, target)
    again = opened(model)
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    if over_frames:
        lazy = dd.from_pandas(X, npartitions=2)
        assert_array_equal(again.predict(lazy).compute(), model.predict(X))
    assert list(again[0].get_feature_names_out()) == list(columns.get_feature_names_out())
    assert again[-1].history_ == model[-1].history_
    assert_array_equal(again[0].to_sklearn().transform(X), model[0].to_sklearn().transform(X))


@pytest.mark.parametrize("over_frames", [True, False])
def test_columns_that_nobody_has_named(over_frames, executor):
    X = frame()
    given = dd.from_pandas(X, npartitions=3) if over_frames else X
    model = ColumnTransformer([("range", MinMaxScaler(), ["age"])], remainder=MaxAbsScaler())
    again = opened(model.fit(given))
    assert_array_equal(again.transform(X), model.transform(X))


def test_a_pipeline_over_arrays(executor):
    X = da.from_array(frame().to_numpy(), chunks=(15, 3))
    y = da.from_array(frame()["age"].to_numpy() > 0, chunks=15)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    again = opened(model)
    assert_array_equal(again.predict_proba(X).compute(), model.predict_proba(X).compute())
    assert str(again[-1].explain()) == str(model[-1].explain())


@pytest.mark.parametrize(
    ("step", "named"),
    [
        (FunctionTransformer(np.abs), "func is"),
        (ColumnTransformer([("a", MaxAbsScaler(), make_column_selector())]), "transformers"),
    ],
)
def test_functions_are_refused_by_name(step, named):
    with pytest.raises(TypeError, match=named):
        save(make_pipeline(step, LogisticRegression()), FILE)
