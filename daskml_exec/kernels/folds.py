"""Which fold a row belongs to, as a function of its number, and of its label if folds need one.

A rule is a frozen record that travels to where rows are, and folds are numbers from 0 in uint16.
What is shuffled is ordered by a hash of (seed, row): folds of exact sizes are ranges of hashes. So
the folds of a block depend on nothing but its own rows and the rule.
"""

import heapq
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from daskml_exec.kernels.arrays import Array

MOST_FOLDS = 2**16 - 1
NOWHERE = np.uint16(MOST_FOLDS)
"""The fold of rows that are in none."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_BLOCK = 2**20


class Rule(Protocol):
    """Tells the folds of rows."""

    def folds(self, start: int, n: int, labels: Any) -> Array:
        """Return the folds of n rows from number `start` on, of shape (n,) and uint16."""


def row_hashes(seed: int, start: int, n: int) -> Array:
    """Return a number for each row that looks random, and is the same for the same seed and row.

    The finaliser of SplitMix64 (Steele, Lea and Flood 2014, Fast splittable pseudorandom number
    generators, OOPSLA), of the row and a seed that was mixed first.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1.
    start, n : int
        Number of the first row, and how many.

    Returns
    -------
    ndarray of uint64 of shape (n,)
        No two rows below 2**64 have the same.

    Examples
    --------
    >>> whole = row_hashes(7, 0, 100)
    >>> bool((whole[60:] == row_hashes(7, 60, 40)).all()), len(set(whole.tolist()))
    (True, 100)
    """
    mixed_seed = _mixed(np.array([seed], np.uint64))[0]
    with np.errstate(over="ignore"):
        return _mixed(np.arange(start, start + n, dtype=np.uint64) ^ mixed_seed)


def _mixed(bits: Array) -> Array:
    with np.errstate(over="ignore"):
        z = bits + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


@dataclass(frozen=True, eq=False)
class Ranges:
    """Folds are consecutive rows.

    Attributes
    ----------
    ends : ndarray of int64
        The row behind the last one of each fold. Rows behind all are nowhere.
    """

    ends: Array

    def folds(self, start: int, n: int, labels: Any = None) -> Array:
        """As of `Rule`."""
        found = np.searchsorted(self.ends, np.arange(start, start + n), side="right")
        return _or_nowhere(found, len(self.ends))


@dataclass(frozen=True, eq=False)
class Hashed:
    """Folds are ranges of hashes.

    Attributes
    ----------
    seed : int
    last : ndarray of uint64
        The largest hash of each fold. Rows with larger ones than all are nowhere.
    """

    seed: int
    last: Array

    def folds(self, start: int, n: int, labels: Any = None) -> Array:
        """As of `Rule`."""
        found = np.searchsorted(self.last, row_hashes(self.seed, start, n), side="left")
        return _or_nowhere(found, len(self.last))


@dataclass(frozen=True, eq=False)
class InOrder:
    """Folds take the rows of each label in turn: the first so many, the next so many, and so on.

    Attributes
    ----------
    values : ndarray
        The labels, sorted.
    ends : ndarray of int64 of shape (n_labels, n_folds)
        How many rows of a label are in a fold or one before it.
    before : ndarray of int64 of shape (n_labels,)
        How many rows of each label there are before `start`.
    """

    values: Array
    ends: Array
    before: Array

    def folds(self, start: int, n: int, labels: Any) -> Array:
        """As of `Rule`."""
        codes = np.searchsorted(self.values, labels)
        order = np.argsort(codes, kind="stable")
        counts = np.bincount(codes, minlength=len(self.values))
        first = np.repeat(np.cumsum(counts) - counts, counts)
        ranks = np.empty(n, np.int64)
        ranks[order] = np.arange(n) - first
        ranks += self.before[codes]
        found = (ranks[:, None] >= self.ends[codes]).sum(axis=1)
        return _or_nowhere(found, self.ends.shape[1])


@dataclass(frozen=True, eq=False)
class HashedByLabel:
    """Folds are ranges of hashes, others for each label.

    Attributes
    ----------
    seed : int
    values : ndarray
        The labels, sorted.
    last : ndarray of uint64 of shape (n_labels, n_folds)
        The largest hash of each fold; of an empty one that of the fold before it.
    """

    seed: int
    values: Array
    last: Array

    def folds(self, start: int, n: int, labels: Any) -> Array:
        """As of `Rule`."""
        codes = np.searchsorted(self.values, labels)
        hashes = row_hashes(self.seed, start, n)
        found = (hashes[:, None] > self.last[codes]).sum(axis=1)
        return _or_nowhere(found, self.last.shape[1])


@dataclass(frozen=True, eq=False)
class ByLabel:
    """All rows of a label are in one fold.

    Attributes
    ----------
    values : ndarray
        The labels, sorted.
    of_value : ndarray of uint16
    """

    values: Array
    of_value: Array

    def folds(self, start: int, n: int, labels: Any) -> Array:
        """As of `Rule`."""
        found: Array = self.of_value[np.searchsorted(self.values, labels)]
        return found


def even_ends(n: int, n_folds: int) -> Array:
    """Return the ends of folds of consecutive rows that differ by one row at most, larger first.

    Parameters
    ----------
    n : int
        Rows.
    n_folds : int

    Returns
    -------
    ndarray of int64 of shape (n_folds,)
        As of `Ranges`.

    Examples
    --------
    >>> even_ends(5, 3).tolist()
    [2, 4, 5]
    """
    sizes = np.full(n_folds, n // n_folds)
    sizes[: n % n_folds] += 1
    return np.cumsum(sizes)


def ends_by_label(totals: Array, first: Array, n_folds: int) -> Array:
    """Return how many rows of each label are in a fold and those before it.

    As scikit-learn's `StratifiedKFold`: rows sorted by label, in the order in which labels come
    first, are dealt to folds in turn.

    Parameters
    ----------
    totals, first : ndarray of int64 of shape (n_labels,)
        How many rows of each label there are, and which is the first.
    n_folds : int

    Returns
    -------
    ndarray of int64 of shape (n_labels, n_folds)
        As of `InOrder`.

    Examples
    --------
    >>> ends_by_label(np.array([4, 2]), np.array([0, 4]), 2).tolist()
    [[2, 4], [1, 2]]
    """
    order = np.argsort(first)
    stops = np.cumsum(totals[order])
    sizes = np.empty((len(totals), n_folds), np.int64)
    sizes[order] = _dealt(stops, n_folds) - _dealt(stops - totals[order], n_folds)
    return np.cumsum(sizes, axis=1)


def _dealt(n: Array, n_folds: int) -> Array:
    """Return how many of the first n rows each fold has, where they are dealt in turn."""
    dealt: Array = (n[:, None] - np.arange(n_folds) + n_folds - 1) // n_folds
    return dealt


def lightest_first(sizes: Array, n_folds: int) -> Array:
    """Deal groups to folds: the largest first, each to the fold that has fewest rows yet.

    As scikit-learn's `GroupKFold` does since its sort is stable: of equal groups the last comes
    first, of equally light folds it is the first.

    Parameters
    ----------
    sizes : ndarray of int64 of shape (n_groups,)
        Rows of each group.
    n_folds : int

    Returns
    -------
    ndarray of uint16 of shape (n_groups,)

    Examples
    --------
    >>> lightest_first(np.array([2, 1, 1]), 2).tolist()
    [0, 1, 1]
    """
    found = np.empty(len(sizes), np.uint16)
    folds = [(0, fold) for fold in range(n_folds)]
    for group in np.argsort(sizes, kind="stable")[::-1].tolist():
        rows, fold = folds[0]
        found[group] = fold
        heapq.heapreplace(folds, (rows + int(sizes[group]), fold))
    return found


def _or_nowhere(found: Array, n_folds: int) -> Array:
    return np.where(found < n_folds, found, NOWHERE).astype(np.uint16)


@dataclass(frozen=True)
class Buckets:
    """Ranges of hashes: those with the same leading bits.

    Attributes
    ----------
    bits : int
    """

    bits: int = 16

    @property
    def none(self) -> Array:
        """Counts of nothing."""
        return np.zeros(2**self.bits, np.int64)

    def of(self, hashes: Array) -> Array:
        """Return the bucket of each hash."""
        return (hashes >> np.uint64(64 - self.bits)).astype(np.int64)

    def counts(self, hashes: Array) -> Array:
        """Return how many hashes there are in each."""
        return np.bincount(self.of(hashes), minlength=2**self.bits)

    def with_ends(self, counts: Array, ends: Array) -> Array:
        """Return which ones have the last one of the first so many hashes."""
        inside = ends[ends > 0] - 1
        return np.unique(np.searchsorted(np.cumsum(counts), inside, side="right"))

    def inside(self, hashes: Array, wanted: Array) -> Array:
        """Return the hashes that are in some of them."""
        chosen = np.zeros(2**self.bits, bool)
        chosen[wanted] = True
        return hashes[chosen[self.of(hashes)]]

    def ends_among(self, counts: Array, kept: Array, ends: Array) -> Array:
        """Return the last one of the first so many hashes; 0 of none.

        Parameters
        ----------
        counts : ndarray
            Of all hashes.
        kept : ndarray of uint64
            All hashes in the buckets of the ends, in any order.
        ends : ndarray of int64
        """
        kept = np.sort(kept)
        until, found = np.cumsum(counts), np.zeros(len(ends), np.uint64)
        buckets = self.of(kept)
        for place, end in enumerate(ends.tolist()):
            if end > 0:
                bucket = int(np.searchsorted(until, end - 1, side="right"))
                first = int(np.searchsorted(buckets, bucket))
                found[place] = kept[first + end - 1 - int(until[bucket] - counts[bucket])]
        return found


def last_hashes(seed: int, n: int, ends: Array) -> Array:
    """Return the hashes of n rows that are the largest of folds of exact sizes.

    Two looks at all hashes, block by block: one counts those of each bucket, one keeps those among
    which an end lies.

    Parameters
    ----------
    seed, n : int
    ends : ndarray of int64
        How many rows are in each fold and those before it; rising.

    Returns
    -------
    ndarray of uint64
        0 where no row is in a fold or before it.

    Examples
    --------
    >>> last = last_hashes(3, 1000, np.array([250, 1000]))
    >>> folds = Hashed(3, last).folds(0, 1000)
    >>> np.bincount(folds)
    array([250, 750])
    """
    buckets = Buckets()
    blocks = [(start, min(_BLOCK, n - start)) for start in range(0, n, _BLOCK)]
    counts = sum((buckets.counts(row_hashes(seed, *block)) for block in blocks), buckets.none)
    wanted = buckets.with_ends(counts, ends)
    kept = [buckets.inside(row_hashes(seed, *block), wanted) for block in blocks]
    return buckets.ends_among(counts, np.concatenate([*kept, np.empty(0, np.uint64)]), ends)
