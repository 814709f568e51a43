"""The same answer as scikit-learn's Newton solvers at tol=1e-12, with our default tol."""

import itertools

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Sklearn

from daskml_exec.linear_model import LogisticRegression
from tests.tiers import each_pair, each_value

SOLVERS = ["newton", "lbfgs", "averaging"]
N, D = 300, 6


def problem(n_classes, *, n=N, d=D, seed=0, sparse=False):
    rng = np.random.default_rng(seed)
    scale = np.logspace(-2, 2, d)
    X = rng.normal(0.5, size=(n, d)) * scale
    if sparse:
        X *= rng.random((n, d)) < 0.4
    margins = (X / scale) @ rng.normal(size=(d, n_classes)) + rng.gumbel(size=(n, n_classes))
    y = margins.argmax(axis=1)
    return (sp.csr_matrix(X) if sparse else X), y, rng.exponential(size=n)


def oracle(X, y, weight=None, **params):
    solver = "newton-cg" if sp.issparse(X) else "newton-cholesky"
    return Sklearn(solver=solver, tol=1e-12, max_iter=10_000, **params).fit(X, y, weight)


def chunked(X):
    """As a Dask array of five row chunks of different lengths, one of them empty."""
    chunks = (90, 17, 0, 100, X.shape[0] - 207)
    if not sp.issparse(X):
        return da.from_array(X, chunks=(chunks, X.shape[1]))
    ends = np.cumsum(chunks)
    pieces = [X[end - length : end] for end, length in zip(ends, chunks, strict=True)]
    return da.from_array(np.arange(5), chunks=1).map_blocks(
        lambda i: pieces[int(i[0])],
        new_axis=1,
        chunks=(chunks, (X.shape[1],)),
        dtype=X.dtype,
        meta=sp.csr_matrix((0, 0)),
    )


def assert_same(model, expected, tol):
    norm = np.linalg.norm(expected.coef_)
    assert np.linalg.norm(model.coef_ - expected.coef_) <= tol * norm
    assert_allclose(model.intercept_, expected.intercept_, rtol=tol, atol=tol * max(1.0, norm))
    assert model.coef_.shape == expected.coef_.shape
    assert np.array_equal(model.classes_, expected.classes_)


@each_pair(solver=SOLVERS, n_classes=[2, 3], C=[1e-2, 1.0, 100.0])
def test_dense(solver, n_classes, C):
    X, y, weight = problem(n_classes)
    params = {"C": C, "fit_intercept": C != 1.0}
    model = LogisticRegression(solver=solver, **params).fit(chunked(X), y, weight)
    assert_same(model, oracle(X, y, weight, **params), 1e-6)


@each_value(solver=SOLVERS, C=[1e-2, 1.0, 100.0])
def test_sparse(solver, C):
    X, y, weight = problem(2 if C == 1.0 else 3, sparse=True)
    model = LogisticRegression(solver=solver, C=C).fit(chunked(X), y, weight)
    # newton-cg stops early on columns of such different units, and newton-cholesky is dense.
    assert_same(model, oracle(X.toarray(), y, weight, C=C), 1e-6)


@pytest.mark.parametrize(
    ("solver", "class_weight", "weighted"),  # solvers meet them as weights of rows
    [
        ("newton", {0: 2.0, 1: 0.5}, True),
        ("newton", {1: 5.0}, False),
        ("newton", "balanced", False),
        ("newton", "balanced", True),
        ("lbfgs", "balanced", True),
        ("averaging", {0: 2.0, 1: 0.5}, True),
    ],
)
def test_class_weights(solver, class_weight, weighted):
    X, y, weight = problem(3)
    weight = weight if weighted else None
    model = LogisticRegression(solver=solver, class_weight=class_weight)
    assert_same(
        model.fit(chunked(X), y, weight), oracle(X, y, weight, class_weight=class_weight), 1e-6
    )


@each_pair(solver=SOLVERS, n_classes=[2, 3], sparse=[False, True], in_memory=[False, True])
def test_single_precision(solver, n_classes, sparse, in_memory):
    X, y, _ = problem(n_classes, sparse=sparse)
    X = X.astype(np.float32)
    model = LogisticRegression(solver=solver).fit(X if in_memory else chunked(X), y)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32
    exact = X.astype(np.float64)
    assert_same(model, oracle(exact.toarray() if sparse else exact, y), 1e-4)


@pytest.mark.parametrize(
    ("solver", "kind"),  # what is made of a kind does not depend on the solver
    [
        *(("newton", kind) for kind in (np.asfortranarray, sp.csc_matrix, list)),
        *itertools.product(SOLVERS, [np.asarray, sp.csr_matrix]),
    ],
)
def test_in_memory_in_one_partition_and_in_several(solver, kind):
    X, y, weight = problem(3)
    expected = oracle(X, y, weight)
    for size in ("8MiB", 3000):
        with dask.config.set({"daskml-exec.partition-bytes": size}):
            model = LogisticRegression(solver=solver).fit(kind(X), y, weight)
        assert (model.history_.n_partitions > 1) == (size == 3000)
        assert_same(model, expected, 1e-6)


@each_value(solver=SOLVERS, n_classes=[2, 3])
def test_no_penalty(solver, n_classes):
    """Multinomial coefficients are unique up to a constant over classes: predictions tell."""
    X, y, _ = problem(n_classes)
    model = LogisticRegression(solver=solver, C=np.inf).fit(chunked(X), y)
    expected = oracle(X, y, C=np.inf)
    assert_allclose(model.predict_proba(X), expected.predict_proba(X), atol=1e-6)
    rows = np.arange(N), y
    loss = -np.log(model.predict_proba(X)[rows]).mean()
    assert_allclose(loss, -np.log(expected.predict_proba(X)[rows]).mean(), rtol=1e-10)


@pytest.mark.parametrize("solver", SOLVERS)
def test_wide_data(solver):
    X, y, _ = problem(2, n=210, d=250)
    X = np.ascontiguousarray(X / np.logspace(-2, 2, 250))
    model = LogisticRegression(solver=solver).fit(chunked(X), y)
    assert_same(model, oracle(X, y), 1e-6)


@each_value(solver=SOLVERS, given=[(1.0, 1e4 / 3), (1e6, 0.0), (1e6, 1.0)])
def test_constant_and_repeated_columns(solver, given):
    C, value = given
    X, y, _ = problem(2)
    X = np.column_stack([X, X[:, 3]])
    with_constant = np.column_stack([X, np.full(N, value)])
    model = LogisticRegression(solver=solver, C=C).fit(chunked(with_constant), y)
    expected = oracle(X, y, C=C)
    found = model.decision_function(with_constant)
    assert_allclose(found, expected.decision_function(X), atol=1e-6)
    assert model.coef_[0, -1] == 0  # the intercept does the same for nothing


@pytest.mark.parametrize("solver", SOLVERS)
def test_columns_with_a_mean_far_from_zero(solver):
    X, y, _ = problem(2)
    far = X + 1e3 * np.logspace(-2, 2, D)
    model = LogisticRegression(solver=solver, C=1e4).fit(chunked(far), y)
    # Moved columns change the intercept only. The oracle is ill-conditioned there, so it is not.
    assert_allclose(model.coef_, oracle(X, y, C=1e4).coef_, rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_separable_classes_with_a_tiny_penalty(solver):
    X = np.linspace(-1, 1, N)[:, None]
    y = (X[:, 0] > 0.1).astype(int)
    model = LogisticRegression(solver=solver, C=1e6).fit(chunked(X), y)
    assert model.score(X, y) == 1.0
    assert_same(model, oracle(X, y, C=1e6), 1e-6)


@each_value(solver=SOLVERS, n_classes=[2, 4], in_memory=[False, True])
def test_separable_classes_without_penalty_have_no_optimum_but_a_prediction(
    solver, n_classes, in_memory
):
    X = np.linspace(-1, 1, N)[:, None] ** np.arange(1, n_classes)
    y = np.arange(N) * n_classes // N
    with pytest.warns(ConvergenceWarning, match="classes are separable"):
        model = LogisticRegression(solver=solver, C=np.inf).fit(X if in_memory else chunked(X), y)
    assert model.score(X, y) == 1.0
    assert np.isfinite(model.coef_).all()
    assert model.history_[-1].loss < 1e-9
