"""The best items of each user by the products of their factors: exact, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from daskml_exec.kernels.array_namespace import (
    array_namespace,
    concatenated,
    host_dtype,
    is_host,
    to_device_of,
    to_host,
    zeros,
)
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.best_kept import Keep, compiled_keep
from daskml_exec.kernels.factors.group_maxima import best_above, best_by_groups
from daskml_exec.kernels.stop_points import stop_point


class Shape(NamedTuple):
    """Of how many users and items products are; the last users are filled up with zeros.

    What BLAS computes for a user can depend on the shape: only the number of items may change it.
    """

    users: int
    items: int


IN_CACHE = Shape(64, 1024)
"""Scores that are looked through while they are in cache.

With more users a product is a tenth faster, but one user alone takes as long as all of them.
"""
BY_CALLS = Shape(64, 2**14)
"""For calls of NumPy's, which must have something to do."""
ON_DEVICE = Shape(1024, 2**15)
"""For products that are worth their start; 128 MiB of scores in single precision."""
MULTIPLE = 1024
"""Columns of scores are a multiple of it, so that they fall into groups."""


class TopItems(NamedTuple):
    """The best of `m` items for each of `b` users, best first.

    Attributes
    ----------
    items : ndarray of int64 of shape (b, n)
        From 0 to `m` - 1; -1 behind a user's last one.
    scores : ndarray of shape (b, n)
        In the dtype of the factors; minus infinity behind a user's last one.
    counts : ndarray of int64 of shape (b,)
        How many items a user has here.
    """

    items: Array
    scores: Array
    counts: Array


@dataclass(frozen=True)
class Seen:
    """Items that users have seen, user by user, in the order of items.

    Attributes
    ----------
    starts : ndarray of int64 of shape (b + 1,)
        Those of user `i` are ``items[starts[i] : starts[i + 1]]``.
    items : ndarray of integers
    """

    starts: Array
    items: Array

    def of(self, rows: slice) -> Seen:
        """Return those of some users, copied: a loop is compiled again for read-only arrays."""
        starts = self.starts[rows.start : rows.stop + 1]
        return Seen(starts - starts[0], self.items[starts[0] : starts[-1]].astype(np.int64))

    def among(self, allowed: Array) -> Seen:
        """Return those that are allowed, by their places among these."""
        kept = allowed[self.items]
        before = np.append(0, np.cumsum(kept))
        return Seen(before[self.starts], (np.cumsum(allowed) - 1)[self.items[kept]])

    def between(self, start: int, stop: int) -> tuple[Array, Array]:
        """Return the users, and the places from `start`, of those in a range of items."""
        there = (self.items >= start) & (self.items < stop)
        users = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        return users[there], self.items[there] - start


def top_n(
    users: Any,
    items: Any,
    n: int,
    *,
    seen_indptr: Array | None = None,
    seen_indices: Array | None = None,
    allowed: Array | None = None,
) -> TopItems:
    r"""Return the items whose factors have the largest products with those of each user.

    The score of item `i` for user `u` is :math:`x_u^\top y_i`. Of equal scores the lower item comes
    first; an item with a score of NaN or minus infinity is left out. A user's result is the same,
    bit for bit, whoever else is in `users`.

    Parameters
    ----------
    users : array of shape (b, k)
        In float32 or float64, on the host or on a device.
    items : array of shape (m, k)
        In the same dtype, at the same place.
    n : int
        How many items for each user, at least 1.
    seen_indptr : ndarray of integers of shape (b + 1,), optional
        With `seen_indices`, the items that are left out, as in a CSR matrix of `b` rows. It need
        not begin with 0: a slice of the `indptr` of all users goes with the indices of all.
    seen_indices : ndarray of integers, optional
        Sorted in each row.
    allowed : ndarray of bool of shape (m,), optional
        The items of which the best are taken; None means all.

    Returns
    -------
    TopItems

    Raises
    ------
    TypeError
        Factors are of two dtypes, or of another one.
    ValueError
        `n` is below 1, shapes do not fit, or what was seen is not sorted or not an item.

    Examples
    --------
    >>> import numpy as np
    >>> users, items = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 2.0], [3.0, 2.0]])
    >>> found = top_n(users, items, 2, seen_indptr=np.array([0, 1, 1]), seen_indices=np.array([1]))
    >>> found.items, found.counts
    (array([[ 0, -1],
           [ 0,  1]]), array([1, 2]))
    """
    _require_factors(users, items, n)
    b, m = users.shape[0], items.shape[0]
    seen = _seen(seen_indptr, seen_indices, b, m)
    index = np.full((b, n), -1)
    scores = np.full((b, n), -np.inf, host_dtype(users))
    chosen = None
    if allowed is not None:
        _require_mask(allowed, m)
        chosen = np.flatnonzero(allowed)
        seen, items = seen.among(allowed), _rows_at(items, chosen)
    width = min(n, items.shape[0])
    if not width:
        return TopItems(index, scores, np.zeros(b, np.int64))
    with np.errstate(over="ignore", invalid="ignore"):  # such items are left out
        for rows, columns, best in _found(users, items, width, seen):
            index[rows, :width] = columns if chosen is None else chosen[columns]
            scores[rows, :width] = best
    there = scores > -np.inf
    index[~there] = -1
    return TopItems(index, scores, np.count_nonzero(there, axis=1))


Found = Iterator[tuple[slice, Array, Array]]
"""Some users after others: their rows, the best items, and the scores of these."""


def _found(users: Any, items: Any, n: int, seen: Seen) -> Found:
    if not is_host(users):
        return _by_groups(users, items, n, seen, ON_DEVICE)
    users, items = np.ascontiguousarray(users), np.ascontiguousarray(items)
    keep = compiled_keep()
    if keep is None:
        return _by_groups(users, items, n, seen, BY_CALLS)
    return _by_heaps(keep, users, items, n, seen)


def _by_heaps(keep: Keep, users: Array, items: Array, n: int, seen: Seen) -> Found:
    width = min(IN_CACHE.items, len(items))
    block = np.empty((IN_CACHE.users, width), users.dtype)
    for rows, some in _filled(users, IN_CACHE.users):
        shape = (rows.stop - rows.start, n)
        index, best = np.full(shape, -1), np.full(shape, -np.inf, users.dtype)
        of_these = seen.of(rows)
        cursors, ends = of_these.starts[:-1].copy(), of_these.starts[1:]
        for start in range(0, len(items), width):
            stop = min(start + width, len(items))
            np.matmul(some, items[start:stop].T, out=block[:, : stop - start])
            keep(block, start, stop, of_these.items, cursors, ends, best, index)
        order = np.lexsort((index, -best), axis=1)
        yield (
            rows,
            np.take_along_axis(index, order, axis=1),
            np.take_along_axis(best, order, axis=1),
        )


def _by_groups(users: Any, items: Any, n: int, seen: Seen, shape: Shape) -> Found:
    for rows, some in _filled(users, shape.users):
        length = rows.stop - rows.start
        of_these = seen.of(rows)
        index = np.empty((length, 0), np.int64)
        best = np.empty((length, 0), host_dtype(users))
        for start in range(0, items.shape[0], shape.items):
            stop = min(start + shape.items, items.shape[0])
            part, hidden = items[start:stop, :], of_these.between(start, stop)
            scores = _scores(some, part, hidden)[:length, :]
            best_of = best_above if is_host(scores) else best_by_groups
            columns, values = map(to_host, best_of(scores, min(n, scores.shape[1])))
            # Those from before are lower: of equal scores they come first.
            index = np.concatenate([index, columns + start], axis=1)
            best = np.concatenate([best, values], axis=1)
            order = np.argsort(-best, axis=1, stable=True)[:, :n]
            index, best = (np.take_along_axis(each, order, axis=1) for each in (index, best))
        yield rows, np.where(best > -np.inf, index, -1), best


def _scores(users: Any, items: Any, hidden: tuple[Array, Array]) -> Any:
    """Return products, and minus infinity for what is hidden and in columns that fill them up."""
    shape, m = (users.shape[0], _up_to(MULTIPLE, items.shape[0])), items.shape[0]
    if is_host(users):
        scores = np.empty(shape, users.dtype)
        np.matmul(users, items.T, out=scores[:, :m])
        scores[:, m:] = -np.inf
        scores[hidden] = -np.inf
        return scores
    xp = array_namespace(users)
    mask = np.zeros(shape, bool)
    mask[:, m:] = True
    mask[hidden] = True
    fill = zeros((shape[0], shape[1] - m), users)
    found = xp.concat([users @ xp.matrix_transpose(items), fill], axis=1)
    return xp.where(to_device_of(mask, users, mask.dtype), xp.full_like(found, -xp.inf), found)


def _filled(users: Any, size: int) -> Iterator[tuple[slice, Any]]:
    """Yield so many users at a time, the last ones with rows of zeros behind them."""
    b, k = users.shape
    for start in range(0, b, size):
        stop_point()
        rows = slice(start, min(start + size, b))
        some = users[rows, :]
        missing = size - some.shape[0]
        yield rows, concatenated([some, zeros((missing, k), users)]) if missing else some


def _up_to(multiple: int, number: int) -> int:
    return -(-number // multiple) * multiple


def _rows_at(items: Any, places: Array) -> Any:
    if is_host(items):
        return items[places]
    return array_namespace(items).take(items, to_device_of(places, items, places.dtype), axis=0)


def _require_factors(users: Any, items: Any, n: int) -> None:
    if n < 1:
        raise ValueError(f"n is {n}; allowed are numbers from 1")
    if users.ndim != 2 or items.ndim != 2 or users.shape[1] != items.shape[1]:
        raise ValueError(
            f"users are of shape {tuple(users.shape)} and items of shape {tuple(items.shape)}; "
            "allowed are matrices with as many columns, one for each factor"
        )
    dtypes = host_dtype(users), host_dtype(items)
    if dtypes[0] != dtypes[1] or dtypes[0] not in (np.float32, np.float64):
        raise TypeError(
            f"users are of {dtypes[0]} and items of {dtypes[1]}; allowed is one dtype, float32 or "
            "float64"
        )


def _require_mask(allowed: Array, m: int) -> None:
    if allowed.shape != (m,) or allowed.dtype != bool:
        raise ValueError(
            f"allowed is of {allowed.dtype} and of shape {allowed.shape}; allowed is a bool for "
            f"each of {m} items"
        )


def _seen(indptr: Array | None, indices: Array | None, b: int, m: int) -> Seen:
    if indptr is None or indices is None:
        if indptr is not None or indices is not None:
            raise ValueError("one of seen_indptr and seen_indices is None; allowed is both or none")
        return Seen(np.zeros(b + 1, np.int64), np.zeros(0, np.int64))
    if indptr.shape != (b + 1,):
        raise ValueError(
            f"seen_indptr is of shape {indptr.shape}; allowed is one more than {b} users"
        )
    starts = indptr.astype(np.int64, copy=False)
    if starts[0] < 0 or starts[-1] > len(indices) or (starts[1:] < starts[:-1]).any():
        raise ValueError(
            f"seen_indptr falls or has places outside of {len(indices)} seen_indices; allowed are "
            "places in order"
        )
    items = indices[starts[0] : starts[-1]]
    starts = starts - starts[0]
    if len(items) and (items.min() < 0 or items.max() >= m):
        raise ValueError(
            f"seen_indices are from {items.min()} to {items.max()}; allowed are those of {m} items"
        )
    falls = items[1:] < items[:-1]
    falls[starts[1:-1][(starts[1:-1] > 0) & (starts[1:-1] < len(items))] - 1] = False
    if falls.any():
        row = int(np.searchsorted(starts, int(np.flatnonzero(falls)[0]), side="right")) - 1
        raise ValueError(f"seen_indices are not sorted in row {row}; allowed are sorted ones")
    return Seen(starts, items)
