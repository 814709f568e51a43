"""Models of users are those that scikit-learn fits one by one, in the dual and in the primal."""

from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge

from daskml_exec.kernels.user_models import models
from daskml_exec.kernels.user_models.features import ready_features
from daskml_exec.kernels.user_models.models import user_models

WITH_NUMBA = pytest.param(
    True,
    marks=pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed"),
    id="compiled",
)


@pytest.fixture(params=[WITH_NUMBA, pytest.param(False, id="stacked")])
def path(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(models, "_compiled", lambda: None)


def ratings_of(counts, n_items, seed=0):
    rng = np.random.default_rng(seed)
    rows = [np.sort(rng.choice(n_items, n, replace=False)) for n in counts]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    items = np.concatenate([*rows, []]).astype(np.int32)
    values = rng.standard_normal(len(items)) + 0.3
    return sp.csr_array((values, items, indptr), shape=(len(counts), n_items))


def dense(n_items=60, d=9, seed=1):
    return np.random.default_rng(seed).standard_normal((n_items, d)) + 2.0


def texts(n_items=60, d=400, seed=2):
    rng = np.random.default_rng(seed)
    columns = np.minimum(rng.zipf(1.4, (n_items, 15)), d) - 1
    rows = np.repeat(np.arange(n_items), 15)
    made = sp.csr_array((rng.random(rows.size), (rows, columns.ravel())), shape=(n_items, d))
    return sp.csr_array(made / np.sqrt((made * made).sum(axis=1))[:, None])


FEATURES = {
    "dense": dense(),
    "wide": dense(d=150),
    "single precision": dense().astype(np.float32),
    "texts": texts(),
    "few words": texts(d=6),
}
COUNTS = [1, 2, 3, 4, 5, 8, 9, 10, 13, 8, 0, 31, 9, 60, 10, 0]


def fitted(ratings, features, loss, alpha=0.7, fit_intercept=True):
    ready = ready_features(features, fit_intercept=fit_intercept)
    return user_models(ratings, ready, loss=loss, alpha=alpha, fit_intercept=fit_intercept)


def users(ratings, features, found):
    """Yield of each user the features, the ratings, the coefficients and the intercept."""
    rows = features.toarray() if sp.issparse(features) else features.astype(np.float64)
    for user, (start, stop) in enumerate(pairwise(ratings.indptr)):
        X, a = rows[ratings.indices[start:stop]], found.dual[start:stop]
        yield X, ratings.data[start:stop], a, X.T @ a, found.intercepts[user]


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("name", FEATURES)
def test_squared_is_ridge(name, fit_intercept, path):
    ratings, features = ratings_of(COUNTS, 60), FEATURES[name]
    found = fitted(ratings, features, "squared", fit_intercept=fit_intercept)
    for X, r, _, coef, intercept in users(ratings, features, found):
        if not len(r):
            assert np.isnan(intercept)
            continue
        ridge = Ridge(alpha=0.7, fit_intercept=fit_intercept, solver="svd").fit(X, r)
        assert_allclose(coef, ridge.coef_, rtol=1e-9, atol=1e-10)
        assert_allclose(intercept, ridge.intercept_, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("name", FEATURES)
def test_log_is_logistic_regression(name, fit_intercept, path):
    ratings, features = ratings_of(COUNTS, 60), FEATURES[name]
    found = fitted(ratings, features, "log", fit_intercept=fit_intercept)
    assert found.n_missed == 0
    n_compared = 0
    for X, r, a, coef, intercept in users(ratings, features, found):
        if not len(r):
            assert np.isnan(intercept)
        elif len(set(r > 0)) < 2:
            assert intercept == (np.inf if r[0] > 0 else -np.inf)
            assert_array_equal(a, 0)
        else:
            logistic = LogisticRegression(
                C=1 / 0.7, fit_intercept=fit_intercept, solver="newton-cholesky", tol=1e-12
            ).fit(X, r > 0)
            assert_allclose(coef, logistic.coef_[0], rtol=1e-6, atol=1e-7)
            assert_allclose(intercept, np.ravel(logistic.intercept_)[0], rtol=1e-6, atol=1e-7)
            n_compared += 1
    assert n_compared >= 8


# A penalty that vanishes beside the features leaves few digits where items are more than features.
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize(
    ("name", "alpha"),
    [
        *[("dense", alpha) for alpha in (1e-2, 1.0, 1e4)],
        *[(name, alpha) for name in ("wide", "texts") for alpha in (1e-6, 1e-3, 1.0, 1e4)],
    ],
)
def test_log_is_the_minimum_whatever_the_scale(name, scale, alpha, path):
    ratings, features = ratings_of([2, 7, 12, 40, 40], 60, seed=5), FEATURES[name] * scale
    found = fitted(ratings, features, "log", alpha=alpha)
    assert found.n_missed == 0
    for X, r, a, coef, intercept in users(ratings, features, found):
        if len(set(r > 0)) == 2:
            # Where the gradient in the coefficients is zero; its own scale is that of the rows.
            residual = (r > 0) - expit(X @ coef + intercept)
            assert_allclose(X.T @ residual, alpha * coef, rtol=1e-5, atol=1e-6 * abs(X).max())
            assert abs(residual.sum()) < 1e-6
            assert abs(a.sum()) <= 1e-9 * abs(a).sum()


def test_features_far_from_zero(path):
    near = dense(d=30)
    ratings = ratings_of([4, 20, 31, 50], 60)
    for loss, rtol in (("squared", 1e-8), ("log", 1e-6)):
        found, expected = (fitted(ratings, each, loss) for each in (near + 1e5, near))
        assert_allclose(found.dual, expected.dual, rtol=rtol, atol=1e-9)


def test_items_with_the_same_features(path):
    features = np.repeat(dense(n_items=6), 10, axis=0)
    ratings = ratings_of([5, 20, 60], 60)
    for loss in ("squared", "log"):
        for scale, alpha in ((1.0, 1e-3), (1e5, 1e-9)):  # the latter is less than roundings are
            found = fitted(ratings, features * scale, loss, alpha=alpha)
            assert np.isfinite(found.dual).all()
    for X, r, _, coef, _ in users(ratings, features, fitted(ratings, features, "squared")):
        assert_allclose(coef, Ridge(alpha=0.7, solver="svd").fit(X, r).coef_, rtol=1e-9, atol=1e-9)


@given(
    counts=st.lists(st.integers(0, 14), max_size=8),
    cuts=st.lists(st.integers(0, 8), max_size=3),
    loss=st.sampled_from(["squared", "log"]),
    name=st.sampled_from(["dense", "texts"]),
    stacked=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_users_together_are_as_alone(counts, cuts, loss, name, stacked, seed):
    ratings = ratings_of(counts, 60, seed)
    with pytest.MonkeyPatch.context() as patch:
        if stacked:
            patch.setattr(models, "_compiled", lambda: None)
        whole = fitted(ratings, FEATURES[name], loss)
        ends = [0, *sorted(min(cut, len(counts)) for cut in cuts), len(counts)]
        parts = [
            fitted(ratings[start:stop], FEATURES[name], loss) for start, stop in pairwise(ends)
        ]
    assert_array_equal(np.concatenate([part.dual for part in parts]), whole.dual)
    assert_array_equal(np.concatenate([part.intercepts for part in parts]), whole.intercepts)


def test_many_users_are_worked_on_in_pieces(path, monkeypatch):
    ratings = ratings_of([7, 3, 12] * 20, 60)
    whole = fitted(ratings, FEATURES["dense"], "log")
    looks = []
    monkeypatch.setattr(models, "_WORK", 500)
    monkeypatch.setattr(models, "stop_point", lambda: looks.append(None))
    pieces = fitted(ratings, FEATURES["dense"], "log")
    assert len(looks) > 5
    assert_array_equal(pieces.dual, whole.dual)
    assert_array_equal(pieces.intercepts, whole.intercepts)


def test_what_came_in_a_message_is_read_only(path):
    ratings, features = ratings_of([3, 12], 60), dense()
    expected = fitted(ratings, features, "log")
    for array in (ratings.data, ratings.indices, ratings.indptr, features):
        array.flags.writeable = False
    assert_array_equal(fitted(ratings, features, "log").dual, expected.dual)


def test_entries_that_come_twice_are_added_in_a_copy(path):
    ratings, once = ratings_of([3, 12], 60), texts()
    halves = (once.data / 2, once.indices, once.indptr)
    doubled = sp.csr_array(
        (np.repeat(halves[0], 2), np.repeat(halves[1], 2), 2 * halves[2]), shape=once.shape
    )
    before = doubled.data.copy()
    found, expected = (fitted(ratings, each, "squared") for each in (doubled, once))
    assert_allclose(found.dual, expected.dual, rtol=1e-12)
    assert_array_equal(doubled.data, before)


def test_both_paths_agree(monkeypatch):
    pytest.importorskip("numba", reason="numba is not installed")
    ratings = ratings_of(COUNTS, 60)
    for name in ("dense", "wide", "texts", "few words"):
        for loss in ("squared", "log"):
            compiled = fitted(ratings, FEATURES[name], loss)
            with monkeypatch.context() as patch:
                patch.setattr(models, "_compiled", lambda: None)
                stacked = fitted(ratings, FEATURES[name], loss)
            assert_allclose(compiled.dual, stacked.dual, rtol=1e-9, atol=1e-11)
            assert_allclose(compiled.intercepts, stacked.intercepts, rtol=1e-9, atol=1e-11)
