"""Searches over Dask data: the loops of `docs/splits.md`, and what scikit-learn's make of it."""

import re

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn import model_selection as sk
from sklearn.model_selection import GridSearchCV, cross_val_score

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.model_selection import KFold
from tests.conftest import ROOT
from tests.tiers import slow

PAGE = (ROOT / "docs" / "splits.md").read_text()
SHOWN = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 3))
Y = np.where(X @ [2.0, -1.0, 0.0] + RNG.normal(size=240) > 0, "yes", "no")


def as_arrays():
    return da.from_array(X, chunks=(80, 3)), da.from_array(Y, chunks=100)


def as_frames():
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abc")).assign(label=Y), npartitions=3)
    return frame[list("abc")], frame["label"]


def as_arrays_of_unknown_lengths():
    frame, labels = as_frames()
    return frame.to_dask_array(), (labels == "yes").astype(float).to_dask_array()


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.mark.parametrize("given", [as_arrays, slow(as_frames)])
def test_what_the_page_shows(given, executor, capsys):
    names = dict(zip("Xy", given(), strict=True))
    for block in SHOWN:
        exec(block, names)
    *folds, last = capsys.readouterr().out.splitlines()
    model = LogisticRegression()
    wanted = cross_val_score(model, X, Y, cv=sk.StratifiedKFold(5))
    np.testing.assert_allclose(np.array(folds, float), wanted)
    rows, labels = (np.asarray(names[name].compute()) for name in ("X_train", "y_train"))
    search = GridSearchCV(model, {"C": [0.01, 1.0, 100.0]}, cv=sk.StratifiedKFold(3))
    assert names["best"] == search.fit(rows, labels).best_params_
    rows, labels = (np.asarray(names[name].compute()) for name in ("X_test", "y_test"))
    assert last == f"{names['best']} {search.score(rows, labels)}"


def test_scikit_learn_takes_arrays_of_known_chunks(executor):
    found = cross_val_score(LogisticRegression(), *as_arrays(), cv=3)
    np.testing.assert_allclose(found, cross_val_score(LogisticRegression(), X, Y, cv=3))

    rows, labels = as_arrays_of_unknown_lengths()
    rows.compute_chunk_sizes()
    labels.compute_chunk_sizes()
    np.testing.assert_allclose(cross_val_score(LogisticRegression(), rows, labels, cv=3), found)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (as_frames, AttributeError, "'take'"),
        (lambda: (X, as_frames()[1]), Exception, "Too many indexers"),
        (as_arrays_of_unknown_lengths, ValueError, "unknown chunk size"),
    ],
)
def test_scikit_learn_refuses_what_the_page_says(given, error, message, executor):
    with pytest.raises(error, match=message):
        cross_val_score(LogisticRegression(), *given(), cv=3)
    assert message.strip("'") in PAGE


@pytest.mark.parametrize(
    "given", [as_arrays, as_frames, lambda: (X, as_arrays()[1]), lambda: (as_arrays()[0], Y)]
)
def test_our_splitters_are_refused_with_what_to_do(given, executor):
    told = "no array of row numbers.* fit on train"
    with pytest.raises(TypeError, match=told):
        cross_val_score(LogisticRegression(), *given(), cv=KFold(3))
    with pytest.raises(TypeError, match=told):
        GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=KFold(3)).fit(*given())


def test_our_splitters_are_taken_for_data_in_memory():
    found = cross_val_score(LogisticRegression(), X, Y, cv=KFold(3))
    np.testing.assert_allclose(found, cross_val_score(LogisticRegression(), X, Y, cv=sk.KFold(3)))


def test_rows_are_shown_short_and_are_no_index(executor):
    train, _ = next(KFold(3).split(as_arrays()[0]))
    assert repr(train) == "<Rows among 240 in 3 partitions>"
    for use in (np.asarray, X.__getitem__):
        with pytest.raises(TypeError, match="no array of row numbers"):
            use(train)
