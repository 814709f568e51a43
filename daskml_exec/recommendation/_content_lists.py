"""Lists of the best items of users, by models on features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.special import expit

from daskml_exec.executor import in_threads, single_threaded_blas
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.user_models.scores import best_items
from daskml_exec.partitions import lazy_frame
from daskml_exec.recommendation._features import ItemFeatures
from daskml_exec.recommendation._ids import some
from daskml_exec.recommendation._lists import SCORE, column_of
from daskml_exec.recommendation._seen import Seen

_SLAB = 2048
_USERS_A_PIECE = 8192


@dataclass(frozen=True)
class AskedModels:
    """Users to make lists for.

    Attributes
    ----------
    users : ndarray of shape (b,)
        Ids.
    dual : CSR array of shape (b, n_known)
    intercept : ndarray of shape (b,)
        NaN for a user without a model, who gets no list.
    seen : Seen or None
        Items that are left out of each list, by their places among the known; None for nothing.
    """

    users: Array
    dual: Any
    intercept: Array
    seen: Seen | None

    def take(self, rows: Array) -> AskedModels:
        """Return some of the users."""
        seen = None if self.seen is None else self.seen.take(rows)
        return AskedModels(self.users[rows], self.dual[rows], self.intercept[rows], seen)

    def pieces(self, length: int) -> Iterator[AskedModels]:
        """Yield ranges of at most so many users."""
        for start in range(0, max(1, len(self.users)), length):
            yield self.take(np.arange(start, min(start + length, len(self.users))))


@dataclass(frozen=True)
class ContentLists:
    """Makes the lists of users.

    Attributes
    ----------
    known : ItemFeatures
        Of the items that models were fitted with.
    choice : ItemFeatures
        Of those to choose from.
    n : int
        Items in a list, at most.
    logistic : bool
        Whether scores are probabilities.
    names : (str, str)
        Of the columns of users and of items.
    """

    known: ItemFeatures
    choice: ItemFeatures
    n: int
    logistic: bool
    names: tuple[str, str]

    def __call__(self, asked: AskedModels) -> pd.DataFrame:
        """Return a row per user and item, the best item first."""
        # Blocks of scores fit a core's cache: threads of BLAS would wait for one another.
        with single_threaded_blas():
            return self._joined(map(self._slab, asked.pieces(_SLAB)))

    def in_threads(self, asked: AskedModels) -> pd.DataFrame:
        """Return the same, made on all cores of this machine."""
        return self._joined(in_threads(self._slab, asked.pieces(_SLAB)))

    def lazily(self, asked: AskedModels) -> Any:
        """Return the Dask dataframe of the lists, a partition per range of users."""
        # The dtype of texts is that of some, and not that of none.
        meta = self._frame(asked.users[:1], self.known.ids[:1], asked.intercept[:1])[:0]
        return lazy_frame(self, list(asked.pieces(_USERS_A_PIECE)), meta)

    def require_some(self, asked: AskedModels, listed: Any) -> None:
        """Raise ValueError where a user that was asked for has an empty list."""
        users = asked.users[~np.isnan(asked.intercept)]
        without = users[~pd.Index(users).isin(pd.Index(listed))]
        if len(without):
            raise ValueError(
                f"users has {len(without):,} ids that have seen all {len(self.choice.ids):,} items "
                f"to choose from: {some(without)}; allowed are other users, other candidates, and "
                "exclude_seen=False"
            )

    def _joined(self, slabs: Iterable[tuple[Array, Array, Array]]) -> pd.DataFrame:
        return self._frame(*(np.concatenate(each) for each in zip(*slabs, strict=True)))

    def _slab(self, asked: AskedModels) -> tuple[Array, Array, Array]:
        """Return users, items and scores, a user's after one another."""
        asked = asked.take(np.flatnonzero(~np.isnan(asked.intercept)))
        if not len(asked.users) or not len(self.choice.ids):
            return asked.users[:0], self.choice.ids[:0], np.empty(0)
        seen = self._seen(asked)
        found = best_items(asked.dual, self.known.matrix, self.choice.matrix, self.n, seen)
        there, rows = found.items >= 0, np.repeat(np.arange(len(asked.users)), found.counts)
        scores = predictions(found.scores[there], asked.intercept[rows], logistic=self.logistic)
        return asked.users[rows], self.choice.ids[found.items[there]], scores

    def _seen(self, asked: AskedModels) -> Any:
        """Return what users have as a CSR array of users x items to choose from."""
        shape = (len(asked.users), len(self.choice.ids))
        if asked.seen is None:
            return sp.csr_array(shape)
        # Both are in the order of ids, so that rows stay sorted.
        columns = self.choice.places(self.known.ids)[asked.seen.columns]
        kept = columns >= 0
        indptr = np.concatenate([[0], np.cumsum(kept)])[asked.seen.indptr]
        return sp.csr_array((np.ones(int(indptr[-1])), columns[kept], indptr), shape=shape)

    def _frame(self, users: Array, items: Array, scores: Array) -> pd.DataFrame:
        user, item = self.names
        return pd.DataFrame({user: column_of(users), item: column_of(items), SCORE: scores})


def predictions(scores: Array, intercept: Array, *, logistic: bool) -> Array:
    """Return ratings, or probabilities of the positive class."""
    made: Array = scores + intercept
    return np.asarray(expit(made)) if logistic else made
