"""More columns than rows, and more than a matrix with one row for each can be decomposed."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression

from daskml_exec.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from tests.linear_model.oracles import (
    least_norm,
    logistic_objective,
    logistic_optimum,
    poisson_optimum,
    relative,
    ridge_optimum,
)
from tests.linear_model.toolbox import as_futures

N, D = 50, 1010


def problem(units, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D)) * (np.logspace(-2, 2, D) if units else 1.0)
    return X, rng.normal(size=N) + 3.0


@pytest.mark.parametrize(
    ("units", "intercept", "kind"),  # each pair of values
    [
        (False, False, np.asarray),
        (False, True, sp.csr_array),
        (True, False, sp.csr_array),
        (True, True, np.asarray),
    ],
)
def test_the_least_norm(executor, units, intercept, kind):
    X, y = problem(units)
    model = LinearRegression(fit_intercept=intercept).fit(as_futures(executor, kind(X)), y)
    assert relative(model.coef_, least_norm(X, y, intercept=intercept)[0][0]) <= 1e-6
    assert relative(model.predict(X), y) <= 1e-8


@pytest.mark.parametrize(
    ("units", "alpha"),
    [
        (False, 1.0),
        (False, 1e-2),
        (False, 1e-6),
        (True, 1.0),
    ],
)
def test_ridge(executor, units, alpha):
    X, y = problem(units)
    model = Ridge(alpha=alpha, max_iter=500).fit(as_futures(executor, X), y)
    assert relative(model.coef_, ridge_optimum(X, y, alpha=alpha)[0][0]) <= 1e-6


@pytest.mark.parametrize("C", [1e-2, 1.0])
def test_logistic(executor, C):
    X, y = problem(False)
    X, y = sp.csr_array(X), (y > 3).astype(int)
    model = LogisticRegression(C=C).fit(as_futures(executor, X), y)
    assert model.explain().regime == "span of the rows"
    assert relative(model.coef_, logistic_optimum(X, y, C=C)[0]) <= 1e-6


@pytest.mark.parametrize("alpha", [1.0])
def test_poisson(executor, alpha):
    X, y = problem(False)
    counts = np.round(np.abs(y))
    model = PoissonRegressor(alpha=alpha).fit(as_futures(executor, sp.csr_array(X)), counts)
    assert model.explain().regime == "span of the rows"
    assert relative(model.coef_, poisson_optimum(X, counts, alpha=alpha)[0][0]) <= 1e-6


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("C", [1e-3, 1.0])
def test_three_classes_of_few_rows(executor, kind, intercept, C):
    """In other units, with weights and in other orders, each to the oracle."""
    X, y = problem(True)
    X = X[:, ::9]
    labels, weight = np.digitize(y, [2.5, 3.5]), np.random.default_rng(2).exponential(size=N)
    expected = logistic_optimum(X, labels, weight, C=C, intercept=intercept)[0]
    for order in (np.arange(N), np.arange(N)[::-1]):
        rows = as_futures(executor, kind(X[order]))
        model = LogisticRegression(C=C, fit_intercept=intercept)
        model.fit(rows, labels[order], weight[order])
        assert relative(model.coef_, expected) <= 1e-6
        assert len(model.history_) <= 12


def test_separable_rows_and_next_to_no_penalty(executor):
    """The objective is at least as low as scikit-learn's, where it is nearly zero."""
    X, y = problem(False)
    labels = (y > 3).astype(int)
    for C in (1e6, 1e10):
        model = LogisticRegression(C=C).fit(as_futures(executor, X), labels)
        oracle = SklearnLogisticRegression(C=C, max_iter=10_000, tol=1e-10).fit(X, labels)
        ours, theirs = (
            logistic_objective(X, labels, m.coef_, m.intercept_, C=C) for m in (model, oracle)
        )
        assert ours <= theirs * (1 + 1e-6)


def test_without_a_penalty_gradients_separate(executor):
    X, y = problem(False)
    labels = (y > 3).astype(int)
    with pytest.warns(ConvergenceWarning, match="classes are separable"):
        model = LogisticRegression(C=np.inf).fit(as_futures(executor, X), labels)
    assert model.explain().regime == "gradients"
    assert model.score(X, labels) == 1.0


@pytest.mark.parametrize("scale", [1e4, 1e9])
def test_columns_of_unlike_units(scale):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 90))
    y = (X[:, 0] + X[:, 3] > 0).astype(int)
    X[:, 3] *= scale
    model = LogisticRegression().fit(X, y)
    z = X @ model.coef_[0] + model.intercept_[0]
    residual = 1 / (1 + np.exp(-z)) - y
    at = residual @ X + model.coef_[0]
    assert np.abs(at / np.abs(X).sum(axis=0)).max() < 1e-8
    assert len(model.history_) < 30
    regime = "hessian" if scale == 1e9 else "span of the rows"
    assert f"regime    {regime}" in str(model.explain())


def test_rows_of_one_direction():
    """No inner products say more than the first; the penalty alone decides the rest."""
    rng = np.random.default_rng(0)
    X = np.outer(rng.normal(size=80), rng.normal(size=120))
    y = (X[:, 0] > 0).astype(int)
    for C in (1.0, 1e12):
        model = LogisticRegression(C=C).fit(X, y)
        left = model.coef_[0] - X[0] * (model.coef_[0] @ X[0]) / (X[0] @ X[0])
        assert np.linalg.norm(left) < 1e-6 * np.linalg.norm(model.coef_)
