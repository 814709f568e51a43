"""Targets of regression: finite real numbers."""

from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.kernels.distributions import Distribution, Gaussian
from daskml_exec.partitions._assemble import check_no_gaps
from daskml_exec.partitions._refusals import refuse_dates

NUMBERS = Gaussian()
"""The distribution of a target that may be any number."""

_NUMERIC = {"boolean", "integer", "floating", "mixed-integer-float", "decimal"}
"""What pandas calls objects that are numbers."""


def real_target(y: Any, *, where: str, distribution: Distribution = NUMBERS) -> Any:
    """Return y as float64, itself if it is that already.

    An empty y may have any dtype: nobody has chosen it.

    Raises
    ------
    TypeError
        y has dates or durations.
    ValueError
        y is not of real numbers, or has NaN, infinity or a value that the
        distribution does not have.
    """
    if not len(y):
        return np.empty(0)
    try:
        refuse_dates(y, "y")
    except TypeError as error:
        error.add_note(f"in {where} of y")
        raise
    kind = y.dtype.kind
    of_objects = kind == "O" and pd.api.types.infer_dtype(y.reshape(-1), skipna=False)
    if kind not in "biuf" and of_objects not in _NUMERIC:
        found = f"y has dtype {y.dtype}" + (f" with {of_objects} values" if of_objects else "")
        if kind == "c":
            found = f"Complex data not supported: {found}"
        raise ValueError(f"{found} in {where}; allowed are real numbers")
    try:
        target = np.ascontiguousarray(y, dtype=np.float64)
    except OverflowError as error:
        raise ValueError(f"y has a value that is too large for float64 in {where}") from error
    check_no_gaps(target, where=where)
    if len(target) and target.min() < distribution.y_min:
        row = int(np.flatnonzero((target < distribution.y_min).reshape(len(y), -1).any(axis=1))[0])
        raise ValueError(out_of_range(target[row].min(), f"row {row} of {where}", distribution))
    return target


def out_of_range(value: float, where: str, distribution: Distribution) -> str:
    """Say that a value is none of the distribution's: scikit-learn's words, and where it is."""
    return (
        "Some value(s) of y are out of the valid range of the loss "
        f"{distribution.sklearn_loss!r}: y has {value:g} in {where}; allowed are "
        f"{distribution.allowed}"
    )
