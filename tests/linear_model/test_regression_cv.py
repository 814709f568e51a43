"""RidgeCV, LassoCV and ElasticNetCV against scikit-learn's, from any data."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn.linear_model as sk
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler as SklearnScaler

from daskml_exec import Executor
from daskml_exec.linear_model import ElasticNetCV, LassoCV, RidgeCV
from daskml_exec.preprocessing import StandardScaler
from daskml_exec.training import load

RNG = np.random.default_rng(0)
N, D = 300, 8
X = RNG.standard_normal((N, D)) @ RNG.standard_normal((D, D)) + 5.0
Y = X @ (RNG.standard_normal(D) * (RNG.random(D) < 0.5)) + 3.0 * RNG.standard_normal(N) + 100.0
WEIGHT = RNG.random(N) * 3.0
TIGHT = {"tol": 1e-12, "max_iter": 1_000_000}
ALPHAS = np.logspace(-3, 4, 8)


def assert_same_path(found, expected, atol=1e-6):
    np.testing.assert_allclose(found.mse_path_, expected.mse_path_, rtol=1e-8)
    assert found.alpha_ == pytest.approx(expected.alpha_, rel=1e-12)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=atol)
    assert found.intercept_ == pytest.approx(expected.intercept_, abs=1e-5)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_elastic_nets_are_scikit_learns(weight, fit_intercept):
    ratios = [0.3, 0.9]
    found = ElasticNetCV(l1_ratio=ratios, alphas=12, eps=1e-2, fit_intercept=fit_intercept)
    found.fit(X, Y, weight)
    s = np.ones(N) if weight is None else weight
    u, v = (each - fit_intercept * np.average(each, axis=0, weights=s) for each in (X, Y))
    largest = np.abs(u.T @ (s * v)).max() / s.sum()
    grids = [np.geomspace(largest / r, 1e-2 * largest / r, 12) for r in ratios]
    np.testing.assert_allclose(found.alphas_, grids, rtol=1e-10)
    each = [
        sk.ElasticNetCV(l1_ratio=r, alphas=grid, fit_intercept=fit_intercept, **TIGHT).fit(
            X, Y, sample_weight=weight
        )
        for r, grid in zip(ratios, found.alphas_, strict=True)
    ]
    for errors, expected in zip(found.mse_path_, each, strict=True):
        np.testing.assert_allclose(errors, expected.mse_path_, rtol=1e-8)
    best = min(each, key=lambda one: one.mse_path_.mean(axis=1).min())
    assert (found.alpha_, found.l1_ratio_) == (best.alpha_, best.l1_ratio)
    np.testing.assert_allclose(found.coef_, best.coef_, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cv", [3, KFold(4, shuffle=True, random_state=1)])
def test_lassos_are_scikit_learns(cv):
    given = {"alphas": [1.0, 0.5, 0.01], "cv": cv}
    assert_same_path(LassoCV(**given).fit(X, Y), sk.LassoCV(**given, **TIGHT).fit(X, Y))


def test_without_l1_alphas_must_be_given():
    given = {"l1_ratio": 0.0, "alphas": [10.0, 1.0, 0.1]}
    found = ElasticNetCV(**given).fit(X, Y)
    s = [sk.Ridge(a * N * 0.8).fit(X[60:], Y[60:]) for a in given["alphas"]]
    errors = [np.mean((Y[:60] - each.predict(X[:60])) ** 2) for each in s]
    np.testing.assert_allclose(found.mse_path_[:, 0], errors, rtol=1e-8)
    with pytest.raises(ValueError, match="allowed are values of alphas"):
        ElasticNetCV(l1_ratio=0.0).fit(X, Y)


@pytest.mark.parametrize("scoring", [None, "r2", "neg_mean_squared_error"])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_ridges_that_leave_one_out_are_scikit_learns(scoring, weight, fit_intercept):
    given = {"alphas": ALPHAS, "fit_intercept": fit_intercept, "scoring": scoring}
    found = RidgeCV(**given).fit(X, Y, weight)
    expected = sk.RidgeCV(**given).fit(X, Y, weight)
    assert found.alpha_ == expected.alpha_
    assert found.best_score_ == pytest.approx(expected.best_score_, rel=1e-8)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=1e-8)


@pytest.mark.parametrize("scoring", [None, "neg_mean_squared_error", "neg_mean_absolute_error"])
def test_ridges_of_folds_are_scikit_learns(scoring):
    given = {"alphas": ALPHAS, "scoring": scoring, "cv": 4}
    found, expected = RidgeCV(**given).fit(X, Y), sk.RidgeCV(**given).fit(X, Y)
    assert found.alpha_ == expected.alpha_
    assert found.best_score_ == pytest.approx(expected.best_score_, rel=1e-8)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=1e-8)


def test_scores_of_folds_count_weights():
    found = RidgeCV([2.0], cv=2).fit(X, Y, WEIGHT)
    first, last = slice(0, N // 2), slice(N // 2, N)
    for k, (test, train) in enumerate([(first, last), (last, first)]):
        model = sk.Ridge(2.0).fit(X[train], Y[train], WEIGHT[train])
        expected = model.score(X[test], Y[test], WEIGHT[test])
        assert found.scores_[k, 0] == pytest.approx(expected, rel=1e-9)


def test_errors_that_moments_have_no_digits_of_are_summed_over_rows():
    exact = 1e-5 * (Y - X @ np.linalg.lstsq(X, Y, rcond=None)[0]) + X @ np.arange(D) + 1e6
    given = {"alphas": [1e-3, 1e-6, 1e-9], "cv": 3}
    found = RidgeCV(**given, scoring="neg_mean_squared_error").fit(X, exact)
    expected = sk.RidgeCV(**given, scoring="neg_mean_squared_error").fit(X, exact)
    assert found.best_score_ == pytest.approx(expected.best_score_, rel=1e-3)


@pytest.mark.parametrize("far", [1e6, -1e8])
def test_far_from_zero_is_near_zero(far):
    near = LassoCV(alphas=[0.5, 0.1]).fit(X, Y)
    moved = LassoCV(alphas=[0.5, 0.1]).fit(X + far * (np.arange(D) == 2), Y - 10 * far)
    np.testing.assert_allclose(moved.mse_path_, near.mse_path_, rtol=1e-5)
    np.testing.assert_allclose(moved.coef_, near.coef_, atol=1e-6)


def test_constant_and_duplicated_columns():
    odd = np.column_stack([X, np.full(N, 7.0), X[:, 0], np.arange(N) < 60])
    given = {"alphas": [0.5, 0.1, 0.02]}
    found = LassoCV(**given).fit(odd, Y)
    expected = sk.LassoCV(**given, **TIGHT).fit(odd, Y)
    np.testing.assert_allclose(found.mse_path_, expected.mse_path_, rtol=1e-8)
    np.testing.assert_allclose(found.predict(odd), expected.predict(odd), rtol=1e-8)
    assert found.coef_[D] == 0.0
    ridge, other = RidgeCV(cv=5).fit(odd, Y), sk.RidgeCV(cv=5).fit(odd, Y)
    assert ridge.best_score_ == pytest.approx(other.best_score_, rel=1e-8)


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def in_chunks(array, size=70):
    return da.from_array(array, chunks=(size, *array.shape[1:]))


@pytest.mark.parametrize("model", [ElasticNetCV(alphas=5), RidgeCV(), RidgeCV(cv=3)])
def test_any_data_give_the_same(executor, model):
    expected = model.fit(X, Y, WEIGHT).coef_.copy()
    lazy = in_chunks(X), in_chunks(Y), in_chunks(WEIGHT)
    np.testing.assert_allclose(model.fit(*lazy).coef_, expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(model.predict(lazy[0]).compute(), model.predict(X), rtol=1e-13)
    with load(*lazy, target="numbers") as data:
        np.testing.assert_allclose(model.fit(data).coef_, expected, rtol=1e-9, atol=1e-11)
    sparse = model.fit(sp.csr_matrix(X), Y, WEIGHT)
    np.testing.assert_allclose(sparse.coef_, expected, rtol=1e-9, atol=1e-11)
    single = model.fit(X.astype(np.float32), Y, WEIGHT)
    assert single.coef_.dtype == np.float32
    np.testing.assert_allclose(single.coef_, expected, rtol=1e-3, atol=1e-4)
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abcdefgh")), npartitions=3)
    model.fit(frame, dd.from_pandas(pd.Series(Y), npartitions=3))
    assert list(model.feature_names_in_) == list("abcdefgh")


@pytest.mark.parametrize("model", [LassoCV(alphas=5), RidgeCV(), RidgeCV(cv=3)])
def test_the_number_of_workers_changes_no_bit(executor, model):
    two = model.fit(in_chunks(X), in_chunks(Y)).coef_.copy()
    with Executor(processes=False, n_workers=1):
        one = model.fit(in_chunks(X), in_chunks(Y)).coef_
    assert (one == two).all()


@pytest.mark.parametrize("model", [LassoCV(alphas=[0.2, 0.1]), RidgeCV(), RidgeCV(cv=5)])
def test_a_scaler_in_front_is_part_of_the_penalty(executor, model):
    kind = getattr(sk, type(model).__name__)
    tight = TIGHT if kind is sk.LassoCV else {}
    given = {name: getattr(model, name) for name in ("alphas", "cv")}
    expected = make_pipeline(SklearnScaler(), kind(**given, **tight)).fit(X, Y)[-1]
    found = make_pipeline(StandardScaler(), model).fit(in_chunks(X), in_chunks(Y))[-1]
    assert found.alpha_ == expected.alpha_
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=1e-6)
    assert "penalty" in str(found.explain())


def test_more_features_than_a_square_has_room_for():
    wide = sp.random(60, 1_500, 0.05, "csr", random_state=0)
    y = wide @ RNG.standard_normal(1_500) + RNG.standard_normal(60)
    found = RidgeCV([1.0, 0.1], cv=2).fit(wide, y)
    expected = sk.RidgeCV([1.0, 0.1], cv=2).fit(wide.toarray(), y)
    assert found.alpha_ == expected.alpha_
    assert found.best_score_ == pytest.approx(expected.best_score_, rel=1e-6)
    lasso = LassoCV(alphas=[0.05, 0.02], cv=2).fit(wide, y)
    assert_same_path(lasso, sk.LassoCV(alphas=[0.05, 0.02], cv=2, **TIGHT).fit(wide, y), 1e-5)
    assert "one after another" in str(lasso.explain())
    with pytest.raises(ValueError, match="allowed are folds, such as cv=5"):
        RidgeCV().fit(wide, y)
    with pytest.raises(ValueError, match="allowed are values of alphas"):
        LassoCV().fit(wide, y)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (RidgeCV([0.0]), "numbers above 0"),
        (RidgeCV([]), "one or more numbers above 0"),
        (RidgeCV([np.nan], cv=3), "numbers from 0"),
        (RidgeCV(scoring="neg_median_absolute_error"), "leaves out rows one by one"),
        (RidgeCV(refit="1se"), "allowed is refit=True"),
        (LassoCV(alphas=[-1.0]), "numbers from 0"),
        (ElasticNetCV(l1_ratio=[0.5, 1.5]), "numbers from 0 to 1"),
        (LassoCV(cv=[([0], [1])]), "pair 0"),
    ],
)
def test_arguments_are_refused_by_name(model, words):
    with pytest.raises(ValueError, match=words):
        model.fit(X, Y)


def test_a_fold_without_weight_is_named():
    weight = np.where(np.arange(N) < N // 5, 0.0, 1.0)
    with pytest.raises(ValueError, match="fold 0 has no rows to test"):
        LassoCV().fit(X, Y, weight)


def test_the_largest_alpha_within_one_standard_error():
    found = LassoCV(refit="1se").fit(X, Y)
    means, errors = found.mse_path_.mean(axis=1), found.mse_path_.std(axis=1, ddof=1)
    best = means.argmin()
    within = means <= means[best] + errors[best] / np.sqrt(5)
    assert found.alpha_ == found.alphas_[within].max() > found.alphas_[best]


@pytest.mark.parametrize("model", [ElasticNetCV(), LassoCV(), RidgeCV(), RidgeCV(cv=3)])
def test_to_sklearn_predicts_alike(model):
    other = model.fit(X, Y).to_sklearn()
    np.testing.assert_allclose(other.predict(X), model.predict(X))
    assert other.alpha_ == model.alpha_
