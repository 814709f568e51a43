"""cross_val_score and cross_val_predict against scikit-learn's."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn import linear_model as sklinear
from sklearn import model_selection as sk
from sklearn.datasets import load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler as SklearnScaler

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression, Ridge
from daskml_exec.model_selection import KFold, cross_val_predict, cross_val_score
from daskml_exec.preprocessing import StandardScaler
from daskml_exec.training import load

RNG = np.random.default_rng(0)
X, CODES = load_iris(return_X_y=True)
ORDER = RNG.permutation(len(X))
X, CODES = X[ORDER], CODES[ORDER]
SPECIES = np.array(["setosa", "versicolor", "virginica"])[CODES]
WEIGHT = RNG.exponential(size=len(X))
OURS = LogisticRegression(tol=1e-11)
EXACT = sklinear.LogisticRegression(solver="newton-cholesky", tol=1e-12)
PIPELINES = (
    make_pipeline(StandardScaler(), LogisticRegression(tol=1e-11)),
    make_pipeline(SklearnScaler(), EXACT),
)


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.mark.parametrize("models", [(OURS, EXACT), PIPELINES], ids=["model", "pipeline"])
@pytest.mark.parametrize("scoring", [None, "neg_log_loss"])
def test_scores(models, scoring):
    ours, theirs = models
    found = cross_val_score(ours, X, SPECIES, scoring=scoring, cv=4)
    wanted = sk.cross_val_score(theirs, X, SPECIES, scoring=scoring, cv=4)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_weights_train_and_do_not_score():
    params = {"sample_weight": WEIGHT}
    found = cross_val_score(OURS, X, SPECIES, scoring="neg_log_loss", params=params)
    wanted = sk.cross_val_score(EXACT, X, SPECIES, scoring="neg_log_loss", params=params)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize("models", [(OURS, EXACT), PIPELINES], ids=["model", "pipeline"])
@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_predictions(models, method):
    ours, theirs = models
    found = cross_val_predict(ours, X, SPECIES, cv=3, method=method)
    wanted = sk.cross_val_predict(theirs, X, SPECIES, cv=3, method=method)
    assert found.shape == wanted.shape
    if method == "predict":
        assert (found == wanted).all()
    else:
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_the_estimator_stays_as_it_is():
    model = LogisticRegression()
    cross_val_score(model, X, SPECIES, cv=2)
    cross_val_predict(model, X, SPECIES, cv=2)
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize("models", [(OURS, EXACT), PIPELINES], ids=["model", "pipeline"])
@pytest.mark.parametrize("frames", [False, True], ids=["arrays", "frames"])
def test_collections(executor, models, frames):
    ours, theirs = models
    given = da.from_array(X, chunks=(40, -1)), da.from_array(SPECIES, chunks=70)
    if frames:
        frame = pd.DataFrame(X, columns=list("abcd"))
        given = (
            dd.from_pandas(frame, npartitions=3),
            dd.from_pandas(pd.Series(SPECIES), npartitions=2),
        )
    wanted = sk.cross_val_score(theirs, X, SPECIES, cv=2)
    np.testing.assert_allclose(cross_val_score(ours, *given, cv=2), wanted, atol=1e-9)
    found = cross_val_predict(ours, *given, cv=2, method="predict_proba")
    assert isinstance(found, da.Array)
    if not frames:
        assert found.chunks[0] == given[0].chunks[0]
    wanted = sk.cross_val_predict(theirs, X, SPECIES, cv=2, method="predict_proba")
    np.testing.assert_allclose(found.compute(), wanted, atol=1e-6)


def test_a_data(executor):
    with load(X, X[:, 3], target="numbers") as data:
        found = cross_val_predict(Ridge(), data, cv=KFold(3))
        scores = cross_val_score(Ridge(), data, cv=KFold(3))
    model = sklinear.Ridge(solver="svd")
    wanted = sk.cross_val_predict(model, X, X[:, 3], cv=3)
    np.testing.assert_allclose(found.compute(), wanted, atol=1e-6)
    np.testing.assert_allclose(scores, sk.cross_val_score(model, X, X[:, 3], cv=3), atol=1e-9)


def test_what_is_refused(executor):
    with pytest.raises(ValueError, match="method='guess'"):
        cross_val_predict(OURS, X, SPECIES, method="guess")
    with pytest.raises(ValueError, match="each row is tested once"):
        cross_val_predict(OURS, X, SPECIES, cv=sk.ShuffleSplit(2, random_state=0))
    with pytest.raises(ValueError, match="each row is tested once"):
        cross_val_predict(OURS, X, SPECIES, cv=sk.PredefinedSplit(np.arange(150) % 3 - 1))
    with pytest.raises(ValueError, match="a name, a callable and None"):
        cross_val_score(OURS, X, SPECIES, scoring=["accuracy"])
    with pytest.raises(ValueError, match="All the 5 fits failed"):
        cross_val_score(LogisticRegression(C=-1.0), X, SPECIES)
    with pytest.raises(ValueError, match="C"):
        cross_val_score(LogisticRegression(C=-1.0), X, SPECIES, error_score="raise")


def test_a_split_that_fails_is_warned_of():
    def often(model, X, y):
        if y[0] == "setosa":
            raise ArithmeticError("setosa")
        return 1.0

    with pytest.warns(UserWarning, match="ArithmeticError: setosa") as told:
        found = cross_val_score(OURS, X, SPECIES, scoring=often, cv=sk.KFold(5))
    assert 0 < np.isnan(found).sum() < 5
    assert not any(issubclass(each.category, FitFailedWarning) for each in told)
