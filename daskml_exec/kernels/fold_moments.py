"""Cross moments of each fold, of which those of every training set are sums."""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.cross_moments import CrossMoments, cross_moments
from daskml_exec.kernels.fold_pieces import fold_pieces


def cross_moments_by_fold(
    X: Any, y: Any, sample_weight: Any, fold: Array, n_folds: int
) -> tuple[CrossMoments, ...]:
    """Return the moments of the rows of each fold, and last those of rows in none, in one pass.

    Parameters
    ----------
    X : array or CSR matrix of shape (n, d)
    y : array of shape (n,)
    sample_weight : array of shape (n,), or None
    fold : array of shape (n,)
        From `n_folds` on a row is in no fold.
    n_folds : int

    Returns
    -------
    tuple of CrossMoments
        ``n_folds + 1`` of them, as of `cross_moments`.

    Examples
    --------
    >>> X, fold = np.array([[1.0], [3.0], [7.0]]), np.array([0, 0, 1])
    >>> [each.mean.tolist() for each in cross_moments_by_fold(X, X[:, 0], None, fold, 2)]
    [[2.0, 2.0], [7.0, 7.0], [0.0, 0.0]]
    """
    size = X.shape[1] + 1
    nothing = CrossMoments(0.0, np.zeros(size), np.zeros((size, size)))
    found = [nothing] * (n_folds + 1)
    for k, places, rows in fold_pieces(X, fold, n_folds):
        weight = None if sample_weight is None else sample_weight[places]
        found[k] = found[k] + cross_moments(rows, y[places], weight)
    return tuple(found)


def trained_on(by_fold: Sequence[CrossMoments], k: int) -> CrossMoments:
    """Return the moments of all rows but those of fold k: a sum, as differences lose digits."""
    return reduce(add, (each for i, each in enumerate(by_fold) if i != k))


def squared_errors(moments: CrossMoments, coef: Array, intercept: Array) -> Array:
    r"""Return :math:`\sum s (y - w^\top x - b)^2` of rows, of their moments alone.

    It has few digits where it is a small share of :math:`\sum s (y - \bar y)^2`.

    Parameters
    ----------
    moments : CrossMoments
        Of the columns and y.
    coef : ndarray of shape (J, d)
    intercept : ndarray of shape (J,)

    Returns
    -------
    ndarray of shape (J,)

    Examples
    --------
    >>> rows = cross_moments(np.array([[1.0], [3.0]]), np.array([1.0, 4.0]), None)
    >>> squared_errors(rows, np.array([[1.0], [0.0]]), np.array([0.0, 1.0])).tolist()
    [1.0, 9.0]
    """
    v = np.column_stack([-coef, np.ones(len(coef))])
    about_mean = np.maximum(((v @ moments.scatter) * v).sum(axis=1), 0.0)
    errors: Array = about_mean + moments.weight * (v @ moments.mean - intercept) ** 2
    return errors
