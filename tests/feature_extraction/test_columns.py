"""Documents in a column of a table, beside other columns: in memory, over frames, in a file."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import compose
from sklearn import preprocessing as sk
from sklearn.feature_extraction import text as scikit
from sklearn.pipeline import make_pipeline

from daskml_exec import open_model, save
from daskml_exec.feature_extraction import text
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.preprocessing import ColumnTransformer, StandardScaler
from tests.feature_extraction.test_pipeline import texts_and_labels

NAMES = ["CountVectorizer", "TfidfVectorizer", "HashingVectorizer"]


def table():
    texts, labels = texts_and_labels()
    sizes = np.random.default_rng(0).normal(size=len(texts))
    return pd.DataFrame({"about": texts, "size": sizes, "label": labels})


def columns(kind, scaler, vectorizer, **arguments):
    return kind([("size", scaler, ["size"]), ("words", vectorizer, "about")], **arguments)


def dense(found):
    found = found.compute() if hasattr(found, "compute") else found
    return found.toarray() if hasattr(found, "toarray") else np.asarray(found)


@pytest.mark.parametrize("threshold", [0.3, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_documents_beside_numbers(executor, name, threshold):
    options = {"n_features": 64} if name == "HashingVectorizer" else {}
    X = table()
    lazy = dd.from_pandas(X, npartitions=4)
    ours, theirs = (
        columns(kind, scaler(), getattr(module, name)(**options), sparse_threshold=threshold)
        for kind, scaler, module in (
            (ColumnTransformer, StandardScaler, text),
            (compose.ColumnTransformer, sk.StandardScaler, scikit),
        )
    )
    wanted = dense(theirs.fit_transform(X))
    for given in (lazy, X):
        found = ours.fit(given)
        for rows in (lazy, X):
            assert_allclose(dense(found.transform(rows)), wanted, rtol=1e-12)
        alone = found.to_sklearn()
        assert type(alone.transformers_[1][1]) is getattr(scikit, name)
        assert_allclose(dense(alone.transform(X)), wanted, rtol=1e-12)
    if name != "HashingVectorizer":
        assert_array_equal(ours.get_feature_names_out(), theirs.get_feature_names_out())


@pytest.mark.parametrize("over_frames", [True, False])
def test_in_a_file(executor, over_frames):
    X = table()
    given = dd.from_pandas(X, npartitions=3) if over_frames else X
    both = columns(
        ColumnTransformer, StandardScaler(), text.TfidfVectorizer(), sparse_threshold=1.0
    )
    model = make_pipeline(both, LogisticRegression())
    model.fit(given[["about", "size"]], given["label"])
    save(model, "memory://columns.safetensors")
    again = open_model("memory://columns.safetensors")
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert_array_equal(again[0].get_feature_names_out(), model[0].get_feature_names_out())
    lazy = dd.from_pandas(X, npartitions=2)
    assert_array_equal(np.asarray(again.predict(lazy)), np.asarray(model.predict(lazy)))


def test_a_missing_document_is_named(executor):
    X = table()
    X.loc[95, "about"] = None
    lazy = dd.from_pandas(X, npartitions=4)
    model = columns(ColumnTransformer, StandardScaler(), text.TfidfVectorizer())
    with pytest.raises(TypeError, match=r"partition 3, column 'about', is missing"):
        model.fit(lazy)
    with pytest.raises(TypeError, match=r"column 'about', is missing"):
        model.fit(table()).transform(lazy).compute()
