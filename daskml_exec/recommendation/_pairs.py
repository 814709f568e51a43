"""Predictions of pairs of a user and an item."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from daskml_exec.executor import as_dask_futures
from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions import FRAME, FUTURES, is_collection, kind_of, map_rows
from daskml_exec.recommendation._ids import codes_of
from daskml_exec.recommendation._triples import Columns, triples_of

_SLAB = 65_536


class Scores(Protocol):
    """Scores pairs of a user and an item; NaN where one of them is not known."""

    @property
    def columns(self) -> Columns:
        """Of pairs that are dataframes."""

    @property
    def dtype(self) -> Any:
        """Of scores."""

    def __call__(self, block: Any) -> Array:
        """Return a score for each row of a block."""

    def of(self, block: Any) -> tuple[Array, int, int]:
        """Return the scores, and how many rows have a user, or an item, that is not known."""


@dataclass(frozen=True, eq=False)
class PairScores:
    """Scores pairs; NaN where the user or the item is not known.

    Attributes
    ----------
    users, items : pandas.Index
    user_factors, item_factors : ndarray
    columns : Columns
        Of pairs that are dataframes.
    """

    users: Any
    items: Any
    user_factors: Array
    item_factors: Array
    columns: Columns

    __name__ = "predict"

    @property
    def dtype(self) -> Any:
        """That of the factors."""
        return self.item_factors.dtype

    def __call__(self, block: Any) -> Array:
        """Return a score for each row of a block."""
        return self.of(block)[0]

    def of(self, block: Any) -> tuple[Array, int, int]:
        """Return the scores, and how many rows have a user, or an item, that is not known."""
        pairs = triples_of(block, replace(self.columns, rating=None))
        user, item = codes_of(self.users, pairs.user), codes_of(self.items, pairs.item)
        scores = np.full(len(user), np.nan, dtype=self.dtype)
        known = np.flatnonzero((user >= 0) & (item >= 0))
        for start in range(0, len(known), _SLAB):
            rows = known[start : start + _SLAB]
            scores[rows] = np.einsum(
                "ij,ij->i", self.user_factors[user[rows]], self.item_factors[item[rows]]
            )
        return scores, int((user < 0).sum()), int((item < 0).sum())


def predicted(scores: Scores, pairs: Any) -> Any:
    """Return the scores of pairs, lazily for collections; warn of those that are not known.

    Parameters
    ----------
    scores : Scores
    pairs : dataframe, (user, item), Dask dataframe, or list of futures of dataframes
    """
    pairs = as_dask_futures(pairs)
    if is_collection(pairs):
        if kind_of(pairs) not in (FRAME, FUTURES):
            raise TypeError(
                f"pairs is a {kind_of(pairs)}; allowed are dataframes, and tuples of the arrays "
                "(user, item)"
            )
        if kind_of(pairs) == FRAME:
            scores.columns.require_in([*pairs.columns, scores.columns.rating], "")
        return map_rows(scores, pairs, meta=pd.Series(np.empty(0, scores.dtype)))
    found, n_users, n_items = scores.of(pairs[:2] if isinstance(pairs, tuple) else pairs)
    if n_users or n_items:
        warnings.warn(
            f"pairs has {n_users:,} rows of users and {n_items:,} of items that the model was not "
            "fitted on: NaN is predicted there",
            stacklevel=3,
        )
    return found
