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
]


@pytest.fixture(params=MODELS, ids=repr)
def model(request):
    return request.param


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", [as_dask, as_frame])
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


def test_pickles_hold_nothing_of_the_cluster(model, tmp_path):
    """They are read where there is no cluster, and scikit-learn's where this package is not."""
    X, y = load_iris(return_X_y=True)
    model.fit(as_dask(X), y)
    ours, theirs = pickle.dumps(model), pickle.dumps(model.to_sklearn())
    assert b"daskml" not in theirs and b"distributed" not in ours and len(ours) < 20_000
    for name, data in (("ours", ours), ("theirs", theirs), ("X", pickle.dumps(X))):
        (tmp_path / name).write_bytes(data)
    code = """
import pickle, sys
from pathlib import Path
load = lambda name: pickle.loads(Path(sys.argv[1], name).read_bytes())
X, theirs = load("X"), load("theirs")
theirs.predict(X)
assert not {"daskml_exec", "dask", "distributed"} & set(sys.modules)
assert abs(load("ours").predict(X) - theirs.predict(X)).max() < 1e-12
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
