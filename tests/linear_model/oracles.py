"""Optima by scikit-learn's direct solvers, objectives in extended precision, and data to fit."""

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

LONG = np.longdouble


def logistic_optimum(X, y, weight=None, *, C=1.0, intercept=True):
    """Return (K, d) coefficients and (K,) intercepts; K is one for two classes."""
    solver = "newton-cg" if sp.issparse(X) else "newton-cholesky"
    model = LogisticRegression(
        C=C, fit_intercept=intercept, solver=solver, tol=1e-12, max_iter=10_000
    )
    model.fit(X, y, weight)
    return model.coef_, model.intercept_


def poisson_optimum(X, y, weight=None, *, alpha=1.0, intercept=True):
    """Return (1, d) coefficients and (1,) intercepts; sparse rows are made dense."""
    model = PoissonRegressor(
        alpha=alpha, fit_intercept=intercept, solver="newton-cholesky", tol=1e-12, max_iter=1000
    )
    model.fit(X.toarray() if sp.issparse(X) else X, y, weight)
    return model.coef_[None], np.atleast_1d(model.intercept_)


def ridge_optimum(X, y, weight=None, *, alpha=1.0, intercept=True):
    """Return (1, d) coefficients and (1,) intercepts; sparse rows are made dense."""
    if alpha == 0.0:
        return least_norm(X, y, weight, intercept=intercept)
    model = Ridge(alpha=alpha, fit_intercept=intercept, solver="svd")
    model.fit(X.toarray() if sp.issparse(X) else X, y, weight)
    return model.coef_[None], np.atleast_1d(model.intercept_)


def least_norm(X, y, weight=None, *, intercept=True, rcond=None):
    """Return the least squares solution of least norm, on centred rows."""
    X = X.toarray() if sp.issparse(X) else np.asarray(X, dtype=np.float64)
    root = np.sqrt(np.ones(len(y)) if weight is None else weight)
    mean, level = np.zeros(X.shape[1]), 0.0
    if intercept:
        mean, level = np.average(X, axis=0, weights=root**2), np.average(y, weights=root**2)
    coef = np.linalg.lstsq((X - mean) * root[:, None], (y - level) * root, rcond=rcond)[0]
    return coef[None], np.atleast_1d(level - coef @ mean if intercept else 0.0)


OPTIMA = {"logistic": logistic_optimum, "poisson": poisson_optimum, "ridge": ridge_optimum}


def logistic_objective(X, y, coef, intercept, *, C, weight=None):
    """Return the objective per unit of weight, in extended precision."""
    z = _margins(X, coef, intercept)
    if z.shape[1] == 1:
        z = np.column_stack([np.zeros_like(z), z])
    z = z - z[np.arange(len(y)), y][:, None]  # the loss is log sum exp of these
    others = np.exp(np.where(np.arange(z.shape[1]) == y[:, None], LONG(-np.inf), z)).sum(axis=1)
    return _mean(np.log1p(others), weight, coef, LONG(1) / LONG(C))


def poisson_objective(X, y, coef, intercept, *, alpha, weight=None):
    """Return the objective per unit of weight, in extended precision."""
    z = _margins(X, coef, intercept)[:, 0]
    n = LONG(len(y)) if weight is None else np.asarray(weight, LONG).sum()
    return _mean(np.exp(z) - y * z, weight, coef, LONG(alpha) * n)


def squared_objective(X, y, coef, intercept, *, alpha=0.0, weight=None):
    """Return the objective per unit of weight, in extended precision."""
    z = _margins(X, coef, intercept)[:, 0]
    return _mean((z - y) ** 2 / 2, weight, coef, LONG(alpha))


def _margins(X, coef, intercept):
    X = X.toarray() if sp.issparse(X) else X
    return np.asarray(X, LONG) @ np.asarray(coef, LONG).T + np.asarray(intercept, LONG)


def _mean(loss, weight, coef, penalty_of_sum):
    weight = np.ones(len(loss)) if weight is None else weight
    total = np.asarray(weight, LONG).sum()
    squared = (np.asarray(coef, LONG) ** 2).sum()
    return (loss @ np.asarray(weight, LONG) + penalty_of_sum * squared / 2) / total


def relative(found, expected):
    """Return the norm of the difference, relative to that of what is expected."""
    norm = np.linalg.norm(expected)
    return float(np.linalg.norm(np.asarray(found) - expected) / (norm if norm else 1.0))


def fitted(state):
    """Return coefficients and intercepts of a state, classes centred as scikit-learn's."""
    coef, intercept = state.parameters.coef, state.parameters.intercept
    if len(coef) > 1:
        coef, intercept = coef - coef.mean(axis=0), intercept - intercept.mean()
    return coef, intercept


def assert_optimum(state, expected, tol=1e-6):
    """Compare coefficients by relative norm, and intercepts beside it."""
    coef, intercept = fitted(state)
    assert relative(coef, expected[0]) <= tol
    scale = max(1.0, float(np.linalg.norm(expected[0])), float(np.abs(expected[1]).max()))
    assert np.abs(intercept - expected[1]).max() <= tol * scale


def features(rng, n, d, *, sparse=False):
    """Return columns in different units, correlated; some zeros if sparse."""
    X = rng.normal(0.5, size=(n, d)) + 0.5 * rng.normal(size=(n, 1))
    X *= np.logspace(-2, 2, d)
    if sparse:
        X *= rng.random((n, d)) < 0.4
        return sp.csr_array(X)
    return X


def targets(rng, X, kind, n_classes=2):
    """Return labels, counts or numbers that depend on standardised columns."""
    dense = X.toarray() if sp.issparse(X) else X
    spread = dense.std(axis=0)
    u = (dense - dense.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    beta = rng.normal(size=(u.shape[1], n_classes)) / np.sqrt(u.shape[1])
    if kind == "logistic":
        return (2 * u @ beta + rng.gumbel(size=(len(u), n_classes))).argmax(axis=1)
    z = u @ beta[:, 0]
    if kind == "poisson":
        return rng.poisson(np.exp(0.5 * z + 1.0)).astype(np.float64)
    return 3.0 + z + rng.normal(size=len(u))
