"""Scores of items by the models of users: the best items, and those of pairs."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.block_sizes import block_sizes
from daskml_exec.kernels.factors.group_maxima import best_above
from daskml_exec.kernels.factors.top_n import TopItems, top_n
from daskml_exec.kernels.stop_points import stop_point

_GROUPS = 1024
"""Columns of scores are a multiple of it, so that they fall into groups."""


def best_items(dual: Any, known: Any, features: Any, n: int, seen: Any) -> TopItems:
    """Return the items that the models of users score highest.

    Scores are without intercepts, which change no order. Of equal ones the lower item comes first.

    Parameters
    ----------
    dual : CSR array of shape (n_users, n_known)
        Coefficients of the models on the items that these were fitted with.
    known : ndarray or CSR array of shape (n_known, d)
        Features of these.
    features : ndarray or CSR array of shape (n_items, d)
        Of the items to score.
    n : int
        How many for each user, at least 1.
    seen : CSR array of shape (n_users, n_items)
        What it stores is left out; sorted in each row.

    Returns
    -------
    TopItems

    Examples
    --------
    >>> dual, seen = sp.csr_array([[2.0, -1.0]]), sp.csr_array([[1.0, 0.0, 0.0]])
    >>> known, features = np.eye(2), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> found = best_items(dual, known, features, 2, seen)
    >>> found.items, found.scores
    (array([[2, 1]]), array([[ 1., -1.]]))
    """
    parts = []
    for start, stop in _ranges(dual.shape[0], features.shape):
        stop_point()
        coefficients = dual[start:stop] @ known
        indptr, indices = seen.indptr[start : stop + 1], seen.indices
        if sp.issparse(features):
            hidden = seen[start:stop].tocoo()
            parts.append(_best_of_sparse(coefficients, features, n, (hidden.row, hidden.col)))
        else:
            rows = np.asarray(features, dtype=np.float64)
            found = top_n(_dense(coefficients), rows, n, seen_indptr=indptr, seen_indices=indices)
            parts.append(found)
    return TopItems(*map(np.concatenate, zip(*parts, strict=True)))


def scores_of_pairs(dual: Any, known: Any, features: Any, users: Array, items: Array) -> Array:
    """Return the scores of some items for some users, without intercepts.

    Parameters
    ----------
    dual, known, features
        As of `best_items`.
    users, items : ndarray of integers of shape (n_pairs,)
        Rows of `dual` and of `features`.

    Returns
    -------
    ndarray of float64 of shape (n_pairs,)

    Examples
    --------
    >>> dual, features = sp.csr_array([[2.0, -1.0]]), np.eye(2)
    >>> scores_of_pairs(dual, features, features, np.array([0, 0]), np.array([1, 0]))
    array([-1.,  2.])
    """
    scores = np.empty(len(users))
    order = np.argsort(users, kind="stable")
    for start, stop in _ranges(len(users), (features.shape[1], 1)):
        stop_point()
        some = order[start:stop]
        distinct, place = np.unique(users[some], return_inverse=True)
        coefficients = dual[distinct] @ known
        rows = features[items[some]]
        if sp.issparse(features):
            scores[some] = (rows * coefficients[place]).sum(axis=1)
        else:
            scores[some] = np.einsum("ij,ij->i", rows, _dense(coefficients)[place])
    return scores


def _best_of_sparse(
    coefficients: Any, features: Any, n: int, hidden: tuple[Array, Array]
) -> TopItems:
    b, m = coefficients.shape[0], features.shape[0]
    scores = np.full((b, m + -m % _GROUPS), -np.inf)
    scores[:, :m] = (features @ np.ascontiguousarray(_dense(coefficients).T)).T
    scores[hidden] = -np.inf
    index, best = np.full((b, n), -1), np.full((b, n), -np.inf)
    width = min(n, scores.shape[1])
    index[:, :width], best[:, :width] = best_above(scores, width)
    return TopItems(index, best, np.count_nonzero(index >= 0, axis=1))


def _dense(coefficients: Any) -> Array:
    return np.asarray(coefficients.toarray() if sp.issparse(coefficients) else coefficients)


def _ranges(n: int, of_each: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Cut users or pairs, each of which takes memory for so many numbers."""
    size = max(1, 8 * block_sizes().product_bytes // (8 * sum(of_each)))
    for start in range(0, n, size):
        yield start, min(n, start + size)
