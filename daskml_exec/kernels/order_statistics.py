"""Order statistics of one column, added up from any cuts of its rows, without random bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array


@dataclass(frozen=True)
class Room:
    """How many values are kept.

    Attributes
    ----------
    exact : int
        As they came, each for itself.
    level : int
        Of each weight above one. The rank of a value is wrong by at most
        ``n * (log2(n / level) + 1) / level + n / exact``.
    """

    exact: int = 2**20
    level: int = 2**17


ROOM = Room()
"""With it, a rank is wrong by less than n / 2048 for every n below 2**63."""


@dataclass(frozen=True)
class OrderSketch:
    r"""The values of a column, or some of them that stand for :math:`2^l` each.

    Levels are sorted and halved where they are too many, as Munro and Paterson do (1980, Selection
    and sorting with limited storage, Theoretical Computer Science 12), in whatever order values
    come and sketches are added. Halving a level moves the rank of no value by more than the
    weight of one of its items. Zeros, which are most of a sparse column, are counted only.

    Attributes
    ----------
    implicit, explicit : int
        Zeros that a sparse matrix does not store, and others.
    levels : tuple of ndarray
        Of values other than zero, in no order; those at `l` have the weight ``2**l``.
    error : int
        By how much the rank of a value may be wrong: 0 where all values are there.
    room : Room
    """

    implicit: int
    explicit: int
    levels: tuple[Array, ...]
    error: int = 0
    room: Room = ROOM

    def __add__(self, other: OrderSketch) -> OrderSketch:
        longer = max(len(self.levels), len(other.levels))
        none = np.empty(0)
        levels = []
        for level in range(longer):
            pair = [
                each.levels[level] if level < len(each.levels) else none for each in (self, other)
            ]
            filled = [values for values in pair if len(values)]
            levels.append(np.concatenate(filled) if len(filled) > 1 else [*filled, none][0])
        return _halved(
            OrderSketch(
                self.implicit + other.implicit,
                self.explicit + other.explicit,
                tuple(levels),
                self.error + other.error,
                self.room,
            )
        )

    @property
    def count(self) -> int:
        """Values, with all zeros."""
        others = sum(len(values) << level for level, values in enumerate(self.levels))
        return self.implicit + self.explicit + others

    @property
    def negative(self) -> bool:
        """Whether any value is below zero."""
        return any(bool((values < 0).any()) for values in self.levels)

    def stored_alone(self) -> OrderSketch:
        """Return it without zeros that a sparse matrix does not store."""
        return OrderSketch(0, self.explicit, self.levels, self.error, self.room)

    def sorted(self, percents: Sequence[float] | None = None) -> SortedColumn:
        """Return the values in order, to look up many.

        Parameters
        ----------
        percents : sequence of float, optional
            The percentiles that will be looked up, if no others will be: to bring these to their
            places alone is much less work.
        """
        filled = [(values, 1 << level) for level, values in enumerate(self.levels) if len(values)]
        zeros = self.implicit + self.explicit
        if len(filled) == 1 and filled[0][1] == 1:
            values = filled[0][0]
            column = SortedColumn(values, None, int(np.count_nonzero(values < 0)), zeros)
            if percents is None:
                return replace(column, values=np.sort(values))
            ranks = np.concatenate(_neighbours(column.count, percents)[:2])
            places = np.unique(column.places(ranks))
            return replace(column, values=np.partition(values, places))
        values = np.concatenate([values for values, _ in filled] or [np.empty(0)])
        weights = np.repeat(
            np.array([weight for _, weight in filled], np.int64),
            [len(values) for values, _ in filled],
        )
        order = np.argsort(values, kind="stable")
        values = values[order]
        below = int(np.searchsorted(values, 0.0))
        return SortedColumn(values, np.cumsum(weights[order]), below, zeros)


@dataclass(frozen=True)
class SortedColumn:
    """The values of a column in order, with a weight each.

    Attributes
    ----------
    values : ndarray
        Other than zero.
    ends : ndarray of int64, or None
        Sums of weights up to each; None for ones.
    below : int
        How many are negative.
    zeros : int
        Between the negative ones and the others.
    """

    values: Array
    ends: Array | None
    below: int
    zeros: int

    @property
    def count(self) -> int:
        """Values, with zeros and weights."""
        if self.ends is None:
            return len(self.values) + self.zeros
        return int(self.ends[-1] if len(self.ends) else 0) + self.zeros

    @property
    def _below(self) -> int:
        """Weights of the negative ones."""
        if self.ends is None:
            return self.below
        return int(self.ends[self.below - 1]) if self.below else 0

    def places(self, ranks: Any) -> Array:
        """Return where the values at ranks are among those other than zero, or their neighbours."""
        ranks, below = np.asarray(ranks, np.int64), self._below
        others = np.where(
            ranks >= below + self.zeros, ranks - self.zeros, np.minimum(ranks, below - 1)
        )
        if self.ends is not None:
            others = np.searchsorted(self.ends, others, side="right")
        return np.clip(others, 0, max(len(self.values) - 1, 0))

    def at(self, ranks: Any) -> Array:
        """Return the values at ranks from 0 to `count` - 1."""
        ranks, below = np.asarray(ranks, np.int64), self._below
        if not len(self.values):
            return np.zeros(ranks.shape)
        zero = (ranks >= below) & (ranks < below + self.zeros)
        return np.where(zero, 0.0, self.values[self.places(ranks)])

    def beyond(self, low: float, high: float) -> int:
        """Return how many values, with their weights, are below one number or above another."""
        weights = np.ones(len(self.values)) if self.ends is None else np.diff(self.ends, prepend=0)
        outside = (self.values < low) | (self.values > high)
        zeros = 0 if low <= 0 <= high else self.zeros
        return int(weights[outside].sum()) + zeros

    def median(self, dtype: Any = np.float64) -> Any:
        """Return the mean of the one or two values in the middle; NaN where there is none."""
        n = self.count
        if n == 0:
            return np.dtype(dtype).type(np.nan)
        low, high = self.at([(n - 1) // 2, n // 2]).astype(dtype)
        return low if low == high else np.mean(np.array([low, high]))

    def percentiles(self, percents: Sequence[float] | Array, dtype: Any = np.float64) -> Array:
        """Return percentiles as `numpy.percentile` interpolates them: linearly.

        Parameters
        ----------
        percents : sequence of float
            From 0 to 100.
        dtype : dtype
            Of the values, in which differences are taken.

        Returns
        -------
        ndarray
            NaN where there are no values.
        """
        n = self.count
        if n == 0:
            return np.full(len(percents), np.nan)
        before, after, t = _neighbours(n, percents)
        low, high = self.at(before).astype(dtype), self.at(after).astype(dtype)
        step = high - low
        return np.where(t >= 0.5, high - step * (1 - t), low + step * t)


def _neighbours(n: int, percents: Sequence[float] | Array) -> tuple[Array, Array, Array]:
    """Return the ranks below and above each percentile of n values, and the way between them."""
    place = (n - 1) * np.true_divide(percents, 100)
    before = np.floor(place)
    ranks = before.astype(np.int64)
    return ranks, np.minimum(ranks + 1, max(n - 1, 0)), place - before


def order_sketch(values: Any, *, implicit: int = 0, room: Room = ROOM) -> OrderSketch:
    """Return the sketch of some values.

    Parameters
    ----------
    values : ndarray of shape (n,), of floats
        NaN is left out.
    implicit : int
        Zeros beside them.
    room : Room

    Returns
    -------
    OrderSketch
        It may hold the array itself.

    Examples
    --------
    >>> sketch = order_sketch(np.array([3.0, np.nan, 0.0])) + order_sketch(np.array([8.0]))
    >>> sketch.count, sketch.error, sketch.sorted().percentiles([0, 50, 75])
    (3, 0, array([0. , 3. , 5.5]))
    """
    with np.errstate(over="ignore", invalid="ignore"):
        all_there = not np.isnan(values.sum())
    if all_there and np.count_nonzero(values) == len(values):
        some = values.astype(np.float64, copy=False)
        return _halved(OrderSketch(implicit, 0, (some,), 0, room))
    there = values == values
    some = values[there & (values != 0)].astype(np.float64, copy=False)
    zeros = int(np.count_nonzero(there)) - len(some)
    return _halved(OrderSketch(implicit, zeros, (some,), 0, room))


def _halved(sketch: OrderSketch) -> OrderSketch:
    """Replace pairs of neighbours by one of them, where there is no room for both."""
    if not any(
        len(values) > (sketch.room.level if level else sketch.room.exact)
        for level, values in enumerate(sketch.levels)
    ):
        return sketch
    levels, error, level = list(sketch.levels), sketch.error, 0
    while level < len(levels):
        values = levels[level]
        if len(values) > (sketch.room.level if level else sketch.room.exact):
            values = np.sort(values)
            pairs = len(values) // 2 * 2
            # The lower and the upper ones in turn, so that errors cancel rather than add up.
            chosen = values[(error >> level) & 1 : pairs : 2]
            levels[level] = values[pairs:].copy()
            if level + 1 == len(levels):
                levels.append(chosen.copy())
            else:
                levels[level + 1] = np.concatenate([levels[level + 1], chosen])
            error += 1 << level
        level += 1
    return OrderSketch(sketch.implicit, sketch.explicit, tuple(levels), error, sketch.room)
