"""What the values of a table must be, looked for where its rows are."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.cli._errors import CommandError

# What pandas calls columns of objects that can be labels, and what encoders and vectorizers take.
_LABELS = frozenset({"string", "boolean", "integer", "empty"})
_PLAIN = _LABELS | {"bytes", "decimal", "floating"}
_NO_LABELS = (bytes, Decimal)


@dataclass(frozen=True)
class Fault:
    """Rows of a block whose values in a column cannot be used.

    Attributes
    ----------
    column : str
    what : str
        What they have: "no value", or something that is not allowed.
    n : int
        Number of rows.
    first : int
        The first row, in the block.
    value : str
        What it has, if anything.
    """

    column: str
    what: str
    n: int
    first: int
    value: str = ""


@dataclass(frozen=True)
class Seen:
    """How many rows a block has, and what is wrong with some."""

    rows: int
    faults: tuple[Fault, ...]


def look_at(X: pd.DataFrame, y: pd.Series, text: str | None) -> pd.Series:
    """Return what a block has, as the only value of a series."""
    faults = [_of_objects(each) for _, each in X.items()]
    faults += [_of_objects(y, _LABELS, _NO_LABELS), _of_gaps(y), _of_labels(y)]
    if text is not None:
        faults.append(_of_gaps(X[text]))
    return pd.Series([Seen(len(X), tuple(each for each in faults if each is not None))])


def _of_objects(
    column: pd.Series, plain: frozenset[str] = _PLAIN, other: tuple[type, ...] = ()
) -> Fault | None:
    """Find objects that are no scalars, or of other types."""
    if column.dtype != object or pd.api.types.infer_dtype(column, skipna=True) in plain:
        return None
    odd = [i for i, each in enumerate(column) if not _is_plain(each) or isinstance(each, other)]
    if not odd:
        return None
    value = column.iloc[odd[0]]
    names = (((list, tuple, np.ndarray), "lists"), (date, "dates"))
    what = next((name for kinds, name in names if isinstance(value, kinds)), type(value).__name__)
    return Fault(str(column.name), what, len(odd), odd[0], shorten(str(value), 40))


def _is_plain(value: Any) -> bool:
    return np.isscalar(value) or value is None or value is pd.NA


def _of_gaps(column: pd.Series) -> Fault | None:
    return _fault(column, "no value", column.isna().to_numpy(bool))


def _of_labels(column: pd.Series) -> Fault | None:
    """Find numbers that are no labels: those with fractions, and infinity."""
    if column.dtype.kind != "f":
        return None
    values = column.to_numpy(float, na_value=np.nan)
    with np.errstate(invalid="ignore"):
        fractions = ~np.isnan(values) & (np.modf(values)[0] != 0) | np.isinf(values)
    return _fault(column, "numbers that are not whole", fractions)


def _fault(column: pd.Series, what: str, wrong: Any) -> Fault | None:
    if not wrong.any():
        return None
    first = int(wrong.argmax())
    return Fault(str(column.name), what, int(wrong.sum()), first, str(column.iloc[first]))


def require_usable(blocks: Iterable[Seen], target: str, text: str | None, url: str) -> int:
    """Return how many rows a file has, of which all can be used.

    Parameters
    ----------
    blocks : iterable of Seen
        Of each partition.
    target, text : str, str or None
        The columns of labels and of texts.
    url : str
        The file.

    Raises
    ------
    CommandError
        It has no rows, or values that cannot be used: with the column and the first row.
    """
    blocks = list(blocks)
    n_rows = sum(block.rows for block in blocks)
    if not n_rows:
        raise CommandError(f"{url} has no rows")
    before = np.cumsum([0, *(block.rows for block in blocks)])
    for partition, block in enumerate(blocks):
        for fault in block.faults:
            same = [
                each.n
                for other in blocks
                for each in other.faults
                if (each.column, each.what) == (fault.column, fault.what)
            ]
            place = (
                f"{sum(same):,} of {n_rows:,} rows, the first of which is row "
                f"{before[partition] + fault.first} (counted from 0; in partition {partition})"
            )
            raise CommandError(_told(fault, place, target, text, url))
    return n_rows


def _told(fault: Fault, place: str, target: str, text: str | None, url: str) -> str:
    if fault.what == "no value":
        option, kind = ("--text", "text") if fault.column == text else ("--target", "value")
        return (
            f"{option} {fault.column}: {url} has no {kind} in {place}; leave such rows out of the "
            "file"
        )
    return refused(fault.column, f"{fault.what} in {place}: {fault.value}", target, text, url)


def refused(column: str, what: str, target: str, text: str | None, url: str) -> str:
    """Say that a column has something that cannot be used, and what to do."""
    if column == target:
        return (
            f"--target {column}: the column of {url} has {what}; allowed are labels, which are "
            "texts or whole numbers: name the column of those to predict"
        )
    if column == text:
        return f"--text {column}: the column of {url} has {what}; allowed are texts"
    return (
        f"the column {column} of {url} has {what}; allowed are numbers and texts: leave it out "
        f"with --drop {column}"
    )
