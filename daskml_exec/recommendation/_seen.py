"""What users have interacted with: rows of items, by codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array, Rows
from daskml_exec.kernels.factors.pairs import SortedPairs
from daskml_exec.partitions import Partition
from daskml_exec.recommendation._loading import InOrder
from daskml_exec.training import Query, reduce


@dataclass(frozen=True)
class Seen:
    """Rows of one side, with their entries.

    Attributes
    ----------
    indptr : ndarray of int64 of shape (n_rows + 1,)
    columns : ndarray of int32 of shape (n_entries,)
        Sorted within rows.
    values : ndarray of shape (n_entries,)
    """

    indptr: Array
    columns: Array
    values: Array

    @classmethod
    def of(cls, pairs: SortedPairs) -> Seen:
        """Return the rows of sorted pairs."""
        return cls(pairs.indptr, pairs.columns, pairs.values)

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.indptr) - 1

    @property
    def counts(self) -> Array:
        """How many entries each row has."""
        return np.diff(self.indptr)

    def take(self, rows: Rows) -> Seen:
        """Return these rows; negative numbers count from the end."""
        rows = np.where(rows < 0, rows + self.n_rows, rows)
        starts, counts = self.indptr[rows], self.counts[rows]
        indptr = np.concatenate([[0], np.cumsum(counts)])
        at = np.repeat(starts - indptr[:-1], counts) + np.arange(indptr[-1])
        return Seen(indptr, self.columns[at], self.values[at])

    def between(self, start: int, stop: int) -> Seen:
        """Return a range of rows, as views."""
        first, last = self.indptr[start], self.indptr[stop]
        return Seen(
            self.indptr[start : stop + 1] - first,
            self.columns[first:last],
            self.values[first:last],
        )

    def with_empty_row(self) -> Seen:
        """Return the rows with an empty one behind them, which is also that of number -1."""
        return Seen(np.append(self.indptr, self.indptr[-1]), self.columns, self.values)


def seen_by_users(partitions: Any) -> Seen:
    """Bring the rows of all users to the driver."""
    parts = reduce(_UsersRows(), partitions).parts
    counts = np.concatenate([part.counts for part in parts])
    return Seen(
        np.concatenate([[0], np.cumsum(counts)]),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


@dataclass(frozen=True)
class _UsersRows(Query[InOrder]):
    def partial(self, partition: Partition) -> InOrder:
        return InOrder((Seen.of(partition.X.user.pairs),))
