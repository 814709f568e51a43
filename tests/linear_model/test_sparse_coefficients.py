"""`sparsify` and `densify`: the same predictions from a CSR matrix of coefficients."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from daskml_exec.linear_model import LogisticRegression, Ridge
from tests.linear_model.toolbox import as_futures


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_predictions_are_the_same(executor, iris, kind):
    X, y, _ = iris
    X = kind(X)
    model = LogisticRegression().fit(X, y)
    dense, margins, labels = model.coef_, model.decision_function(X), model.predict(X)
    assert model.sparsify() is model and sp.issparse(model.coef_)
    assert model.coef_.shape == dense.shape
    for fitted in (model, pickle.loads(pickle.dumps(model)), model.to_sklearn()):
        np.testing.assert_allclose(fitted.decision_function(X), margins, rtol=1e-12, atol=1e-12)
        assert (fitted.predict(X) == labels).all()
    assert (
        np.concatenate(executor.client.gather(model.predict(as_futures(executor, X)))) == labels
    ).all()
    assert model.sparsify().densify() is model
    assert (model.coef_ == dense).all() and (model.densify().coef_ == dense).all()


def test_a_warm_start_from_sparse_coefficients(iris):
    X, y, _ = iris
    model = LogisticRegression(warm_start=True, solver="lbfgs").fit(X, y)
    coef = model.coef_
    model.sparsify().fit(X, y)
    assert model.n_iter_[0] <= 1
    np.testing.assert_allclose(model.coef_, coef, atol=1e-6)


@pytest.mark.parametrize("name", ["sparsify", "densify"])
def test_an_unfitted_model_has_none(name):
    with pytest.raises(NotFittedError):
        getattr(LogisticRegression(), name)()


def test_ridge_names_the_solver_that_it_used():
    X, y = np.eye(5), np.arange(5.0)
    assert Ridge().fit(X, y).solver_ == "newton"
    assert Ridge(solver="lbfgs").fit(X, y).solver_ == "lbfgs"
