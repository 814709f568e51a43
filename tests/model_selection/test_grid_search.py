"""GridSearchCV against scikit-learn's, on the same folds: in memory, and on a cluster."""

import warnings

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import loguniform
from sklearn import linear_model as sklinear
from sklearn import model_selection as sk
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler as SklearnScaler

from daskml_exec import Executor
from daskml_exec.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
)
from daskml_exec.metrics import get_scorer
from daskml_exec.model_selection import GridSearchCV, KFold, RandomizedSearchCV, StratifiedKFold
from daskml_exec.preprocessing import StandardScaler
from daskml_exec.training import FitWarning, load
from daskml_exec.training.folds import BatchResult

RNG = np.random.default_rng(0)
X, CODES = load_iris(return_X_y=True)
ORDER = RNG.permutation(len(X))
X, CODES = X[ORDER], CODES[ORDER]
SPECIES = np.array(["setosa", "versicolor", "virginica"])[CODES]
WEIGHT = RNG.exponential(size=len(X))
D, Z = load_diabetes(return_X_y=True)
COUNTS = RNG.poisson(np.exp(5 * D[:, 2]))
EXACT = sklinear.LogisticRegression(solver="newton-cholesky", tol=1e-12)
C = {"C": [0.01, 1.0]}


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def require_same(ours, theirs, atol=1e-9):
    assert set(ours.cv_results_) == {*theirs.cv_results_, "batch"}
    for key, values in theirs.cv_results_.items():
        if "time" in key:
            assert ours.cv_results_[key].shape == values.shape
        elif key == "params":
            assert ours.cv_results_[key] == values
        elif key.startswith("param_"):
            assert ours.cv_results_[key].dtype == values.dtype
            np.testing.assert_array_equal(ours.cv_results_[key], values)
        elif key.startswith("rank_"):
            means = np.sort(theirs.cv_results_[key.replace("rank", "mean")])
            if (np.diff(means) > atol).all():  # else rounding ranks
                assert ours.cv_results_[key].tolist() == values.tolist()
        else:
            np.testing.assert_allclose(ours.cv_results_[key], values, atol=atol, err_msg=key)
    assert ours.best_index_ == theirs.best_index_
    assert ours.best_params_ == theirs.best_params_
    assert ours.n_splits_ == theirs.n_splits_
    assert ours.multimetric_ == theirs.multimetric_
    np.testing.assert_allclose(ours.best_score_, theirs.best_score_, atol=atol)


def both(ours, theirs, grid, X, y, *, given=None, weight=None, **options):
    weights = {} if weight is None else {"sample_weight": weight}
    theirs = sk.GridSearchCV(theirs, grid, **options).fit(X, y, **weights)
    ours = GridSearchCV(ours, grid, **options).fit(*(given or (X, y)), **weights)
    require_same(ours, theirs)
    return ours, theirs


scores_by_weight = pytest.mark.skipif(
    not hasattr(sk.GridSearchCV, "_check_scorers_accept_sample_weight"),
    reason="scikit-learn's searches score without weights before 1.9",
)


@pytest.mark.parametrize(
    "weight", [None, pytest.param(WEIGHT, marks=scores_by_weight)], ids=["plain", "weighted"]
)
def test_classes_in_memory(weight):
    grid = {"C": [0.1, 10.0], "class_weight": [None, "balanced"]}
    ours, theirs = both(
        LogisticRegression(tol=1e-11),
        EXACT,
        grid,
        X,
        SPECIES,
        weight=weight,
        scoring=["accuracy", "neg_log_loss", "f1_macro", "roc_auc_ovr"],
        refit="neg_log_loss",
        return_train_score=True,
    )
    np.testing.assert_allclose(ours.best_estimator_.coef_, theirs.best_estimator_.coef_, atol=1e-6)
    assert (ours.predict(X) == theirs.predict(X)).all()
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(ours.score(X, SPECIES), theirs.score(X, SPECIES), atol=1e-9)
    assert ours.n_features_in_ == 4
    assert ours.classes_.tolist() == theirs.classes_.tolist()
    assert len(ours.history_) > 0


@pytest.mark.parametrize(
    ("ours", "theirs", "grid", "y"),
    [
        (Ridge(), sklinear.Ridge(solver="svd"), {"alpha": [0.01, 1.0]}, Z),
        (LinearRegression(), sklinear.LinearRegression(), {"fit_intercept": [True, False]}, Z),
        (
            PoissonRegressor(tol=1e-12),
            sklinear.PoissonRegressor(solver="newton-cholesky", tol=1e-12),
            {"alpha": [0.1, 1.0]},
            COUNTS,
        ),
    ],
    ids=["ridge", "least-squares", "poisson"],
)
def test_numbers_in_memory(ours, theirs, grid, y):
    both(ours, theirs, grid, D, y, cv=3)


@pytest.mark.parametrize(
    "cv",
    [
        sk.ShuffleSplit(3, random_state=0),
        sk.TimeSeriesSplit(3),
        sk.RepeatedKFold(n_splits=2, n_repeats=2, random_state=0),
        [(np.arange(300), np.arange(200, 442)), (np.arange(100, 442), np.arange(100))],
        sk.PredefinedSplit(np.arange(442) % 3 - 1),
    ],
    ids=["shuffle", "time", "repeated", "overlapping", "predefined"],
)
@pytest.mark.parametrize("on_cluster", [False, True], ids=["memory", "cluster"])
def test_pairs_of_any_kind(cv, on_cluster, request):
    given = None
    if on_cluster:
        request.getfixturevalue("executor")
        given = da.from_array(D, chunks=(150, -1)), da.from_array(Z, chunks=100)
    both(Ridge(), sklinear.Ridge(solver="svd"), {"alpha": [0.01, 1.0]}, D, Z, given=given, cv=cv)


def test_classes_on_a_cluster(executor):
    given = da.from_array(X, chunks=(40, -1)), da.from_array(SPECIES, chunks=70)
    grid = {"C": [0.1, 10.0], "class_weight": [None, {"setosa": 3.0}]}
    options = {"scoring": ["accuracy", "neg_log_loss"], "refit": "accuracy"}
    ours, _ = both(LogisticRegression(tol=1e-11), EXACT, grid, X, SPECIES, given=given, **options)
    assert (ours.predict(given[0]).compute() == ours.predict(X)).all()


def test_a_data_is_searched_where_it_is(executor):
    theirs = sk.GridSearchCV(EXACT, C, cv=sk.KFold(4), scoring="neg_log_loss").fit(X, SPECIES)
    search = GridSearchCV(LogisticRegression(tol=1e-11), C, cv=KFold(4), scoring="neg_log_loss")
    with load(da.from_array(X, chunks=(40, -1)), SPECIES, target="labels") as data:
        before = list(data.partitions.futures)
        require_same(search.fit(data), theirs)
        assert [each.key for each in data.partitions.futures] == [each.key for each in before]
        assert all(each.status == "finished" for each in before)
        np.testing.assert_allclose(search.score(data), theirs.score(X, SPECIES), atol=1e-9)


def test_a_restart_loads_the_data_again(executor):
    theirs = sk.GridSearchCV(EXACT, C, cv=3).fit(X, SPECIES)

    class Restarts:
        times = 0

        def __call__(self, event):
            if not Restarts.times:
                Restarts.times += 1
                executor.client.restart()

    search = GridSearchCV(LogisticRegression(tol=1e-12, callbacks=[Restarts()]), C, cv=3)
    with load(X, SPECIES, target="labels") as data:
        require_same(search.fit(data), theirs)
    assert Restarts.times == 1


@settings(max_examples=5)
@given(cuts=st.lists(st.integers(1, 149), unique=True, max_size=4), stratified=st.booleans())
def test_any_chunks_give_the_same(executor, cuts, stratified):
    chunks = tuple(np.diff([0, *sorted(cuts), 150]).tolist())
    cv = (StratifiedKFold if stratified else KFold)(3)
    search = GridSearchCV(LogisticRegression(tol=1e-11), {"C": [1.0]}, cv=cv)
    whole = search.fit(X, CODES).cv_results_["mean_test_score"]
    cut = search.fit(da.from_array(X, chunks=(chunks, -1)), CODES).cv_results_["mean_test_score"]
    np.testing.assert_allclose(cut, whole, atol=1e-12)


@pytest.mark.parametrize("on_cluster", [False, True], ids=["memory", "cluster"])
def test_a_pipeline_learns_its_scales_from_training_rows(on_cluster, request):
    given = None
    if on_cluster:
        request.getfixturevalue("executor")
        given = da.from_array(X, chunks=(40, -1)), da.from_array(SPECIES, chunks=70)
    both(
        make_pipeline(StandardScaler(), LogisticRegression(tol=1e-11)),
        make_pipeline(SklearnScaler(), EXACT),
        {"logisticregression__C": [0.1, 10.0]},
        X,
        SPECIES,
        given=given,
        scoring="neg_log_loss",
        return_train_score=True,
        cv=2,
    )


@pytest.mark.parametrize("on_cluster", [False, True], ids=["memory", "cluster"])
def test_sparse_rows(on_cluster, request):
    rows = sp.csr_matrix(np.where(X > 2.0, X, 0.0))
    given = None
    if on_cluster:
        request.getfixturevalue("executor")
        given = da.from_array(rows.toarray(), chunks=(40, -1)).map_blocks(sp.csr_matrix), SPECIES
    theirs = sklinear.LogisticRegression(solver="newton-cg", tol=1e-12, max_iter=1000)
    both(LogisticRegression(), theirs, C, rows, SPECIES, given=given, scoring="roc_auc_ovr", cv=3)


def test_columns_that_are_constant_in_one_training_fold():
    rows = D.copy()
    rows[100:, 0] = 0.0  # varies in the first fold alone
    ours = make_pipeline(StandardScaler(), Ridge())
    theirs = make_pipeline(SklearnScaler(), sklinear.Ridge(solver="svd"))
    both(ours, theirs, {"ridge__alpha": [1.0]}, rows, Z, cv=4)


def test_an_estimator_that_folds_by_itself_gets_the_rows():
    ours = GridSearchCV(LogisticRegressionCV(Cs=[0.1, 1.0], cv=3), {"fit_intercept": [True]}, cv=2)
    theirs = LogisticRegressionCV(Cs=[0.1, 1.0], cv=3)
    wanted = sk.cross_val_score(theirs, X, SPECIES, cv=2)
    found = ours.fit(X, SPECIES).cv_results_
    np.testing.assert_allclose(
        [found["split0_test_score"][0], found["split1_test_score"][0]], wanted
    )


def test_functions_score(executor):
    def share(model, X, y):
        return float((model.predict(X) == y).mean())

    def by_weight(model, X, y, sample_weight=None):
        return float(np.average(model.predict(X) == y, weights=sample_weight))

    def two(model, X, y):
        return {"a": share(model, X, y), "b": -share(model, X, y)}

    both(LogisticRegression(tol=1e-11), EXACT, C, X, SPECIES, scoring=share)
    if hasattr(sk.GridSearchCV, "_check_scorers_accept_sample_weight"):
        model = LogisticRegression(tol=1e-11)
        both(model, EXACT, C, X, SPECIES, scoring=by_weight, weight=WEIGHT)
    both(LogisticRegression(tol=1e-11), EXACT, C, X, SPECIES, scoring=two, refit="a")
    given = da.from_array(X, chunks=(50, -1)), da.from_array(SPECIES, chunks=50)
    search = GridSearchCV(LogisticRegression(), C, scoring=get_scorer("accuracy"), cv=3)
    np.testing.assert_allclose(
        search.fit(*given).cv_results_["mean_test_score"],
        sk.GridSearchCV(EXACT, C, cv=3).fit(X, SPECIES).cv_results_["mean_test_score"],
    )
    with (
        load(*given, target="labels") as data,
        pytest.raises(TypeError, match="without scoring functions"),
    ):
        search.fit(data)


def test_what_is_drawn_is_scikit_learns():
    drawn = {"C": loguniform(1e-3, 1e1), "fit_intercept": [True, False]}
    theirs = sk.RandomizedSearchCV(EXACT, drawn, n_iter=4, cv=3, random_state=1).fit(X, SPECIES)
    ours = RandomizedSearchCV(LogisticRegression(), drawn, n_iter=4, cv=3, random_state=1).fit(
        X, SPECIES
    )
    require_same(ours, theirs)
    assert isinstance(ours.to_sklearn(), sk.RandomizedSearchCV)


def test_the_simplest_within_one_standard_error():
    Cs = np.logspace(-4, 2, 7)
    search = GridSearchCV(LogisticRegression(), {"C": Cs}, scoring="neg_log_loss", refit="1se")
    search.fit(X[:, :2], SPECIES)
    scores = np.array([search.cv_results_[f"split{k}_test_score"] for k in range(5)])
    best = scores.mean(axis=0).argmax()
    error = scores[:, best].std(ddof=1) / np.sqrt(5)
    within = scores.mean(axis=0) >= scores.mean(axis=0)[best] - error
    assert search.best_index_ == np.flatnonzero(within)[0] < best


def test_a_callable_chooses():
    search = GridSearchCV(LogisticRegression(), C, refit=lambda results: len(results["params"]) - 1)
    assert search.fit(X, SPECIES).best_params_ == {"C": 1.0}
    assert not hasattr(search, "best_score_")
    with pytest.raises(IndexError, match="refit returned 2"):
        search.set_params(refit=lambda results: 2).fit(X, SPECIES)
    with pytest.raises(TypeError, match="allowed is an integer"):
        search.set_params(refit=lambda results: None).fit(X, SPECIES)


def test_as_scikit_learns_own():
    ours, _ = both(LogisticRegression(tol=1e-11), EXACT, C, X, SPECIES)
    made = ours.to_sklearn()
    assert type(made) is sk.GridSearchCV
    assert type(made.best_estimator_) is sklinear.LogisticRegression
    assert (made.predict(X) == ours.predict(X)).all()
    assert made.score(X, SPECIES) == pytest.approx(ours.score(X, SPECIES))


class Batches(LogisticRegression):
    """Fits those candidates in a batch that have C alone; their scores are C + fold."""

    calls = 0

    def _search_batches(self, candidates):
        return [[at for at, each in enumerate(candidates) if list(each) == ["C"]]]

    def _fit_batch(self, candidates, data, n_folds, scorings, *, weighted):
        type(self).calls += 1
        if any(each["C"] == 13.0 for each in candidates):
            raise FloatingPointError("thirteen")
        assert [each.name for each in scorings] == ["accuracy"]
        assert sum(data.rows) == 150
        scores = np.array([[[each["C"] + k for k in range(n_folds)] for each in candidates]])
        warning = FitWarning("toy", "of a batch")
        return BatchResult(scores, np.ones(scores.shape[1:], int), 2.0, (warning,), start="here")

    def _refit_from(self, start, data):
        self.started = start
        return self.fit(data)


def test_candidates_that_share_passes():
    Batches.calls = 0
    grid = [{"C": [1.0, 2.0, 1.0]}, {"tol": [1e-3]}]
    search = GridSearchCV(Batches(), grid, cv=4)
    assert search.explain().groups == ((0, 1),)
    assert search.explain().alone == (3,)
    with pytest.warns(UserWarning, match="of a batch"):
        search.fit(X, CODES)
    assert Batches.calls == 1
    found = search.cv_results_
    np.testing.assert_allclose(found["mean_test_score"][:3], [2.5, 3.5, 2.5])
    assert found["mean_test_score"][3] <= 1
    assert found["batch"].tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(found["mean_fit_time"][:3], 2.0 / 8)
    assert search.best_params_ == {"C": 2.0}
    assert search.best_estimator_.started == "here"
    assert "0 to 1: in the same passes" in str(search.explain())


def test_a_batch_that_fails_leaves_the_others():
    search = GridSearchCV(Batches(), [{"C": [1.0, 13.0]}, {"tol": [1e-3]}], cv=4)
    with pytest.warns(FitFailedWarning, match="FloatingPointError: thirteen"):
        search.fit(X, CODES)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [True, True, False]
    with pytest.raises(FloatingPointError, match="thirteen"):
        search.set_params(error_score="raise").fit(X, CODES)


def test_what_fails_leaves_the_bits_of_the_others():
    clean = GridSearchCV(LogisticRegression(), C).fit(X, CODES).cv_results_["mean_test_score"]
    search = GridSearchCV(LogisticRegression(), {"C": [0.01, -1.0, 1.0]})
    with pytest.warns(FitFailedWarning, match=r"candidate 1 \(C=-1.0\) in split 0"):
        search.fit(X, CODES)
    found = search.cv_results_["mean_test_score"]
    assert (found[[0, 2]] == clean).all()
    assert np.isnan(found[1])
    assert search.cv_results_["rank_test_score"][1] == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (
            search.set_params(error_score=-2.0).fit(X, CODES).cv_results_["mean_test_score"][1]
            == -2
        )
    with pytest.raises(ValueError, match="C"):
        search.set_params(error_score="raise").fit(X, CODES)
    with pytest.raises(ValueError, match="All the 5 fits failed; the first, candidate 0"):
        GridSearchCV(LogisticRegression(), {"C": [-1.0]}).fit(X, CODES)


def test_a_score_that_fails_is_named():
    with pytest.warns(UserWarning, match="the score of candidate 0"):
        found = GridSearchCV(LogisticRegression(), {"C": [1.0]}, scoring="precision").fit(
            X, SPECIES
        )
    assert np.isnan(found.cv_results_["mean_test_score"]).all()


def test_without_a_refit():
    search = GridSearchCV(LogisticRegression(), C, refit=False).fit(X, SPECIES)
    assert search.best_params_ == {"C": 1.0}
    with pytest.raises(AttributeError, match="refit=False"):
        search.predict(X)
    with pytest.raises(NotFittedError):
        GridSearchCV(LogisticRegression(), C).predict(X)
    assert not hasattr(search, "transform")


@pytest.mark.parametrize(
    ("grid", "options", "message"),
    [
        ({}, {}, "no parameter"),
        ({"C": []}, {}, "C"),
        ({"c": [1.0]}, {}, "'c' is no parameter of LogisticRegression; allowed are C, callbacks"),
        (C, {"scoring": "acc"}, "scoring='acc'; allowed are accuracy"),
        (C, {"scoring": []}, "is empty"),
        (C, {"scoring": ["accuracy", "accuracy"]}, "twice"),
        (C, {"scoring": ["accuracy"]}, "refit=True with several scorings"),
        (C, {"refit": "accuracy"}, "refit='accuracy' with one scoring"),
        (C, {"error_score": "nan"}, "error_score='nan'"),
        (C, {"cv": 1}, "cv=1; allowed are an integer from 2"),
        (C, {"cv": 151}, "n_splits=151"),
        (C, {"cv": "five"}, "cv='five'"),
        (C, {"cv": []}, "has no pairs of rows"),
        (C, {"cv": [([0, 1], [150])]}, "row 150 of 150"),
        (C, {"cv": [([0, 0], [1])]}, "twice"),
        (C, {"cv": [(np.arange(150), np.arange(150))], "refit": "1se"}, "1 split"),
    ],
)
def test_arguments_are_checked(grid, options, message):
    search = GridSearchCV(LogisticRegression(), grid, **options)
    with pytest.raises((ValueError, TypeError), match=message):
        search.fit(X, CODES)
    assert not hasattr(search, "cv_results_")


def test_a_split_that_loses_a_class_is_named():
    order = np.argsort(CODES)
    with pytest.raises(ValueError, match="split 0 trains on no row of the class 'setosa'"):
        GridSearchCV(LogisticRegression(), C, cv=sk.KFold(3)).fit(X[order], SPECIES[order])


def test_rare_classes_are_warned_of_as_by_scikit_learn():
    labels = np.where(np.arange(150) < 3, "rare", np.where(np.arange(150) < 80, "a", "b"))
    with pytest.warns(UserWarning, match="The least populated class in y has only 3 members"):
        GridSearchCV(LogisticRegression(), {"C": [1.0]}).fit(X, labels)


class Alien(ClassifierMixin, BaseEstimator):
    """Knows nothing of this package."""

    def __init__(self, label=0):
        self.label = label

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.label)


def test_other_estimators(executor):
    search = GridSearchCV(Alien(), {"label": [0, 1]}).fit(X, CODES)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], 1 / 3)
    assert "one split at a time" in str(search.explain())
    both(EXACT, EXACT, C, X, CODES)
    rows = da.from_array(X, chunks=(50, -1))
    with pytest.raises(TypeError, match="cannot be fitted to rows on a cluster"):
        GridSearchCV(EXACT, C).fit(rows, CODES)
    with load(X, CODES, target="labels") as data, pytest.raises(TypeError, match="X is a Data"):
        GridSearchCV(Alien(), {"label": [0]}).fit(data)
