"""New interactions for a fitted model: the rows that they concern are solved again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.pairs import sorted_pairs
from daskml_exec.recommendation._encoding import Encoding
from daskml_exec.recommendation._fold_in import FoldIn
from daskml_exec.recommendation._ids import Distinct, codes_of, index_of
from daskml_exec.recommendation._seen import Seen
from daskml_exec.recommendation._triples import Triples


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


def updated(model: Known, new: Triples, fold_in: FoldIn, how: Encoding) -> Known:
    """Return the model with the rows of the users and items in new interactions solved again.

    First the users given all items, then the items given all users, then the users once more. What
    was kept of earlier interactions counts, too; where nothing was kept, the new ones alone.

    Parameters
    ----------
    model : Known
    new : Triples
    fold_in : FoldIn
    how : Encoding
        What becomes of a pair that was there before.
    """
    user_side = _joined(model.users, model.user_factors, new.user, how.columns.user)
    item_side = _joined(model.items, model.item_factors, new.item, how.columns.item)
    users, items, user, item = user_side.ids, item_side.ids, user_side.new, item_side.new
    user_factors, item_factors = user_side.factors, item_side.factors
    concerned = np.unique(user), np.unique(item)
    value = new.rating.astype(how.dtype)
    if model.seen is not None:
        old = model.seen
        user = np.concatenate([np.repeat(user_side.old, old.counts), user])
        item = np.concatenate([item_side.old[old.columns], item])
        value = np.concatenate([old.values.astype(value.dtype), value])
    by_users = how.pairs(user, item, value, users, items)
    by_items = sorted_pairs(
        item, user, value, (len(items), len(users)), duplicates=how.duplicates, zeros=how.zeros
    )
    rows, columns = Seen.of(by_users), Seen.of(by_items)
    user_factors[concerned[0]] = fold_in(rows.take(concerned[0]), item_factors)
    item_factors[concerned[1]] = fold_in(columns.take(concerned[1]), user_factors)
    user_factors[concerned[0]] = fold_in(rows.take(concerned[0]), item_factors)
    kept = None if model.seen is None else rows
    return Known(users, items, user_factors, item_factors, kept)


@dataclass(frozen=True)
class _Joined:
    """One side, with the ids that are new.

    Attributes
    ----------
    ids : ndarray
        All, in order.
    factors : ndarray
        Zeros of those that are new.
    old, new : ndarray
        Places of the ids that were known, and of those of each new row.
    """

    ids: Array
    factors: Array
    old: Array
    new: Array


def _joined(ids: Array, factors: Array, new: Array, name: str) -> _Joined:
    joined = (Distinct.of(ids) + Distinct.of(new)).sorted(name).values
    index = index_of(joined)
    old = codes_of(index, ids)
    values = np.zeros((len(joined), factors.shape[1]), dtype=factors.dtype)
    values[old] = factors
    return _Joined(joined, values, old, codes_of(index, new))
