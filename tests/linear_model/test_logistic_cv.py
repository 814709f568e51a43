"""Penalties chosen by folds: the models, the scores and the choice are scikit-learn's."""

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import linear_model as theirs
from sklearn import model_selection as sk
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer
from sklearn.pipeline import make_pipeline

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegressionCV, _path_fit
from daskml_exec.model_selection import GroupKFold, KFold, StratifiedKFold
from daskml_exec.preprocessing import StandardScaler
from daskml_exec.training import load, open_model, save
from tests.linear_model.conftest import mixed
from tests.linear_model.toolbox import as_csr, as_dask, as_frame, as_futures
from tests.tiers import slow

CS = np.array([0.01, 1.0, 100.0])
CV = sk.StratifiedKFold(3)


def fitted(X, y, weight=None, *, groups=None, **settings):
    given = {"Cs": CS, "cv": 3, "scoring": "neg_log_loss", "tol": 1e-10, **settings}
    return LogisticRegressionCV(**given).fit(X, y, weight, groups=groups)


def oracle(X, y, weight=None, *, cv=CV, C=CS, groups=None, factors=None, fit_intercept=True):
    """Return paths (F, J, K, d + 1) and held-out log losses (F, J) of scikit-learn's own fits."""
    n = X.shape[0]
    whole = np.ones(n) if weight is None else weight
    if factors is not None:
        whole = whole * factors
    paths, scores = [], []
    for train, test in cv.split(np.zeros(n), y, groups):
        models = [
            theirs.LogisticRegression(
                C=c,
                tol=1e-12,
                max_iter=10_000,
                solver="newton-cholesky",
                fit_intercept=fit_intercept,
            ).fit(X[train], y[train], whole[train])
            for c in C
        ]
        paths.append([np.column_stack([model.coef_, model.intercept_]) for model in models])
        scorer = get_scorer("neg_log_loss")
        counted = test[whole[test] > 0]
        scores.append([scorer(model, X[counted], y[counted]) for model in models])
    found = np.array(paths)
    if found.shape[2] > 1:
        found -= found.mean(axis=2, keepdims=True)
    return found, np.array(scores)


def require_equal(model, paths, scores, *, rtol=1e-6):
    scale = np.abs(paths).max(axis=(2, 3), keepdims=True)
    np.testing.assert_array_less(np.abs(model.coefs_paths_[:, 0] - paths) / scale, rtol)
    np.testing.assert_allclose(model.scores_[:, 0], scores, rtol=1e-7)
    assert np.isclose(model.C_, CS[scores.mean(axis=0).argmax()])


def closest(X, y, weight, C, **settings):
    model = theirs.LogisticRegression(
        C=C, tol=1e-12, max_iter=10_000, solver="newton-cholesky", **settings
    )
    return model.fit(X, y, weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_paths_scores_and_choice_are_scikit_learns(iris, weighted):
    X, y, weight = iris
    w = weight if weighted else None
    model = fitted(X, y, w)
    require_equal(model, *oracle(X, y, w))
    want = closest(X, y, w, model.C_)
    middle = want.coef_.mean(axis=0) if len(want.coef_) > 1 else 0.0
    np.testing.assert_allclose(model.coef_, want.coef_ - middle, atol=1e-6 * abs(want.coef_).max())
    assert model.coefs_paths_.shape == (3, 1, 3, len(model.coef_), 5)
    assert model.scores_.shape == model.n_iter_.shape == (3, 1, 3)


@pytest.mark.parametrize("kind", ["array", "csr", "frame", "futures", "data", "float32"])
def test_any_kind_of_rows(executor, species, kind):
    X, y, _ = species
    made = {
        "array": as_dask,
        "csr": as_csr,
        "frame": as_frame,
        "futures": lambda X: as_futures(executor, X),
    }
    paths, scores = oracle(X, y)
    if kind == "data":
        with load(as_dask(X), y, target="labels") as data:
            require_equal(fitted(data, None), paths, scores)
    elif kind == "float32":
        model = fitted(as_dask(X.astype(np.float32)), as_dask(y))
        assert model.coef_.dtype == np.float32
        require_equal(model, *oracle(X.astype(np.float32).astype(float), y))
    else:
        require_equal(fitted(made[kind](X), as_dask(y)), paths, scores)


def test_without_an_intercept(species):
    X, y, _ = species
    paths, scores = oracle(X, y, fit_intercept=False)
    model = fitted(as_dask(X), y, fit_intercept=False)
    assert model.coefs_paths_.shape == (3, 1, 3, 3, 4)
    np.testing.assert_allclose(model.coefs_paths_[:, 0], paths[..., :-1], atol=1e-6)
    np.testing.assert_allclose(model.scores_[:, 0], scores, rtol=1e-7)


def test_class_weights_count_for_models_and_not_for_scores(species):
    X, y, weight = species
    names = np.unique(y)
    balanced = weight.sum() / (len(names) * np.array([weight[y == label].sum() for label in names]))
    given = dict(zip(names.tolist(), balanced.tolist(), strict=True))
    factors = np.array([given[label] for label in y])
    paths, scores = oracle(X, y, weight, factors=factors)
    require_equal(fitted(as_dask(X), y, weight, class_weight="balanced"), paths, scores)
    require_equal(fitted(X, y, weight, class_weight=given), paths, scores)


@pytest.mark.parametrize(
    ("cv", "theirs"),
    [
        (KFold(4), sk.KFold(4)),
        (StratifiedKFold(2), sk.StratifiedKFold(2)),
        (sk.KFold(3, shuffle=True, random_state=0), sk.KFold(3, shuffle=True, random_state=0)),
        ("pairs", sk.KFold(3)),
        (GroupKFold(3), sk.GroupKFold(3)),
    ],
    ids=["KFold", "StratifiedKFold", "shuffled", "pairs", "groups"],
)
def test_any_folds(species, cv, theirs):
    X, y, _ = species
    groups = np.arange(len(y)) % 7 if isinstance(cv, GroupKFold) else None
    if cv == "pairs":
        cv = list(theirs.split(X))
    want = oracle(X, y, cv=theirs, groups=groups)
    require_equal(fitted(as_dask(X), as_dask(y), cv=cv, groups=groups), *want)


@pytest.mark.parametrize("scoring", [None, "accuracy", "roc_auc", "f1", "neg_brier_score"])
def test_scores_by_name(scoring):
    X, y = load_iris(return_X_y=True)
    X, y = X[50:, :2], y[50:] - 1
    weight = np.random.default_rng(0).exponential(size=len(y))
    model = fitted(as_dask(X), y, weight, scoring=scoring)
    for k, (train, test) in enumerate(CV.split(X, y)):
        for j, C in enumerate(CS):
            each = closest(X[train], y[train], weight[train], C)
            if scoring is None:
                want = each.score(X[test], y[test], weight[test])
            else:
                want = get_scorer(scoring)(each, X[test], y[test])
            assert model.scores_[k, 0, j] == pytest.approx(want, abs=1e-9)
    if scoring is None:
        assert model.score(X, y) == pytest.approx((model.predict(X) == y).mean())
    else:
        assert model.score(X, y) == pytest.approx(get_scorer(scoring)(model, X, y), abs=1e-9)


@pytest.fixture
def one_by_one(monkeypatch):
    monkeypatch.setattr(_path_fit, "share_passes", lambda *_: False)


def test_one_after_another_are_the_same_models(one_by_one, species):
    X, y, weight = species
    for rows in (X, as_dask(X)):
        model = fitted(rows, y, weight)
        require_equal(model, *oracle(X, y, weight))
        assert "one after another" in str(model.explain())
        assert len(model.history_) == model.history_[-1].round + 1


def test_many_sparse_features_are_fitted_one_after_another():
    rng = np.random.default_rng(0)
    X = sp.random(300, 1500, density=0.02, random_state=0, format="csr")
    y = ((X @ rng.normal(size=1500)) > 0).astype(int)
    model = fitted(X, y, Cs=[0.1, 1.0])
    assert "one after another" in str(model.explain())
    _, scores = oracle(X.toarray(), y, C=[0.1, 1.0])
    np.testing.assert_allclose(model.scores_[:, 0], scores, rtol=1e-6)


def test_sampled_hessians_reach_the_same_optimum(monkeypatch):
    """As on large data: Hessians of some rows, at points that others have chosen."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 8)) @ rng.normal(size=(8, 8))
    y = (X @ rng.normal(size=8) + rng.normal(size=3000) * 3 > 1).astype(int)
    monkeypatch.setattr(_path_fit, "_FREE_FLOPS", 0.0)
    monkeypatch.setattr(_path_fit, "_HESSIAN_ROWS", 20)
    model = fitted(da.from_array(X, chunks=(700, 8)), y, tol=1e-8)
    require_equal(model, *oracle(X, y))
    steps = [record.step for record in model.history_]
    assert steps.count("common") <= 6 and steps.count("own") <= 12
    live = [record.scores["models"] for record in model.history_ if record.step == "own"]
    assert live[0] == 9 and live == sorted(live, reverse=True)


def test_refit_to_all_rows_or_the_mean_of_the_best(species):
    X, y, _ = species
    best = fitted(as_dask(X), y)
    mean = fitted(as_dask(X), y, refit=False)
    assert best.refit_n_iter_ > 0 and mean.refit_n_iter_ == 0
    chosen = mean.scores_[:, 0].argmax(axis=1)
    assert pytest.approx(CS[chosen].mean()) == mean.C_
    paths = mean.coefs_paths_[np.arange(3), 0, chosen]
    np.testing.assert_allclose(mean.coef_, paths.mean(axis=0)[:, :-1], atol=1e-12)
    np.testing.assert_array_equal(mean.predict(X), mean.predict(as_dask(X)).compute())


def test_one_standard_error_takes_the_strongest_penalty_that_is_as_good():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(120, 6))
    y = (X[:, 0] + rng.normal(size=120) > 0).astype(int)
    Cs = [100.0, 0.05, 1.0, 0.001]
    best, simple = (fitted(X, y, Cs=Cs, cv=5, refit=refit) for refit in (True, "1se"))
    means = best.scores_[:, 0].mean(axis=0)
    top = means.argmax()
    error = best.scores_[:, 0, top].std(ddof=1) / np.sqrt(5)
    within = [C for C, mean in zip(Cs, means, strict=True) if mean >= means[top] - error]
    assert Cs[top] == best.C_ and min(within) == simple.C_ < best.C_
    want = closest(X, y, None, simple.C_)
    np.testing.assert_allclose(simple.coef_, want.coef_, rtol=1e-6)


def test_a_scaler_in_front_becomes_part_of_the_models(species):
    X, y, _ = species
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    model = LogisticRegressionCV(Cs=CS, cv=3, scoring="neg_log_loss", tol=1e-10)
    pipe = make_pipeline(StandardScaler(), model).fit(as_dask(X), y)
    require_equal(pipe[-1], *oracle(scaled, y))
    assert "no scaled row was made" in str(pipe[-1].explain())


def test_the_same_bits_on_any_number_of_workers(species):
    X, y, weight = species

    def bits(model):
        parts = (model.coef_, model.intercept_, model.coefs_paths_, model.scores_)
        return b"".join(part.tobytes() for part in parts)

    want = bits(fitted(as_dask(X), as_dask(y), weight))
    for n_workers in (1, 3):
        with Executor(processes=False, n_workers=n_workers):
            assert bits(fitted(as_dask(X), as_dask(y), weight)) == want


def test_a_callback_sees_all_models_and_may_stop(species):
    X, y, _ = species
    seen = []

    def stop(event):
        seen.append(type(event.estimator).__name__)
        return len(seen) == 3

    model = fitted(as_dask(X), y, callbacks=[stop])
    assert len(seen) == 3 and len(model.history_) == 3
    assert model.scores_.shape == (3, 1, 3) and np.isfinite(model.scores_).all()
    assert model.predict(X).shape == y.shape


def test_it_is_saved_and_becomes_scikit_learns(species, tmp_path):
    X, y, _ = species
    model = fitted(X, y)
    save(model, str(tmp_path / "model"))
    again = open_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(again.coefs_paths_, model.coefs_paths_)
    assert again.C_ == model.C_ and str(again.explain()) == str(model.explain())
    genuine = model.to_sklearn()
    assert type(genuine) is theirs.LogisticRegressionCV
    np.testing.assert_array_equal(genuine.predict(X), model.predict(X))
    np.testing.assert_allclose(genuine.predict_proba(X), model.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(genuine.scores_, model.scores_)


def test_a_picture_of_the_scores(species):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    X, y, _ = species
    model = fitted(X, y)
    ax = model.plot()
    assert ax.get_xscale() == "log" and f"chosen: {model.C_:g}" in str(
        [text.get_text() for text in ax.get_legend().get_texts()]
    )
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"Cs": []}, "Cs="),
        ({"Cs": [1.0, 0.0]}, "above 0"),
        ({"Cs": [1.0, np.nan]}, "above 0"),
        ({"Cs": [[1.0]]}, "Cs="),
        ({"Cs": 0}, "Cs"),
        ({"cv": 1}, "cv"),
        ({"cv": 200}, "n_splits=200|members in each class"),
        ({"scoring": "accurate"}, "allowed are accuracy"),
        ({"scoring": len}, "scoring"),
        ({"refit": "best"}, "refit"),
        ({"cv": sk.TimeSeriesSplit(3)}, "all others"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(species, settings, words):
    X, y, _ = species
    with pytest.raises(ValueError, match=words):
        fitted(X, y, **settings)


def test_a_class_that_training_rows_lack_is_named(species):
    X, y, _ = species
    test_fold = np.where(y == "virginica", 0, np.arange(len(y)) % 2)
    pairs = [(np.flatnonzero(test_fold != k), np.flatnonzero(test_fold == k)) for k in range(2)]
    for rows in (X, as_dask(X)):
        with pytest.raises(ValueError, match="split 0 trains on no row of the class 'virginica'"):
            fitted(rows, y, cv=pairs)


def test_a_fold_that_weighs_nothing_is_named(species):
    X, y, _ = species
    weight = np.where(np.arange(len(y)) < 50, 0.0, 1.0)
    pairs = list(sk.KFold(3).split(X))
    for rows in (X, as_dask(X)):
        with pytest.raises(ValueError, match="fold 0 has no row of positive weight"):
            fitted(rows, y, weight, cv=pairs)


def test_a_rare_class_warns_as_in_scikit_learn(species):
    X, y, _ = species
    kept = np.flatnonzero((y != "virginica") | (np.cumsum(y == "virginica") <= 2))
    with pytest.warns(UserWarning, match="least populated class"):
        fitted(X[kept], y[kept], scoring=None)
    with pytest.warns(UserWarning, match="least populated class"):
        fitted(as_dask(X[kept]), as_dask(y[kept]), scoring=None)


def test_models_that_have_not_converged_are_named(species):
    X, y, _ = species
    with pytest.warns(ConvergenceWarning, match=r"models stopped before.*C=100"):
        fitted(X, y, max_iter=3, tol=1e-14)


def test_equal_values_and_a_column_that_is_constant_in_one_training_set(species):
    X, y, _ = species
    odd = np.column_stack([X, np.where(np.arange(len(y)) == 1, 1.0, 0.0)])
    model = fitted(as_dask(odd), y, Cs=[1.0, 1.0, 0.1], cv=KFold(3))
    paths, scores = oracle(odd, y, cv=sk.KFold(3), C=[1.0, 1.0, 0.1])
    np.testing.assert_allclose(model.coefs_paths_[:, 0], paths, atol=2e-6)
    np.testing.assert_allclose(model.scores_[:, 0], scores, rtol=1e-6)
    np.testing.assert_array_equal(model.scores_[:, 0, 0], model.scores_[:, 0, 1])


@pytest.mark.parametrize("n_chunks", [1, slow(5)])
def test_no_penalty_and_rows_of_weight_zero(species, n_chunks):
    X, y, weight = species
    rng = np.random.default_rng(2)
    noisy = rng.permutation(y)
    weight = np.where(np.arange(len(y)) % 5 == 0, 0.0, weight)
    given = da.from_array(X, chunks=(-(-len(y) // n_chunks), 4))
    model = fitted(given, noisy, weight, Cs=[np.inf, 1.0], cv=sk.KFold(3))
    paths, scores = oracle(X, noisy, weight, cv=sk.KFold(3), C=[np.inf, 1.0])
    np.testing.assert_allclose(model.coefs_paths_[:, 0], paths, atol=1e-5)
    np.testing.assert_allclose(model.scores_[:, 0], scores, rtol=1e-6)


@pytest.mark.parametrize("n_species", [2, slow(3)])
def test_shares_of_l1_zero_the_same_coefficients_as_scikit_learn(n_species):
    X, y, weight = mixed(n_species)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    Cs, shares = [0.05, 0.5], [0.0, 0.5, 1.0]
    model = fitted(as_dask(X), y, weight, Cs=Cs, l1_ratios=shares)
    assert model.scores_.shape == (3, 3, 2) and "3 shares of L1" in str(model.explain())
    assert "in the same passes" in str(model.explain())
    scorer = get_scorer("neg_log_loss")
    for k, (train, test) in enumerate(CV.split(X, y)):
        for i, share in enumerate(shares[1:], start=1):
            for j, C in enumerate(Cs):
                want = theirs.LogisticRegression(
                    C=C, l1_ratio=share, solver="saga", tol=1e-12, max_iter=100_000
                )
                if "l1_ratio" in want.get_params() and want.penalty == "l2":
                    want.set_params(penalty="elasticnet")  # as releases before 1.8 want it
                want.fit(X[train], y[train], weight[train])
                found = model.coefs_paths_[k, i, j, :, :-1]
                np.testing.assert_array_equal(found != 0, want.coef_ != 0)
                np.testing.assert_allclose(found, want.coef_, atol=1e-6)
                assert model.scores_[k, i, j] == pytest.approx(
                    scorer(want, X[test], y[test]), rel=1e-6
                )
    i, j = np.unravel_index(model.scores_.mean(axis=0).argmax(), (3, 2))
    assert (model.l1_ratio_, model.C_) == (shares[i], Cs[j])


@pytest.mark.parametrize("l1_ratios", [[], [1.5], [np.nan], [[0.0]], 0.5])
def test_bad_shares_are_named(species, l1_ratios):
    X, y, _ = species
    with pytest.raises(ValueError, match="l1_ratios"):
        fitted(X, y, l1_ratios=l1_ratios)


@settings(max_examples=5, deadline=None)
@given(n_bytes=st.integers(600, 5000), seed=st.integers(0, 20))
def test_any_cuts_of_the_rows_are_the_same_models(n_bytes, seed):
    X, y, weight = mixed(3)
    order = np.random.default_rng(seed).permutation(len(y))
    X, y, weight = X[order], y[order], weight[order]
    whole = fitted(X, y, weight, Cs=[0.1, 1.0])
    with dask.config.set({"daskml-exec.partition-bytes": n_bytes}):
        cut = fitted(X, y, weight, Cs=[0.1, 1.0])
    np.testing.assert_allclose(cut.coefs_paths_, whole.coefs_paths_, atol=1e-7)
    np.testing.assert_allclose(cut.scores_, whole.scores_, rtol=1e-8)
