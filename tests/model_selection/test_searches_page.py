"""What docs/searches.md shows, over collections of all kinds."""

import re

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import linear_model as sklinear
from sklearn import model_selection as sk

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.model_selection import GridSearchCV
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "searches.md").read_text()
[SHOWN, *_] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 3))
Y = np.where(X @ [2.0, -1.0, 0.0] + RNG.normal(size=240) > 0, "yes", "no")
EXACT = sklinear.LogisticRegression(solver="newton-cholesky", tol=1e-12)
GRID = {"C": [0.01, 1.0, 100.0]}


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def as_arrays(executor):
    return da.from_array(X, chunks=(80, 3)), da.from_array(Y, chunks=100)


def as_frames(executor):
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abc")).assign(label=Y), npartitions=3)
    return frame[list("abc")], frame["label"]


def as_arrays_of_unknown_lengths(executor):
    frame, labels = as_frames(executor)
    return frame.to_dask_array(), labels


def as_futures(executor):
    parts = np.split(X, [100]), np.split(Y, [100])
    return tuple(executor.client.scatter(part) for part in parts)


def as_sparse_chunks(executor):
    rows = da.from_array(X, chunks=(80, 3)).map_blocks(sp.csr_matrix, dtype=float)
    return rows, Y


@pytest.mark.parametrize("given", [None, as_arrays])
def test_what_the_page_shows(given, request, capsys):
    named = dict(zip("Xy", (X, Y), strict=True))
    if given is not None:
        named = dict(zip("Xy", given(request.getfixturevalue("executor")), strict=True))
    exec(SHOWN, named)
    best, means, shape, scores = capsys.readouterr().out.splitlines()
    theirs = sk.GridSearchCV(EXACT, GRID, scoring="neg_log_loss", cv=3).fit(X, Y)
    assert best == str(theirs.best_params_)
    assert means == str(theirs.cv_results_["mean_test_score"].round(4))
    assert shape == "(1, 3) 3"
    found = sk.cross_val_score(theirs.best_estimator_, X, Y, cv=3, scoring="roc_auc")
    assert scores == str(found.round(4))
    wanted = sk.cross_val_predict(theirs.best_estimator_, X, Y, cv=3, method="predict_proba")
    np.testing.assert_allclose(np.asarray(named["held_out"]), wanted, atol=1e-6)


@pytest.mark.parametrize(
    "given", [as_frames, as_arrays_of_unknown_lengths, as_futures, as_sparse_chunks]
)
def test_collections_of_any_kind(given, executor):
    search = GridSearchCV(LogisticRegression(), GRID, scoring="neg_log_loss", cv=3)
    search.fit(*given(executor))
    theirs = sk.GridSearchCV(EXACT, GRID, scoring="neg_log_loss", cv=3).fit(X, Y)
    wanted = theirs.cv_results_["mean_test_score"]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], wanted, atol=1e-8)
    names = ["a", "b", "c"] if given is as_frames else None
    found = getattr(search, "feature_names_in_", None)
    assert (None if found is None else found.tolist()) == names
