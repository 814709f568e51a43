"""How good the lists of a model are, by what users took later."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Protocol

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from daskml_exec.kernels.arrays import Array
from daskml_exec.recommendation._given_rows import triples_in_memory
from daskml_exec.recommendation._ids import codes_of, ids_of, index_of, joined_ids
from daskml_exec.recommendation._list_scores import ItemsOfUsers, RankingScores, scores_of_lists
from daskml_exec.recommendation._triples import Columns, Triples


class Recommender(Protocol):
    """What is asked of a model.

    Attributes
    ----------
    user, item : str
        Names of the columns of ids.
    rating : str or None
        Name of the column of ratings; None where each row is a one.
    users_, items_ : ndarray
        Ids that the model knows.
    """

    user: str
    item: str
    rating: str | None
    users_: Array
    items_: Array

    def recommend(self, users: Any, n: int, *, interactions: Any, exclude_seen: bool) -> Any:
        """Return a frame of the columns user, item and "score": the best items of each first."""


def ranking_scores(model: Any, train: Any, test: Any, k: int = 10) -> RankingScores:
    """Return how good the lists of a model are, by interactions that it was not fitted on.

    Each user with relevant items gets a list of the best `k` items but those that the user has in
    `train`. Relevant are the items that the user has in `test` with a rating above zero, and has
    not in `train`; those that the model does not know, too, which are in no list.

    Parameters
    ----------
    model : AlternatingLeastSquares, ContentRecommender or the like
        Fitted. Of others are asked the attributes `user`, `item` and `rating`, which are names of
        columns, and `users_` and `items_`, which are ids; and ``recommend(users, n, interactions=,
        exclude_seen=)``, which returns a dataframe with the columns of users and items, the best
        first. It is given `train` as three arrays, and asked for no users who are in neither of
        `users_` and `train`, or who have all of `items_` in `train`.
    train : dataframe, tuple of arrays, sparse matrix or Dask collection, or None
        What the model was fitted on, as `fit` takes it. Users whom the model does not know get a
        list by what they have here, if it makes such lists. None means what the model itself has
        kept; then a pair of `test` that was in it counts as relevant, although no list has it.
    test : the same kinds
        What users took later. Both are held in memory on the driver; of Dask dataframes, these
        columns are computed.
    k : int, default=10
        Items in a list, at least 1.

    Returns
    -------
    RankingScores
        Precision, recall, NDCG, MAP, MRR, hit rate and coverage, with their definitions, and how
        many users were left out.

    Raises
    ------
    TypeError
        Data of other kinds, or ids that are none.
    ValueError
        `k` is below 1; a column is missing; no user has a relevant item and is known.

    Examples
    --------
    >>> import pandas as pd
    >>> from daskml_exec.recommendation import ranking_scores
    >>> class Popular:
    ...     user, item, rating = "user", "item", None
    ...     def fit(self, data):
    ...         self.users_, self.items_ = data.user.unique(), data.item.value_counts().index
    ...         return self
    ...     def recommend(self, users, n, *, interactions, exclude_seen):
    ...         seen = set(zip(*interactions[:2]))
    ...         rows = [[(u, i, 1.0) for i in self.items_ if (u, i) not in seen][:n] for u in users]
    ...         return pd.DataFrame(sum(rows, []), columns=["user", "item", "score"])
    >>> train = pd.DataFrame({"user": [1, 1, 2, 3], "item": ["a", "b", "a", "c"]})
    >>> test = pd.DataFrame({"user": [2, 3], "item": ["c", "a"]})
    >>> scores = ranking_scores(Popular().fit(train), train, test, k=1)
    >>> scores.precision, scores.n_users, scores.users_left_out
    (0.5, 2, 1)
    """
    if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
        raise ValueError(f"k={k!r}; allowed are integers from 1")
    k = int(k)
    recommender: Recommender = model
    if not hasattr(model, "recommend"):
        raise TypeError(f"model is of {type(model).__name__}; allowed are fitted recommenders")
    if not hasattr(model, "users_"):
        raise NotFittedError(f"model, of {type(model).__name__}, is not fitted: call fit before")
    for name, given in (("train", train), ("test", test)):
        _refuse_transposed(given, name, recommender)
    columns = Columns(recommender.user, recommender.item, recommender.rating)
    later, _ = triples_in_memory(test, columns, " of test")
    before = None if train is None else triples_in_memory(train, columns, " of train")[0]
    pairs = _pairs(later, before)
    users, items = index_of(recommender.users_), index_of(recommender.items_)
    reached = (codes_of(users, pairs.users) >= 0) | pairs.in_train()
    wanted = pairs.with_relevant()
    asked = wanted[reached[wanted]]
    if not len(asked):
        raise ValueError(
            f"test has {len(later):,} rows and {len(wanted):,} users with relevant "
            "items, those of ratings above zero that are not in train"
            f"{', and the model knows none of them' * bool(len(wanted))}; allowed is at least one "
            "that it knows"
        )
    rows = np.full(len(pairs.users), -1)
    rows[asked] = np.arange(len(asked))
    frame = recommender.recommend(
        pairs.users[asked[~pairs.have_all(items)[asked]]],
        k,
        interactions=None if before is None else (before.user, before.item, before.rating),
        exclude_seen=True,
    )
    listed = joined_ids(pairs.items, ids_of(frame[recommender.item], recommender.item, ""))
    listed_items = pd.factorize(listed)[0][len(pairs.items) :]
    listed_users = ids_of(frame[recommender.user], recommender.user, "")
    of_lists = rows[codes_of(index_of(pairs.users), listed_users)]
    of_relevant = rows[pairs.relevant // len(pairs.items)]
    kept = of_relevant >= 0
    found = scores_of_lists(
        ItemsOfUsers.of(of_lists, listed_items, len(asked)),
        ItemsOfUsers.of(of_relevant[kept], (pairs.relevant % len(pairs.items))[kept], len(asked)),
        k,
        len(items),
    )
    return replace(
        found,
        users_left_out=len(pairs.users) - len(asked),
        users_unknown=len(wanted) - len(asked),
    )


def _refuse_transposed(given: Any, name: str, model: Recommender) -> None:
    """Raise ValueError for a matrix of items x users, where their numbers tell it."""
    shape = len(model.users_), len(model.items_)
    if sp.issparse(given) and given.shape == shape[::-1] != shape:
        raise ValueError(
            f"{name} is a matrix of {given.shape[0]:,} rows and {given.shape[1]:,} columns, and "
            f"the model has {shape[0]:,} users and {shape[1]:,} items; allowed are rows of users: "
            f"{name}.T"
        )


@dataclass(frozen=True)
class _Pairs:
    """What users have taken before and later, by codes.

    Attributes
    ----------
    users, items : ndarray
        Ids of all users and items of both.
    relevant, before : ndarray of int64
        Distinct pairs: codes of users times the number of items, plus those of items.
    """

    users: Array
    items: Array
    relevant: Array
    before: Array

    def with_relevant(self) -> Array:
        """Return the codes of users with relevant items."""
        return np.unique(self.relevant // len(self.items))

    def in_train(self) -> Array:
        """Return whether users have taken anything before."""
        there = np.zeros(len(self.users), bool)
        there[self.before // len(self.items)] = True
        return there

    def have_all(self, items: Any) -> Array:
        """Return whether users have taken all of these items before: none is left for a list."""
        known = codes_of(items, self.items)[self.before % len(self.items)] >= 0
        taken = np.bincount(self.before[known] // len(self.items), minlength=len(self.users))
        return taken >= len(items)


def _pairs(later: Triples, before: Triples | None) -> _Pairs:
    none = np.empty(0, np.int64)
    others = Triples(none, none, none) if before is None else before
    user_codes, users = pd.factorize(joined_ids(later.user, others.user))
    item_codes, items = pd.factorize(joined_ids(later.item, others.item))
    pairs = user_codes.astype(np.int64) * len(items) + item_codes
    taken = np.unique(pairs[len(later) :])
    relevant = np.unique(pairs[: len(later)][later.rating > 0])
    return _Pairs(users, items, np.setdiff1d(relevant, taken, assume_unique=True), taken)
