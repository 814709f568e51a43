"""Texts to labels in scikit-learn's own Pipeline, on a cluster and in memory."""

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction import text as scikit
from sklearn.linear_model import LogisticRegression as ScikitLogisticRegression
from sklearn.pipeline import make_pipeline

from daskml_exec.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from daskml_exec.linear_model import LogisticRegression
from tests.feature_extraction.toolbox import array, bag, series

WORDS = np.array(["red", "green", "blue", "small", "large", "round", "old", "new", "fast"])


def texts_and_labels(n=120):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, size=6)) for _ in range(n)]
    return texts, np.array(
        ["red" if "red" in text and "old" not in text else "no" for text in texts]
    )


STEPS = {
    "tfidf": (TfidfVectorizer, scikit.TfidfVectorizer),
    "count": (CountVectorizer, scikit.CountVectorizer),
    "hashing": (
        lambda: HashingVectorizer(n_features=256),
        lambda: scikit.HashingVectorizer(n_features=256),
    ),
    "two": (
        lambda: make_pipeline(CountVectorizer(), TfidfTransformer()),
        lambda: make_pipeline(scikit.CountVectorizer(), scikit.TfidfTransformer()),
    ),
}


@pytest.mark.parametrize("kind", [array, series, bag, lambda texts, sizes: texts])
@pytest.mark.parametrize("steps", STEPS)
def test_texts_to_labels(executor, steps, kind):
    texts, labels = texts_and_labels()
    sizes = (40, 0, 30, 50)
    ours, theirs = (make() for make in STEPS[steps])
    theirs = make_pipeline(
        theirs, ScikitLogisticRegression(solver="newton-cg", tol=1e-10, max_iter=1000)
    )
    theirs.fit(texts, labels)
    X = kind(texts, sizes)
    y = labels if kind is not array else da.from_array(labels, chunks=33)
    model = make_pipeline(ours, LogisticRegression()).fit(X, y)
    np.testing.assert_allclose(model[-1].coef_, theirs[-1].coef_, atol=1e-6)
    found = model.predict(X)
    assert isinstance(found, np.ndarray) is isinstance(X, list)
    assert np.array_equal(np.asarray(found), theirs.predict(texts))
    assert model.score(X, y) == theirs.score(texts, labels)


def test_rows_stay_sparse(executor):
    texts, _ = texts_and_labels()
    made = TfidfVectorizer().fit_transform(series(texts, (60, 60)))
    assert all(sp.issparse(block.compute()) for block in made.to_delayed().ravel())
