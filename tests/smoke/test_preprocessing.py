"""Each preprocessor and vectorizer, once: what must work with every release that is supported."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline

from daskml_exec import Executor, open_model, preprocessing, save
from daskml_exec.feature_extraction import text
from daskml_exec.linear_model import LogisticRegression

pytestmark = pytest.mark.smoke

RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame(RNG.normal(size=(60, 3)), columns=["age", "size", "weight"])
WORDS = pd.DataFrame({"kind": list("abc") * 20, "town": ["Bonn", "Rome"] * 30})
TARGET = NUMBERS["age"] > 0
DOCUMENTS = pd.Series([f"a word {i % 7} of many words {i % 3}" for i in range(60)])

OF_NUMBERS = ["StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "SimpleImputer"]
OF_NUMBERS += ["QuantileTransformer"]
OF_WORDS = ["OneHotEncoder", "OrdinalEncoder", "TargetEncoder"]


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def dense(found):
    found = found.compute() if hasattr(found, "compute") else found
    return found.toarray() if hasattr(found, "toarray") else np.asarray(found)


@pytest.mark.parametrize("name", OF_NUMBERS + OF_WORDS)
def test_a_preprocessor(name):
    options = {"n_quantiles": 10} if name == "QuantileTransformer" else {}
    model = getattr(preprocessing, name)(**options)
    X = NUMBERS if name in OF_NUMBERS else WORDS
    lazy, y = dd.from_pandas(X, npartitions=3), dd.from_pandas(TARGET, npartitions=3)
    model.fit(lazy, y)
    assert_allclose(dense(model.transform(lazy)), dense(model.to_sklearn().transform(X)))
    save(model, "memory://smoke.safetensors")
    assert_allclose(
        dense(open_model("memory://smoke.safetensors").transform(X)), dense(model.transform(X))
    )


def test_labels():
    labels = np.array(list("abc") * 20)
    model = preprocessing.LabelEncoder().fit(da.from_array(labels, chunks=25))
    assert model.transform(labels).tolist() == [0, 1, 2] * 20


@pytest.mark.parametrize("name", ["CountVectorizer", "TfidfVectorizer", "HashingVectorizer"])
def test_a_vectorizer(name):
    model = getattr(text, name)()
    found = model.fit_transform(dd.from_pandas(DOCUMENTS, npartitions=3))
    assert_allclose(dense(found), dense(model.fit_transform(DOCUMENTS)))
    save(model, "memory://smoke.safetensors")
    opened = open_model("memory://smoke.safetensors")
    assert_allclose(dense(opened.transform(DOCUMENTS)), dense(model.transform(DOCUMENTS)))


def test_texts_to_labels_in_a_file():
    model = make_pipeline(text.CountVectorizer(), text.TfidfTransformer(), LogisticRegression())
    model.fit(dd.from_pandas(DOCUMENTS, npartitions=3), dd.from_pandas(TARGET, npartitions=3))
    save(model, "memory://smoke.safetensors")
    opened = open_model("memory://smoke.safetensors")
    assert (opened.predict(DOCUMENTS) == model.predict(DOCUMENTS)).all()


def test_a_table():
    table = pd.concat([NUMBERS, WORDS], axis=1)
    columns = preprocessing.ColumnTransformer(
        [
            ("numbers", preprocessing.StandardScaler(), ["age", "size"]),
            ("words", preprocessing.OneHotEncoder(), ["kind", "town"]),
        ],
        remainder="passthrough",
    )
    lazy, y = dd.from_pandas(table, npartitions=3), dd.from_pandas(TARGET, npartitions=3)
    model = make_pipeline(columns, LogisticRegression()).fit(lazy, y)
    assert (model.predict(lazy).compute().to_numpy() == model.predict(table)).all()
    assert preprocessing.profile(lazy).remarks == {}


def test_a_scaler_in_front_of_a_model():
    X = da.from_array(NUMBERS.to_numpy(), chunks=(25, 3))
    y = da.from_array(TARGET.to_numpy(), chunks=25)
    model = make_pipeline(preprocessing.StandardScaler(), LogisticRegression()).fit(X, y)
    assert "no scaled row was made" in str(model[-1].explain())
