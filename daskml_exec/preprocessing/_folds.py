"""Which fold each row is in, known wherever the row is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from daskml_exec.partitions import Partition
from daskml_exec.training import Query


class Folds(Protocol):
    """A frozen record that travels."""

    @property
    def n_folds(self) -> int:
        """How many there are."""

    def of(self, partition: Partition) -> NDArray[np.intp]:
        """Return the fold of each row."""


@dataclass(frozen=True)
class OneFold:
    """All rows together."""

    n_folds: int = 1

    def of(self, partition: Partition) -> NDArray[np.intp]:
        """As of `Folds`."""
        return np.zeros(partition.n_rows, np.intp)


@dataclass(frozen=True)
class Ranges:
    """As scikit-learn's KFold without shuffling.

    Attributes
    ----------
    n_folds, rows : int
    """

    n_folds: int
    rows: int

    def of(self, partition: Partition) -> NDArray[np.intp]:
        """As of `Folds`."""
        sizes = np.full(self.n_folds, self.rows // self.n_folds)
        sizes[: self.rows % self.n_folds] += 1
        rows = np.arange(partition.start, partition.start + partition.n_rows)
        return np.searchsorted(np.cumsum(sizes), rows, side="right")


@dataclass(frozen=True, eq=False)
class Stratified:
    """As scikit-learn's StratifiedKFold without shuffling.

    Attributes
    ----------
    ends : ndarray of shape (n_classes, n_folds)
        Which rows of a class each fold stops before.
    before : ndarray of shape (n_partitions, n_classes)
        Rows of each class in the partitions before.
    """

    ends: NDArray[np.int64]
    before: NDArray[np.int64]

    @property
    def n_folds(self) -> int:
        """How many there are."""
        return int(self.ends.shape[1])

    def of(self, partition: Partition) -> NDArray[np.intp]:
        """As of `Folds`."""
        folds = np.zeros(partition.n_rows, np.intp)
        for label, (ends, before) in enumerate(
            zip(self.ends, self.before[partition.index], strict=True)
        ):
            rows = np.flatnonzero(partition.y == label)
            folds[rows] = np.searchsorted(ends, before + np.arange(len(rows)), side="right")
        return folds


@dataclass(frozen=True)
class ClassRows:
    """Rows of each class in partitions, in their order, and the first of each.

    Attributes
    ----------
    counts, first : ndarray of int64 of shape (n_partitions, n_classes)
    """

    counts: NDArray[np.int64]
    first: NDArray[np.int64]

    def __add__(self, other: ClassRows) -> ClassRows:
        return ClassRows(
            np.concatenate([self.counts, other.counts]), np.concatenate([self.first, other.first])
        )


@dataclass(frozen=True)
class CountClasses(Query[ClassRows]):
    """How many rows of each class there are.

    Attributes
    ----------
    n_classes : int
    """

    n_classes: int

    def partial(self, partition: Partition) -> ClassRows:
        """Look at y alone."""
        y = partition.y
        counts = np.bincount(y, minlength=self.n_classes)
        first = np.full(self.n_classes, np.iinfo(np.int64).max)
        labels, places = np.unique(y, return_index=True)
        first[labels] = partition.start + places
        return ClassRows(counts[None], first[None])


def stratified(found: ClassRows, n_folds: int) -> Stratified:
    """Return the folds: each class is dealt in order of first rows, as scikit-learn does it.

    Raises
    ------
    ValueError
        No class has as many rows as there are folds.
    """
    total = found.counts.sum(axis=0)
    if (n_folds > total).all():
        raise ValueError(
            f"n_splits={n_folds} cannot be greater than the number of members in each class."
        )
    met = np.argsort(found.first.min(axis=0), kind="stable")
    ends = np.cumsum(total[met])
    allocation: Any = np.empty((len(total), n_folds), np.int64)
    for place, label in enumerate(met.tolist()):
        start, stop = int(ends[place] - total[label]), int(ends[place])
        # Of the rows in order of classes, each fold takes every n-th from its number on.
        allocation[label] = [
            len(range(start + (fold - start) % n_folds, stop, n_folds)) for fold in range(n_folds)
        ]
    before = np.cumsum(found.counts, axis=0) - found.counts
    return Stratified(np.cumsum(allocation, axis=1), before)
