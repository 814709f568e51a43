"""Ids of users and items: what may be one, the distinct ones, and their codes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions import refuse_unreadable

_SHOWN = 5
_filling = threading.Lock()
"""Threads that fill the table of one Index together find ids in it twice."""
_LARGEST_EXACT = 2.0**53
"""From here on not every integer is a float64."""


def ids_of(column: Any, name: str, where: str) -> Array:
    """Return ids as int64 or as an object array of texts.

    Parameters
    ----------
    column : ndarray, pandas or Polars series, or list
    name : str
        Of the column, for messages.
    where : str
        Such as " in partition 3", for messages.

    Raises
    ------
    TypeError
        Dates, or ids of several types.
    ValueError
        Missing ids, or numbers that are no integers.

    Examples
    --------
    >>> ids_of(pd.Series([2.0, 7.0]), "user", "")
    array([2, 7])
    """
    try:
        refuse_unreadable(column, f"column {name!r}")
    except TypeError as error:
        raise TypeError(
            f"column {name!r} of ids{where} has dates or durations; allowed are integers and texts"
        ) from error
    values = _plain(column)
    if values.ndim != 1:
        raise ValueError(
            f"column {name!r} of ids{where} has {values.ndim} dimensions; allowed is one id per row"
        )
    if values.dtype.kind in "OU":
        return _objects(values.astype(object, copy=False), name, where)
    if values.dtype.kind == "f":
        return _whole(values, name, where)
    if values.dtype.kind not in "iub":
        raise TypeError(
            f"column {name!r} of ids{where} is of {values.dtype}; allowed are integers and texts"
        )
    if values.dtype.kind == "u" and len(values) and values.max() > np.iinfo(np.int64).max:
        raise ValueError(f"column {name!r}{where} has ids beyond 2^63; allowed are int64 and texts")
    return values.astype(np.int64, copy=False)


def ids_in(name: str, ids: Any) -> Array:
    """Return ids given as an argument, as an array.

    Raises
    ------
    TypeError
        A single id, or what is none.
    """
    if isinstance(ids, (str, bytes)) or not hasattr(ids, "__len__"):
        raise TypeError(f"{name}={ids!r}; allowed is a list or array of ids: [{ids!r}]")
    return ids_of(ids, name, "")


@dataclass(frozen=True)
class Distinct:
    """Distinct ids and how often each comes, in the order in which they came.

    Attributes
    ----------
    values : ndarray of shape (k,)
    counts : ndarray of int64 of shape (k,)
    """

    values: Array
    counts: Array

    @classmethod
    def of(cls, ids: Array) -> Distinct:
        """Count the ids of a column."""
        codes, values = pd.factorize(ids)
        return cls(np.asarray(values), np.bincount(codes, minlength=len(values)).astype(np.int64))

    def __add__(self, other: Distinct) -> Distinct:
        if not len(self.values) or not len(other.values):
            return self if len(self.values) else other
        codes, values = pd.factorize(joined_ids(self.values, other.values))
        counts = np.bincount(codes, np.concatenate([self.counts, other.counts]))
        return Distinct(np.asarray(values), counts.astype(np.int64))

    def sorted(self, name: str) -> Distinct:
        """Return them in the order of ids.

        Raises
        ------
        TypeError
            There are texts and numbers.
        """
        try:
            order = np.argsort(self.values, kind="stable")
        except TypeError:
            kinds = sorted({type(value).__name__ for value in self.values})
            raise TypeError(
                f"column {name!r} has ids of {' and '.join(kinds)}; allowed are ids of one type"
            ) from None
        return Distinct(self.values[order], self.counts[order])


def joined_ids(first: Array, second: Array) -> Array:
    """Return ids behind others; of two kinds they are objects, as integers would become texts."""
    if not len(first) or not len(second):
        return first if len(first) else second
    if first.dtype != second.dtype:
        first, second = first.astype(object), second.astype(object)
    return np.concatenate([first, second])


def codes_of(index: Any, ids: Array) -> Array:
    """Return the place of each id in a pandas Index of all; -1 where it is not there."""
    with _filling:
        _ = index.is_unique  # which fills the table
    return np.asarray(index.get_indexer(pd.Index(ids)))


def index_of(ids: Array) -> Any:
    """Return a pandas Index of distinct ids, which finds their places by hash."""
    return pd.Index(ids, dtype=object if ids.dtype == object else None)


def some(ids: Any) -> str:
    """Return the first few ids, in words."""
    shown = [str(each) if isinstance(each, np.generic) else repr(each) for each in ids[:_SHOWN]]
    rest = len(ids) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest > 0 else "")


def _plain(column: Any) -> Array:
    """Return a column as a NumPy array, objects where something may be missing."""
    if isinstance(column, pd.Series):
        dtype: Any = column.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            codes = column.cat.codes.to_numpy()
            values = _plain(pd.Series(column.cat.categories))
            if (codes >= 0).all():
                return values[codes]
            column = column.astype(object)
        elif isinstance(dtype, pd.api.extensions.ExtensionDtype):
            numbers = pd.api.types.is_integer_dtype(dtype) and not column.hasnans
            return column.to_numpy(dtype=np.int64 if numbers else object)
        return np.asarray(column.to_numpy())
    if type(column).__module__.partition(".")[0] == "polars":
        missing = column.null_count() or not column.dtype.is_numeric()
        return np.array(column.to_list(), dtype=object) if missing else column.to_numpy()
    if isinstance(column, np.ndarray):
        return column
    values = np.asarray(column)
    return values if values.dtype.kind in "iuf" else np.array(list(column), dtype=object)


def _objects(values: Array, name: str, where: str) -> Array:
    missing = pd.isna(values)
    _require_present(missing, name, where)
    kind = pd.api.types.infer_dtype(values, skipna=False)
    if kind == "string" or not len(values):
        return values
    if kind in ("integer", "boolean"):
        return values.astype(np.int64)
    if kind == "floating":
        return _whole(values.astype(np.float64), name, where)
    if kind in ("mixed-integer", "mixed-integer-float", "mixed", "mixed-numeric"):
        kinds = sorted({type(value).__name__ for value in values[:100_000]})
        if kinds != ["str"]:
            raise TypeError(
                f"column {name!r}{where} has ids of {' and '.join(kinds)}; allowed are integers or "
                "texts, of one type"
            )
        return values
    raise TypeError(
        f"column {name!r} of ids{where} has {kind} values; allowed are integers and texts"
    )


def _whole(values: Array, name: str, where: str) -> Array:
    _require_present(np.isnan(values), name, where)
    odd = (values != np.floor(values)) | (np.abs(values) >= _LARGEST_EXACT)
    if odd.any():
        raise ValueError(
            f"column {name!r} of ids{where} has {values[odd][0]} in row "
            f"{int(np.flatnonzero(odd)[0])}; allowed are integers and texts"
        )
    return values.astype(np.int64)


def _require_present(missing: Array, name: str, where: str) -> None:
    if missing.any():
        rows = np.flatnonzero(missing)
        raise ValueError(
            f"column {name!r} of ids{where} has {len(rows):,} missing values, the first in row "
            f"{int(rows[0])}; allowed are an id per row: leave these rows out"
        )
