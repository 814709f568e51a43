"""Predictions of pairs of a user and an item, by models on features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.user_models.scores import scores_of_pairs
from daskml_exec.recommendation._content_lists import predictions
from daskml_exec.recommendation._features import ItemFeatures
from daskml_exec.recommendation._ids import codes_of
from daskml_exec.recommendation._triples import Columns, triples_of


@dataclass(frozen=True, eq=False)
class ContentPairs:
    """Scores pairs; NaN where the user or the item is not known.

    Attributes
    ----------
    users : pandas.Index
    dual : CSR array of shape (n_users, n_known)
    intercept : ndarray of shape (n_users,)
    known, choice : ItemFeatures
        Of the items that models were fitted with, and of those that pairs are of.
    logistic : bool
        Whether scores are probabilities.
    columns : Columns
        Of pairs that are dataframes.
    """

    users: Any
    dual: Any
    intercept: Array
    known: ItemFeatures
    choice: ItemFeatures
    logistic: bool
    columns: Columns

    __name__ = "predict"
    dtype = np.dtype(np.float64)

    def __call__(self, block: Any) -> Array:
        """Return a score for each row of a block."""
        return self.of(block)[0]

    def of(self, block: Any) -> tuple[Array, int, int]:
        """Return the scores, and how many rows have a user, or an item, that is not known."""
        pairs = triples_of(block, replace(self.columns, rating=None))
        user, item = codes_of(self.users, pairs.user), self.choice.places(pairs.item)
        scores = np.full(len(user), np.nan)
        rows = np.flatnonzero((user >= 0) & (item >= 0))
        found = scores_of_pairs(
            self.dual, self.known.matrix, self.choice.matrix, user[rows], item[rows]
        )
        scores[rows] = predictions(found, self.intercept[user[rows]], logistic=self.logistic)
        return scores, int((user < 0).sum()), int((item < 0).sum())
