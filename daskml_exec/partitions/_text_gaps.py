"""Gaps among the texts of a frame, as scikit-learn reads them."""

from typing import Any

import numpy as np
import pandas as pd


def gaps_as_nan(X: Any) -> Any:
    """Return a frame with NaN where texts are missing, and not pandas.NA, which is no number.

    Dask makes texts of what were objects, such as numbers that were read as texts. pandas.NA has no
    order among them either.

    Parameters
    ----------
    X : anything
        What is no frame of pandas is returned as it is.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": pd.array(["1", None], "string")})
    >>> gaps_as_nan(frame)["a"].tolist()
    ['1', nan]
    """
    if not isinstance(X, pd.DataFrame):
        return X
    changed = {
        position: _with_objects(X.iloc[:, position])
        for position, dtype in enumerate(X.dtypes)
        if isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA
    }
    if not changed:
        return X
    columns = [
        changed.get(position, X.iloc[:, position]).reset_index(drop=True)
        for position in range(X.shape[1])
    ]
    return pd.concat(columns, axis=1).set_axis(X.index)


def _with_objects(column: Any) -> Any:
    return column.astype(object).where(column.notna(), np.nan)
