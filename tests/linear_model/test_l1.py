"""Estimators with a share of L1 in their penalty."""

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.linear_model as theirs
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from daskml_exec.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from daskml_exec.preprocessing import StandardScaler
from daskml_exec.training import load, open_model, save
from tests.linear_model.oracles import targets


@pytest.fixture(scope="module")
def cancer():
    """Standardised rows, labels, weights, and scikit-learn's optimum with and without them."""
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    return X, y, np.random.default_rng(0).exponential(size=len(y))


def saga(X, y, weight=None, **params):
    model = theirs.LogisticRegression(solver="saga", tol=1e-12, max_iter=100_000, random_state=0)
    return model.set_params(**params).fit(X, y, weight)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["memory", "dask", "sparse", "float32"])
def test_logistic_on_all_kinds_of_rows(cancer, kind, weighted):
    X, y, weight = cancer
    weight = weight if weighted else None
    expected = saga(X, y, weight, C=0.05, l1_ratio=0.8)
    given = {
        "memory": X,
        "dask": da.from_array(X, chunks=(150, 10)),
        "sparse": sp.csr_matrix(X),
        "float32": X.astype(np.float32),
    }[kind]
    model = LogisticRegression(C=0.05, l1_ratio=0.8).fit(given, y, weight)
    tol = 1e-4 if kind == "float32" else 1e-6
    assert_allclose(model.coef_, expected.coef_, atol=tol)
    assert_allclose(model.intercept_, expected.intercept_, atol=tol)
    assert_array_equal(model.coef_ != 0, expected.coef_ != 0)
    zeros = np.count_nonzero(model.coef_ == 0)
    assert f"{zeros} of 30 are zero" in str(model.explain())


@pytest.mark.parametrize(
    "model", [Lasso(alpha=2.0), ElasticNet(alpha=0.01, l1_ratio=0.9)], ids=repr
)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_squared_errors(model, fit_intercept):
    X, y = load_diabetes(return_X_y=True, scaled=False)
    weight = np.random.default_rng(0).exponential(size=len(y))
    model = clone(model).set_params(fit_intercept=fit_intercept)
    model.fit(da.from_array(X, chunks=(100, 10)), y, weight)
    expected = getattr(theirs, type(model).__name__)(tol=1e-14, max_iter=10**6)
    known = {k: v for k, v in model.get_params().items() if k in ("alpha", "l1_ratio")}
    expected.set_params(fit_intercept=fit_intercept, **known).fit(X, y, weight)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-6, atol=1e-7)
    assert_allclose(model.intercept_, expected.intercept_, rtol=1e-6)
    assert_array_equal(model.coef_ != 0, expected.coef_ != 0)
    assert_array_equal(model.sparse_coef_.toarray()[0], model.coef_)
    assert model.explain().regime == "normal equations"


def test_shares_at_the_ends_are_the_other_models():
    X, y = load_diabetes(return_X_y=True)
    lasso, net = Lasso(alpha=0.3).fit(X, y), ElasticNet(alpha=0.3, l1_ratio=1).fit(X, y)
    assert_array_equal(lasso.coef_, net.coef_)
    ridge = Ridge(alpha=0.3 * len(y)).fit(X, y)
    assert_allclose(ElasticNet(alpha=0.3, l1_ratio=0).fit(X, y).coef_, ridge.coef_, rtol=1e-9)
    plain = LinearRegression().fit(X, y)
    assert_allclose(Lasso(alpha=0).fit(X, y).coef_, plain.coef_, rtol=1e-9)


def test_no_penalty_has_no_share_of_l1(cancer):
    X, y, _ = cancer
    X = X[:, :2]
    alone = LogisticRegression(C=np.inf).fit(X, y)
    shared = LogisticRegression(C=np.inf, l1_ratio=1.0, solver="newton").fit(X, y)
    assert_array_equal(alone.coef_, shared.coef_)
    LogisticRegression(C=np.inf, l1_ratio=1.0, solver="lbfgs").fit(X, y)
    counts = np.round(X[:, 0] ** 2)
    assert_array_equal(
        PoissonRegressor(alpha=0).fit(X, counts).coef_,
        PoissonRegressor(alpha=0, l1_ratio=0.5).fit(X, counts).coef_,
    )


def test_a_scaler_in_front_is_part_of_the_penalty(cancer):
    X, y, _ = cancer
    rows = da.from_array(X * np.logspace(-2, 2, 30) + 5.0, chunks=(200, 30))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, l1_ratio=1.0))
    model = pipeline.fit(rows, y)[-1]
    expected = saga(X, y, C=0.05, l1_ratio=1.0)
    assert "no scaled row was made" in str(model.explain())
    assert_allclose(model.coef_, expected.coef_, atol=1e-7)
    assert_array_equal(model.coef_ != 0, expected.coef_ != 0)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (LogisticRegression(l1_ratio=0.5, solver="lbfgs"), "l1_ratio=0.5 with solver='lbfgs'"),
        (LogisticRegression(l1_ratio=1, solver="averaging"), "l1_ratio=1 with solver='averaging'"),
        (LogisticRegression(l1_ratio=0.5, parallel="model"), "l1_ratio=0.5 with parallel='model'"),
        (PoissonRegressor(l1_ratio=0.5, solver="lbfgs"), "l1_ratio=0.5 with solver='lbfgs'"),
        (PoissonRegressor(l1_ratio=0.5, parallel="model"), "l1_ratio=0.5 with parallel='model'"),
    ],
    ids=repr,
)
def test_what_needs_a_smooth_penalty_is_refused(cancer, model, words):
    X, y, _ = cancer
    with pytest.raises(ValueError, match=words) as caught:
        model.fit(X, y)
    assert "or l1_ratio=0" in str(caught.value)


@pytest.mark.parametrize(
    "model", [LogisticRegression(), PoissonRegressor(), ElasticNet()], ids=repr
)
@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan, np.inf, "half", None])
def test_shares_out_of_range(cancer, model, share):
    X, y, _ = cancer
    with pytest.raises(ValueError, match=r"'l1_ratio' parameter .* in the range \[0(\.0)?, 1"):
        clone(model).set_params(l1_ratio=share).fit(X, y)


def test_rows_in_cells_are_refused(cancer, executor):
    X, y, _ = cancer
    refused = pytest.raises(ValueError, match="a share of L1 needs whole rows")
    with load(X, y, target="labels", cut="cells") as data, refused:
        LogisticRegression(l1_ratio=0.5, parallel="auto").fit(data)


def test_a_warm_start_takes_less_rounds(cancer):
    X, y, _ = cancer
    model = LogisticRegression(C=0.05, l1_ratio=0.8, warm_start=True).fit(X, y)
    first = model.n_iter_[0]
    coef = model.coef_
    model.fit(X, y)
    assert model.n_iter_[0] < first
    assert_allclose(model.coef_, coef, atol=1e-9)
    X, y = load_diabetes(return_X_y=True)
    net = ElasticNet(alpha=0.1, l1_ratio=0.99, warm_start=True).fit(X, y)
    coef = net.coef_
    assert_allclose(net.fit(X, y).coef_, coef, rtol=1e-9)


def test_callbacks_and_limits(cancer):
    X, y, _ = cancer
    seen = []
    model = LogisticRegression(C=0.05, l1_ratio=0.8, callbacks=[seen.append]).fit(X, y)
    assert len(seen) == len(model.history_)
    assert seen[-1].record.gradient_norm <= model.tol
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        LogisticRegression(C=0.05, l1_ratio=0.8, max_iter=1).fit(X, y)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scikit_learns_model_and_files(tmp_path, species, n_classes):
    X, y, _ = species
    if n_classes == 2:
        X, y = X[y != "setosa"], y[y != "setosa"]
    model = LogisticRegression(C=0.1, l1_ratio=1.0).fit(X, y)
    own = model.to_sklearn()
    assert own.l1_ratio == 1.0
    assert_array_equal(own.predict(X), model.predict(X))
    again = own.set_params(tol=1e-12, max_iter=100_000, random_state=0).fit(X, y)
    assert_allclose(again.coef_, model.coef_, atol=1e-6)
    save(model, str(tmp_path / "model"))
    assert_array_equal(open_model(str(tmp_path / "model")).coef_, model.coef_)
    Xd, yd = load_diabetes(return_X_y=True)
    for regressor in (Lasso(alpha=0.3), ElasticNet(alpha=0.01)):
        regressor.fit(Xd, yd)
        own = regressor.to_sklearn()
        assert_allclose(own.predict(Xd), regressor.predict(Xd), rtol=1e-12)
        save(regressor, str(tmp_path / repr(regressor)))
        opened = open_model(str(tmp_path / repr(regressor)))
        assert_array_equal(opened.coef_, regressor.coef_)
        assert opened.get_params() == regressor.get_params()


def test_counts(cancer):
    X, _, _ = cancer
    X = X[:, :8]
    y = targets(np.random.default_rng(0), X, "poisson")
    model = PoissonRegressor(alpha=0.3, l1_ratio=1.0).fit(da.from_array(X, chunks=(200, 8)), y)
    gradient = X.T @ (model.predict(X) - y) / len(y)
    kept = model.coef_ != 0
    assert 0 < kept.sum() < 8
    assert_allclose(gradient[kept], -0.3 * np.sign(model.coef_[kept]), atol=1e-8)
    assert np.abs(gradient[~kept]).max() < 0.3
    assert_allclose(model.to_sklearn().predict(X), model.predict(X))
