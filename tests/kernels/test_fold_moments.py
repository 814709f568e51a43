"""Moments by fold, errors from moments, and errors of rows left out, against the rows."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec.kernels.cross_moments import cross_moments
from daskml_exec.kernels.fold_moments import cross_moments_by_fold, squared_errors, trained_on
from daskml_exec.kernels.leave_one_out import Ridges, leave_one_out

RNG = np.random.default_rng(3)
N, D = 157, 4
X = RNG.standard_normal((N, D)) + np.array([0.0, 5.0, -100.0, 1e5])
Y = X @ RNG.standard_normal(D) + RNG.standard_normal(N)
WEIGHT = RNG.integers(0, 4, N).astype(float)


def assert_same(found, expected):
    assert found.weight == pytest.approx(expected.weight)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-13, atol=1e-13)
    roots = np.sqrt(np.diagonal(expected.scatter)) + 1e-300
    difference = (found.scatter - expected.scatter) / np.outer(roots, roots)
    assert np.abs(difference).max() < 1e-10


@pytest.mark.parametrize("kind", [np.asarray, np.float32, sp.csr_matrix])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("in_order", [True, False])
def test_folds_have_the_moments_of_their_rows(kind, weight, in_order):
    fold = RNG.integers(0, 4, N).astype(np.uint16)
    fold = np.sort(fold) if in_order else fold
    rows = kind(X)
    found = cross_moments_by_fold(rows, Y, weight, fold, 3)
    assert len(found) == 4
    for k in range(4):
        some = np.flatnonzero(fold == k)
        of_some = None if weight is None else weight[some]
        assert_same(found[k], cross_moments(rows[some], Y[some], of_some))
        others = np.flatnonzero(fold != k)
        of_others = None if weight is None else weight[others]
        assert_same(trained_on(found, k), cross_moments(rows[others], Y[others], of_others))


@given(st.lists(st.integers(0, N), max_size=4), st.integers(0, 2**32 - 1))
def test_any_chunks_have_the_moments_of_the_whole(cuts, seed):
    fold = np.random.default_rng(seed).integers(0, 3, N)
    whole = cross_moments_by_fold(X, Y, WEIGHT, fold, 2)
    edges = [0, *sorted(cuts), N]
    total = None
    for start, stop in pairwise(edges):
        of = slice(start, stop)
        part = cross_moments_by_fold(X[of], Y[of], WEIGHT[of], fold[of], 2)
        total = part if total is None else [a + b for a, b in zip(total, part, strict=True)]
    for found, expected in zip(total, whole, strict=True):
        assert_same(found, expected)


def test_errors_of_moments_are_those_of_rows():
    coef, intercept = RNG.standard_normal((3, D)), RNG.standard_normal(3)
    found = squared_errors(cross_moments(X, Y, WEIGHT), coef, intercept)
    errors = (Y[:, None] - X @ coef.T - intercept) ** 2
    np.testing.assert_allclose(found, WEIGHT @ errors, rtol=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_errors_of_rows_left_out_are_those_of_models_without_them(weighted):
    X, y = np.random.default_rng(0).standard_normal((2, 30, 3))
    y = 3.0 + y[:, 0]
    s = np.random.default_rng(1).integers(0, 3, 30).astype(float) if weighted else np.ones(30)
    alpha = 0.7

    def ridge(X, y, s):
        m, n = s @ X / s.sum(), s @ y / s.sum()
        scatter = (X - m).T @ (s[:, None] * (X - m))
        w = np.linalg.solve(scatter + alpha * np.eye(3), (X - m).T @ (s * (y - n)))
        return m, n, w, scatter

    expected = 0.0
    for i in range(30):
        others = np.arange(30) != i
        m, n, w, _ = ridge(X[others], y[others], s[others])
        expected += s[i] * (y[i] - n - (X[i] - m) @ w) ** 2
    m, n, w, scatter = ridge(X, y, s)
    values, vectors = np.linalg.eigh(scatter)
    shrunk = 1.0 / (values + alpha)
    ridges = Ridges(m, w[None], np.array([n]), vectors, shrunk[:, None], 1.0 / s.sum())
    found = leave_one_out(ridges, X, y, s if weighted else None)
    assert found.errors[0] == pytest.approx(expected, rel=1e-12)
    assert found.rows == np.count_nonzero(s)
    sparse = leave_one_out(ridges, sp.csr_matrix(X), y, s)
    assert sparse.errors[0] == pytest.approx(expected, rel=1e-12)
