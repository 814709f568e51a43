"""Which fold each row is in, known wherever the row is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from daskml_exec.kernels.folds import InOrder, Ranges, ends_by_label, even_ends
from daskml_exec.partitions import Partition
from daskml_exec.training import Query


class Folds(Protocol):
    """A frozen record that travels."""

    @property
    def n_folds(self) -> int:
        """How many there are."""

    def of(self, partition: Partition) -> NDArray[np.intp]:
        """Return the fold of each row."""


@dataclass(frozen=True, eq=False)
class ByRow:
    """Folds of consecutive rows, as scikit-learn's KFold without shuffling.

    Attributes
    ----------
    rule : Ranges
    """

    rule: Ranges

    @property
    def n_folds(self) -> int:
        """How many there are."""
        return len(self.rule.ends)

    def of(self, partition: Partition) -> NDArray[np.intp]:
        """As of `Folds`."""
        found: NDArray[np.intp] = self.rule.folds(partition.start, partition.n_rows).astype(np.intp)
        return found


@dataclass(frozen=True, eq=False)
class ByClass:
    """Folds of the rows of each class in turn, as scikit-learn's StratifiedKFold without shuffling.

    Attributes
    ----------
    ends : ndarray of shape (n_classes, n_folds)
        How many rows of a class are in a fold or one before it.
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
        classes = np.arange(len(self.ends))
        rule = InOrder(classes, self.ends, self.before[partition.index])
        found = rule.folds(partition.start, partition.n_rows, partition.y)
        folds: NDArray[np.intp] = found.astype(np.intp)
        return folds


def ranges(rows: int, n_folds: int) -> ByRow:
    """Return folds of so many rows, in order."""
    return ByRow(Ranges(even_ends(rows, n_folds)))


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


def stratified(found: ClassRows, n_folds: int) -> ByClass:
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
    ends = ends_by_label(total, found.first.min(axis=0), n_folds)
    return ByClass(ends, np.cumsum(found.counts, axis=0) - found.counts)
