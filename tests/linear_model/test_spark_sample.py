"""Spark's own sample of libsvm data: images of the digits 0 and 1, sparse, with n < d."""

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_svmlight_file
from sklearn.linear_model import LogisticRegression as Sklearn

from daskml_exec.datasets import read_libsvm
from daskml_exec.linear_model import LogisticRegression

LBFGS = pytest.param("lbfgs", marks=pytest.mark.slow)  # some thousand rounds
# Many rounds too; averaging of more columns than rows is in `test_oracle`, as `test_wide_data`.
AVERAGING = pytest.param("averaging", marks=pytest.mark.slow)
SOLVERS = ["newton", LBFGS, AVERAGING]


@pytest.fixture(scope="module")
def path(data_dir):
    return data_dir / "sample_libsvm_data.txt"


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_held_out_fifth_is_predicted(path, solver):
    X, y = read_libsvm(path, npartitions=4)
    held_out = np.arange(100) % 5 == 0
    weight = np.where(held_out, 0.0, 1.0)
    model = LogisticRegression(solver=solver, tol=1e-8).fit(X, y, weight)
    assert model.score(X, y, sample_weight=1.0 - weight) == 1.0
    assert model.history_.n_partitions == 4
    labels = model.predict(X)
    assert isinstance(labels, da.Array) and labels.chunks == y.chunks
    assert np.array_equal(labels.compute()[held_out], y.compute()[held_out])


@pytest.mark.parametrize("solver", ["newton", LBFGS])
def test_coefficients_are_those_of_scikit_learn(path, solver):
    """The classes are far apart: the curvature at the optimum is little but the penalty's."""
    X, y = load_svmlight_file(path)
    model = LogisticRegression(solver=solver)
    model.fit(*read_libsvm(path, npartitions=4))
    expected = Sklearn(solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X.toarray(), y)
    difference = np.linalg.norm(model.coef_ - expected.coef_)
    assert difference <= 1e-6 * np.linalg.norm(expected.coef_)
    assert_allclose(model.intercept_, expected.intercept_, rtol=1e-6)
