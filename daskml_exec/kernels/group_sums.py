"""Sums of rows by group, where the rows are.

On a device a sum by group is a product with the matrix that says which row is of which group: a
histogram would add in the order in which its threads arrive, and have other bits each time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import device

from daskml_exec.kernels.array_namespace import (
    array_namespace,
    concatenated,
    doubles,
    is_host,
    ones,
    to_host,
)
from daskml_exec.kernels.arrays import Array

_CELLS = 1 << 22
"""Most elements of such a matrix at a time."""


def distinct(column: Any) -> tuple[Any, Array]:
    """Return of a column on a device the codes of its values there, and these in rising order.

    Parameters
    ----------
    column : array of shape (n,) on a device

    Returns
    -------
    codes : array of int of shape (n,) on the device
    values : ndarray of shape (groups,)
    """
    values, codes = array_namespace(column).unique_inverse(column)
    return codes, to_host(values)


def distinct_of_both(one: Any, other: Any) -> tuple[Any, Any, Array]:
    """Return as `distinct` the codes of two columns of one device, and the values of both."""
    n = one.shape[0]
    codes, values = distinct(concatenated([one, other]))
    return codes[:n], codes[n:], values


def group_sums(codes: Any, values: Any, weight: Any, n_groups: int) -> Array:
    """Return the sums of the rows of each group, by weight.

    Parameters
    ----------
    codes : array of int of shape (n,)
        Groups, from 0.
    values : array of floats of shape (n, m)
        Where the codes are.
    weight : array of float64 of shape (n,) there, or None
        None means ones.
    n_groups : int

    Returns
    -------
    ndarray of float64 of shape (n_groups, m)

    Examples
    --------
    >>> group_sums(np.array([1, 0, 1]), np.array([[1.0], [2.0], [3.0]]), None, 2)
    array([[2.],
           [4.]])
    """
    if is_host(values):
        sums = [
            np.bincount(codes, column if weight is None else weight * column, minlength=n_groups)
            for column in values.T
        ]
        return np.stack(sums, axis=1)

    def columns(rows: slice) -> Any:
        found = doubles(values[rows, :])
        return found if weight is None else found * weight[rows][:, None]

    return _blockwise(codes, columns, n_groups)


def group_weights(codes: Any, weight: Any, n_groups: int) -> Array:
    """Return the weight of the rows of each group.

    Parameters
    ----------
    codes, weight, n_groups : as of `group_sums`

    Returns
    -------
    ndarray of float64 of shape (n_groups,)
    """
    if is_host(codes):
        return np.bincount(codes, weight, minlength=n_groups).astype(np.float64, copy=False)
    each = ones(codes.shape, codes) if weight is None else weight
    return _blockwise(codes, lambda rows: each[rows][:, None], n_groups)[:, 0]


def pair_sums(one: Any, other: Any, weight: Any, n_groups: int) -> Array:
    """Return the weight of the rows of each pair of groups, on a device.

    Parameters
    ----------
    one, other : array of int of shape (n,) on a device
        Groups, from 0.
    weight : array of float64 of shape (n,) there, or None
        None means ones.
    n_groups : int

    Returns
    -------
    ndarray of shape (n_groups, n_groups)
    """

    def columns(rows: slice) -> Any:
        found = _memberships(other[rows], n_groups)
        return found if weight is None else found * weight[rows][:, None]

    return _blockwise(one, columns, n_groups)


def _blockwise(codes: Any, values: Callable[[slice], Any], n_groups: int) -> Array:
    xp, n = array_namespace(codes), codes.shape[0]
    step = max(1, _CELLS // n_groups)
    total: Any = None
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        of_rows = _memberships(codes[rows], n_groups)
        sums = xp.matmul(xp.matrix_transpose(of_rows), values(rows))
        total = sums if total is None else total + sums
    return to_host(total)


def _memberships(codes: Any, n_groups: int) -> Any:
    """Return a one in the column of each row's group."""
    xp = array_namespace(codes)
    groups = xp.arange(n_groups, dtype=codes.dtype, device=device(codes))
    return xp.astype(codes[:, None] == groups[None, :], xp.float64)
