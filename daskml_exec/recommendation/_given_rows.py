"""Interactions in memory, by the codes of a fitted model: for few users, new or known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.executor import as_dask_futures
from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions import ARRAY, is_collection, kind_of, refuse_unreadable, to_memory
from daskml_exec.recommendation._encoding import Encoding
from daskml_exec.recommendation._ids import Distinct, codes_of, ids_in, index_of, some
from daskml_exec.recommendation._seen import Seen
from daskml_exec.recommendation._triples import Columns, Triples, triples_of
from daskml_exec.training import FitWarning


@dataclass(frozen=True)
class GivenRows:
    """Rows of users.

    Attributes
    ----------
    users : ndarray of shape (n,)
        Sorted ids; of a matrix the numbers of all its rows.
    rows : Seen
        What each has, by the codes of known items.
    n_unknown : int
        Entries of items that are not known, which were left out.
    unknown : str
        The first of these items, in words.
    is_matrix : bool
        Whether a matrix was given.
    """

    users: Array
    rows: Seen
    n_unknown: int
    unknown: str
    is_matrix: bool

    def places(self, users: Any, known: Array) -> tuple[Array, Array, Array]:
        """Return ids of users, with their places among known ones and among these; -1 for none.

        Parameters
        ----------
        users : array-like of ids, or None
            None for all of these.
        known : ndarray

        Raises
        ------
        ValueError
            A user is in neither.
        """
        ids = self.users if users is None else ids_in("users", users)
        old, rows = codes_of(index_of(known), ids), codes_of(index_of(self.users), ids)
        neither = ids[(old < 0) & (rows < 0)]
        if len(neither):
            raise ValueError(
                f"users has {len(neither):,} ids that are neither in interactions nor known to the "
                f"model: {some(neither)}; allowed are ids of either"
            )
        return ids, old, rows

    @property
    def warnings(self) -> list[FitWarning]:
        """What is to be said of it: items that are not known."""
        if not self.n_unknown:
            return []
        rows = f"{self.n_unknown:,} row{'s' * (self.n_unknown != 1)}"
        return [
            FitWarning(
                "items",
                f"interactions has {rows} of items that the model does not know ({self.unknown}): "
                "they are left out",
            )
        ]


def triples_in_memory(interactions: Any, columns: Columns, where: str = "") -> tuple[Triples, Any]:
    """Return interactions as triples on the driver, and the shape of a matrix, or None.

    Messages say where they are: such as " of test".
    """
    given, name = as_dask_futures(interactions), f"interactions{where}"
    if not isinstance(given, tuple):
        refuse_unreadable(given, name, dates=False)
    if is_collection(given):
        if kind_of(given) != ARRAY and hasattr(given, "columns"):
            columns.require_in(list(given.columns), where)
            given = given[columns.names()]
        given = to_memory(given, None, name)
    shape = given.shape if sp.issparse(given) else None
    return triples_of(given, columns, where=where), shape


def given_rows(interactions: Any, items: Array, n_users: int, how: Encoding) -> GivenRows:
    """Read interactions of users with the items of a model.

    Parameters
    ----------
    interactions : as in `fit`
    items : ndarray
        Sorted ids that the model knows.
    n_users : int
        How many users it knows, for messages.
    how : Encoding

    Raises
    ------
    ValueError
        A matrix has not as many columns as there are items; a pair comes twice where it must not.
    """
    triples, shape = triples_in_memory(interactions, how.columns)
    if shape is not None:
        require_width(shape, len(items), n_users)
        users, item = np.arange(shape[0]), triples.item
        user = triples.user
    else:
        users = Distinct.of(triples.user).sorted(how.columns.user).values
        user = codes_of(index_of(users), triples.user)
        item = codes_of(index_of(items), triples.item)
    known = item >= 0
    pairs = how.pairs(user[known], item[known], triples.rating[known], users, items)
    return GivenRows(
        users,
        Seen.of(pairs),
        int((~known).sum()),
        some(np.unique(triples.item[~known])),
        shape is not None,
    )


def require_same_width(interactions: Any, items: Array, users: Array) -> None:
    """Raise ValueError for a matrix that has not a column for each item."""
    if sp.issparse(interactions):
        require_width(interactions.shape, len(items), len(users))


def require_width(shape: tuple[int, int], n_items: int, n_users: int) -> None:
    """Raise ValueError unless a matrix has a column for each item."""
    if shape[1] != n_items:
        turned = "; it may be transposed: interactions.T" if shape[0] == n_items else ""
        raise ValueError(
            f"interactions is a matrix of {shape[0]:,} rows and {shape[1]:,} columns, and the "
            f"model has {n_users:,} users and {n_items:,} items; allowed is a column for each item"
            f"{turned}"
        )
