"""More columns than rows, and more than a matrix with one row for each can be decomposed."""

import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from tests.linear_model.oracles import (
    least_norm,
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
    assert model.explain().regime == "hessian-vector products"
    assert relative(model.coef_, logistic_optimum(X, y, C=C)[0]) <= 1e-6


@pytest.mark.parametrize("alpha", [1.0])
def test_poisson(executor, alpha):
    X, y = problem(False)
    counts = np.round(np.abs(y))
    model = PoissonRegressor(alpha=alpha).fit(as_futures(executor, sp.csr_array(X)), counts)
    assert model.explain().regime == "hessian-vector products"
    assert relative(model.coef_, poisson_optimum(X, counts, alpha=alpha)[0][0]) <= 1e-6
