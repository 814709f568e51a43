"""The best scores of each row by way of the maxima of groups, without compiled loops.

To sort or to partition all scores of a row is far more work than to find the maxima of groups of
them, and the best `n` are not below the `n`-th best of these.
"""

from typing import Any

import numpy as np
from array_api_compat import device

from daskml_exec.kernels.array_namespace import array_namespace, somewhere
from daskml_exec.kernels.arrays import Array


def best_above(scores: Array, n: int) -> tuple[Array, Array]:
    """Return the columns of the best scores of each row, and those scores, best first.

    Of equal scores the first is best.

    Parameters
    ----------
    scores : ndarray of shape (b, m)
        Groups are of a power of two that divides `m`. NaN and minus infinity are left out; NaN is
        overwritten.
    n : int
        From 1 to `m`.

    Returns
    -------
    columns : ndarray of int64 of shape (b, n)
        -1 where a row has no more.
    scores : ndarray of shape (b, n)
        Minus infinity where a row has no more.

    Examples
    --------
    >>> best_above(np.array([[1.0, 3.0, -np.inf, 3.0]]), 4)
    (array([[ 1,  3,  0, -1]]), array([[  3.,   3.,   1., -inf]]))
    """
    b, m = scores.shape
    # One score of each group in a row of memory: their maxima are of whole vectors.
    maxima = scores.reshape(b, -1, m // _group_size(m, n)).max(axis=1)
    if np.isnan(maxima).any():
        scores[np.isnan(scores)] = -np.inf
        return best_above(scores, n)
    least = np.partition(maxima, -n, axis=1)[:, -n]
    least = np.maximum(least, np.finfo(scores.dtype).min)
    rows, columns = np.divmod(np.flatnonzero(scores >= least[:, None]), m)
    values = scores[rows, columns]
    order = np.lexsort((-values, rows))
    first = np.searchsorted(rows, np.arange(b))
    places = np.arange(len(rows)) - first[rows]
    order, rows, places = (each[places < n] for each in (order, rows, places))
    found, best = np.full((b, n), -1), np.full((b, n), -np.inf, scores.dtype)
    found[rows, places], best[rows, places] = columns[order], values[order]
    return found, best


def best_by_groups(scores: Any, n: int) -> tuple[Any, Any]:
    """Return what `best_above` does by sorts alone, for devices, where all shapes are known before.

    The best are in the `n` groups of neighbours whose maxima are best: maxima are sorted, and then
    the members of these groups. Of equal scores, and of equal maxima, the first is best.

    Parameters
    ----------
    scores : array of shape (b, m)
        Groups are of a power of two that divides `m`. NaN counts as minus infinity.
    n : int
        From 1 to `m`.

    Returns
    -------
    columns : array of int64 of shape (b, n)
        Those of scores of minus infinity, too.
    scores : array of shape (b, n)

    Examples
    --------
    >>> best_by_groups(np.array([[1.0, 3.0, -np.inf, 3.0]]), 4)
    (array([[1, 3, 0, 2]]), array([[  3.,   3.,   1., -inf]]))
    """
    xp, (b, m) = array_namespace(scores), scores.shape
    size = _group_size(m, n)
    maxima = xp.max(xp.reshape(scores, (b, m // size, size)), axis=2)
    if somewhere(xp.isnan(maxima)):
        lowest = xp.full_like(scores, -xp.inf)
        return best_by_groups(xp.where(xp.isnan(scores), lowest, scores), n)
    columns = xp.argsort(-maxima, axis=1, stable=True)[:, :n]
    if size == 1:
        return columns, xp.take_along_axis(scores, columns, axis=1)
    # In the order of columns, so that of equal members the first is the first one of the row.
    groups = xp.sort(columns, axis=1)
    inside = xp.arange(size, dtype=groups.dtype, device=device(scores))
    members = xp.reshape(groups[:, :, None] * size + inside[None, None, :], (b, -1))
    found = xp.take_along_axis(scores, members, axis=1)
    order = xp.argsort(-found, axis=1, stable=True)[:, :n]
    return xp.take_along_axis(members, order, axis=1), xp.take_along_axis(found, order, axis=1)


def _group_size(m: int, n: int) -> int:
    """Return a size with which there are about as many groups as members of the best `n`."""
    size = 1
    while m % (2 * size) == 0 and n * (2 * size) ** 2 <= m:
        size *= 2
    return size
