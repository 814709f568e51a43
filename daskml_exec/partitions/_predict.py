"""Rows of blocks as a fitted model expects them."""

from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.partitions._assemble import matrix
from daskml_exec.partitions._kinds import FRAME, kind_of


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


def meta_of_predictions(X: Any, columns: Any, dtype: np.dtype[Any], *, promote: bool) -> Any:
    """Return the meta of what a model says of the rows of X: pandas for a Dask dataframe.

    Parameters
    ----------
    X : Dask array, Dask dataframe, list of futures or Data
    columns : sequence or None
        Names of the result's columns; None for one value per row.
    dtype : numpy.dtype
    promote : bool
        Whether the result is a float in the wider of `dtype` and the floating dtype of X.
    """
    if promote:
        dtypes: Any = X.dtypes.to_numpy() if hasattr(X, "dtypes") else getattr(X, "dtype", None)
        single = all(each == np.float32 for each in np.atleast_1d(dtypes))
        dtype = np.result_type(dtype, np.float32 if single else np.float64)
    if kind_of(X) != FRAME:
        return np.empty((0,) if columns is None else (0, len(columns)), dtype)
    if columns is None:
        return pd.Series(np.empty(0, dtype), dtype=object if dtype.kind == "O" else None)
    return pd.DataFrame(np.empty((0, len(columns)), dtype), columns=columns)
