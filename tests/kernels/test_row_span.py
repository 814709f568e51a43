"""The optimum in the span of the rows: a stationary point of the objective, whatever the loss."""

import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec.kernels.distributions import Gaussian, Poisson
from daskml_exec.kernels.losses import BinaryLogistic, Multinomial, weighted_residuals
from daskml_exec.kernels.row_span import InnerSolver, SpanProblem, row_span

N, D = 40, 90
LOSSES = {
    "binary": BinaryLogistic(),
    "three": Multinomial(3),
    "five": Multinomial(5),
    "counts": Poisson(),
    "squares": Gaussian(),
}


def data(loss, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D)) * np.logspace(-1, 1, D) + 0.5
    z = X[:, 60] + 0.3 * rng.normal(size=N)
    if isinstance(loss, Gaussian):
        return X, z, rng.exponential(size=N)
    if isinstance(loss, Poisson):
        return X, rng.poisson(np.exp(0.5 * z)).astype(float), rng.exponential(size=N)
    n_classes = max(2, loss.n_outputs)
    cuts = np.quantile(z, np.arange(1, n_classes) / n_classes)
    return X, np.digitize(z, cuts), rng.exponential(size=N)


def fit(loss, X, y, weight, penalty, intercept):
    center = weight @ X / weight.sum() if intercept else np.zeros(X.shape[1])
    span = row_span(X, center, np.ones(X.shape[1], dtype=bool))
    problem = SpanProblem(loss, span.gram, y, weight / weight.sum(), penalty, intercept)
    at, _, steps = problem.optimum(problem.start(np.zeros(loss.n_outputs)), abs, 100)
    assert 1 <= steps < 100
    coef = span.combined(at.factors)
    return coef, at.intercept - coef @ span.center


def gradient(loss, X, y, weight, penalty, coef, intercept):
    margins = coef @ X.T + intercept[:, None]
    _, residual = weighted_residuals(loss, margins, y, weight / weight.sum())
    return residual @ X + penalty * coef, residual.sum(axis=1), np.abs(residual) @ np.abs(X)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("penalty", [1.0, 1e-3, 1e-7])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("order", ["given", "reversed"])
def test_the_gradient_is_zero(name, penalty, intercept, order):
    loss = LOSSES[name]
    X, y, weight = data(loss)
    if order == "reversed":
        X, y, weight = X[::-1].copy(), y[::-1].copy(), weight[::-1].copy()
    coef, at = fit(loss, X, y, weight, penalty, intercept)
    of_coef, of_intercept, scale = gradient(loss, X, y, weight, penalty, coef, at)
    largest = max(float(scale.max()), penalty * float(np.abs(coef).max()))
    precision = 1e-6 if penalty < 1e-3 else 3e-10
    assert np.abs(of_coef).max() <= precision * largest
    assert not intercept or np.abs(of_intercept).max() <= precision * largest


@pytest.mark.parametrize("name", LOSSES)
def test_sparse_rows_and_constant_columns_and_copies(name):
    loss = LOSSES[name]
    X, y, weight = data(loss)
    expected = fit(loss, X, y, weight, 1e-2, True)
    for given in (
        (sp.csr_array(X), y, weight),
        (np.concatenate([X, X]), np.concatenate([y, y]), np.concatenate([weight, weight])),
        (np.concatenate([X, 9 * X]), np.concatenate([y, y]), np.concatenate([weight, 0 * weight])),
    ):
        found = fit(loss, *given, 1e-2, True)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-6, atol=1e-8)


def test_columns_left_out_have_no_part():
    X, _, _ = data(LOSSES["squares"])
    varies = np.arange(D) % 3 > 0
    kinds = [row_span(kind(X), X.mean(axis=0), varies) for kind in (np.asarray, sp.csr_array)]
    for span in kinds:
        np.testing.assert_allclose(span.gram, kinds[0].gram, atol=1e-9)
        assert not span.combined(np.ones((2, N)))[:, ~varies].any()
        coef = np.random.default_rng(0).normal(size=(2, D)) * varies
        np.testing.assert_allclose(span.margins(coef), coef @ (X - X.mean(axis=0)).T, atol=1e-9)


@pytest.mark.parametrize("n", [1, 511, 512, 513, 1100])
def test_inner_products_are_found_tile_by_tile_in_any_order(n):
    X = np.random.default_rng(0).normal(size=(n, 7))
    center, varies = X.mean(axis=0), np.ones(7, dtype=bool)

    def backwards(function, items):
        return [function(item) for item in reversed(items)]

    gram = row_span(X, center, varies).gram
    np.testing.assert_allclose(gram, (X - center) @ (X - center).T, atol=1e-12)
    assert np.array_equal(gram, row_span(X, center, varies, over=backwards).gram)
    assert np.array_equal(gram, gram.T)


def test_the_inner_equations():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(6, 9))
    gram, curvature, right = A @ A.T, rng.exponential(size=6), rng.normal(size=(2, 6))
    solver = InnerSolver.of(gram, curvature, 0.3)
    total = np.array([0.5, -1.0])
    factors, intercept = solver.solve(right, total)
    left = 0.3 * factors + curvature * (factors @ gram + intercept[:, None])
    np.testing.assert_allclose(left, right, atol=1e-12)
    np.testing.assert_allclose(factors.sum(axis=1), total, atol=1e-12)
    factors, intercept = solver.solve(right, None)
    np.testing.assert_allclose(0.3 * factors + curvature * (factors @ gram), right, atol=1e-12)
    assert not intercept.any()
