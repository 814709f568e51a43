"""Any cut of the rows is the whole. Newton's cuts without Dask are in `test_any_data`."""

import itertools

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskml_exec.linear_model import LogisticRegression
from tests.tiers import each_value

SOLVERS = ["newton", "lbfgs", "averaging"]
N, D = 60, 3


def problem(n_classes=2):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)) * [0.1, 1.0, 10.0]
    margins = X / [0.1, 1.0, 10.0] @ rng.normal(size=(D, n_classes))
    return X, (margins + rng.gumbel(size=(N, n_classes))).argmax(axis=1), rng.exponential(size=N)


def spread(executor, X, chunks):
    """Futures of the row ranges."""
    bounds = [0, *np.cumsum(chunks)]
    return executor.client.scatter([X[a:b] for a, b in itertools.pairwise(bounds)], hash=False)


def assert_same(model, other):
    assert_allclose(model.coef_, other.coef_, rtol=1e-6, atol=1e-7)
    assert_allclose(model.intercept_, other.intercept_, rtol=1e-6, atol=1e-7)


@pytest.fixture(scope="module")
def wholes(executor):
    """What one partition gives, for each number of classes."""
    return {k: LogisticRegression().fit(*problem(k)) for k in (2, 3)}


@pytest.mark.parametrize("solver", SOLVERS)
@settings(max_examples=5)
@given(
    cuts=st.lists(st.integers(0, N), max_size=5),
    n_classes=st.integers(2, 3),
    sparse=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_cut_and_order_of_rows_is_the_whole(
    executor, wholes, solver, cuts, n_classes, sparse, seed
):
    X, y, weight = problem(n_classes)
    order = np.random.default_rng(seed).permutation(N)
    chunks = np.diff([0, *sorted(cuts), N])
    X = sp.csr_array(X[order]) if sparse else X[order]
    model = LogisticRegression(solver=solver)
    model.fit(spread(executor, X, chunks), y[order], weight[order])
    assert_same(model, wholes[n_classes])


@pytest.mark.parametrize("solver", SOLVERS)
@settings(max_examples=5)
@given(
    counts=st.lists(st.integers(0, 3), min_size=N, max_size=N),
    sparse=st.booleans(),
    in_memory=st.booleans(),
)
def test_weights_are_numbers_of_rows(executor, solver, counts, sparse, in_memory):
    X, y, _ = problem()
    repeated = np.repeat(np.arange(N), counts)
    if len(np.unique(y[repeated])) < 2:
        return
    kind = sp.csr_array if sparse else np.asarray
    given_X = kind(X) if in_memory else spread(executor, kind(X), [20, 0, 25, 15])
    with dask.config.set({"daskml-exec.partition-bytes": 400}):
        model = LogisticRegression(solver=solver).fit(given_X, y, counts)
    assert_same(model, LogisticRegression().fit(X[repeated], y[repeated]))


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_class_without_weight_is_no_class(executor, solver):
    X, y, weight = problem(3)
    weight[y == 1] = 0.0
    for data in (X, da.from_array(X, chunks=(20, D))):
        model = LogisticRegression(solver=solver).fit(data, y, weight)
        assert model.classes_.tolist() == [0, 2]
        keep = y != 1
        assert_same(model, LogisticRegression().fit(X[keep], y[keep], weight[keep]))


@each_value(solver=SOLVERS, order=["by label", "by value"])
def test_sorted_rows_make_partitions_of_one_class(executor, solver, order):
    X, y, _ = problem(3)
    by = np.argsort(y if order == "by label" else X[:, 2], kind="stable")
    model = LogisticRegression(solver=solver).fit(da.from_array(X[by], chunks=(6, D)), y[by])
    assert_same(model, LogisticRegression().fit(X, y))
