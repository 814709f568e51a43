"""Any cut, order, weights, precision and storage of the rows: the optimum of the same problem."""

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from daskml_exec.linear_model._plan import HESSIAN, PRODUCTS, Plan
from tests.linear_model import without_dask
from tests.linear_model.certificate import assert_near
from tests.linear_model.oracles import (
    assert_optimum,
    features,
    fitted,
    least_norm,
    relative,
    ridge_optimum,
    targets,
)
from tests.linear_model.toolbox import as_futures

N, D = 60, 4
PLANS = [None, Plan(HESSIAN, "", 1 / 4, 1 / 4), Plan(PRODUCTS, "", pool_share=1 / 2)]


@st.composite
def weights(draw):
    """None, or numbers of which a third may be zero; never of few rows alone."""
    if draw(st.booleans()):
        return None
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weight = rng.exponential(size=N) * 10.0 ** draw(st.integers(-4, 4))
    weight[rng.random(N) < draw(st.sampled_from([0.0, 0.3]))] = 0.0
    return weight


@st.composite
def fits(draw):
    """Rows in some order and storage with their weights, cuts, a seed for targets."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    X = features(rng, N, D, sparse=draw(st.booleans())).astype(
        draw(st.sampled_from([np.float32, np.float64]))
    )
    order = draw(st.sampled_from(["random", "by column"]))
    by = rng.permutation(N)
    if order == "by column":
        by = np.argsort((X.toarray() if sp.issparse(X) else X)[:, 1], kind="stable")
    cuts = draw(st.lists(st.integers(0, N), max_size=8))
    return X[by], draw(weights()), cuts, rng, draw(st.booleans())


def exact(X):
    return (X.toarray() if sp.issparse(X) else X).astype(np.float64)


def labels(rng, X, K, weight):
    """Every class has rows of positive weight."""
    y = targets(rng, X, "logistic", K)
    rows = np.arange(N) if weight is None else np.flatnonzero(weight)
    y[rows[: 2 * K]] = np.arange(2 * K) % K
    return y


@settings(max_examples=60)
@given(fits(), st.integers(2, 4), st.sampled_from([1e-2, 1.0, 1e2]), st.sampled_from(PLANS))
def test_logistic(given_fit, K, C, plan):
    X, weight, cuts, rng, intercept = given_fit
    y = labels(rng, X, K, weight)
    C = C if weight is None else C / weight.mean()
    options = {"C": C, "intercept": intercept}
    state, _ = without_dask.logistic(X, y, weight, cuts=cuts, plan=plan, **options)
    assert state.converged
    near = {"strength": C, "fit_intercept": intercept}
    assert_near("logistic", *fitted(state), exact(X), y, weight, **near)


@settings(max_examples=60)
@given(fits(), st.sampled_from([1e-2, 1.0, 1e2]), st.sampled_from(PLANS))
def test_poisson(given_fit, alpha, plan):
    X, weight, cuts, rng, intercept = given_fit
    y = targets(rng, X, "poisson") + (np.arange(N) % 2)
    options = {"alpha": alpha, "intercept": intercept}
    state, _ = without_dask.poisson(X, y, weight, cuts=cuts, plan=plan, **options)
    assert state.converged
    near = {"strength": alpha, "fit_intercept": intercept}
    assert_near("poisson", *fitted(state), exact(X), y, weight, **near)


@settings(max_examples=60)
@given(fits(), st.sampled_from([0.0, 1e-6, 1e-2, 1.0, 1e2]))
def test_least_squares(given_fit, alpha):
    X, weight, cuts, rng, intercept = given_fit
    y = targets(rng, X, "ridge")
    options = {"alpha": alpha, "intercept": intercept}
    state, rounds = without_dask.least_squares(X, y, weight, cuts=cuts, **options)
    assert state.converged and len(rounds) <= 3
    assert_optimum(state, ridge_optimum(exact(X), y, weight, **options))


@settings(max_examples=30)
@given(
    counts=st.lists(st.integers(0, 3), min_size=N, max_size=N),
    cuts=st.lists(st.integers(0, N), max_size=5),
    kind=st.sampled_from(["logistic", "poisson", "least_squares"]),
)
def test_weights_are_numbers_of_rows(counts, cuts, kind):
    rng = np.random.default_rng(0)
    X = features(rng, N, D)
    y = targets(rng, X, {"least_squares": "ridge"}.get(kind, kind))
    repeated = np.repeat(np.arange(N), counts)
    if len(repeated) < 2 * D or len(np.unique(y[repeated])) < 2:
        return
    fit = getattr(without_dask, kind)
    weighted, _ = fit(X, y, np.array(counts, dtype=float), cuts=cuts)
    listed, _ = fit(X[repeated], y[repeated])
    assert_optimum(weighted, fitted(listed))


@pytest.mark.parametrize("model", [LogisticRegression(), PoissonRegressor(), Ridge()])
@settings(max_examples=5)
@given(given_fit=fits())
def test_over_dask(executor, model, given_fit):
    X, weight, cuts, rng, intercept = given_fit
    kind = {LogisticRegression: "logistic", PoissonRegressor: "poisson", Ridge: "ridge"}[
        type(model)
    ]
    y = labels(rng, X, 2, weight) if kind == "logistic" else targets(rng, X, kind)
    model.set_params(fit_intercept=intercept)
    model.fit(as_futures(executor, X, sorted(cuts)), y, weight)
    tol = 1e-4 if X.dtype == np.float32 else 1e-6
    if kind == "ridge":
        expected, _ = ridge_optimum(exact(X), y, weight, intercept=intercept)
        assert relative(model.coef_, expected[0]) <= tol
    else:
        near = {"strength": 1.0, "fit_intercept": intercept, "tol": tol}
        assert_near(kind, model.coef_, model.intercept_, exact(X), y, weight, **near)


@settings(max_examples=5)
@given(given_fit=fits(), redundant=st.booleans())
def test_linear_regression_over_dask(executor, given_fit, redundant):
    X, weight, cuts, rng, intercept = given_fit
    y = targets(rng, X, "ridge")
    if redundant:
        X = sp.csr_array(sp.hstack([X, X[:, :2]])) if sp.issparse(X) else X[:, [0, 1, 2, 3, 0, 1]]
    model = LinearRegression(fit_intercept=intercept)
    model.fit(as_futures(executor, X, sorted(cuts)), y, weight)
    expected = least_norm(exact(X), y, weight, intercept=intercept)
    assert relative(model.coef_, expected[0][0]) <= (1e-4 if X.dtype == np.float32 else 1e-6)


@pytest.mark.parametrize("chunks", [(0, 1), (1, 0, 0), (0, 2, 0)])
def test_predictions_of_a_row_among_empty_chunks(iris, chunks):
    X, y, _ = iris
    model = LogisticRegression().fit(X, y)
    n = sum(chunks)
    few = da.from_array(X[:n], chunks=(chunks, 4))
    assert (model.predict(few).compute() == model.predict(X[:n])).all()
    assert model.predict_proba(few).compute().shape == (n, len(model.classes_))
