"""Tell apart the kinds of data that users pass."""

import warnings
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
from distributed import Future
from sklearn.exceptions import DataConversionWarning

from daskml_exec.kernels.array_namespace import is_host, to_host

ARRAY, FRAME, SERIES, FUTURES = "dask.array", "dask.dataframe", "dask.series", "futures"


def kind_of(data: Any) -> str | None:
    """Return the kind of a collection on a cluster; None for data in memory."""
    if isinstance(data, da.Array):
        return ARRAY
    if isinstance(data, dd.DataFrame):
        return FRAME
    if isinstance(data, dd.Series):
        return SERIES
    if isinstance(data, (list, tuple)) and data and all(isinstance(x, Future) for x in data):
        return FUTURES
    return None


def is_collection(data: Any) -> bool:
    """Whether `data` is a Dask array, dataframe or series, or a list of futures."""
    return kind_of(data) is not None


def require_matrix(X: Any) -> None:
    """Raise ValueError for a collection that has not two dimensions, as far as that is known."""
    if kind_of(X) != FUTURES and X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D {kind_of(X)} instead: X has rows and features. "
            "Reshape your data, for one feature with X.reshape((-1, 1)) or X.to_frame()"
        )


def require_column(column: Any, name: str) -> None:
    """Raise ValueError unless there is one value per row; warn of a matrix of one column."""
    if kind_of(column) == FUTURES or column.ndim == 1:
        return
    width = column.shape[1] if column.ndim == 2 else None
    if width != 1:
        columns = "" if width is None else f" and {width} columns"
        raise ValueError(
            f"{name} has {column.ndim} dimensions{columns}; allowed is one value per row"
        )
    warnings.warn(
        f"A column-vector {name} was passed when a 1d array was expected. Pass one dimension, for "
        f"example {name}[:, 0] of an array or {name}[column] of a dataframe",
        DataConversionWarning,
        stacklevel=2,
    )


def frame_meta(X: Any) -> Any:
    """Return what tells the names and number of columns without data.

    That is the empty frame of a Dask dataframe; a Dask array itself; None for futures.
    """
    kind = kind_of(X)
    return None if kind == FUTURES else X._meta if kind == FRAME else X


def refuse_dates(block: Any, name: str) -> None:
    """Raise TypeError for dates and durations, whose missing values turn into huge numbers."""
    if hasattr(block, "dtypes"):
        dtypes = list(np.atleast_1d(np.asarray(block.dtypes, dtype=object)))
    else:
        dtypes = [getattr(block, "dtype", None)]
    for dtype in dtypes:
        if getattr(dtype, "kind", "") in ("m", "M"):
            raise TypeError(
                f"{name} has {dtype}; allowed are numbers. Say in which unit: for seconds, "
                f"({name} - {name}.min()) / np.timedelta64(1, 's')"
            )


def to_memory(data: Any, executor: Any) -> Any:
    """Bring a column such as y to the driver; data in memory is returned as it is."""
    kind = kind_of(data)
    if kind is None:
        return data
    if kind != FUTURES:
        return _on_host(data.compute(scheduler=executor.client))
    pieces = executor.client.gather(list(data))
    return np.concatenate([np.asarray(_on_host(piece)) for piece in pieces])


def _on_host(column: Any) -> Any:
    """Return a device array's values on the host; lists, arrays and series as they are."""
    on_device = not is_host(column) and hasattr(column, "__dlpack__")
    return to_host(column) if on_device else column
