"""What one look at all rows tells of each column, whatever it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import is_host, to_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.block_sizes import block_sizes
from daskml_exec.kernels.column_summaries import (
    ColumnCounts,
    ColumnExtremes,
    ColumnMoments,
    column_counts,
    present_extremes,
    present_moments,
)
from daskml_exec.kernels.fingerprints import fingerprint, hashes_of_numbers
from daskml_exec.kernels.order_statistics import OrderSketch, Room, order_sketch
from daskml_exec.partitions import Partition
from daskml_exec.training import Query

# The rank of a quantile is wrong by less than one in 200 rows, for some 100 kB a column.
ROOM = Room(exact=2**14, level=2**11)
MOST_VALUES = 1000
"""So many different values of a column are counted; more are many."""


@dataclass(frozen=True)
class NumberFacts:
    """Of a column of numbers, as of the kernels; infinities are counted and else left out.

    Attributes
    ----------
    counts : ColumnCounts
    extremes : ColumnExtremes
    moments : ColumnMoments
    order : OrderSketch
    """

    counts: ColumnCounts
    extremes: ColumnExtremes
    moments: ColumnMoments
    order: OrderSketch

    def __add__(self, other: NumberFacts) -> NumberFacts:
        return NumberFacts(
            self.counts + other.counts,
            self.extremes + other.extremes,
            self.moments + other.moments,
            self.order + other.order,
        )


@dataclass(frozen=True)
class ColumnFacts:
    """Of a column of any kind.

    Attributes
    ----------
    kind : str
        Its dtype, or several.
    rows, missing : int
    values : dict or None
        How often each value occurs that is there; None where there are many.
    fingerprint : int
        The same for columns that are alike in all rows.
    numbers : NumberFacts or None
        None for other columns.
    """

    kind: str
    rows: int
    missing: int
    values: Mapping[Any, int] | None
    fingerprint: int
    numbers: NumberFacts | None

    def __add__(self, other: ColumnFacts) -> ColumnFacts:
        if not (self.rows and other.rows):
            return self if self.rows else other
        kinds = dict.fromkeys([*self.kind.split(" or "), *other.kind.split(" or ")])
        both = None
        if self.numbers is not None and other.numbers is not None:
            both = self.numbers + other.numbers
        return ColumnFacts(
            " or ".join(kinds),
            self.rows + other.rows,
            self.missing + other.missing,
            _added(self.values, other.values),
            (self.fingerprint + other.fingerprint) % 2**64,
            both,
        )


@dataclass(frozen=True)
class Facts:
    """Of all columns.

    Attributes
    ----------
    columns : tuple of ColumnFacts
    """

    columns: tuple[ColumnFacts, ...]

    def __add__(self, other: Facts) -> Facts:
        pairs = zip(self.columns, other.columns, strict=True)
        return Facts(tuple(left + right for left, right in pairs))


@dataclass(frozen=True)
class Look(Query[Facts]):
    """Asks for the facts of all columns."""

    def partial(self, partition: Partition) -> Facts:
        """Go once through the rows, few at a time."""
        found: Facts | None = None
        for start, columns in _blocks(partition.X):
            first = partition.start + start
            new = Facts(tuple(facts_of(kind, values, first) for kind, values in columns))
            found = new if found is None else found + new
        assert found is not None
        return found


def facts_of(kind: str, values: Any, start: int) -> ColumnFacts:
    """Return the facts of some rows of a column.

    Parameters
    ----------
    kind : str
    values : ndarray of float64, or pandas Series
        Numbers, or anything else.
    start : int
        Number of the first row.
    """
    if isinstance(values, np.ndarray):
        finite = np.where(np.isinf(values), np.nan, values)[:, None]
        counts = column_counts(values[:, None])
        numbers = NumberFacts(
            counts,
            present_extremes(finite),
            present_moments(finite, None),
            order_sketch(finite[:, 0], room=ROOM),
        )
        counted, missing = _counted(values[~np.isnan(values)]), int(counts.missing[0])
        mark = fingerprint(hashes_of_numbers(values), start)
        return ColumnFacts(kind, len(values), missing, counted, mark, numbers)
    there = values[values.notna()]
    objects, named = values.astype(object), there
    if pd.api.types.infer_dtype(there, skipna=False) not in ("string", "categorical"):
        objects, named = objects.map(repr), there.astype(object).map(str)  # dates, lists, mixtures
    texts = objects.where(values.notna(), None).to_numpy(object)
    mark = fingerprint(pd.util.hash_array(texts, categorize=False), start)
    return ColumnFacts(kind, len(values), len(values) - len(there), _counted(named), mark, None)


def _counted(there: Any) -> dict[Any, int] | None:
    counts = pd.Series(there).value_counts(sort=False)
    if len(counts) > MOST_VALUES:
        return None
    return {value: int(n) for value, n in counts.items() if n}


def _added(left: Any, right: Any) -> dict[Any, int] | None:
    if left is None or right is None:
        return None
    counts = dict(left)
    for value, n in right.items():
        counts[value] = counts.get(value, 0) + n
    return None if len(counts) > MOST_VALUES else counts


def _blocks(X: Any) -> Iterator[tuple[int, list[tuple[str, Any]]]]:
    """Yield the first row of a block, and the kind and values of each of its columns."""
    if isinstance(X, list):
        X = np.asarray(X) if X else np.empty((0, 0))
    n, d = X.shape
    rows = max(1, block_sizes().row_bytes // (8 * max(1, d)))
    for start in range(0, max(1, n), rows):
        some = X.iloc[start : start + rows] if hasattr(X, "iloc") else X[start : start + rows]
        yield start, list(_columns(some))


def _columns(some: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(some, pd.DataFrame):
        for position, dtype in enumerate(some.dtypes):
            column: Any = some.iloc[:, position]
            if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
                column = column.to_numpy(np.float64, na_value=np.nan)
            yield str(dtype), column
        return
    dense: Array = some.toarray() if sp.issparse(some) else some
    dense = dense if is_host(dense) else to_host(dense)
    kind = str(dense.dtype)
    if dense.dtype.kind in "biuf":
        yield from ((kind, column) for column in np.array(dense.T, np.float64, order="C"))
    else:
        yield from ((kind, pd.Series(column)) for column in dense.T)
