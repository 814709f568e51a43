"""What one row of predictions counts in a metric, by the namespace of the arrays."""

from typing import Any

import numpy as np

from daskml_exec.kernels.array_namespace import array_namespace, is_host, total
from daskml_exec.kernels.arrays import Array


def squared_errors(y: Any, predicted: Any) -> Any:
    """Return ``(y - p)^2`` of each element."""
    return (y - predicted) ** 2


def absolute_errors(y: Any, predicted: Any) -> Any:
    """Return ``|y - p|`` of each element."""
    return array_namespace(y).abs(y - predicted)


def poisson_deviances(y: Any, predicted: Any) -> Any:
    """Return ``2 (y log(y / p) - y + p)`` of each element, whose first term is 0 where y is."""
    xp = array_namespace(y)
    some = xp.where(y > 0, y, xp.ones_like(y))
    return 2 * (y * xp.log(some / predicted) - y + predicted)


def log_losses(probabilities: Any) -> Any:
    """Return ``-log p`` of each element, where p keeps a rounding error away from 0 and 1."""
    xp = array_namespace(probabilities)
    eps = float(xp.finfo(probabilities.dtype).eps)
    return -xp.log(xp.clip(probabilities, eps, 1 - eps))


def log_losses_of_margins(z: Array, codes: Array) -> Array:
    """Return ``-log p`` of the class of each row, with p as of `log_losses`, from its margins.

    Parameters
    ----------
    z : ndarray of shape (n,), or (n, K)
        Margins of the second of two classes, or of each class.
    codes : ndarray of int of shape (n,)

    Examples
    --------
    >>> log_losses_of_margins(np.array([0.0, 800.0]), np.array([1, 0])).round(3)
    array([ 0.693, 36.044])
    """
    if z.ndim == 1:
        wrong = z * (1 - 2 * codes)
        losses = np.log1p(np.exp(-np.abs(wrong)))
        losses += np.maximum(wrong, 0.0)
    else:
        behind = z - z.max(axis=1)[:, None]
        losses = np.log(np.exp(behind).sum(axis=1)) - behind[np.arange(len(z)), codes]
    eps = np.finfo(np.float64).eps
    return np.clip(losses, -np.log1p(-eps), -np.log(eps))


def weighted_columns(values: Any, weight: Any) -> Any:
    """Return the sums of the columns of a matrix, by weight; None is for ones."""
    xp = array_namespace(values)
    return xp.sum(values, axis=0) if weight is None else weight @ values


def total_where(mask: Any, weight: Any) -> float:
    """Return the sum of the weights where a mask is true; None is for ones."""
    if is_host(mask):
        return float(np.count_nonzero(mask) if weight is None else weight[mask].sum())
    xp = array_namespace(mask)
    some = xp.astype(mask, xp.float64)
    return total(some if weight is None else some * weight)


def discounted_gains(
    gains: Array, scores: Array, *, k: int | None, log_base: float, ignore_ties: bool
) -> Array:
    r"""Return the gain of each row's ranking, discounted by rank.

    .. math:: \sum_{j \le k} g_{(j)} / \log_b(j + 1)

    Rows of equal scores share the mean of their discounts, unless ties are ignored.

    Parameters
    ----------
    gains, scores : array of shape (n, m)
    k : int or None
        How many of the first ranks count; all if None.
    log_base : float
    ignore_ties : bool

    Returns
    -------
    array of shape (n,)
    """
    n, width = gains.shape
    discount = np.log(log_base) / np.log(np.arange(width) + 2)
    if k is not None:
        discount[k:] = 0
    order = np.argsort(scores, axis=1)[:, ::-1]  # scikit-learn's order where ties are ignored
    ranked = np.take_along_axis(gains, order, axis=1).astype(np.float64)
    if ignore_ties:
        return ranked @ discount
    sorted_scores = np.take_along_axis(scores, order, axis=1)
    begins = np.ones((n, width), dtype=bool)
    begins[:, 1:] = sorted_scores[:, 1:] != sorted_scores[:, :-1]
    group = np.cumsum(begins.ravel()) - 1
    shares = np.bincount(group, np.tile(discount, n)) / np.bincount(group)
    return (ranked * shares[group].reshape(n, width)).sum(axis=1)


def in_top(scores: Array, k: int) -> Array:
    """Return for each row and column whether the column is among the k with the largest scores.

    Of equal scores the last columns come first, as in scikit-learn.
    """
    order = np.argsort(scores, axis=1, kind="stable")[:, ::-1][:, :k]
    found = np.zeros(scores.shape)
    np.put_along_axis(found, order, 1.0, axis=1)
    return found
