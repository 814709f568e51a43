"""Lists of the best items of users, as dataframes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.executor import in_threads, single_threaded_blas
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.top_n import top_n
from daskml_exec.partitions import lazy_frame
from daskml_exec.recommendation._ids import codes_of, ids_in, index_of, some
from daskml_exec.recommendation._seen import Seen

SCORE = "score"
_SLAB = 2048
_USERS_A_PIECE = 8192


@dataclass(frozen=True)
class Asked:
    """Users to make lists for.

    Attributes
    ----------
    users : ndarray of shape (b,)
        Ids.
    vectors : ndarray of shape (b, k)
        A user's score of an item is the product of both vectors.
    seen : Seen or None
        Items that are left out of each list; None for nothing.
    """

    users: Array
    vectors: Array
    seen: Seen | None

    def between(self, start: int, stop: int) -> Asked:
        """Return a range of the users."""
        seen = None if self.seen is None else self.seen.between(start, stop)
        return Asked(self.users[start:stop], self.vectors[start:stop], seen)

    def pieces(self, length: int) -> Iterator[Asked]:
        """Yield ranges of at most so many users."""
        for start in range(0, max(1, len(self.users)), length):
            yield self.between(start, min(start + length, len(self.users)))


@dataclass(frozen=True)
class Lists:
    """Makes the lists of users.

    Attributes
    ----------
    items : ndarray of shape (m,)
        Ids.
    vectors : ndarray of shape (m, k)
    n : int
        Items in a list, at most.
    allowed : ndarray of bool of shape (m,), or None
        Which items may be in a list; None for all.
    names : (str, str)
        Of the columns of users and of items.
    """

    items: Array
    vectors: Array
    n: int
    allowed: Array | None
    names: tuple[str, str]

    def __call__(self, asked: Asked) -> pd.DataFrame:
        """Return a row per user and item, the best item first."""
        # Blocks of scores fit a core's cache: threads of BLAS would wait for one another.
        with single_threaded_blas():
            return self._joined(asked, map(self._slab, asked.pieces(_SLAB)))

    def in_threads(self, asked: Asked) -> pd.DataFrame:
        """Return the same, made on all cores of this machine."""
        return self._joined(asked, in_threads(self._slab, asked.pieces(_SLAB)))

    def lazily(self, asked: Asked) -> Any:
        """Return the Dask dataframe of the lists, a partition per range of users."""
        # The dtype of texts is that of some, and not that of none.
        meta = self._frame(asked.users[:1], self.items[:1], self.vectors[:1, 0])[:0]
        return lazy_frame(self, list(asked.pieces(_USERS_A_PIECE)), meta)

    def _joined(self, asked: Asked, slabs: Iterable[tuple[Array, Array, Array]]) -> pd.DataFrame:
        index, scores, counts = (np.concatenate(each) for each in zip(*slabs, strict=True))
        return self._frame(np.repeat(asked.users, counts), self.items[index], scores)

    def _slab(self, asked: Asked) -> tuple[Array, Array, Array]:
        seen = asked.seen
        index, scores, counts = top_n(
            asked.vectors,
            self.vectors,
            self.n,
            seen_indptr=None if seen is None else seen.indptr,
            seen_indices=None if seen is None else seen.columns,
            allowed=self.allowed,
        )
        listed = np.arange(index.shape[1]) < counts[:, None]
        return index[listed], scores[listed], counts

    def _frame(self, users: Array, items: Array, scores: Array) -> pd.DataFrame:
        user, item = self.names
        return pd.DataFrame({user: column_of(users), item: column_of(items), SCORE: scores})


def allowed_items(items: Array, candidates: Any, exclude: Any) -> Array | None:
    """Return which items may be in lists; None for all.

    Parameters
    ----------
    items : ndarray
        Sorted ids.
    candidates : array-like or None
        Allowed are these alone.
    exclude : array-like or None
        These are not; ids that are not known change nothing.

    Raises
    ------
    ValueError
        A candidate is not known.
    """
    if candidates is None and exclude is None:
        return None
    index = index_of(items)
    allowed = np.full(len(items), candidates is None)
    if candidates is not None:
        ids = ids_in("candidates", candidates)
        codes = codes_of(index, ids)
        if (codes < 0).any():
            unknown = ids[codes < 0]
            raise ValueError(
                f"candidates has {len(unknown):,} items that the model was not fitted on: "
                f"{some(unknown)}; allowed are ids of items_"
            )
        allowed[codes] = True
    if exclude is not None:
        codes = codes_of(index, ids_in("exclude", exclude))
        allowed[codes[codes >= 0]] = False
    return allowed


def require_n(n: Any) -> None:
    """Raise ValueError unless it is a length of lists."""
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
        raise ValueError(f"n={n!r}; allowed are integers from 1")


def require_lists(listed: Any, asked: Asked, lists: Lists) -> None:
    """Raise ValueError where a user that was asked for has an empty list."""
    without = asked.users[~pd.Index(asked.users).isin(pd.Index(listed))]
    if len(without):
        n_allowed = len(lists.items) if lists.allowed is None else int(lists.allowed.sum())
        if not n_allowed:
            raise ValueError("candidates and exclude leave no item; allowed is at least one")
        raise ValueError(
            f"users has {len(without):,} ids of which all {n_allowed:,} items that may be "
            f"recommended were seen: {some(without)}; allowed are other users, and "
            "exclude_seen=False"
        )


def known_codes(name: str, given: Any, known: Array, more: str = "") -> Array:
    """Return the places of ids given as an argument among sorted known ones.

    Raises
    ------
    ValueError
        Some are not known.
    """
    ids = ids_in(name, given)
    codes = codes_of(index_of(known), ids)
    if (codes < 0).any():
        unknown = np.unique(ids[codes < 0])
        raise ValueError(
            f"{name} has {len(unknown):,} ids that the model was not fitted on: {some(unknown)}; "
            f"allowed are ids of {name}_{';' * bool(more)}{more}"
        )
    return codes


def column_of(ids: Array) -> Any:
    """Return ids as a column: texts in pandas' own dtype of them."""
    return pd.Series(ids).array if ids.dtype == object else ids
