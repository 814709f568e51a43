"""Refuse what has no numbers to read, before a conversion makes numbers of it.

Dates turn into counts of nanoseconds, what is behind a mask into data, and a query that was not
run into nothing that one could learn from. All of that passes `numpy.asarray` without a word.
"""

import concurrent.futures
import datetime
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd
import scipy.sparse as sp
from array_api_compat import is_array_api_obj
from dask.delayed import Delayed

from daskml_exec.executor import Task

_DATE_DTYPES = re.compile(r"(date|time|duration|period)", re.IGNORECASE)
"""How NumPy, pandas, Arrow and polars begin the names of their dtypes of dates and durations."""

_DURATION = re.compile(r"(duration|timedelta)", re.IGNORECASE)
_IN_COLUMN = " in column "

_DATE_TYPES = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    np.datetime64,
    np.timedelta64,
    pd.Period,
)


def refuse_unreadable(data: Any, name: str, *, dates: bool = True) -> None:
    """Raise for data that looks like an array and is none.

    Parameters
    ----------
    data : anything
        Of collections on a cluster, only what is known without computing them is looked at: their
        blocks go through here, too, where they are.
    name : str
        Of the argument, for messages.
    dates : bool, default=True
        Whether to refuse dates and durations: all but labels of classes may not be any.

    Raises
    ------
    TypeError
        Dates or durations, whose missing values turn into huge numbers; a query or a chunked array
        of another library, of which the message says how to get at its values.
    ValueError
        A masked array in which something is masked.
    """
    if data is None or sp.issparse(data):
        return
    _refuse_other_lazy(data, name)
    _refuse_masked(data, name)
    if dates:
        refuse_dates(data, name)


def refuse_dates(data: Any, name: str) -> None:
    """Raise TypeError for dates and durations, in columns, arrays, lists and among objects."""
    for place, dtype, values in _columns(data):
        found = str(dtype) if _is_date(dtype) else _date_among(values)
        if found:
            label = place.removeprefix(_IN_COLUMN)
            what = f"{name}[{label}]" if label else name
            since = what if _DURATION.search(found) else f"({what} - {what}.min())"
            raise TypeError(
                f"{name} has {found}{place}; allowed are numbers. Say in which unit: for seconds, "
                f"{since} / np.timedelta64(1, 's')"
            )


@contextmanager
def naming_columns(data: Any, name: str) -> Iterator[None]:
    """Let a failed conversion to numbers say which column of `data` has none."""
    try:
        yield
    except (ValueError, TypeError) as error:
        found = _first_without_numbers(data)
        if found is None:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"{error} ({name} has {found}; allowed are numbers: encode categories, for example "
            "with daskml_exec.preprocessing.OneHotEncoder)"
        ) from error


def column_labels(block: Any) -> list[Any] | None:
    """Return the column labels of a pandas, polars or Arrow frame; None for what has no columns."""
    if isinstance(block, (pd.Series, dd.Series)):
        return None  # Dask's has `columns`
    if isinstance(block, (pd.DataFrame, dd.DataFrame)):
        return list(block.columns)
    labels = getattr(block, "column_names", None)  # Arrow's `columns` are the values
    labels = getattr(block, "columns", None) if labels is None else labels
    return list(labels) if isinstance(labels, list) else None


def _refuse_other_lazy(data: Any, name: str) -> None:
    kind = f"{type(data).__module__.partition('.')[0]}.{type(data).__name__}"
    if isinstance(data, (list, tuple)) and data and isinstance(data[0], Delayed):
        found, remedy = "a list of dask.delayed values", f"client.compute({name}), its futures"
    elif isinstance(data, Delayed):
        found, remedy = "a dask.delayed value", f"da.from_delayed({name}, shape, dtype)"
    elif isinstance(data, (distributed.Future, concurrent.futures.Future, Task)):
        found, remedy = "a future", f"[{name}], a list of one or more"
    elif kind == "daskml_exec.Data":
        found, remedy = "a Data, which is to train on", "what it was loaded from"
    elif kind == "polars.LazyFrame":
        found, remedy = "a polars LazyFrame, a query that was not run", f"{name}.collect()"
    elif kind == "xarray.Dataset":
        found = "an xarray Dataset"
        remedy = f"{name}.to_dask_dataframe()" if data.chunks else f"{name}.to_dataframe()"
    elif kind == "xarray.DataArray" and data.chunks is not None:
        found, remedy = "an xarray DataArray with chunks", f"{name}.data, its Dask array"
    else:
        return
    raise TypeError(f"{name} is {found}; allowed is {remedy}")


def _refuse_masked(data: Any, name: str) -> None:
    if not isinstance(data, np.ma.MaskedArray):
        return
    masked = np.argwhere(np.ma.getmaskarray(data))
    if len(masked):
        where = " and ".join(
            f"{axis} {index}" for axis, index in zip(("row", "column"), masked[0], strict=False)
        )
        raise ValueError(
            f"{name} is a masked array in which {len(masked)} values are masked, the first in "
            f"{where}; allowed are values: what is behind a mask is missing. Leave these rows out, "
            f"or fill them: {name}.filled(value)"
        )


def _columns(data: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield what has one dtype: where it is, the dtype, and its values if these may be objects."""
    if isinstance(data, (list, tuple)):
        try:
            data = np.asarray(data)
        except ValueError:
            return  # rows of several lengths, which a later check words better
    if isinstance(data, np.ndarray):
        yield "", data.dtype, data if data.dtype == object else None
        return
    labels = column_labels(data)
    if labels is None:
        dtype = getattr(data, "dtype", getattr(data, "type", None))  # Arrow's is `type`
        yield "", dtype, _objects(data) if str(dtype) == "object" else None
        return
    dtypes = list(data.dtypes if hasattr(data, "dtypes") else data.schema.types)
    for position, (label, dtype) in enumerate(zip(labels, dtypes, strict=True)):
        of_objects = str(dtype) == "object" and isinstance(data, pd.DataFrame)
        values = data.iloc[:, position].to_numpy() if of_objects else None
        yield f"{_IN_COLUMN}{label!r}", dtype, values


def _objects(data: Any) -> Any:
    return data.to_numpy() if isinstance(data, pd.Series) else None


def _is_date(dtype: Any) -> bool:
    categories = getattr(dtype, "categories", None)  # pandas' categories, Arrow's dictionary
    inner = getattr(categories, "dtype", getattr(dtype, "value_type", None))
    kind = getattr(dtype, "kind", "")
    return (
        kind in ("m", "M")
        or _DATE_DTYPES.match(str(dtype)) is not None
        or (inner is not None and _DATE_DTYPES.match(str(inner)) is not None)
    )


def _date_among(values: Any) -> str:
    """Return the type of an object that is a date, if there is one."""
    if values is None:
        return ""
    for kind in set(map(type, values.flat)):
        if issubclass(kind, _DATE_TYPES):
            return f"{kind.__module__.partition('.')[0]}.{kind.__name__} objects"
    return ""


def _first_without_numbers(data: Any) -> str | None:
    """Return the first value that is no number, with its column, in words."""
    labels = column_labels(data)
    if labels is None:
        if is_array_api_obj(data) and data.dtype.kind not in "OSU":
            return None
        try:
            data = np.asarray(data, dtype=object)
        except ValueError:
            return None
        if data.ndim != 2:
            return None
        for position in range(data.shape[1]):
            text = _first_text(data[:, position])
            if text is not None:
                return f"{text} in column {position}"
        return None
    for position, label in enumerate(labels):
        column = data.iloc[:, position] if isinstance(data, pd.DataFrame) else data[label]
        text = _first_text(np.asarray(column, dtype=object))
        if text is not None:
            dtype = getattr(column, "dtype", getattr(column, "type", None))
            return f"{text} in column {label!r} of dtype {dtype}"
    return None


def _first_text(values: Any) -> str | None:
    for value in values.tolist():
        try:
            if value is not None and value is not pd.NA:
                float(value)
        except (TypeError, ValueError):
            return repr(value)[:60]
    return None
