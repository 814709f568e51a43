"""What categories tell of a target: sums for each category and fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.categories import known


@dataclass(frozen=True)
class Moments:
    """Of each category and target.

    Attributes
    ----------
    count : ndarray of shape (k, 1)
        Rows.
    mean, spread : ndarray of shape (k, t)
        Of the target in them: the spread is the sum of squares about the mean. NaN of no rows.
    """

    count: Array
    mean: Array
    spread: Array


class Table(Protocol):
    """Sums for each category and fold."""

    def __add__(self, other: Any) -> Any:
        """Add those of other rows."""

    def placed(self, places: Array, k: int) -> Self:
        """Return the sums among `k` categories, of which these have such places."""

    def of_folds(self, folds: Sequence[int]) -> Moments:
        """Return the moments of some folds together."""

    def as_one_fold(self) -> Self:
        """Return the sums of all folds together."""


@dataclass(frozen=True)
class ClassTable:
    """How many rows of each class there are.

    Attributes
    ----------
    counts : ndarray of int64 of shape (k, n_folds, n_classes)
    """

    counts: Array

    @classmethod
    def of(cls, codes: Array, folds: Array, y: Array, shape: tuple[int, int, int]) -> ClassTable:
        """Count rows of categories, folds and classes."""
        places = np.ravel_multi_index((codes, folds, y.astype(np.intp)), shape)
        return cls(np.bincount(places, minlength=int(np.prod(shape))).reshape(shape))

    def __add__(self, other: ClassTable) -> ClassTable:
        return ClassTable(self.counts + other.counts)

    def placed(self, places: Array, k: int) -> ClassTable:
        """As of `Table`."""
        counts = np.zeros((k, *self.counts.shape[1:]), np.int64)
        np.add.at(counts, places, self.counts)
        return ClassTable(counts)

    def of_folds(self, folds: Sequence[int]) -> Moments:
        """As of `Table`; the target is whether a row is of a class."""
        ones = self.counts[:, list(folds)].sum(axis=1)
        count = ones.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            return Moments(count, ones / count, ones * ((count - ones) / count))

    def as_one_fold(self) -> ClassTable:
        """As of `Table`."""
        return ClassTable(self.counts.sum(axis=1, keepdims=True))

    def of_classes(self, places: Array, n_classes: int) -> ClassTable:
        """Return the counts among other classes, of which these have such places."""
        counts = np.zeros((*self.counts.shape[:2], n_classes), np.int64)
        counts[:, :, places] = self.counts
        return ClassTable(counts)


@dataclass(frozen=True)
class NumberTable:
    """Rows, means of a target, and sums of squares about these.

    They are added as Chan, Golub and LeVeque do (1983, Algorithms for computing the sample
    variance, The American Statistician 37).

    Attributes
    ----------
    count, mean, spread : ndarray of shape (k, n_folds)
        Zero where there are no rows.
    """

    count: Array
    mean: Array
    spread: Array

    @classmethod
    def of(cls, codes: Array, folds: Array, y: Array, shape: tuple[int, int, int]) -> NumberTable:
        """Add up rows of categories and folds."""
        k, n_folds, _ = shape
        places, size = codes * n_folds + folds, k * n_folds
        count = np.bincount(places, minlength=size).astype(np.float64)
        some = np.maximum(count, 1.0)
        mean = np.bincount(places, y, size) / some
        mean += np.bincount(places, y - mean[places], size) / some
        spread = np.bincount(places, (y - mean[places]) ** 2, size)
        return cls(*(each.reshape(k, n_folds) for each in (count, mean, spread)))

    def __add__(self, other: NumberTable) -> NumberTable:
        count = self.count + other.count
        share = np.divide(other.count, count, out=np.zeros_like(count), where=count > 0)
        between = np.where(self.count > 0, other.mean - self.mean, 0.0)
        mean = np.where(self.count > 0, self.mean, other.mean) + share * between
        spread = self.spread + other.spread + self.count * share * between**2
        return NumberTable(count, mean, spread)

    def placed(self, places: Array, k: int) -> NumberTable:
        """As of `Table`; categories with the same place are added."""
        zeros = np.zeros((k, self.count.shape[1]))
        total = NumberTable(zeros, zeros, zeros)
        rest = np.arange(len(places))
        while len(rest):
            _, first = np.unique(places[rest], return_index=True)
            some = rest[first]
            parts = []
            for values in (self.count, self.mean, self.spread):
                part = zeros.copy()
                part[places[some]] = values[some]
                parts.append(part)
            total = total + NumberTable(*parts)
            rest = np.delete(rest, first)
        return total

    def of_folds(self, folds: Sequence[int]) -> Moments:
        """As of `Table`."""
        columns = [
            NumberTable(*(each[:, [fold]] for each in (self.count, self.mean, self.spread)))
            for fold in folds
        ]
        total = columns[0]
        for column in columns[1:]:
            total = total + column
        nothing = total.count == 0
        return Moments(
            total.count,
            np.where(nothing, np.nan, total.mean),
            np.where(nothing, np.nan, total.spread),
        )

    def as_one_fold(self) -> NumberTable:
        """As of `Table`."""
        found = self.of_folds(range(self.count.shape[1]))
        return NumberTable(found.count, *map(np.nan_to_num, (found.mean, found.spread)))


def places_among(values: Array, some: Array) -> Array:
    """Return the place of each of some values among sorted ones, which have them all."""
    if values.dtype.kind != "O" and some.dtype.kind != "O":
        return np.searchsorted(values, some).astype(np.intp)
    table = {known(value): place for place, value in enumerate(values.tolist())}
    return np.fromiter((table[known(value)] for value in some.tolist()), np.intp, len(some))


def encodings(of: Moments, total: Moments, smooth: float | None) -> Array:
    r"""Return the target's mean in each category, drawn to that of all rows.

    .. math:: \lambda \bar y_c + (1 - \lambda) \bar y, \quad
              \lambda = \frac{\sigma^2 n_c}{\sigma^2 n_c + \sigma_c^2}

    with the variance in all rows and in those of the category (Micci-Barreca, 2001, A preprocessing
    scheme for high-cardinality categorical attributes in classification and prediction problems,
    SIGKDD Explorations 3), or with a number for smoothing :math:`(n_c \bar y_c + m \bar y) / (n_c +
    m)`.

    Parameters
    ----------
    of, total : Moments
        Of k categories, and of all rows.
    smooth : float or None
        None computes how much from variances.

    Returns
    -------
    ndarray of shape (k, t)
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        if smooth is None:
            around = total.spread / total.count * of.count
            share = around / (around + of.spread / of.count)
            found = share * of.mean + (1 - share) * total.mean
        else:
            sums = np.where(of.count > 0, of.mean * of.count, 0.0) + smooth * total.mean
            found = sums / (of.count + smooth)
        return np.where(np.isnan(found), total.mean, found)
