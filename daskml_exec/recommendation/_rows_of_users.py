"""Interactions of all kinds, as rows of users that are parted in two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import scipy.sparse as sp

from daskml_exec.executor import Executor
from daskml_exec.kernels.arrays import Array, Rows
from daskml_exec.partitions import (
    FRAME,
    kind_of,
    known_folds,
    refuse_unreadable,
    row_lengths,
    to_memory,
)
from daskml_exec.recommendation._ids import ids_of


class RowsOfUsers(Protocol):
    """Interactions of one kind."""

    def columns(self) -> tuple[Array, Array | None]:
        """Return the user of each row and, if it is wanted, its place in time."""

    def parts(self, in_test: Array) -> tuple[Any, Any]:
        """Return the rows that are not in the test, and those that are."""


def rows_of_users(
    interactions: Any, user: str, time: str | None, n_splits: int | None
) -> RowsOfUsers:
    """Return interactions as rows of users.

    Raises
    ------
    TypeError
        They are of no kind that can be split.
    ValueError
        An argument does not go with this kind.
    """
    kind = kind_of(interactions)
    if kind == FRAME:
        _refuse("n_splits", n_splits, "a Dask dataframe")
        _require_columns(list(interactions.columns), user, time)
        executor = Executor.current()
        # Both the number of rows of each partition and what is in them are asked for.
        needed = interactions[[user] if time is None else [user, time]]
        return _LazyTable(interactions, executor.client.persist(needed), user, time, executor)
    if _is_table(interactions):
        return _Table(interactions, user, time)
    if sp.issparse(interactions) and len(interactions.shape) == 2:
        _refuse("n_splits", n_splits, "a sparse matrix")
        _refuse("time", time, "a sparse matrix")
        return _Matrix(interactions.tocsr(), interactions.format)
    if isinstance(interactions, tuple) and len(interactions) in (2, 3) and kind is None:
        _refuse("time", time, "a tuple of arrays")
        return _Arrays(interactions)
    if kind is None:
        refuse_unreadable(interactions, "interactions", dates=False)
    raise TypeError(
        f"interactions are of {type(interactions).__name__}; allowed are a pandas, Polars or Dask "
        "dataframe, a tuple of the arrays (user, item) or (user, item, rating), or a SciPy sparse "
        "matrix"
    )


@dataclass(frozen=True)
class _Table:
    """A dataframe in memory."""

    frame: Any
    user: str
    time: str | None

    def columns(self) -> tuple[Array, Array | None]:
        _require_columns(list(self.frame.columns), self.user, self.time)
        times = None if self.time is None else _places_in_time(self.frame[self.time], self.time)
        return ids_of(self.frame[self.user], self.user, ""), times

    def parts(self, in_test: Array) -> tuple[Any, Any]:
        train, test = (_taken(self.frame, np.flatnonzero(each)) for each in (~in_test, in_test))
        return train, test


@dataclass(frozen=True)
class _LazyTable:
    """A Dask dataframe."""

    frame: Any
    needed: Any
    """Its columns of users and times, on Workers."""
    user: str
    time: str | None
    executor: Executor

    def columns(self) -> tuple[Array, Array | None]:
        known = to_memory(self.needed, self.executor, "interactions")
        return _Table(known, self.user, self.time).columns()

    def parts(self, in_test: Array) -> tuple[Any, Any]:
        lengths = row_lengths(self.executor, self.needed)
        folds = known_folds(self.executor, in_test.astype(np.uint16), lengths)
        train, test = (folds.picked(self.frame, _One(fold), "interactions") for fold in (0, 1))
        return train, test


@dataclass(frozen=True)
class _Arrays:
    """Columns as a tuple."""

    arrays: tuple[Any, ...]

    def columns(self) -> tuple[Array, Array | None]:
        users = ids_of(self.arrays[0], "user", "")
        lengths = [len(each) for each in self.arrays]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"interactions are arrays of {', '.join(map(str, lengths))} rows; allowed are as "
                "many in each"
            )
        return users, None

    def parts(self, in_test: Array) -> tuple[Any, Any]:
        train, test = (
            tuple(_taken(each, np.flatnonzero(rows)) for each in self.arrays)
            for rows in (~in_test, in_test)
        )
        return train, test


@dataclass(frozen=True)
class _Matrix:
    """A sparse matrix, of which the entries are rows."""

    rows: Any
    """As CSR."""
    format: str

    def columns(self) -> tuple[Array, Array | None]:
        return np.repeat(np.arange(self.rows.shape[0]), np.diff(self.rows.indptr)), None

    def parts(self, in_test: Array) -> tuple[Any, Any]:
        train, test = (self._entries(each) for each in (~in_test, in_test))
        return train, test

    def _entries(self, kept: Array) -> Any:
        rows, before = self.rows, np.append(0, np.cumsum(kept))
        some = rows.data[kept], rows.indices[kept], before[rows.indptr]
        return type(rows)(some, shape=rows.shape).asformat(self.format)


@dataclass(frozen=True)
class _One:
    """The rows of one fold."""

    fold: int

    def rows(self, folds: Array) -> Array:
        """Return whether each row is in it."""
        wanted: Array = folds == self.fold
        return wanted


def _is_table(data: Any) -> bool:
    return isinstance(data, pd.DataFrame) or (
        type(data).__module__.partition(".")[0] == "polars" and type(data).__name__ == "DataFrame"
    )


def _taken(data: Any, rows: Rows) -> Any:
    if isinstance(data, (pd.DataFrame, pd.Series)):
        return data.iloc[rows]
    return [data[row] for row in rows] if isinstance(data, list) else data[rows]


def _places_in_time(column: Any, name: str) -> Array:
    """Return codes of times in their order."""
    values = column if isinstance(column, pd.Series) else column.to_numpy()
    codes, _ = pd.factorize(values, sort=True)
    if (codes < 0).any():
        rows = np.flatnonzero(codes < 0)
        raise ValueError(
            f"column {name!r} of times has {len(rows):,} missing values, the first in row "
            f"{rows[0]}; allowed is a time per row: leave these rows out"
        )
    return codes


def _refuse(name: str, value: Any, kind: str) -> None:
    if value is not None:
        raise ValueError(f"{name}={value!r} and interactions are {kind}; allowed is {name}=None")


def _require_columns(labels: list[Any], user: str, time: str | None) -> None:
    for name, column in (("user", user), ("time", time)):
        if column is not None and column not in labels:
            raise ValueError(
                f"interactions have the columns {labels}, and no {column!r}; {name}= names another"
            )
