"""What the first average is, and that further ones reach the optimum."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Sklearn

from daskml_exec.linear_model import LogisticRegression
from tests.tiers import each_pair

CUTS = [0, 100, 180, 180, 400]


def problem(n_classes, seed=0, n=400, d=4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.logspace(-1, 1, d)
    margins = X / np.logspace(-1, 1, d) @ rng.normal(size=(d, n_classes))
    return X, (margins + rng.gumbel(size=(n, n_classes))).argmax(axis=1), rng.exponential(size=n)


def spread(executor, X, cuts=CUTS):
    return executor.client.scatter([X[a:b] for a, b in itertools.pairwise(cuts)], hash=False)


@each_pair(
    n_classes=[2, 3],
    weighted=[False, True],
    fit_intercept=[False, True],
    kind=[np.asarray, sp.csr_matrix],
)
def test_one_average_is_the_weighted_mean_of_local_models(
    executor, n_classes, weighted, fit_intercept, kind
):
    """The local objective is sum_i(loss)/n_i + penalty/(C n): scikit-learn's at C n / n_i."""
    X, y, weight = problem(n_classes)
    weight = weight if weighted else None
    w = np.ones(len(y)) if weight is None else weight
    C, total = 0.7, w.sum()
    coef, intercept = 0.0, 0.0
    for a, b in itertools.pairwise(CUTS):
        share = w[a:b].sum()
        if not share:
            continue
        local = Sklearn(
            C=C * total / share, fit_intercept=fit_intercept, solver="newton-cholesky", tol=1e-12
        ).fit(X[a:b], y[a:b], w[a:b])
        coef = coef + share / total * local.coef_
        intercept = intercept + share / total * local.intercept_
    model = LogisticRegression(C=C, fit_intercept=fit_intercept, solver="averaging", max_iter=1)
    with pytest.warns(ConvergenceWarning, match=r"solver='averaging'.*max_iter=1\)"):
        model.fit(spread(executor, kind(X)), y, weight)
    assert_allclose(model.coef_, coef, rtol=1e-6, atol=1e-7)
    assert_allclose(model.intercept_, intercept, rtol=1e-6, atol=1e-7)
    assert model.n_iter_ == [1]
    assert [record.step for record in model.history_] == ["moments", "solve", "gradient"]


def test_one_average_over_one_partition_is_the_answer(executor):
    X, y, _ = problem(2)
    model = LogisticRegression(solver="averaging", max_iter=1).fit(X, y)
    expected = Sklearn(solver="newton-cholesky", tol=1e-12).fit(X, y)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-6)


def test_the_first_average_is_near_the_optimum_and_the_next_ones_nearer(executor):
    X, y, _ = problem(2, n=4000)
    cuts = np.linspace(0, 4000, 9).astype(int)
    exact = LogisticRegression().fit(X, y)
    errors = []
    for max_iter in (1, 2, 4):
        model = LogisticRegression(solver="averaging", max_iter=max_iter)
        with pytest.warns(ConvergenceWarning):
            model.fit(spread(executor, X, cuts), y)
        errors.append(np.linalg.norm(model.coef_ - exact.coef_) / np.linalg.norm(exact.coef_))
    assert errors[0] < 0.05 and errors[1] < errors[0] / 4 and errors[2] < errors[1] / 4


@pytest.mark.parametrize(("n_classes", "n_partitions"), [(3, 2), (2, 5), (2, 20), (3, 20)])
def test_partitions_sorted_by_label_converge_in_few_rounds(executor, n_classes, n_partitions):
    X, y, _ = problem(n_classes)
    order = np.argsort(y, kind="stable")
    cuts = np.linspace(0, len(y), n_partitions + 1).astype(int)
    model = LogisticRegression(solver="averaging")
    model.fit(spread(executor, X[order], cuts), y[order])
    expected = Sklearn(solver="newton-cholesky", tol=1e-12).fit(X, y)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-6, atol=1e-8)
    assert len(model.history_) < 150


def test_similar_partitions_need_fewer_gradients_than_lbfgs(executor):
    X, y, _ = problem(2, n=4000, d=20)
    data = spread(executor, X, np.linspace(0, 4000, 5).astype(int))
    averaging = LogisticRegression(solver="averaging").fit(data, y)
    lbfgs = LogisticRegression(solver="lbfgs").fit(data, y)
    steps = [record.step for record in averaging.history_]
    assert steps[:3] == ["moments", "solve", "gradient"]
    assert steps.count("gradient") < len(lbfgs.history_) - 1
    assert averaging.n_iter_[0] == steps.count("solve")


def test_a_partition_of_rows_without_weight_has_no_say(executor):
    X, y, weight = problem(2)
    weight[:100] = 0.0
    model = LogisticRegression(solver="averaging").fit(spread(executor, X), y, weight)
    expected = Sklearn(solver="newton-cholesky", tol=1e-12).fit(X[100:], y[100:], weight[100:])
    assert_allclose(model.coef_, expected.coef_, rtol=1e-6, atol=1e-8)
