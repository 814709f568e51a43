"""Half-steps of blocks of rows by compiled loops: to be imported where Numba is installed."""

from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.compiled.rows import (
    Rows,
    conjugate_rows,
    exact_rows,
    exact_rows_in_double,
    nonnegative_rows,
)
from daskml_exec.kernels.factors.compiled.systems import PANEL, Entries, Rules, Table, Work
from daskml_exec.kernels.factors.compiled.vector_code import lanes, tile
from daskml_exec.kernels.factors.prepared import CG_STEPS, Prepared
from daskml_exec.kernels.factors.ratings import Ratings
from daskml_exec.kernels.stop_points import stop_point

_SLAB = 2048  # rows between two looks at whether the work is still wanted
_DOUBLE: np.dtype[Any] = np.dtype(np.float64)


def padded(rows: Array) -> Array:
    """Return a copy at the beginning of a line of cache, with zeros up to whole registers."""
    k = rows.shape[1]
    whole = _aligned((len(rows), _up(k, lanes(rows.dtype))), rows.dtype)
    whole[:, :k] = rows
    whole[:, k:] = 0.0
    return whole


def solved(ratings: Ratings, prepared: Prepared, start: Any) -> tuple[Array, Array]:
    """Return factors in the coordinates of `prepared`, as start is, and objectives."""
    other = prepared.padded
    n, k = len(ratings.indptr) - 1, len(prepared.spectrum)
    objective = prepared.objective
    if start is None:
        factors = np.zeros((n, k), other.dtype)
    else:
        factors = np.array(start, other.dtype, order="C")
    objectives = np.empty(n)
    rows = Rows(
        _given(ratings.indptr, np.int64),
        _given(ratings.indices, np.int32),
        _given(ratings.values, other.dtype),
        factors,
        objectives,
    )
    rules = Rules(
        objective.implicit,
        float(objective.alpha),
        float(objective.reg),
        float(objective.reg_exponent),
        prepared.trace,
    )
    spectrum = _given(prepared.spectrum, np.float64)
    longest = int(np.diff(ratings.indptr).max(initial=0))
    table = Table(_given(other, other.dtype), spectrum, k, other.shape[1])
    entries = _entries(longest, other.dtype)
    work, doubtful = _work(k, other.dtype, rules), np.zeros(n, np.bool_)
    # Pages of what is not used are never there.
    wide = _aligned((longest, _up(k, lanes(_DOUBLE))), _DOUBLE)
    in_double = (
        Table(wide, spectrum, k, wide.shape[1]),
        _entries(longest, _DOUBLE),
        _work(k, _DOUBLE, rules),
    )
    for begin in range(0, n, _SLAB):
        stop_point()
        slab = begin, min(n, begin + _SLAB)
        if prepared.gram is not None:
            gram = _given(prepared.gram, np.float64)
            nonnegative_rows(*slab, rows, table, rules, entries, gram, *in_double)
        elif prepared.solver == "cg":
            conjugate_rows(*slab, CG_STEPS, rows, table, rules, entries, work)
        else:
            exact_rows(*slab, rows, table, rules, entries, work, doubtful)
            again = np.flatnonzero(doubtful[slice(*slab)]) + begin
            if len(again) and other.dtype != _DOUBLE:
                exact_rows_in_double(again, rows, table, rules, entries, *in_double)
    return factors, objectives


def _entries(longest: int, dtype: np.dtype[Any]) -> Any:
    vectors = (np.zeros(longest, dtype) for _ in Entries._fields[1:])
    return Entries(np.zeros(longest, np.int32), *vectors)


def _given(array: Any, dtype: Any) -> Array:
    """Return the array as loops take it, whoever owns it: read-only, as if in shared memory."""
    there = np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"]).view()
    there.flags.writeable = False
    return there


def _work(k: int, dtype: np.dtype[Any], rules: Rules) -> Work:
    width = _up(k, lanes(dtype))
    longer = max(width, PANEL)

    def vector(n: int = width) -> Array:
        return _aligned((n,), dtype)

    return Work(
        z=_aligned((longer, width), dtype),
        t=_aligned((width, width), dtype),
        w=_aligned((width, width), dtype),
        diagonal=vector(),
        inverse=vector(),
        y=vector(),
        x=vector(),
        mu=vector(),
        scale=vector(longer),
        d=vector(longer),
        q=vector(longer),
        places=np.zeros(longer, np.int32),
        lanes=lanes(dtype),
        tile=tile(dtype),
        one=dtype.type(1.0),
        alpha=dtype.type(rules.alpha),
        tiny=dtype.type(1e-24),
        rounding=float(np.finfo(dtype).eps),
    )


def _aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    # A register that is read across two lines of cache is read twice.
    nbytes = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(nbytes + 64, np.uint8)
    begin = -raw.ctypes.data % 64
    return raw[begin : begin + nbytes].view(dtype).reshape(shape)


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
