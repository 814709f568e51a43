"""Loops over single-precision rows that sum in double, compiled by Numba where it is installed.

NumPy can multiply and sum single-precision rows in double only after it has converted a block of
them, which costs as much as the smaller reads save: float32 rows then take as long as float64. A
compiled loop converts in registers. For rows in double the BLAS behind NumPy is as fast.
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from daskml_exec.kernels.arrays import Array


class Loops(NamedTuple):
    """The compiled functions; each works on one block of rows X of shape (n, d)."""

    margins: Callable[[Array, Array, Array], None]
    """``margins(X, w, z)``: z = X w."""
    products: Callable[[Array, Array, Array], None]
    """``products(X, r, g)``: g += X' r."""
    moments: Callable[[Array, Array, Array, Array], None]
    """``moments(X, w, first, second)``: first += X' w, second += (X * X)' w."""


@cache
def compiled_loops() -> Loops | None:
    """Return the compiled functions, or None where Numba is not installed."""
    if importlib.util.find_spec("numba") is None:
        return None
    import numba

    # Sums may be reordered, for vector registers; what is not finite must stay so.
    compiled = numba.njit(fastmath={"reassoc", "contract", "nsz"}, nogil=True, cache=True)
    return Loops(compiled(_margins), compiled(_products), compiled(_moments))


def compile_loops(X: Any) -> None:
    """Compile the functions for rows such as these, which are in single precision, or load them."""
    loops = compiled_loops()
    if loops is None or not len(X):
        return
    row, columns = np.zeros(1), np.zeros(X.shape[1])
    with np.errstate(all="ignore"):
        loops.margins(X[:1], columns, row.copy())
        loops.products(X[:1], row, columns.copy())
        loops.moments(X[:1], row, columns.copy(), columns.copy())


def _margins(X: Array, w: Array, z: Array) -> None:
    n, d = X.shape
    for i in range(n):
        total = 0.0
        for j in range(d):
            total += X[i, j] * w[j]
        z[i] = total


def _products(X: Array, r: Array, g: Array) -> None:
    n, d = X.shape
    whole = n - n % 4  # four rows at a time, so that g is read and written once for all of them
    for i in range(0, whole, 4):
        a, b, c, e = r[i], r[i + 1], r[i + 2], r[i + 3]
        for j in range(d):
            g[j] += a * X[i, j] + b * X[i + 1, j] + c * X[i + 2, j] + e * X[i + 3, j]
    for i in range(whole, n):
        for j in range(d):
            g[j] += r[i] * X[i, j]


def _moments(X: Array, w: Array, first: Array, second: Array) -> None:
    n, d = X.shape
    for i in range(n):
        weight = w[i]
        for j in range(d):
            value = np.float64(X[i, j])
            first[j] += weight * value
            second[j] += weight * (value * value)
