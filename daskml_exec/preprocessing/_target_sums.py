"""What is asked of all partitions about a target in each category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.categories import CategoryCounts
from daskml_exec.kernels.target_sums import ClassTable, NumberTable, Table, places_among
from daskml_exec.partitions import Partition
from daskml_exec.preprocessing._categories import (
    Categories,
    column_categories,
    columns_of,
    few,
)
from daskml_exec.preprocessing._folds import Folds
from daskml_exec.training import Query


@dataclass(frozen=True)
class ColumnTarget:
    """The categories of a column, and sums for each.

    Attributes
    ----------
    categories : CategoryCounts
    table : Table
    """

    categories: CategoryCounts
    table: Any

    def with_more(self, other: ColumnTarget, index: int, most: int) -> ColumnTarget:
        """Return the sums of both, of the column with this index."""
        both = few(index, most, _sum, (self.categories, other.categories))
        first, second = (
            each.table.placed(places_among(both.values, each.categories.values), len(both.values))
            for each in (self, other)
        )
        return ColumnTarget(both, first + second)


def _sum(pair: tuple[CategoryCounts, CategoryCounts]) -> CategoryCounts:
    return pair[0] + pair[1]


@dataclass(frozen=True)
class TargetAnswer:
    """The answer.

    Attributes
    ----------
    rows : int
    total : Table
        Of all rows, as of one category.
    columns : tuple of ColumnTarget, or None
        None of no rows.
    most : int
        More categories than this are refused.
    """

    rows: int
    total: Any
    columns: tuple[ColumnTarget, ...] | None
    most: int

    def __add__(self, other: TargetAnswer) -> TargetAnswer:
        rows, total = self.rows + other.rows, self.total + other.total
        if self.columns is None or other.columns is None:
            return TargetAnswer(rows, total, self.columns or other.columns, self.most)
        pairs = zip(self.columns, other.columns, strict=True)
        columns = tuple(
            left.with_more(right, index, self.most) for index, (left, right) in enumerate(pairs)
        )
        return TargetAnswer(rows, total, columns, self.most)

    def as_one_fold(self) -> TargetAnswer:
        """Return the answer of all folds together."""
        return self._changed(lambda table: table.as_one_fold())

    def of_classes(self, places: Any, n_classes: int) -> TargetAnswer:
        """Return the answer with other classes, of which these have such places."""
        return self._changed(lambda table: table.of_classes(places, n_classes))

    def counted(self) -> Categories:
        """Return the categories with their counts."""
        columns = tuple(each.categories for each in self.columns or ())
        return Categories(self.rows, columns, self.most)

    def _changed(self, change: Any) -> TargetAnswer:
        columns = tuple(
            ColumnTarget(each.categories, change(each.table)) for each in self.columns or ()
        )
        return TargetAnswer(self.rows, change(self.total), columns, self.most)


@dataclass(frozen=True, eq=False)
class TargetSums(Query[TargetAnswer]):
    """Sums of the target for each category and fold.

    Attributes
    ----------
    folds : Folds
    n_classes : int
        0 of numbers.
    most : int
        More categories are refused, where they are found.
    """

    folds: Folds
    n_classes: int
    most: int

    def partial(self, partition: Partition) -> TargetAnswer:
        """Look at the columns one after the other."""
        n, y = partition.n_rows, partition.y
        folds = self.folds.of(partition)
        total = self._table(np.zeros(n, np.intp), folds, y, 1)
        if not n:
            return TargetAnswer(0, total, None, self.most)
        columns = []
        for index, column in enumerate(columns_of(partition.X)):
            categories = few(index, self.most, column_categories, column)
            codes = places_among(categories.values, np.asarray(column))
            table = self._table(codes, folds, y, len(categories.values))
            columns.append(ColumnTarget(categories, table))
        return TargetAnswer(n, total, tuple(columns), self.most)

    def _table(self, codes: Any, folds: Any, y: Any, k: int) -> Table:
        kind: Any = ClassTable if self.n_classes else NumberTable
        table: Table = kind.of(codes, folds, y, (k, self.folds.n_folds, self.n_classes))
        return table
