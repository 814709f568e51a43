"""Content-based recommendations: fits on every kind of input, lists, new items and users."""

import pickle

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV

from daskml_exec import open_model, save
from daskml_exec.kernels.user_models import models, stacked
from daskml_exec.kernels.user_models.newton import Limits
from daskml_exec.recommendation import (
    ContentRecommender,
    _content_lists,
    _user_models,
    ranking_scores,
)
from tests.recommendation.content_examples import (
    FEATURES,
    ITEMS,
    MATRIX,
    N_ITEMS,
    OLD,
    RATINGS,
    RNG,
    SHUFFLED,
    USERS,
    D,
)


@pytest.fixture(scope="module")
def model():
    return ContentRecommender(alpha=0.5).fit(RATINGS, FEATURES)


@pytest.fixture(scope="module")
def classifier():
    return ContentRecommender("log", alpha=0.5).fit(RATINGS, FEATURES)


def rows_of(user, ratings=RATINGS):
    mine = ratings[ratings.user == user]
    return FEATURES.loc[mine.item].to_numpy(), mine.rating.to_numpy()


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_predictions_are_those_of_ridge(fit_intercept):
    model = ContentRecommender(alpha=0.5, fit_intercept=fit_intercept).fit(RATINGS, FEATURES)
    for user in USERS[::9]:
        ridge = Ridge(alpha=0.5, fit_intercept=fit_intercept).fit(*rows_of(user))
        found = model.predict(([user] * len(ITEMS), ITEMS))
        assert_allclose(found, ridge.predict(FEATURES.to_numpy()), rtol=1e-9, atol=1e-9)


def test_predictions_are_probabilities_of_logistic_regression(classifier):
    n_compared = 0
    for user in USERS[::9]:
        X, rating = rows_of(user)
        if len(set(rating > 0)) == 2:
            logistic = LogisticRegression(C=2.0, solver="newton-cholesky", tol=1e-12)
            expected = logistic.fit(X, rating > 0).predict_proba(FEATURES.to_numpy())[:, 1]
            found = classifier.predict(([user] * len(ITEMS), ITEMS))
            assert_allclose(found, expected, rtol=1e-6)
            n_compared += 1
    assert n_compared > 5


def test_frames_of_sparse_columns_make_sparse_matrices():
    rows = sp.csr_array(np.round(FEATURES.to_numpy()))
    features = pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(rows), ITEMS, FEATURES.columns)
    found = ContentRecommender().fit(RATINGS, features)
    assert sp.issparse(found.item_features_)
    expected = ContentRecommender().fit(RATINGS, pd.DataFrame(rows.toarray(), ITEMS))
    assert_allclose(found.dual_coef_.data, expected.dual_coef_.data, rtol=1e-9, atol=1e-11)
    assert_array_equal(found.feature_names_in_, FEATURES.columns)


def test_arrays_follow_the_sorted_items_of_interactions():
    found = ContentRecommender().fit(SHUFFLED, OLD.to_numpy())
    expected = ContentRecommender().fit(RATINGS, OLD)
    assert_array_equal(found.items_, ITEMS[:N_ITEMS])
    assert_array_equal(found.dual_coef_.toarray(), expected.dual_coef_.toarray())
    assert not hasattr(found, "feature_names_in_")
    assert_array_equal(expected.feature_names_in_, list(OLD.columns))


def best(model, user, n, seen=(), items=ITEMS, features=FEATURES):
    """Return what a list should be, by the predictions."""
    items = [item for item in items if item not in seen]
    scores = features.loc[items].to_numpy() @ coef_of(model, user)
    order = np.argsort(-scores, kind="stable")[:n]
    return [items[place] for place in order]


def coef_of(model, user):
    (row,) = np.flatnonzero(model.users_ == user)
    return model.item_features_.T @ model.dual_coef_[[row]].toarray()[0]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("loss", ["squared", "log"])
def test_lists_are_the_best_of_what_is_unseen(loss, sparse):
    features = FEATURES
    if sparse:
        features = pd.DataFrame(np.round(np.abs(FEATURES)), ITEMS, FEATURES.columns)
    model = ContentRecommender(loss).fit(RATINGS, features)
    if sparse:
        model.item_features_ = sp.csr_array(model.item_features_)
    asked = [USERS[7], USERS[3], USERS[50]]
    lists = model.recommend(asked, n=5)
    assert list(lists.columns) == ["user", "item", "score"]
    assert list(lists.user) == [user for user in asked for _ in range(5)]
    assert_allclose(lists.score, model.predict(lists), rtol=1e-12)
    for user in asked:
        of_user = lists[lists.user == user]
        assert (np.diff(of_user.score) <= 0).all()
        seen = set(RATINGS.item[RATINGS.user == user])
        assert not seen & set(of_user.item)
        if np.isfinite(model.intercept_[model.users_ == user][0]):
            assert list(of_user.item) == best(model, user, 5, seen, features=features)


def test_all_users_by_default(model, monkeypatch):
    monkeypatch.setattr(_content_lists, "_SLAB", 7)
    monkeypatch.setattr(_content_lists, "_USERS_A_PIECE", 20)
    lists = model.recommend(n=3)
    assert isinstance(lists, dd.DataFrame) and lists.npartitions == 5
    lists = lists.compute().reset_index(drop=True)
    assert list(lists.user) == [user for user in USERS for _ in range(3)]
    pd.testing.assert_frame_equal(lists.reset_index(drop=True), model.recommend(USERS, n=3))


def test_candidates_and_what_is_excluded(model):
    user, some = USERS[4], [ITEMS[30], ITEMS[2], ITEMS[41], ITEMS[11]]
    found = model.recommend([user], n=10, candidates=some, exclude_seen=False)
    assert list(found.item) == best(model, user, 10, items=sorted(some))
    left = model.recommend(
        [user], candidates=some, exclude=[ITEMS[41], "no item"], exclude_seen=False
    )
    assert list(left.item) == [item for item in found.item if item != ITEMS[41]]
    with pytest.raises(ValueError, match="1 ids that have seen all 0 items"):
        model.recommend([user], exclude=ITEMS)


def test_of_equal_scores_the_lower_item_comes_first():
    features = pd.DataFrame({"f": [1.0, 0.0, 1.0, 1.0]}, index=[40, 7, 9, 12])
    ratings = pd.DataFrame({"user": [1, 1], "item": [7, 40], "rating": [0.0, 1.0]})
    found = ContentRecommender().fit(ratings, features).recommend([1], exclude_seen=False)
    assert found.item.tolist() == [9, 12, 40, 7]


def test_who_has_all_items_gets_none(model):
    everything = pd.DataFrame({"user": "all", "item": ITEMS, "rating": np.arange(len(ITEMS))})
    few = everything.assign(user="few").iloc[2:]
    both = pd.concat([RATINGS, everything, few])
    model = ContentRecommender().fit(both, FEATURES)
    found = model.recommend(["few", USERS[0]], n=4)
    assert found.user.tolist() == ["few"] * 2 + [USERS[0]] * 4
    assert set(found.item[:2]) == set(ITEMS[:2])
    assert set(model.recommend(n=1).compute().user) == {"few", *USERS}
    with pytest.raises(ValueError, match=r"1 ids that have seen all 46 items.*: 'all'"):
        model.recommend(["all", "few", USERS[0]])


def test_new_items_are_scored_from_their_features(model):
    user = USERS[8]
    new = pd.DataFrame(RNG.standard_normal((7, D)), [f"new {i}" for i in range(7)], OLD.columns)
    found = model.recommend([user], n=3, item_features=new)
    ridge = Ridge(alpha=0.5).fit(*rows_of(user))
    expected = pd.Series(ridge.predict(new.to_numpy()), new.index).nlargest(3)
    assert_array_equal(found.item, expected.index)
    assert_allclose(found.score, expected, rtol=1e-9)
    assert_allclose(model.predict(found, item_features=new), found.score, rtol=1e-12)
    # Rows without an index follow the candidates, in whatever order.
    backwards = model.recommend(
        [user], n=3, item_features=new.to_numpy()[::-1], candidates=list(new.index[::-1])
    )
    pd.testing.assert_frame_equal(backwards, found)
    # What is seen is known by its id, whatever its features now.
    mine = list(RATINGS.item[RATINGS.user == user])
    again = model.recommend([user], item_features=OLD + 1.0, candidates=[*mine, ITEMS[0]])
    assert set(again.item) == {ITEMS[0]} - set(mine)


def test_new_users_have_models_from_their_interactions(model):
    new = pd.DataFrame({"user": "new", "item": ITEMS[:6], "rating": [1.0, 2, 3, 1, 2, 3]})
    found = model.recommend(["new", USERS[2]], n=4, interactions=new)
    ridge = Ridge(alpha=0.5).fit(FEATURES.loc[ITEMS[:6]], new.rating)
    unseen = FEATURES.iloc[6:]
    expected = pd.Series(ridge.predict(unseen), unseen.index).nlargest(4)
    assert_array_equal(found.item[:4], expected.index)
    assert_allclose(found.score[:4], expected, rtol=1e-9)
    # Known ones keep their models, and what they have seen is what is given.
    known = model.recommend([USERS[2]], n=4, exclude_seen=False)
    assert_array_equal(found[4:], known)
    assert set(model.recommend(interactions=new).user) == {"new"}
    with pytest.warns(
        UserWarning, match="1 row of items that the model does not know \\('nothing'\\)"
    ):
        left = model.recommend(interactions=pd.concat([new, new[:1].assign(item="nothing")]))
    pd.testing.assert_frame_equal(left, model.recommend(interactions=new))


def test_users_with_one_class_have_a_constant(classifier):
    likes = pd.DataFrame({"user": "fan", "item": ITEMS[:3], "rating": 1.0})
    dislikes = likes.assign(user="critic", rating=[0.0, -1.0, 0.0])
    model = ContentRecommender("log").fit(pd.concat([RATINGS, likes, dislikes]), FEATURES)
    assert_array_equal(model.predict((["fan", "critic"], ITEMS[[9, 9]])), [1.0, 0.0])
    found = model.recommend(["fan", "critic"], n=2)
    assert_array_equal(found.item, [*ITEMS[3:5], *ITEMS[3:5]])
    assert_array_equal(found.score, [1.0, 1.0, 0.0, 0.0])


def test_only_one_class_is_warned_of():
    with pytest.warns(UserWarning, match="ratings of one class alone"):
        ContentRecommender("log", rating=None).fit(RATINGS[["user", "item"]], FEATURES)


@pytest.mark.parametrize("few", [10**6, 1], ids=["stacked", "compiled"])
def test_what_does_not_converge_is_warned_of(few, monkeypatch):
    monkeypatch.setattr(_user_models, "_FEW", few)
    monkeypatch.setattr(models, "LIMITS", Limits(most_steps=1))
    monkeypatch.setattr(stacked, "LIMITS", Limits(most_steps=1))
    with pytest.warns(ConvergenceWarning, match="of 90 users have not converged"):
        ContentRecommender("log").fit(RATINGS, FEATURES)


def test_a_search_over_interactions():
    search = GridSearchCV(ContentRecommender(), {"alpha": [0.1, 1.0, 1e6]}, cv=3)
    search.fit(SHUFFLED, item_features=FEATURES)
    assert search.best_params_["alpha"] > 0.1
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_users_without_items_have_no_list():
    empty = MATRIX.tolil()
    empty[5] = 0
    model = ContentRecommender().fit(sp.csr_array(empty), OLD.to_numpy())
    assert np.isnan(model.intercept_[5])
    assert model.recommend([5]).empty
    assert list(model.recommend([6, 5, 4], n=1).user) == [6, 4]
    assert np.isnan(model.predict(([5], [0]))).all()


def test_the_last_rating_of_a_pair_counts(model):
    changed = RATINGS.assign(rating=9.0)
    found = ContentRecommender(alpha=0.5).fit(pd.concat([changed, RATINGS]), FEATURES)
    assert_array_equal(found.dual_coef_.data, model.dual_coef_.data)


def test_score(model, classifier):
    residual = model.predict(RATINGS) - RATINGS.rating
    assert model.score(RATINGS) == pytest.approx(-np.sqrt(np.mean(residual**2)))
    right = (classifier.predict(RATINGS) >= 0.5) == (RATINGS.rating > 0)
    assert classifier.score(RATINGS) == right.mean() > 0.7
    odd = pd.concat([RATINGS, pd.DataFrame({"user": "x", "item": ITEMS[:2], "rating": 1.0})])
    for each in (model, classifier):
        assert each.score(odd) == each.score(RATINGS)
        with pytest.raises(ValueError, match="interactions has 2 rows, of which 2"):
            each.score(odd[-2:])


def test_what_is_unknown_is_nan_and_said_once(model):
    pairs = (["nobody", USERS[0], USERS[0]], [ITEMS[0], "nothing", ITEMS[0]])
    with pytest.warns(UserWarning, match="1 rows of users and 1 of items") as told:
        found = model.predict(pairs)
    assert len(told) == 1
    assert_array_equal(np.isnan(found), [True, True, False])


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_features_of_other_types(dtype):
    features = np.round(OLD.to_numpy()).astype(dtype)
    found = ContentRecommender().fit(MATRIX, features)
    expected = ContentRecommender().fit(MATRIX, features.astype(np.float64))
    assert_array_equal(found.dual_coef_.data, expected.dual_coef_.data)
    pd.testing.assert_frame_equal(found.recommend([3], n=2), expected.recommend([3], n=2))


@pytest.mark.parametrize("sparse", [False, True])
def test_saved_and_opened(tmp_path, classifier, sparse):
    features = OLD.to_numpy()
    model = classifier
    if sparse:
        model = ContentRecommender().fit(MATRIX, sp.csr_array(features))
    save(model, str(tmp_path / "model"))
    for opened in (open_model(str(tmp_path / "model")), pickle.loads(pickle.dumps(model))):
        assert opened.get_params() == model.get_params()
        pd.testing.assert_frame_equal(
            opened.recommend(model.users_, n=4), model.recommend(model.users_, n=4)
        )
        assert opened.history_ == model.history_


BAD_FITS = {
    "alpha": ({"alpha": 0.0}, RATINGS, FEATURES, "'alpha'"),
    "alpha is NaN": ({"alpha": np.nan}, RATINGS, FEATURES, "'alpha'"),
    "loss": ({"loss": "hinge"}, RATINGS, FEATURES, "'loss'"),
    "NaN ratings": ({}, RATINGS.assign(rating=np.nan), FEATURES, "'rating'.*missing or not fin"),
    "NaN features": ({}, RATINGS, FEATURES.replace(FEATURES.iloc[3, 2], np.nan), "nan in column 2"),
    "another number": (
        {},
        RATINGS,
        FEATURES.to_numpy(),
        "another number of items: it has 46 .* 40",
    ),
    "transposed": ({}, MATRIX.T, OLD.to_numpy(), "it has 40 rows, and there are 90"),
    "missing": ({}, RATINGS, OLD.iloc[1:], "1 items of interactions have no features: 'item 00'"),
    "numbered": ({}, RATINGS, OLD.reset_index(drop=True), "40 items of interactions have no feat"),
    "twice": ({}, RATINGS, pd.concat([OLD, OLD[:1]]), "several rows for 'item 00'"),
    "no columns": ({}, RATINGS, OLD[[]], r"shape \(40, 0\)"),
    "texts": ({}, RATINGS, OLD.assign(f1="a"), "item_features has what is no number"),
    "none": ({}, RATINGS, None, "item_features is of NoneType"),
    "a collection": ({}, RATINGS, dd.from_pandas(OLD, npartitions=2), "item_features.compute"),
    "infinite sparse": ({}, MATRIX, sp.csr_array(OLD) * np.inf, "inf in column"),
    "no ratings": ({}, RATINGS[:0], FEATURES, "no rows"),
}


@pytest.mark.parametrize("name", BAD_FITS)
def test_what_cannot_be_fitted_is_named_and_changes_nothing(name):
    parameters, interactions, features, message = BAD_FITS[name]
    model = ContentRecommender(**parameters)
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(interactions, features)
    assert vars(model) == vars(ContentRecommender(**parameters))


BAD_CALLS = {
    "unknown users": (
        {"users": ["nobody", USERS[0]]},
        "1 ids that the model.*'nobody'; .*interactions=",
    ),
    "unknown users of both": (
        {"users": ["nobody"], "interactions": RATINGS[:2]},
        "1 ids that are neither .*: 'nobody'",
    ),
    "one user": ({"users": USERS[0]}, "users='user 00'; allowed is a list"),
    "n": ({"n": 0}, "n=0; allowed"),
    "candidates": ({"candidates": ["nothing"]}, "candidates has 'nothing'"),
    "columns": ({"item_features": OLD.iloc[:, :3]}, "3 columns, and the model was fitted with 5"),
    "names": ({"item_features": OLD.rename(columns={"f1": "x"})}, "other columns .*: 'x'"),
    "rows": ({"item_features": OLD.to_numpy()}, "40 rows, and there are 46 items of the model"),
    "of candidates": (
        {"item_features": OLD.to_numpy(), "candidates": list(ITEMS[:2])},
        "40 rows, and there are 2 candidates",
    ),
    "a matrix of others": ({"interactions": MATRIX}, "90 rows and 40 columns, and the model has"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_what_cannot_be_recommended_is_named(name, model):
    arguments, message = BAD_CALLS[name]
    with pytest.raises((TypeError, ValueError), match=message):
        model.recommend(**arguments)


def test_ranking_scores(model):
    train, test = RATINGS[::2], RATINGS[1::2]
    found = ranking_scores(ContentRecommender().fit(train, FEATURES), train, test)
    assert 0 < found.ndcg < 1


def test_what_is_given_stays_as_it_is():
    features = sp.csr_matrix(np.round(OLD.to_numpy()))
    twice = sp.csr_matrix(
        (np.repeat(features.data, 2) / 2, np.repeat(features.indices, 2), 2 * features.indptr),
        shape=features.shape,
    )
    for array in (twice.data, twice.indices, twice.indptr):
        array.flags.writeable = False
    found = ContentRecommender().fit(MATRIX, twice)
    assert twice.nnz == 2 * features.nnz
    expected = ContentRecommender().fit(MATRIX, features)
    assert_allclose(found.dual_coef_.data, expected.dual_coef_.data, rtol=1e-12)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        ContentRecommender().recommend()
    assert clone(ContentRecommender(alpha=3.0)).alpha == 3.0
