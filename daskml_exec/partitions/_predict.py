"""Apply a function to the rows of a collection, lazily."""

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd

from daskml_exec.partitions._assemble import matrix
from daskml_exec.partitions._kinds import FRAME, FUTURES, kind_of, require_matrix

Function = Callable[[Any], np.ndarray[Any, Any]]


def require_features(found: int, expected: int, estimator: str) -> None:
    """Raise ValueError unless X has as many columns as the estimator was fitted with."""
    if found != expected:
        raise ValueError(
            f"X has {found} features, but {estimator} is expecting {expected} features as input"
        )


def block_to_predict(block: Any, n_features: int, estimator: str) -> Any:
    """Return a block of rows as `matrix` does, with finite values and as many columns as fitted."""
    X = matrix(block, where="a block", finite=True)
    require_features(X.shape[1], n_features, estimator)
    return X


def map_rows(
    function: Function, X: Any, *, columns: Any, dtype: np.dtype[Any], promote: bool
) -> Any:
    """Return ``function(block)`` for each block of rows of a collection, lazily.

    Parameters
    ----------
    function : callable
        Takes an array or a dataframe of rows, returns a NumPy array with as many rows.
    X : Dask array, Dask dataframe or list of futures
    columns : sequence or None
        Names of the result's columns; None for one value per row.
    dtype : numpy.dtype
        Of the result.
    promote : bool
        Whether the result is a float in the wider of `dtype` and the floating dtype of X.

    Returns
    -------
    dask.array.Array with the row chunks of X, or dask.dataframe.Series or DataFrame with the index
    and divisions of X, or list of futures
    """
    kind = kind_of(X)
    if kind == FUTURES:
        return [future.client.submit(function, future, pure=False) for future in X]
    require_matrix(X)
    if promote:
        single = all(of_column == np.float32 for of_column in np.atleast_1d(_dtypes(X)))
        dtype = np.result_type(dtype, np.float32 if single else np.float64)
    if kind == FRAME:
        meta = _labelled(
            np.empty((0,) if columns is None else (0, len(columns)), dtype), None, columns
        )
        return X.map_partitions(_frame_of, function, columns, meta=meta)
    if X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    if columns is None:
        return da.map_blocks(
            function,
            X,
            dtype=dtype,
            chunks=(X.chunks[0],),
            drop_axis=1,
            meta=np.empty((0,), dtype=dtype),
        )
    return da.map_blocks(
        function,
        X,
        dtype=dtype,
        chunks=(X.chunks[0], (len(columns),)),
        meta=np.empty((0, 0), dtype=dtype),
    )


def _dtypes(X: Any) -> Any:
    return X.dtypes.to_numpy() if hasattr(X, "dtypes") else X.dtype


def _frame_of(frame: pd.DataFrame, function: Function, columns: Any) -> Any:
    return _labelled(function(frame), frame.index, columns)


def _labelled(values: np.ndarray[Any, Any], index: Any, columns: Any) -> Any:
    if columns is None:
        # Without a dtype, pandas would look at the objects and may find another one than in meta.
        dtype = object if values.dtype == object else None
        return pd.Series(values, index=index, dtype=dtype)
    return pd.DataFrame(values, index=index, columns=columns)
