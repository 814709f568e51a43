"""Searches over penalties of linear models share passes, and score candidates as if alone."""

import dask.array as da
import numpy as np
import pytest
from sklearn import linear_model as theirs
from sklearn import model_selection as sk
from sklearn.datasets import load_diabetes

from daskml_exec.linear_model import ElasticNet, Lasso, LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.model_selection import GridSearchCV
from tests.linear_model.toolbox import as_dask

X, Y = load_diabetes(return_X_y=True)
X = X[:200] * 20
Y = Y[:200]
COUNTS = np.round(Y / 30)
LABELS = np.where(Y > 140, "high", "low")

CASES = {
    "logistic": (
        LogisticRegression(),
        theirs.LogisticRegression(solver="newton-cholesky", tol=1e-12),
        {"C": [0.01, 1.0, 100.0]},
        LABELS,
        "neg_log_loss",
    ),
    "ridge": (Ridge(), theirs.Ridge(solver="svd"), {"alpha": [0.1, 10.0]}, Y + 1e6, "r2"),
    "poisson": (
        PoissonRegressor(),
        theirs.PoissonRegressor(solver="newton-cholesky", tol=1e-12),
        {"alpha": [0.01, 1.0]},
        COUNTS,
        None,
    ),
    "lasso": (
        Lasso(),
        theirs.Lasso(tol=1e-12, max_iter=100_000),
        {"alpha": [0.5, 5.0]},
        Y,
        "neg_mean_squared_error",
    ),
    "elastic net": (
        ElasticNet(),
        theirs.ElasticNet(tol=1e-12, max_iter=100_000),
        {"alpha": [0.1, 1.0], "l1_ratio": [0.2, 0.9]},
        Y,
        "r2",
    ),
}


@pytest.mark.parametrize("collection", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_candidates_share_passes_and_score_as_scikit_learns(name, collection):
    ours, genuine, grid, y, scoring = CASES[name]
    rows = (as_dask(X), as_dask(y)) if collection else (X, y)
    search = GridSearchCV(ours, grid, cv=4, scoring=scoring).fit(*rows)
    want = sk.GridSearchCV(genuine, grid, cv=4, scoring=scoring).fit(X, y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], want.cv_results_["mean_test_score"], rtol=1e-7
    )
    assert search.best_params_ == want.best_params_
    assert set(search.cv_results_["batch"]) == {0}
    assert "in the same passes" in str(search.explain())


def test_weights_count_in_scores_as_one_by_one():
    weight = np.random.default_rng(0).exponential(size=len(Y))
    grid = {"C": [0.01, 1.0]}
    together = GridSearchCV(LogisticRegression(), grid, cv=3).fit(X, LABELS, sample_weight=weight)
    apart = GridSearchCV(LogisticRegression(), grid, cv=3, return_train_score=True)
    apart.fit(X, LABELS, sample_weight=weight)
    assert "in the same passes" not in str(apart.explain())
    for name in ("mean_test_score", "split0_test_score"):
        np.testing.assert_allclose(together.cv_results_[name], apart.cv_results_[name], rtol=1e-9)


def test_those_that_go_another_way_are_fitted_alone():
    grid = [
        {"C": [0.1, 1.0]},
        {"C": [0.1], "solver": ["lbfgs"]},
        {"C": [0.1], "class_weight": ["balanced"]},
        {"C": [1.0, 10.0], "fit_intercept": [False]},
    ]
    search = GridSearchCV(LogisticRegression(), grid, cv=3, scoring="neg_log_loss")
    search.fit(da.from_array(X, chunks=(60, X.shape[1])), LABELS)
    batch = search.cv_results_["batch"].tolist()
    assert batch[0] == batch[1] and batch[4] == batch[5] and len(set(batch)) == 4
    for at, params in enumerate(search.cv_results_["params"]):
        model = theirs.LogisticRegression(max_iter=10_000, tol=1e-12)
        settings = {"solver": "newton-cholesky"} | params
        model.set_params(**settings)
        want = sk.cross_val_score(model, X, LABELS, cv=3, scoring="neg_log_loss").mean()
        assert search.cv_results_["mean_test_score"][at] == pytest.approx(want, rel=1e-6)


def test_a_candidate_that_cannot_be_is_named_and_the_others_share_passes():
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, -1.0, 1.0]}, cv=3)
    with pytest.warns(Warning, match="-1.0"):
        search.fit(X, LABELS)
    scores = search.cv_results_["mean_test_score"]
    assert np.isnan(scores[1]) and np.isfinite(scores[[0, 2]]).all()
    batch = search.cv_results_["batch"]
    assert batch[0] == batch[2] != batch[1]
