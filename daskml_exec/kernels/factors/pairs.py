"""Pairs of a row and a column, sorted by both in linear time, with what comes twice made one."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array

Duplicates = Literal["sum", "mean", "last"]


@dataclass(frozen=True)
class SortedPairs:
    """Distinct pairs by rows.

    Attributes
    ----------
    indptr : ndarray of int64 of shape (n_rows + 1,)
    columns : ndarray of int32 of shape (n,)
        Sorted within rows.
    values : ndarray of shape (n,)
    n_repeated : int
        Pairs that came before already.
    repeated : tuple of int or None
        The first pair that came twice.
    """

    indptr: Array
    columns: Array
    values: Array
    n_repeated: int = 0
    repeated: tuple[int, int] | None = None


def sorted_pairs(
    rows: Array,
    columns: Array,
    values: Array,
    shape: tuple[int, int],
    *,
    duplicates: Duplicates,
    zeros: bool,
) -> SortedPairs:
    """Return the distinct pairs, sorted by rows and by columns within rows.

    Parameters
    ----------
    rows, columns : ndarray of shape (n,)
        Codes from 0.
    values : ndarray of shape (n,)
    shape : (n_rows, n_columns)
    duplicates : {"sum", "mean", "last"}
        What the value of a pair is that comes several times; sums are in double, in their order.
    zeros : bool
        Whether pairs with the value zero stay.

    Examples
    --------
    >>> rows, columns = np.array([1, 0, 1]), np.array([2, 1, 2])
    >>> found = sorted_pairs(rows, columns, np.ones(3), (2, 3), duplicates="sum", zeros=True)
    >>> found.indptr, found.columns, found.values, found.repeated
    (array([0, 1, 2]), array([1, 2], dtype=int32), array([1., 2.]), (1, 2))
    """
    order = _bucketed(columns, shape[1])
    order = order[_bucketed(rows[order], shape[0])]
    rows, columns, values = rows[order], columns[order].astype(np.int32, copy=False), values[order]
    n_repeated, repeated = 0, None
    if len(rows):
        first = np.empty(len(rows), dtype=bool)
        first[0] = True
        np.not_equal(rows[1:], rows[:-1], out=first[1:])
        first[1:] |= columns[1:] != columns[:-1]
        starts = np.flatnonzero(first)
        n_repeated = len(rows) - len(starts)
        if n_repeated:
            twice = int(np.flatnonzero(~first)[0])
            repeated = (int(rows[twice]), int(columns[twice]))
            values = _made_one(values, starts, duplicates)
            rows, columns = rows[starts], columns[starts]
    if not zeros and not values.all():
        kept = values != 0
        rows, columns, values = rows[kept], columns[kept], values[kept]
    indptr = np.zeros(shape[0] + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=indptr[1:])
    return SortedPairs(indptr, columns, values, n_repeated, repeated)


def _bucketed(keys: Array, n_keys: int) -> Array:
    """Return the stable order by small integers, in linear time: that of a transposed matrix."""
    n = len(keys)
    one_each = (np.empty(n, dtype=np.int8), keys, np.arange(n + 1))
    return np.asarray(sp.csr_array(one_each, shape=(n, max(1, n_keys))).tocsc().indices)


def _made_one(values: Array, starts: Array, duplicates: Duplicates) -> Array:
    ends = np.append(starts[1:], len(values))
    if duplicates == "last":
        return values[ends - 1]
    sums = np.add.reduceat(values.astype(np.float64), starts)
    if duplicates == "mean":
        sums /= ends - starts
    return sums.astype(values.dtype)
