"""The fitted model as scikit-learn's own, and as bytes for a process that knows no cluster."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import sklearn.neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.utils.validation import check_is_fitted

from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from tests.linear_model.toolbox import NAMES, as_dask, as_frame
from tests.tiers import each_value

pytestmark = [
    pytest.mark.usefixtures("executor"),
    pytest.mark.filterwarnings(
        "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning",
        "ignore:the partition that a row is in:UserWarning",
    ),
]

SMALL = {"hidden_layer_sizes": (6, 5), "max_iter": 5, "learning_rate_init": 0.02}
MODELS = [
    MLPClassifier(**SMALL),
    MLPClassifier(**SMALL, activation="logistic", solver="sgd", early_stopping=True),
    MLPRegressor(**SMALL, activation="tanh", shuffle="partitions", compression="fp16"),
    MLPRegressor(**SMALL, activation="identity", sync_every=2, outer="average", callbacks=[print]),
]
OURS = {
    *("sync_every", "compression", "outer", "callbacks", "parallel", "n_blocks", "n_replicas"),
    "class_weight",
}


@pytest.fixture(params=MODELS, ids=lambda model: f"{type(model).__name__}-{model.activation}")
def model(request):
    return clone(request.param).set_params(callbacks=None)


@each_value(n_classes=[2, 3], kind=[as_dask, as_frame])
def test_it_is_the_class_of_scikit_learn_and_predicts_the_same(model, n_classes, kind):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < n_classes], y[y < n_classes]
    if isinstance(model, MLPClassifier):
        y = np.array(["setosa", "versicolor", "virginica"])[y]
    model.fit(kind(X), y)
    other = model.to_sklearn()
    assert type(other) is getattr(sklearn.neural_network, type(model).__name__)
    check_is_fitted(other)
    shared = {name: value for name, value in model.get_params().items() if name not in OURS}
    shared["shuffle"] = True
    assert shared.items() <= other.get_params().items()
    frame = pd.DataFrame(X, columns=NAMES) if kind is as_frame else X
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(model, method):
            found, expected = getattr(other, method)(frame), getattr(model, method)(frame)
            if found.dtype.kind == "f":
                np.testing.assert_allclose(found, expected, rtol=1e-10)
            else:
                assert np.array_equal(found, expected)
    assert other.score(frame, y) == pytest.approx(model.score(frame, y), rel=1e-12)
    assert hasattr(other, "feature_names_in_") == (kind is as_frame)
    for name in ("loss_curve_", "n_iter_", "t_", "validation_scores_", "best_loss_", "n_layers_"):
        assert getattr(other, name) == getattr(model, name)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_its_training_can_go_on(model):
    X, y = load_iris(return_X_y=True)
    model.set_params(early_stopping=False)
    model.fit(as_dask(X), y).to_sklearn().partial_fit(X, y)
    other = model.to_sklearn().set_params(warm_start=True).fit(X, y)
    assert other.loss_curve_[:5] == model.loss_curve_


def test_it_shares_no_memory(model):
    X, y = load_iris(return_X_y=True)
    model.fit(as_dask(X), y)
    other = model.to_sklearn()
    before = [coef.copy() for coef in model.coefs_]
    for piece in (*other.coefs_, *other.intercepts_):
        piece[:] = 0.0
    other.loss_curve_.clear()
    assert all(np.array_equal(a, b) for a, b in zip(before, model.coefs_, strict=True))
    assert model.intercepts_[0].any() and model.loss_curve_


def test_parameters_come_and_go():
    """`get_params` gives what was given, and a clone has the same and is not fitted."""
    for model in MODELS:
        given = model.get_params()
        of_classes = {"class_weight"} if isinstance(model, MLPClassifier) else set()
        assert OURS & set(given) == OURS - {"class_weight"} | of_classes
        names = set(getattr(sklearn.neural_network, type(model).__name__)().get_params())
        assert names - set(given) <= {"power_t", "max_fun", "loss", "power"}
        copy = clone(model)
        assert copy.get_params().keys() == given.keys()
        assert all(copy.get_params()[name] == given[name] for name in given)
        assert not hasattr(copy, "coefs_")
        copy.set_params(compression="topk:0.5", sync_every=3)
        assert copy.get_params()["compression"] == "topk:0.5" and model.sync_every != 3


@pytest.mark.slow
def test_pickles_hold_nothing_of_the_cluster(tmp_path):
    """They are read where there is no cluster, and scikit-learn's where this package is not."""
    X, y = load_iris(return_X_y=True)
    for i, model in enumerate(map(clone, MODELS)):
        model.set_params(callbacks=None).fit(as_dask(X), y)
        ours, theirs = pickle.dumps(model), pickle.dumps(model.to_sklearn())
        assert b"daskml" not in theirs and b"distributed" not in ours and len(ours) < 50_000
        (tmp_path / f"ours{i}").write_bytes(ours)
        (tmp_path / f"theirs{i}").write_bytes(theirs)
    (tmp_path / "X").write_bytes(pickle.dumps(X))
    code = """
import pickle, sys
from pathlib import Path
load = lambda name: pickle.loads(Path(sys.argv[1], name).read_bytes())
X, theirs = load("X"), [load(f"theirs{i}") for i in range(4)]
expected = [model.predict(X) for model in theirs]
assert not {"daskml_exec", "dask", "distributed"} & set(sys.modules)
for i in range(4):
    assert abs(load(f"ours{i}").predict(X) - expected[i]).max() < 1e-10
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
