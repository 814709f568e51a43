"""New interactions for a fitted model: the rows that they concern are solved again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.pairs import Duplicates, sorted_pairs
from daskml_exec.recommendation._fold_in import FoldIn
from daskml_exec.recommendation._ids import Distinct, codes_of, index_of
from daskml_exec.recommendation._seen import Seen
from daskml_exec.recommendation._triples import Triples, raise_repeated


@dataclass(frozen=True)
class Known:
    """What a fit has found.

    Attributes
    ----------
    users, items : ndarray
        Sorted ids.
    user_factors, item_factors : ndarray
    seen : Seen or None
        What users have interacted with, where it was kept.
    """

    users: Array
    items: Array
    user_factors: Array
    item_factors: Array
    seen: Seen | None


def updated(
    model: Known,
    new: Triples,
    fold_in: FoldIn,
    names: tuple[str, str],
    duplicates: Duplicates,
    *,
    repeats: bool,
    zeros: bool,
) -> Known:
    """Return the model with the rows of the users and items in new interactions solved again.

    First the users given all items, then the items given all users, then the users once more. What
    was kept of earlier interactions counts, too; where nothing was kept, the new ones alone.

    Parameters
    ----------
    model : Known
    new : Triples
    fold_in : FoldIn
    names : (str, str)
        Of the columns of users and items.
    duplicates : {"sum", "mean", "last"}
        What becomes of a pair that was there before.
    repeats : bool
        Whether a pair may come again at all.
    zeros : bool
        Whether entries with the value zero stay.
    """
    users, user_factors = _joined(model.users, model.user_factors, new.user, names[0])
    items, item_factors = _joined(model.items, model.item_factors, new.item, names[1])
    user, item = codes_of(index_of(users), new.user), codes_of(index_of(items), new.item)
    concerned = np.unique(user), np.unique(item)
    value = new.rating.astype(item_factors.dtype)
    if model.seen is not None:
        old = model.seen
        before = np.repeat(codes_of(index_of(users), model.users), old.counts)
        user = np.concatenate([before, user])
        item = np.concatenate([codes_of(index_of(items), model.items)[old.columns], item])
        value = np.concatenate([old.values.astype(value.dtype), value])
    shape = len(users), len(items)
    by_users = sorted_pairs(user, item, value, shape, duplicates=duplicates, zeros=zeros)
    if by_users.repeated is not None and not repeats:
        u, i = by_users.repeated
        raise_repeated(by_users.n_repeated, users[u : u + 1], items[i : i + 1])
    by_items = sorted_pairs(item, user, value, shape[::-1], duplicates=duplicates, zeros=zeros)
    rows, columns = (
        Seen(pairs.indptr, pairs.columns, pairs.values) for pairs in (by_users, by_items)
    )
    user_factors[concerned[0]] = fold_in(rows.take(concerned[0]), item_factors)
    item_factors[concerned[1]] = fold_in(columns.take(concerned[1]), user_factors)
    user_factors[concerned[0]] = fold_in(rows.take(concerned[0]), item_factors)
    kept = None if model.seen is None else rows
    return Known(users, items, user_factors, item_factors, kept)


def _joined(ids: Array, factors: Array, new: Array, name: str) -> tuple[Array, Array]:
    """Return all ids in order, and their factors: zeros of those that are new."""
    joined = (Distinct.of(ids) + Distinct.of(new)).sorted(name).values
    values = np.zeros((len(joined), factors.shape[1]), dtype=factors.dtype)
    values[codes_of(index_of(joined), ids)] = factors
    return joined, values
