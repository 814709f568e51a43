"""Targets of regression: finite real numbers."""

from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.partitions._assemble import check_no_gaps
from daskml_exec.partitions._refusals import refuse_dates

NUMBERS = {"boolean", "integer", "floating", "mixed-integer-float", "decimal"}
"""What pandas calls objects that are numbers."""


def real_target(y: Any, *, where: str, y_min: float | None = None) -> Any:
    """Return y as float64, itself if it is that already.

    An empty y may have any dtype: nobody has chosen it.

    Raises
    ------
    TypeError
        y has dates or durations.
    ValueError
        y is not of real numbers, or has NaN, infinity or a value below `y_min`.
    """
    if not len(y):
        return np.empty(0)
    try:
        refuse_dates(y, "y")
    except TypeError as error:
        error.add_note(f"in {where} of y")
        raise
    kind = y.dtype.kind
    of_objects = kind == "O" and pd.api.types.infer_dtype(y, skipna=False)
    if kind not in "biuf" and of_objects not in NUMBERS:
        found = f"y has dtype {y.dtype}" + (f" with {of_objects} values" if of_objects else "")
        if kind == "c":
            found = f"Complex data not supported: {found}"
        raise ValueError(f"{found} in {where}; allowed are real numbers")
    try:
        target = np.ascontiguousarray(y, dtype=np.float64)
    except OverflowError as error:
        raise ValueError(f"y has a value that is too large for float64 in {where}") from error
    check_no_gaps(target, where=where)
    if y_min is not None and target.min() < y_min:
        row = int(np.flatnonzero(target < y_min)[0])
        # scikit-learn's words, which name the only loss with such a bound.
        raise ValueError(
            "Some value(s) of y are out of the valid range of the loss 'HalfPoissonLoss': y has "
            f"{target[row]:g} in row {row} of {where}; allowed are values from {y_min:g}"
        )
    return target
