"""Scorers of estimators by scikit-learn's names, over partitions and in memory."""

import numpy as np
import pytest
from sklearn import metrics as theirs
from sklearn.datasets import make_classification

from daskml_exec import metrics
from daskml_exec.linear_model import LogisticRegression, Ridge
from tests.metrics.toolbox import in_chunks

X, Y = make_classification(300, n_informative=4, random_state=0)
X3, Y3 = make_classification(300, n_informative=4, n_classes=3, random_state=0)
WEIGHT = np.random.default_rng(0).random(300)


@pytest.mark.parametrize(
    "name",
    [
        "accuracy",
        "roc_auc",
        "roc_auc_ovr",
        "roc_auc_ovo_weighted",
        "average_precision",
        "neg_log_loss",
        "neg_brier_score",
        "f1_macro",
    ],
)
def test_classifiers(executor, name):
    model = LogisticRegression().fit(X, Y)
    expected = theirs.get_scorer(name)(model.to_sklearn(), X, Y, sample_weight=WEIGHT)
    for rows, y in ((X, Y), (in_chunks(X, 70), in_chunks(Y, 90)), (in_chunks(X, 70), Y)):
        found = metrics.get_scorer(name)(model, rows, y, sample_weight=WEIGHT)
        assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", ["accuracy", "roc_auc", "neg_log_loss", "neg_brier_score"])
def test_lists_of_futures(executor, name):
    model = LogisticRegression().fit(X, Y)
    expected = theirs.get_scorer(name)(model.to_sklearn(), X, Y)
    rows, y = (executor.client.scatter([each[:130], each[130:]]) for each in (X, Y))
    assert metrics.get_scorer(name)(model, rows, y) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", ["roc_auc_ovr", "roc_auc_ovo_weighted", "neg_log_loss"])
def test_several_classes(executor, name):
    model = LogisticRegression().fit(X3, Y3)
    expected = theirs.get_scorer(name)(model.to_sklearn(), X3, Y3)
    found = metrics.get_scorer(name)(model, in_chunks(X3, 70), in_chunks(Y3, 90))
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", ["r2", "neg_root_mean_squared_error", "neg_mean_absolute_error"])
def test_regressors(executor, name):
    model = Ridge().fit(X, X[:, 0])
    expected = theirs.get_scorer(name)(model.to_sklearn(), X, Y)
    found = metrics.get_scorer(name)(model, in_chunks(X, 70), in_chunks(Y, 90))
    assert found == pytest.approx(expected, rel=1e-10)
