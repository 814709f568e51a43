"""Scores of lists are those computed by hand, and those that scikit-learn has a word for."""

from dataclasses import fields

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score, ndcg_score

from daskml_exec import Executor
from daskml_exec.recommendation import RankingScores, ranking_scores
from daskml_exec.recommendation._list_scores import ItemsOfUsers, scores_of_lists

# log2(3) = 1.584963, log2(4) = 2, so that an item in second place counts 0.630930, in third 0.5.
# Of k = 3: list, relevant items, precision, recall, NDCG, average precision, reciprocal rank.
BY_HAND = {
    "one in second place": ("abc", "b", 1 / 3, 1, 0.630930, 1 / 2, 1 / 2),
    "a short list": ("d", "de", 1 / 3, 1 / 2, 1 / 1.630930, 1 / 2, 1),
    "no hit": ("acf", "bdez", 0, 0, 0, 0, 0),
    "more relevant than places": ("bac", "bcde", 2 / 3, 1 / 2, 1.5 / 2.130930, (1 + 2 / 3) / 3, 1),
    "no list": ("", "a", 0, 0, 0, 0, 0),
    "the best list": ("fed", "def", 1, 1, 1, 1, 1),
    "one behind the third": ("abcd", "d", 0, 0, 0, 0, 0),
    "second and third": ("abc", "bc", 2 / 3, 1, 1.130930 / 1.630930, (1 / 2 + 2 / 3) / 2, 1 / 2),
}
MEANS = ("precision", "recall", "ndcg", "map", "mrr")


def ragged(*lists):
    items = [ord(item) - ord("a") for each in lists for item in each]
    return ItemsOfUsers(np.cumsum([0, *map(len, lists)]), np.array(items, dtype=np.int64))


@pytest.mark.parametrize("case", BY_HAND)
def test_of_one_user_by_hand(case):
    listed, relevant, *expected = BY_HAND[case]
    found = scores_of_lists(ragged(listed), ragged(relevant), 3, 26)
    assert_allclose([getattr(found, name) for name in MEANS], expected, atol=1e-6)
    assert found.hit_rate == (expected[0] > 0)
    assert found.coverage == len(listed[:3]) / 26
    assert (found.k, found.n_users) == (3, 1)


def test_of_several_users_by_hand():
    lists, relevant, *expected = zip(*BY_HAND.values(), strict=True)
    found = scores_of_lists(ragged(*lists), ragged(*relevant), 3, 12)
    assert_allclose([getattr(found, name) for name in MEANS], np.mean(expected, axis=1), atol=1e-6)
    assert found.hit_rate == 5 / 8
    assert found.coverage == 6 / 12
    assert found.n_users == 8


@given(
    n_users=st.integers(1, 6), m=st.integers(2, 9), k=st.integers(1, 12), seed=st.integers(0, 99)
)
def test_equal_to_scikit_learn(n_users, m, k, seed):
    rng = np.random.default_rng(seed)
    taken = rng.random((n_users, m)) < 0.4
    taken[np.arange(n_users), rng.integers(m, size=n_users)] = True
    order = rng.permuted(np.tile(np.arange(m), (n_users, 1)), axis=1)
    lists = ItemsOfUsers(m * np.arange(n_users + 1), order.ravel())
    users, items = np.nonzero(taken)
    relevant = ItemsOfUsers.of(users, items, n_users)
    found = scores_of_lists(lists, relevant, k, m)
    scores = -np.argsort(order, axis=1).astype(float)
    assert_allclose(found.ndcg, ndcg_score(taken, scores, k=k))
    if k >= m:
        precisions = [average_precision_score(*row) for row in zip(taken, scores, strict=True)]
        assert_allclose(found.map, np.mean(precisions))


class Fixed:
    """Has a list for each user, from which it leaves out what the user has interacted with."""

    user, item, rating = "who", "what", "how"

    def __init__(self, lists, items):
        self.lists = lists
        self.users_, self.items_ = np.array(list(lists)), np.array(list(items))
        self.calls = []

    def recommend(self, users, n, *, interactions, exclude_seen):
        self.calls.append((list(users), n, exclude_seen))
        seen = set() if interactions is None else set(zip(*interactions[:2], strict=True))
        rows = [
            (user, item, 1.0)
            for user in users
            for item in [each for each in self.lists[user] if (user, each) not in seen][:n]
        ]
        return pd.DataFrame(rows, columns=["who", "what", "score"])


def table(*rows):
    return pd.DataFrame(rows, columns=["who", "what", "how"])


MODEL = {"ann": "abcd", "bob": "dcba", "cyd": "abcd", "dan": "abcd"}
TRAIN = table(("ann", "a", 1.0), ("bob", "d", 1.0), ("cyd", "a", 1.0), ("dan", "a", 1.0))
TEST = table(
    ("ann", "b", 1.0),
    ("ann", "b", 2.0),  # again: it counts once
    ("ann", "a", 1.0),  # in train: not relevant
    ("ann", "x", 1.0),  # unknown to the model: relevant all the same
    ("bob", "a", 1.0),
    ("cyd", "c", 0.0),  # not above zero
    ("cyd", "d", -1.0),
    ("eve", "a", 1.0),  # unknown to the model
)


def test_of_a_model_by_hand():
    model = Fixed(MODEL, "abcd")
    found = ranking_scores(model, TRAIN, TEST, k=2)
    # ann: b, c of b, x; bob: c, b of a.
    assert found == RankingScores(
        k=2,
        precision=0.25,
        recall=0.25,
        ndcg=0.5 / 1.6309297535714575,
        map=0.25,
        mrr=0.5,
        hit_rate=0.5,
        coverage=0.5,
        n_users=2,
        users_left_out=3,
        users_unknown=1,
    )
    assert model.calls == [(["ann", "bob"], 2, True)]


def test_without_train_the_model_is_asked_for_what_it_has_kept():
    found = ranking_scores(Fixed(MODEL, "abcd"), None, TEST, k=1)
    # ann: a of a, b, x; bob: d of a.
    assert (found.precision, found.users_left_out, found.users_unknown) == (0.5, 2, 1)


def test_a_user_in_train_alone_may_have_a_list():
    model = Fixed({**MODEL, "eve": "ba"}, "abcd")
    model.users_ = model.users_[:4]
    train = pd.concat([TRAIN, table(("eve", "b", 1.0))])
    found = ranking_scores(model, train, TEST, k=2)
    assert (found.n_users, found.users_left_out, found.users_unknown) == (3, 2, 0)
    assert_allclose(found.mrr, 2 / 3)


def test_a_user_who_has_all_items_has_no_list():
    model = Fixed({"ann": "", "bob": "ab"}, "ab")
    train = table(("ann", "a", 1.0), ("ann", "b", 1.0), ("bob", "a", 1.0))
    found = ranking_scores(model, train, table(("ann", "x", 1.0), ("bob", "b", 1.0)), k=1)
    assert model.calls == [(["bob"], 1, True)]
    assert (found.precision, found.n_users) == (0.5, 2)


def numbers(frame):
    """Return the same with numbers as ids."""
    letters = {letter: place for place, letter in enumerate("abcdx")}
    people = {name: place for place, name in enumerate(["ann", "bob", "cyd", "dan", "eve"])}
    return frame.assign(who=frame["who"].map(people), what=frame["what"].map(letters))


def matrix(frame):
    frame = frame.drop_duplicates(["who", "what"])
    return sp.csr_matrix((frame["how"], (frame["who"], frame["what"])), shape=(5, 5))


KINDS = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "arrays": lambda frame: tuple(frame[name].to_numpy() for name in frame),
    "lists": lambda frame: tuple(frame[name].tolist() for name in frame),
    "csr": matrix,
    "coo": lambda frame: matrix(frame).tocoo(),
    "csr array": lambda frame: sp.csr_array(matrix(frame)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_give_the_same(kind):
    train, test = numbers(TRAIN), numbers(TEST)
    lists = {
        place: [ord(item) - ord("a") for item in MODEL[name]] for place, name in enumerate(MODEL)
    }
    model = Fixed(lists, range(4))
    made = KINDS[kind]
    assert ranking_scores(model, made(train), made(test), k=2) == ranking_scores(
        Fixed(MODEL, "abcd"), TRAIN, TEST, k=2
    )


def test_dask_frames_give_the_same():
    with Executor(processes=False, n_workers=1):
        train, test = (
            dd.from_pandas(each.assign(other=1), npartitions=2) for each in (TRAIN, TEST)
        )
        found = ranking_scores(Fixed(MODEL, "abcd"), train, test, k=2)
    assert found == ranking_scores(Fixed(MODEL, "abcd"), TRAIN, TEST, k=2)


def test_pairs_without_ratings_are_ones():
    pairs = tuple(TEST[name].to_numpy() for name in ("who", "what"))
    found = ranking_scores(Fixed(MODEL, "abcd"), TRAIN, pairs, k=2)
    assert found.n_users == 3  # with cyd


@pytest.mark.parametrize(
    ("train", "test", "k", "message"),
    [
        (TRAIN, TEST, 0, "k=0; allowed are integers from 1"),
        (TRAIN, TEST, 2.0, "k=2.0"),
        (TRAIN, TEST, True, "k=True"),
        (
            TRAIN,
            TEST.drop(columns="what"),
            1,
            r"interactions of test have the columns .* \['what'\]",
        ),
        (
            TRAIN.drop(columns="who"),
            TEST,
            1,
            r"interactions of train have the columns .* \['who'\]",
        ),
        (TRAIN, TEST[5:7], 1, "2 rows and 0 users with relevant items"),
        (TRAIN, TEST[7:], 1, "1 rows and 1 users .* knows none"),
        (TRAIN, TEST[:0], 1, "0 rows and 0 users"),
        (TRAIN, TEST.assign(how=np.nan), 1, "ratings of test has 8 values"),
    ],
)
def test_wrong_arguments(train, test, k, message):
    with pytest.raises(ValueError, match=message):
        ranking_scores(Fixed(MODEL, "abcd"), train, test, k=k)


def test_fields_are_described():
    described = [field.name for field in fields(RankingScores)]
    assert all(f"    {name} : " in RankingScores.__doc__ for name in described)


def test_models_that_are_none_and_transposed_matrices():
    from sklearn.exceptions import NotFittedError

    from daskml_exec.recommendation import AlternatingLeastSquares

    R = sp.random(12, 7, 0.5, format="csr", random_state=0)
    with pytest.raises(NotFittedError, match="AlternatingLeastSquares"):
        ranking_scores(AlternatingLeastSquares(2), R, R)
    with pytest.raises(TypeError, match="model is of NoneType"):
        ranking_scores(None, R, R)
    model = AlternatingLeastSquares(2, tol=0, max_iter=1, random_state=0).fit(R)
    with pytest.raises(ValueError, match=r"test is a matrix of 7 rows and 12 columns, .* test\.T"):
        ranking_scores(model, R, R.T.tocsr())
