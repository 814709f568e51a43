"""What a fitted AlternatingLeastSquares serves: lists, similar items, fold-in, updates, pairs."""

import numpy as np
import pandas as pd
import pytest

from daskml_exec.recommendation import AlternatingLeastSquares
from tests.recommendation.oracle import random_ratings, solved
from tests.recommendation.test_als import als, triples


@pytest.fixture(scope="module")
def frame():
    R = random_ratings(np.random.default_rng(2), 80, 50, 0.2)
    return triples(R).astype({"item": str}).assign(item=lambda f: "i" + f.item.str.zfill(2))


@pytest.fixture(scope="module")
def model(frame):
    return als().fit(frame)


def best(model, user, n, without):
    scores = model.user_factors_[list(model.users_).index(user)] @ model.item_factors_.T
    order = sorted(
        (i for i in range(len(scores)) if model.items_[i] not in without),
        key=lambda i: (-scores[i], i),
    )
    return [model.items_[i] for i in order[:n]], [scores[i] for i in order[:n]]


def test_lists_are_the_best_items_that_were_not_seen(frame, model):
    users = model.users_[[5, 2, 60]]
    found = model.recommend(users, 7)
    assert found.columns.tolist() == ["user", "item", "score"]
    for user, rows in found.groupby("user", sort=False):
        seen = set(frame.item[frame.user == user])
        items, scores = best(model, user, 7, seen)
        assert rows.item.tolist() == items
        np.testing.assert_allclose(rows.score, scores, rtol=1e-12)
    assert found.user.drop_duplicates().tolist() == users.tolist()
    seen = model.recommend(users[:1], 50, exclude_seen=False)
    assert seen.item.tolist() == best(model, users[0], 50, set())[0]


def test_candidates_and_exclusions(frame, model):
    user = model.users_[0]
    some = ["i03", "i10", "i11", "i20"]
    found = model.recommend([user], candidates=some, exclude_seen=False, exclude=["i10", "none"])
    assert sorted(found.item) == ["i03", "i11", "i20"]
    with pytest.raises(ValueError, match=r"candidates has 1 items .* 'zz'"):
        model.recommend([user], candidates=["zz", "i03"])
    seen = frame.item[frame.user == user].unique()
    with pytest.raises(ValueError, match=f"all {len(seen)} items .* were seen: {user}"):
        model.recommend([user], candidates=seen)
    short = model.recommend([user], 50)
    assert len(short) == 50 - len(seen)


def test_unknown_users_and_bad_arguments(model):
    with pytest.raises(ValueError, match=r"users has 1 ids .*: 999; .*interactions="):
        model.recommend([999])
    with pytest.raises(TypeError, match="users=3; allowed is a list"):
        model.recommend(3)
    for n in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="n="):
            model.recommend([0], n)


def test_all_users_lazily(frame, model):
    lazy = model.recommend(n=4)
    assert lazy.columns.tolist() == ["user", "item", "score"]
    found = lazy.compute()
    wanted = model.recommend(model.users_, 4)
    pd.testing.assert_frame_equal(found.reset_index(drop=True), wanted)
    assert (lazy._meta.dtypes == found.dtypes).all()


def test_a_new_user_is_folded_in(frame, model):
    new = frame[frame.user == 3].assign(user=1000)
    vectors = model.transform(new)
    assert vectors.index.tolist() == [1000] and vectors.index.name == "user"
    codes = np.searchsorted(model.items_, new.item)
    dense, observed = np.zeros((1, 50)), np.zeros((1, 50), bool)
    dense[0, codes], observed[0, codes] = new.rating, True
    expected = solved(dense, observed, model.item_factors_, model)
    np.testing.assert_allclose(vectors.to_numpy(), expected, rtol=1e-9, atol=1e-12)
    lists = model.recommend(interactions=new, n=5)
    scores = expected[0] @ model.item_factors_.T
    scores[codes] = -np.inf
    assert lists.item.tolist() == model.items_[np.argsort(-scores)[:5]].tolist()
    mixed = model.recommend([4, 1000], 5, interactions=new)
    assert mixed[mixed.user == 1000].item.tolist() == lists.item.tolist()


def test_fold_in_equals_a_half_step(frame):
    """A fit that ends with items; one more half-step of users gives what transform does."""
    model = als(max_iter=2).fit(frame)
    more = als(max_iter=3, callbacks=[lambda event: event.record.round == 4]).fit(frame)
    np.testing.assert_allclose(
        model.transform(frame).to_numpy(), more.user_factors_, rtol=1e-6, atol=1e-9
    )


def test_unknown_items_are_left_out_with_a_warning(frame, model):
    given = pd.DataFrame({"user": [1, 1], "item": ["i03", "new"], "rating": [1.0, 1]})
    with pytest.warns(UserWarning, match=r"1 row of items .* \('new'\): they are left out") as told:
        found = model.transform(given)
    assert told[0].filename == __file__
    known = model.transform(given[:1])
    np.testing.assert_array_equal(found, known)


def test_matrices_of_another_width(frame):
    R = random_ratings(np.random.default_rng(2), 30, 20, 0.3)
    model = als().fit(R)
    np.testing.assert_allclose(model.transform(R).shape, (30, 5))
    with pytest.raises(ValueError, match=r"20 rows and 30 columns, .* 30 users and 20 items.*\.T"):
        model.transform(R.T.tocsr())


def test_without_kept_interactions(frame, model):
    lean = als(keep_interactions=False).fit(frame)
    with pytest.raises(ValueError, match=r"keep_interactions=False.*interactions="):
        lean.recommend([1])
    pd.testing.assert_frame_equal(lean.recommend([1], interactions=frame), model.recommend([1]))
    pd.testing.assert_frame_equal(
        lean.recommend([1], exclude_seen=False), model.recommend([1], exclude_seen=False)
    )


def test_similar_items_and_users(model):
    found = model.similar_items(["i07", "i01"], 4)
    assert found.columns.tolist() == ["item", "similar_item", "score"]
    Y = model.item_factors_ / np.linalg.norm(model.item_factors_, axis=1)[:, None]
    cosine = Y @ Y[7]
    cosine[7] = -2
    assert (
        found[found["item"] == "i07"].similar_item.tolist()
        == model.items_[np.argsort(-cosine)[:4]].tolist()
    )
    assert len(model.similar_users(model.users_[:3], 2)) == 6
    with pytest.raises(ValueError, match=r"items has 1 ids .*: 'nope'; allowed are ids of items_$"):
        model.similar_items(["nope"])


def test_pairs(frame, model):
    pairs = frame.head(6)
    codes = np.searchsorted(model.items_, pairs["item"])
    rows = np.searchsorted(model.users_, pairs.user)
    expected = (model.user_factors_[rows] * model.item_factors_[codes]).sum(axis=1)
    np.testing.assert_allclose(model.predict(pairs), expected)
    np.testing.assert_allclose(
        model.predict((pairs.user.to_numpy(), pairs["item"].to_numpy())), expected
    )
    with pytest.warns(UserWarning, match="1 rows of users and 2 of items"):
        found = model.predict(([1, 999, 1], ["x", "i03", "q"]))
    assert np.isnan(found).tolist() == [True, True, True]


def test_partial_fit_solves_given_rows_and_appends_new_ids(frame):
    model = als().fit(frame)
    before = {u: v.copy() for u, v in zip(model.users_, model.user_factors_, strict=True)}
    new = pd.DataFrame(
        {"user": [3, 500, 500], "item": ["i00", "i01", "a-new-one"], "rating": [1.0, 2, 3]}
    )
    model.partial_fit(new)
    assert 500 in model.users_ and model.items_[0] == "a-new-one"
    assert sorted(model.items_.tolist()) == model.items_.tolist()
    for user, vector in zip(model.users_, model.user_factors_, strict=True):
        if user not in (3, 500):
            np.testing.assert_array_equal(vector, before[user])
    both = pd.concat([frame, new])
    mine = both[both.user.isin([3, 500])]
    np.testing.assert_allclose(
        model.transform(mine).to_numpy(),
        model.user_factors_[np.searchsorted(model.users_, [3, 500])],
        rtol=1e-9,
        atol=1e-12,
    )
    assert "a-new-one" not in model.recommend([500], 60).item.tolist()


def test_partial_fit_before_a_fit_is_one(frame):
    first = als().partial_fit(frame)
    assert first.user_factors_.tobytes() == als().fit(frame).user_factors_.tobytes()


def test_scores(frame):
    rng = np.random.default_rng(0)
    test = rng.random(len(frame)) < 0.2
    implicit = als(max_iter=5).fit(frame[~test])
    assert 0 < implicit.score(frame[test]) < 1
    explicit = als(feedback="explicit", max_iter=5).fit(frame[~test])
    known = frame[test & frame["item"].isin(explicit.items_) & frame.user.isin(explicit.users_)]
    rmse = np.sqrt(np.mean((explicit.predict(known) - known.rating) ** 2))
    assert explicit.score(known) == pytest.approx(-rmse)


def test_a_search_of_scikit_learn(frame):
    from sklearn.model_selection import GridSearchCV

    rows = np.arange(len(frame))
    cuts = [(rows[rows % 3 != i], rows[rows % 3 == i]) for i in range(3)]
    search = GridSearchCV(als(), {"reg": [0.01, 1.0]}, cv=cuts).fit(frame)
    assert isinstance(search.best_estimator_, AlternatingLeastSquares)


def test_partial_fit_refuses_to_sum_explicit_ratings(frame):
    model = als(feedback="explicit").fit(frame)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=r"1 rows .* duplicates='mean' and 'last'"):
        model.partial_fit(frame[:1])
    assert vars(model) == before
    model.set_params(duplicates="last").partial_fit(frame[:1].assign(rating=9.0))
    assert 9.0 in model._seen.values
