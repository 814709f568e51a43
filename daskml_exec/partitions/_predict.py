"""Apply a function to the rows of a collection, lazily."""

import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pandas as pd
from dask.tokenize import tokenize

from daskml_exec.executor import share
from daskml_exec.partitions._assemble import matrix, side_by_side
from daskml_exec.partitions._gather import held_futures, require_open
from daskml_exec.partitions._kinds import FRAME, FUTURES, kind_of, require_matrix
from daskml_exec.partitions._refusals import column_labels

# Below, `map_partitions` hands a Delayed on as it is: the model then travels with every block.
_FRAMES_TAKE_DELAYED = tuple(map(int, dask.__version__.split(".")[:2])) >= (2025, 5)

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


def require_labels(found: Any, expected: Any, where: str) -> None:
    """Raise ValueError for column labels that are not those expected, where both are known."""
    if found is not None and expected is not None and list(found) != list(expected):
        raise ValueError(
            f"{where} of X has the columns {list(found)}; allowed are {list(expected)}, in this "
            "order"
        )


def map_rows(
    function: Function,
    X: Any,
    *,
    columns: Any,
    dtype: np.dtype[Any],
    promote: bool,
    labels: tuple[str, ...] | None = None,
) -> Any:
    """Return ``function(block)`` for each block of rows of a collection, lazily.

    The function, which holds a model, is one node of the graph: it travels once to each worker
    that uses it, and not with every block.

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
    labels : tuple of str, or None
        Column labels of blocks that are frames, if the model knows them. Those of a Dask dataframe
        must have its own.

    Returns
    -------
    dask.array.Array with the row chunks of X, or dask.dataframe.Series or DataFrame with the index
    and divisions of X, or list of futures

    Raises
    ------
    LostPartitionError
        X, or what it is computed from, is held by futures that are gone, or whose Client is closed.
    """
    kind = kind_of(X)
    if kind == FUTURES:
        return _submitted(function, X, labels)
    require_matrix(X)
    require_open("X", held_futures(X))
    if promote:
        single = all(of_column == np.float32 for of_column in np.atleast_1d(_dtypes(X)))
        dtype = np.result_type(dtype, np.float32 if single else np.float64)
    if kind == FRAME:
        model = (
            dask.delayed(function, name=f"model-{tokenize(function)}", traverse=False)
            if _FRAMES_TAKE_DELAYED
            else function
        )
        meta = _labelled(
            np.empty((0,) if columns is None else (0, len(columns)), dtype), None, columns
        )
        return X.map_partitions(_frame_of, model, list(X.columns), columns, meta=meta)
    width = {} if columns is None else {"k": len(columns)}
    return da.blockwise(
        _of_blocks,
        "ik" if width else "i",
        X,
        "ij",
        _as_node(function),
        "",
        new_axes=width,
        name=f"{function.__name__}-{tokenize(function, X)}",
        concatenate=False,
        align_arrays=False,  # which takes one row, in a chunk beside empty ones, for all chunks'
        dtype=dtype,
        meta=np.empty((0, 0) if width else (0,), dtype=dtype),
    )


def _as_node(function: Function) -> Any:
    """Return the function as an array without axes, which is one node to both engines of Dask."""
    model = np.empty((), dtype=object)
    model[()] = function
    return da.from_array(model, name=f"model-{tokenize(function)}")


def _of_blocks(blocks: list[Any], model: Any) -> Any:
    return model.item()(side_by_side(list(blocks)))


def _submitted(function: Function, X: Any, labels: tuple[str, ...] | None) -> list[Any]:
    require_open("X", X)
    client = X[0].client
    nbytes = nbytes_of(function)
    # Not in process, where the driver would have to keep the model for as long as a result may be
    # wanted again: in a task of its own the scheduler does.
    model = share(client, function, nbytes, name="model", in_process=False)
    name = function.__name__
    known = client.submit(column_labels, X[0], pure=False) if labels is None else labels
    return [
        client.submit(_checked, block, model, known, key=f"{name}-{tokenize(object())}")
        for block in X
    ]


def nbytes_of(function: Any) -> int:
    """Return the size of the function with what it holds, without copying arrays."""
    buffers: list[pickle.PickleBuffer] = []
    body = cloudpickle.dumps(function, protocol=5, buffer_callback=buffers.append)
    return len(body) + sum(buffer.raw().nbytes for buffer in buffers)


def _checked(block: Any, model: Function, labels: Any) -> Any:
    require_labels(column_labels(block), labels, "a block")
    return model(block)


def _dtypes(X: Any) -> Any:
    return X.dtypes.to_numpy() if hasattr(X, "dtypes") else X.dtype


def _frame_of(frame: pd.DataFrame, model: Function, labels: list[Any], columns: Any) -> Any:
    return _labelled(_checked(frame, model, labels), frame.index, columns)


def _labelled(values: np.ndarray[Any, Any], index: Any, columns: Any) -> Any:
    if columns is None:
        # Without a dtype, pandas would look at the objects and may find another one than in meta.
        dtype = object if values.dtype == object else None
        return pd.Series(values, index=index, dtype=dtype)
    return pd.DataFrame(values, index=index, columns=columns)
