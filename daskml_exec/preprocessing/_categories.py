"""What is asked of all partitions about the categories of each column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.preprocessing import OneHotEncoder

from daskml_exec.executor import configured_number
from daskml_exec.kernels.categories import CategoryCounts, MixedTypes, category_counts, counted
from daskml_exec.partitions import ColumnError, ColumnTypeError, Partition, gaps_as_nan
from daskml_exec.training import Query

LIMIT = "max-categories"


@dataclass(frozen=True)
class Categories:
    """The categories of each column with their counts.

    Attributes
    ----------
    rows : int
    columns : tuple of CategoryCounts, or None
        None of no rows, whose columns may have any dtype.
    most : int
        More categories than this are refused.
    """

    rows: int
    columns: tuple[CategoryCounts, ...] | None
    most: int

    def __add__(self, other: Categories) -> Categories:
        rows = self.rows + other.rows
        if self.columns is None or other.columns is None:
            return Categories(rows, self.columns or other.columns, self.most)
        pairs = list(zip(self.columns, other.columns, strict=True))
        columns = tuple(few(index, self.most, _sum, pair) for index, pair in enumerate(pairs))
        return Categories(rows, columns, self.most)


def _sum(pair: tuple[CategoryCounts, CategoryCounts]) -> CategoryCounts:
    return pair[0] + pair[1]


@dataclass(frozen=True)
class CountCategories(Query[Categories]):
    """The categories of each column, which are to be few.

    Attributes
    ----------
    most : int
        More are refused, where they are found.
    """

    most: int

    def partial(self, partition: Partition) -> Categories:
        """Look at the columns one after the other."""
        if not partition.n_rows:
            return Categories(0, None, self.most)
        columns = tuple(
            few(index, self.most, column_categories, column)
            for index, column in enumerate(columns_of(partition.X))
        )
        return Categories(partition.n_rows, columns, self.most)


def count_categories(partitions: Any) -> CountCategories:
    """Return the query, with the limit that is configured where the fit is called."""
    return CountCategories(configured_number(LIMIT))


def few(index: int, most: int, found: Callable[[Any], CategoryCounts], of: Any) -> CategoryCounts:
    """Return what is found in a column, or raise for too many categories or types."""
    try:
        categories = found(of)
    except MixedTypes as error:
        raise ColumnTypeError(f"{error} in column {index}", "", index) from None
    if len(categories.values) > most:
        raise ColumnError(
            f"X has more than {most:,} categories in column {index}",
            "; allowed are at most so many: leave the column out, or set dask config "
            f"'daskml-exec.{LIMIT}'",
            index,
        )
    return categories


def column_categories(column: Any) -> CategoryCounts:
    """Return the categories of a column of a block."""
    if isinstance(column, pd.Categorical):
        codes = np.bincount(column.codes[column.codes >= 0], minlength=len(column.categories))
        n_missing = int(np.count_nonzero(column.codes < 0))
        present = np.flatnonzero(codes)
        values = np.asarray(column.categories)[present]
        counts = codes[present]
        if n_missing:
            values = values if values.dtype.kind in "fO" else _with_nan(values)
            values = np.append(values, np.array([np.nan], values.dtype))
            counts = np.append(counts, n_missing)
        return counted(values, counts)
    return category_counts(column)


def _with_nan(values: Any) -> Any:
    """Return values in the dtype that they have beside NaN in one array."""
    return values.astype(np.float64 if values.dtype.kind in "iu" else object)


def columns_of(X: Any) -> list[Any]:
    """Return the columns of a block as arrays, as scikit-learn's encoders look at them.

    Columns of pandas' categories are returned as these.
    """
    X = gaps_as_nan(X)
    if not isinstance(X, pd.DataFrame):
        return _arrays(X)
    columns: list[Any] = []
    for position in range(X.shape[1]):
        column = X.iloc[:, position]
        known = isinstance(column.dtype, pd.CategoricalDtype)
        columns.append(column.array if known else _arrays(column.to_frame())[0])
    return columns


def _arrays(X: Any) -> list[Any]:
    found: list[Any] = OneHotEncoder()._check_X(X, ensure_all_finite="allow-nan")[0]
    return found
