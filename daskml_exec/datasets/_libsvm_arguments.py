"""Checks of the arguments of `read_libsvm`: each names the argument, what came, what is allowed."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from dask.utils import parse_bytes


def check_bool(name: str, value: object) -> bool:
    """Return `value` as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False; got {value!r}")
    return bool(value)


def check_zero_based(value: object) -> bool | None:
    """Return True or False, or None for "auto"."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, str) and value == "auto":
        return None
    kind = ValueError if isinstance(value, str) else TypeError
    raise kind(f'zero_based must be True, False or "auto"; got {value!r}')


def check_count(name: str, value: object) -> int | None:
    """Return an integer of at least 1, or None where the caller left it out."""
    if value is None:
        return None
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer of at least 1, or None; got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, or None; got {value!r}")
    return int(value)


def check_blocksize(value: object) -> int:
    """Return a number of bytes from a number or from a string with a unit."""
    allowed = 'blocksize must be a number of bytes of at least 1, or a string such as "64MiB"'
    if isinstance(value, str):
        try:
            size = int(parse_bytes(value))
        except ValueError as error:
            raise ValueError(f"{allowed}; got {value!r}") from error
    elif isinstance(value, Integral) and not isinstance(value, bool):
        size = int(value)
    else:
        raise TypeError(f"{allowed}; got {value!r}")
    if size < 1:
        raise ValueError(f"{allowed}; got {value!r}")
    return size


def check_dtype(value: Any) -> np.dtype[Any]:
    """Return a dtype that sparse matrices of real numbers can have."""
    allowed = "dtype must be a real floating or integer dtype that scipy.sparse supports"
    if value is None:  # which NumPy would take for float64
        raise TypeError(f"{allowed}; got {value!r}")
    try:
        dtype = np.dtype(value)
    except TypeError as error:
        raise TypeError(f"{allowed}; got {value!r}") from error
    if dtype.kind not in "fiu" or dtype == np.float16:
        raise ValueError(f"{allowed}; got {dtype}")
    return dtype
