"""What one look at the rows tells of each column, with missing values left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.sparsefuncs import mean_variance_axis, min_max_axis

from daskml_exec.kernels.array_namespace import array_namespace, beside, is_host, to_host
from daskml_exec.kernels.arrays import Array


@dataclass(frozen=True)
class ColumnMoments:
    r"""Weight, mean and spread :math:`\sum w (x - \bar x)^2` of the values that are there.

    As `Moments`, but each column has a weight of its own: that of its rows without NaN. Two row
    ranges are added as Chan, Golub and LeVeque do (1983, Algorithms for computing the sample
    variance, The American Statistician 37).

    Attributes
    ----------
    weight, mean, spread : ndarray of shape (d,)
        In float64, on the host. Mean and spread are zero where the weight is.
    rest : ndarray of shape (d,)
        What rounding has taken from the mean. Of means that are far from zero, differences would
        have few digits without it.
    """

    weight: Array
    mean: Array
    spread: Array
    rest: Array

    def __add__(self, other: ColumnMoments) -> ColumnMoments:
        weight = self.weight + other.weight
        share = np.divide(other.weight, weight, out=np.zeros_like(weight), where=weight > 0)
        with np.errstate(over="ignore", invalid="ignore"):
            # Of the other alone, the mean is its own, to the last digit of the rest.
            mean = np.where(self.weight > 0, self.mean, other.mean)
            rest = np.where(self.weight > 0, self.rest, other.rest)
            between = (other.mean - mean) + (other.rest - rest)
            spread = self.spread + other.spread + self.weight * share * between**2
            return ColumnMoments(weight, *_two_sum(mean, rest + share * between, spread))

    @property
    def finite(self) -> bool:
        """Whether no column has infinities, or sums that overflow."""
        return bool(np.isfinite(self.mean).all() and np.isfinite(self.spread).all())

    @property
    def variance(self) -> Array:
        """Of each column; NaN where nothing is there."""
        with np.errstate(invalid="ignore"):
            return self.spread / self.weight


@dataclass(frozen=True)
class ColumnExtremes:
    """The smallest and the largest value that is there, of each column; NaN where there is none.

    Attributes
    ----------
    least, largest : ndarray of shape (d,)
        In float64, on the host.
    """

    least: Array
    largest: Array

    def __add__(self, other: ColumnExtremes) -> ColumnExtremes:
        return ColumnExtremes(
            np.fmin(self.least, other.least), np.fmax(self.largest, other.largest)
        )

    @property
    def finite(self) -> bool:
        """Whether no column has infinities."""
        return not (np.isinf(self.least).any() or np.isinf(self.largest).any())


@dataclass(frozen=True)
class ColumnCounts:
    """How many rows there are, and in how many a column is zero, missing or infinite.

    Attributes
    ----------
    rows : int
    zeros, missing, infinite : ndarray of int64 of shape (d,)
        Zeros that a sparse matrix does not store are counted; missing is what is NaN.
    """

    rows: int
    zeros: Array
    missing: Array
    infinite: Array

    def __add__(self, other: ColumnCounts) -> ColumnCounts:
        return ColumnCounts(
            self.rows + other.rows,
            self.zeros + other.zeros,
            self.missing + other.missing,
            self.infinite + other.infinite,
        )

    @property
    def finite(self) -> bool:
        """Whether what was counted is so, always."""
        return True


def _two_sum(mean: Array, change: Array, spread: Array) -> tuple[Array, Array, Array]:
    """Return the rounded sum of a mean and a change, the spread, and what rounding took.

    As Knuth does (1997, The Art of Computer Programming 2, 4.2.2, Theorem B).
    """
    rounded = mean + change
    of_change = rounded - mean
    return rounded, spread, (mean - (rounded - of_change)) + (change - of_change)


def present_moments(X: Any, sample_weight: Any) -> ColumnMoments:
    r"""Return weight, mean and spread of what is not NaN in each column of one block of rows.

    The mean comes first and the spread is taken about it, so that a block is to be small enough
    to stay in cache while it is read twice. What is left of the mean's own rounding is corrected:
    :math:`s = \sum w (x - m)^2 - (\sum w (x - m))^2 / \sum w`.

    Parameters
    ----------
    X : array or CSR matrix of shape (n, d), of floats
        In float64 on the host. A device sums in its own dtype.
    sample_weight : array of shape (n,), or None
        None means ones.

    Returns
    -------
    ColumnMoments
        Not finite where a column has infinities.

    Examples
    --------
    >>> found = present_moments(np.array([[1.0, np.nan], [3.0, 3.0]]), None)
    >>> found.weight, found.mean, found.spread
    (array([2., 1.]), array([2., 3.]), array([2., 0.]))
    """
    n, d = X.shape
    if n == 0:
        return ColumnMoments(np.zeros(d), np.zeros(d), np.zeros(d), np.zeros(d))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if sp.issparse(X):
            return _moments_of_stored(X, sample_weight)
        return _moments(X, sample_weight) if is_host(X) else _moments_on_device(X, sample_weight)


def present_means(X: Any) -> ColumnMoments:
    """Return weight and mean of what is not NaN in each column of one block of rows.

    A third of the work of `present_moments` where no spread is wanted: it is zero here.

    Parameters
    ----------
    X : array or CSR matrix of shape (n, d), of floats
        In float64 on the host. A device sums in its own dtype.

    Returns
    -------
    ColumnMoments
        Not finite where a column has infinities.

    Examples
    --------
    >>> found = present_means(np.array([[1.0, np.nan], [3.0, 3.0]]))
    >>> found.weight, found.mean
    (array([2., 1.]), array([2., 3.]))
    """
    n, d = X.shape
    none = np.zeros(d)
    if n == 0 or sp.issparse(X) or not is_host(X):
        found = present_moments(X, None)
        return ColumnMoments(found.weight, found.mean, none, found.rest)
    with np.errstate(over="ignore", invalid="ignore"):
        sums, weight = X.sum(axis=0), np.full(d, float(n))
        if np.isnan(sums).any() and (gaps := np.isnan(X)).any():
            sums, weight = np.where(gaps, 0.0, X).sum(axis=0), n - gaps.sum(axis=0, dtype=float)
        return ColumnMoments(weight, _over(sums, weight), none, none)


def _moments(X: Array, sample_weight: Array | None) -> ColumnMoments:
    n, d = X.shape
    sums = X.sum(axis=0) if sample_weight is None else sample_weight @ X
    if np.isnan(sums).any() and (gaps := np.isnan(X)).any():
        present = (~gaps).astype(np.float64)
        X = np.where(gaps, 0.0, X)
        weights = present if sample_weight is None else present * sample_weight[:, None]
        weight = weights.sum(axis=0)
        mean = _over(np.einsum("ij,ij->j", weights, X), weight)
        away = X - mean
        left = _over(np.einsum("ij,ij->j", weights, away), weight)
        away -= left
        spread = np.einsum("ij,ij,ij->j", weights, away, away)
        return ColumnMoments(weight, *_two_sum(mean, left, spread))
    total = float(n) if sample_weight is None else float(sample_weight.sum())
    weight = np.full(d, total)
    mean = _over(sums, weight)
    away = X - mean
    if sample_weight is None:
        left, spread = away.sum(axis=0), np.einsum("ij,ij->j", away, away)
    else:
        left = sample_weight @ away
        spread = np.einsum("i,ij,ij->j", sample_weight, away, away)
    left = _over(left, weight)
    spread = np.maximum(spread - weight * left**2, 0.0)
    return ColumnMoments(weight, *_two_sum(mean, left, spread))


def _moments_of_stored(X: Any, sample_weight: Array | None) -> ColumnMoments:
    mean, variance, weight = mean_variance_axis(
        X, axis=0, weights=sample_weight, return_sum_weights=True
    )
    mean, variance, weight = (np.asarray(each, np.float64) for each in (mean, variance, weight))
    empty = weight == 0
    mean, spread = np.where(empty, 0.0, mean), np.where(empty, 0.0, variance * weight)
    return ColumnMoments(weight, mean, spread, np.zeros_like(mean))


def _moments_on_device(X: Any, sample_weight: Any) -> ColumnMoments:
    xp = array_namespace(X)
    present = xp.astype(~xp.isnan(X), X.dtype)
    X = xp.where(xp.isnan(X), xp.zeros_like(X), X)
    weights = present if sample_weight is None else present * beside(sample_weight, X)[:, None]
    weight = xp.sum(weights, axis=0)
    some = xp.where(weight > 0, weight, xp.ones_like(weight))
    mean = xp.sum(weights * X, axis=0) / some
    away = X - mean
    left = xp.sum(weights * away, axis=0) / some
    away = away - left
    spread = xp.sum(weights * away**2, axis=0)
    weight, mean, left, spread = (
        to_host(each).astype(np.float64) for each in (weight, mean, left, spread)
    )
    return ColumnMoments(weight, *_two_sum(mean, left, spread))


def _over(sums: Array, weight: Array) -> Array:
    return np.divide(sums, weight, out=np.zeros_like(weight), where=weight > 0)


def present_extremes(X: Any) -> ColumnExtremes:
    """Return the smallest and the largest value of each column that is not NaN.

    Parameters
    ----------
    X : array or CSR matrix of shape (n, d), of floats

    Examples
    --------
    >>> present_extremes(np.array([[1.0, np.nan], [3.0, np.nan]]))
    ColumnExtremes(least=array([ 1., nan]), largest=array([ 3., nan]))
    """
    n, d = X.shape
    if n == 0:
        return ColumnExtremes(np.full(d, np.nan), np.full(d, np.nan))
    if sp.issparse(X):
        least, largest = min_max_axis(X, axis=0, ignore_nan=True)
    elif is_host(X):
        least, largest = X.min(axis=0), X.max(axis=0)
        if np.isnan(least).any():  # which takes twice as long
            least, largest = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
    else:
        xp = array_namespace(X)
        gaps = xp.isnan(X)
        infinity = xp.full_like(X, float("inf"))
        none = to_host(xp.all(gaps, axis=0))
        least = to_host(xp.min(xp.where(gaps, infinity, X), axis=0))
        largest = to_host(xp.max(xp.where(gaps, -infinity, X), axis=0))
        least, largest = np.where(none, np.nan, least), np.where(none, np.nan, largest)
    return ColumnExtremes(np.asarray(least, np.float64), np.asarray(largest, np.float64))


def column_counts(X: Any) -> ColumnCounts:
    """Return how often each column is zero, NaN and infinite.

    Parameters
    ----------
    X : array or CSR matrix of shape (n, d), of floats

    Examples
    --------
    >>> column_counts(np.array([[0.0, np.nan], [3.0, np.inf]]))
    ColumnCounts(rows=2, zeros=array([1, 0]), missing=array([0, 1]), infinite=array([0, 1]))
    """
    n, d = X.shape
    if sp.issparse(X):
        stored, of = X.data, X.indices
        counts = [
            np.bincount(of[chosen], minlength=d)
            for chosen in (stored != 0, np.isnan(stored), np.isinf(stored))
        ]
        return ColumnCounts(n, n - counts[0], *counts[1:])
    xp = array_namespace(X)
    counts = [
        to_host(xp.sum(xp.astype(chosen, xp.int64), axis=0))
        for chosen in (X == 0, xp.isnan(X), xp.isinf(X))
    ]
    return ColumnCounts(n, *counts)
