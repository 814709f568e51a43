"""Rows laid out for the vector registers of compiled loops, where Numba is installed."""

import importlib.util
from functools import cache
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array


@cache
def compiled_rows() -> Any:
    """Return the module of compiled loops, or None where Numba is not installed."""
    if importlib.util.find_spec("numba") is None:
        return None
    from daskml_exec.kernels.factors import compiled_rows

    return compiled_rows


def padded(rows: Array) -> Array:
    """Return a copy at the beginning of a line of cache, with zeros up to whole registers."""
    from daskml_exec.kernels.factors.machine_code import lanes

    whole = aligned((len(rows), rounded_up(rows.shape[1], lanes(rows.dtype))), rows.dtype)
    whole[:, : rows.shape[1]] = rows
    whole[:, rows.shape[1] :] = 0.0
    return whole


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array, of any values, at the beginning of a line of cache.

    A register that is read across two lines is read twice.
    """
    nbytes = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(nbytes + 64, np.uint8)
    begin = -raw.ctypes.data % 64
    return raw[begin : begin + nbytes].view(dtype).reshape(shape)


def rounded_up(n: int, multiple: int) -> int:
    """Return the first multiple from n on."""
    return -(-n // multiple) * multiple
