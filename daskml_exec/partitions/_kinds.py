"""Tell apart the kinds of data that users pass."""

import warnings
from dataclasses import dataclass
from typing import Any

import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
from distributed import Future
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.validation import _get_feature_names

ARRAY, FRAME, SERIES, FUTURES = "dask.array", "dask.dataframe", "dask.series", "futures"
BAG = "dask.bag"
"""Of anything: read where blocks are left as they are, and refused elsewhere."""


@dataclass(frozen=True)
class Reading:
    """How blocks are read.

    Attributes
    ----------
    raw : bool
        X is not looked at: its blocks may be frames, lists, or arrays of objects.
    several : bool
        y may have several columns.
    """

    raw: bool = False
    several: bool = False


CHECKED = Reading()


def kind_of(data: Any) -> str | None:
    """Return the kind of a collection on a cluster; None for data in memory."""
    if isinstance(data, da.Array):
        return ARRAY
    if isinstance(data, dd.DataFrame):
        return FRAME
    if isinstance(data, dd.Series):
        return SERIES
    if isinstance(data, db.Bag):
        return BAG
    if isinstance(data, (list, tuple)) and data and all(isinstance(x, Future) for x in data):
        return FUTURES
    return None


def name_of(data: Any) -> str | None:
    """Return what Dask calls a collection: of the same name are the same rows; None for others."""
    kind = kind_of(data)
    if kind == ARRAY:
        return str(data.name)
    return str(data._name) if kind in (FRAME, SERIES) else None


def is_collection(data: Any) -> bool:
    """Whether `data` is a Dask array, dataframe, series or bag, or a list of futures."""
    return kind_of(data) is not None


def bag_blocks(bag: Any) -> list[Any]:
    """Return the blocks of a bag, each a Delayed of a list."""
    # Optimised once more, they would be other tasks of the same names than the persisted bag's.
    return list(bag.to_delayed(optimize_graph=False))


def require_matrix(X: Any) -> None:
    """Refuse a collection that has not two dimensions, as far as that is known, or mixed names.

    Raises
    ------
    ValueError
        It has another number of dimensions.
    TypeError
        Some names of columns are strings and some are not.
    """
    refuse_bag(X, "X")
    if kind_of(X) != FUTURES and X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D {kind_of(X)} instead: X has rows and features. "
            "Reshape your data, for one feature with X.reshape((-1, 1)) or X.to_frame()"
        )
    if kind_of(X) == FRAME:
        names_of(X._meta)


def names_of(data: Any) -> tuple[str, ...] | None:
    """Return the names of the columns of a frame; None for what has none.

    Raises
    ------
    TypeError
        Some names are strings and some are not.
    """
    names = _get_feature_names(data)
    return None if names is None else tuple(names)


def require_column(column: Any, name: str) -> None:
    """Raise ValueError unless there is one value per row; warn of a matrix of one column."""
    refuse_bag(column, name)
    if kind_of(column) != FUTURES:
        require_column_shape(column.shape, name)


def refuse_bag(data: Any, name: str) -> None:
    """Raise TypeError for a bag, which is no column and no matrix."""
    if kind_of(data) == BAG:
        raise TypeError(
            f"{name} is a Dask bag, whose items may be anything; allowed are Dask arrays, "
            f"dataframes and series, such as {name}.to_dataframe() of numbers"
        )


def require_column_shape(shape: tuple[Any, ...], name: str) -> None:
    """Raise ValueError unless the shape is of one value per row; warn of a matrix of one column."""
    if len(shape) == 1:
        return
    width = shape[1] if len(shape) == 2 else None
    if width != 1:
        columns = "" if width is None else f" and {width} columns"
        raise ValueError(
            f"{name} has {len(shape)} dimensions{columns}; allowed is one value per row"
        )
    warnings.warn(
        f"A column-vector {name} was passed when a 1d array was expected. Pass one dimension, for "
        f"example {name}[:, 0] of an array or {name}[column] of a dataframe",
        DataConversionWarning,
        stacklevel=2,
    )


def require_rows(rows: int, length: int, name: str) -> None:
    """Raise ValueError unless a column is as long as X."""
    if length != rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {rows} rows, "
            f"{name} has {length}; they must be the same"
        )


def shape_of(block: Any) -> tuple[int, ...]:
    """Return the shape of a block, which may be a list or have a length only."""
    if isinstance(block, list):
        if any(isinstance(item, (str, bytes)) for item in block[:1]):
            return (len(block),)  # each would be as wide as the longest
        block = np.asarray(block)
    shape = getattr(block, "shape", None)
    return tuple(shape) if shape else (len(block),)


def frame_meta(X: Any) -> Any:
    """Return what tells the names and number of columns without data.

    That is the empty frame of a Dask dataframe; a Dask array itself; None for futures.
    """
    kind = kind_of(X)
    return None if kind == FUTURES else X._meta if kind == FRAME else X


def weight_column(sample_weight: Any, rows: int) -> Any:
    """Return weights in memory as one value per row; a number is the weight of each row."""
    column = np.asarray(sample_weight)
    if column.ndim == 0 and column.dtype.kind in "biuf":
        return np.full(rows, column, dtype=np.float64)
    require_column_shape(column.shape, "sample_weight")
    return column.reshape(-1)
