"""How good lists of items are, by the items that are relevant: for all users at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskml_exec.kernels.arrays import Array


@dataclass(frozen=True)
class RankingScores:
    r"""Means over users of how good their lists are.

    Below, :math:`R` are the relevant items of a user, and :math:`r_j`, for `j` from 1 to `k`, is 1
    where the `j`-th item of the list is relevant, and 0 where it is not or the list is shorter.

    Attributes
    ----------
    k : int
        Items in a list, at most.
    precision : float
        :math:`\sum_j r_j / k`. A list that is too short counts as if it were filled with what is
        not relevant.
    recall : float
        :math:`\sum_j r_j / |R|`, which cannot be 1 for a user with more than `k` relevant items.
    ndcg : float
        :math:`\sum_j r_j / \log_2(j + 1)` over what it is for the best list,
        :math:`\sum_{j \le \min(k, |R|)} 1 / \log_2(j + 1)` (Järvelin and Kekäläinen 2002, Cumulated
        gain-based evaluation of IR techniques, ACM TOIS 20; an item is relevant or not, and the
        discount begins at the second).
    map : float
        Mean average precision, :math:`\sum_j r_j P_j / \min(k, |R|)`, where
        :math:`P_j = \sum_{i \le j} r_i / j` is the precision up to there (Manning, Raghavan and
        Schütze 2008, Introduction to Information Retrieval, 8.4; cut off at `k`, so that the best
        list has 1).
    mrr : float
        Mean reciprocal rank: :math:`1 / j` of the first relevant item, 0 where there is none
        (Voorhees 1999, The TREC-8 question answering track report).
    hit_rate : float
        Share of users with a relevant item in their list (Deshpande and Karypis 2004, Item-based
        top-N recommendation algorithms, ACM TOIS 22).
    coverage : float
        Share of the model's items that are in any of these lists (Ge, Delgado-Battenfeld and
        Jannach 2010, Beyond accuracy: evaluating recommender systems by coverage and serendipity,
        RecSys).
    n_users : int
        Over how many users means are taken.
    users_left_out : int
        Others of `train` and `test`: without relevant items, or unknown.
    users_unknown : int
        Those of them that have relevant items, for whom the model has no list.
    """

    k: int
    precision: float
    recall: float
    ndcg: float
    map: float
    mrr: float
    hit_rate: float
    coverage: float
    n_users: int
    users_left_out: int = 0
    users_unknown: int = 0


@dataclass(frozen=True)
class ItemsOfUsers:
    """Codes of items, user by user.

    Attributes
    ----------
    starts : ndarray of int64 of shape (n_users + 1,)
        Those of user `i` are ``items[starts[i] : starts[i + 1]]``.
    items : ndarray of integers
        From 0.
    """

    starts: Array
    items: Array

    @classmethod
    def of(cls, users: Array, items: Array, n_users: int) -> ItemsOfUsers:
        """Return them by the codes of users; the items of each keep their order."""
        order = np.argsort(users, kind="stable")
        starts = np.append(0, np.cumsum(np.bincount(users, minlength=n_users)))
        return cls(starts, items[order])

    @property
    def n_users(self) -> int:
        """How many users there are."""
        return len(self.starts) - 1

    @property
    def counts(self) -> Array:
        """How many items each user has."""
        return np.diff(self.starts)

    def users(self) -> Array:
        """Return the user of each item."""
        return np.repeat(np.arange(self.n_users), self.counts)

    def places(self) -> Array:
        """Return the place of each item in its list, from 0."""
        return np.arange(len(self.items)) - np.repeat(self.starts[:-1], self.counts)


def scores_of_lists(
    lists: ItemsOfUsers, relevant: ItemsOfUsers, k: int, n_items: int
) -> RankingScores:
    """Return the scores of lists.

    Parameters
    ----------
    lists : ItemsOfUsers
        Best first; what is behind the first `k` of a user is left out.
    relevant : ItemsOfUsers
        Of the same users in the same order, at least one for each, and each once.
    k : int
    n_items : int
        How many there are to recommend, for the coverage.

    Examples
    --------
    >>> lists = ItemsOfUsers(np.array([0, 2, 3]), np.array([4, 1, 0]))
    >>> relevant = ItemsOfUsers(np.array([0, 1, 3]), np.array([1, 0, 2]))
    >>> scores = scores_of_lists(lists, relevant, k=2, n_items=6)
    >>> scores.precision, scores.recall, scores.map, scores.mrr, scores.coverage
    (0.5, 0.75, 0.5, 0.75, 0.5)
    """
    n = lists.n_users
    first = lists.places() < k
    users, items, places = lists.users()[first], lists.items[first], lists.places()[first]
    width = 1 + max(items.max(initial=0), relevant.items.max(initial=0))
    hit = np.isin(users * width + items, relevant.users() * width + relevant.items)
    users, places = users[hit], places[hit]
    hits = np.bincount(users, minlength=n)
    before = np.arange(len(users)) - (np.cumsum(hits) - hits)[users]
    gains = np.append(0.0, np.cumsum(1 / np.log2(np.arange(k) + 2)))
    best = np.minimum(k, relevant.counts)

    def of_hits(values: Array) -> Array:
        return np.bincount(users, values, minlength=n)

    return RankingScores(
        k=k,
        precision=_mean(hits / k),
        recall=_mean(hits / relevant.counts),
        ndcg=_mean(of_hits(1 / np.log2(places + 2)) / gains[best]),
        map=_mean(of_hits((before + 1) / (places + 1)) / best),
        mrr=_mean(of_hits((before == 0) / (places + 1))),
        hit_rate=_mean(hits > 0),
        coverage=len(np.unique(items)) / n_items,
        n_users=n,
    )


def _mean(of_users: Array) -> float:
    return float(np.mean(of_users))
