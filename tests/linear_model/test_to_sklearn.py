"""The fitted model as scikit-learn's own, and as bytes for a process that knows no cluster."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model
from sklearn.datasets import load_iris
from sklearn.utils.validation import check_is_fitted

from daskml_exec.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from tests.linear_model.toolbox import NAMES, as_dask, as_frame

MODELS = [
    LogisticRegression(C=0.5, class_weight="balanced"),
    LogisticRegression(fit_intercept=False),
    LinearRegression(),
    LinearRegression(fit_intercept=False),
    Ridge(alpha=0.5),
    PoissonRegressor(alpha=0.5),
    Lasso(alpha=0.5),
    ElasticNet(alpha=0.5),
    LogisticRegression(C=0.5, l1_ratio=0.5),
]


@pytest.fixture(params=MODELS, ids=repr)
def model(request):
    return request.param


@pytest.mark.parametrize(("n_classes", "kind"), [(2, as_frame), (3, as_dask)])
def test_it_is_the_class_of_scikit_learn_and_predicts_the_same(model, n_classes, kind):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < n_classes], y[y < n_classes]
    model.fit(kind(X), y)
    other = model.to_sklearn()
    assert type(other) is getattr(sklearn.linear_model, type(model).__name__)
    check_is_fitted(other)
    shared = other.get_params().keys() & {"C", "alpha", "fit_intercept", "class_weight"}
    assert shared and all(other.get_params()[name] == getattr(model, name) for name in shared)
    frame = pd.DataFrame(X, columns=NAMES) if kind is as_frame else X
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        if hasattr(model, method):
            found = getattr(model, method)(frame)
            np.testing.assert_allclose(getattr(other, method)(frame), found, rtol=1e-12)
    assert other.score(frame, y) == pytest.approx(model.score(frame, y), rel=1e-12)
    assert hasattr(other, "feature_names_in_") == (kind is as_frame)


@pytest.mark.parametrize("model", [LogisticRegression(), Ridge(), PoissonRegressor()])
def test_it_shares_no_memory(model):
    X, y = load_iris(return_X_y=True)
    model.fit(as_dask(X), y)
    other = model.to_sklearn()
    other.coef_[:] = 0.0
    assert model.coef_.any()


def test_pickles_hold_nothing_of_the_cluster(tmp_path):
    """They are read where there is no cluster, and scikit-learn's where this package is not."""
    X, y = load_iris(return_X_y=True)
    for i, model in enumerate(MODELS):
        model.fit(as_dask(X), y)
        ours, theirs = pickle.dumps(model), pickle.dumps(model.to_sklearn())
        assert b"daskml" not in theirs and b"distributed" not in ours and len(ours) < 20_000
        (tmp_path / f"ours-{i}").write_bytes(ours)
        (tmp_path / f"theirs-{i}").write_bytes(theirs)
    (tmp_path / "X").write_bytes(pickle.dumps(X))
    code = """
import pickle, sys
from pathlib import Path
load = lambda name: pickle.loads(Path(sys.argv[1], name).read_bytes())
X, n = load("X"), int(sys.argv[2])
predicted = [load(f"theirs-{i}").predict(X) for i in range(n)]
assert not {"daskml_exec", "dask", "distributed"} & set(sys.modules)
for i in range(n):
    assert abs(load(f"ours-{i}").predict(X) - predicted[i]).max() < 1e-12, i
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path), str(len(MODELS))], check=True)
