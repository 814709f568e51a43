"""Half-steps by compiled loops, where Numba is installed."""

from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.prepared import CG_STEPS, Prepared
from daskml_exec.kernels.factors.ratings import Ratings
from daskml_exec.kernels.factors.registers import aligned, compiled_rows, rounded_up
from daskml_exec.kernels.stop_points import stop_point

_SLAB = 2048  # rows between two looks at whether the work is still wanted


def solved_by_loops(ratings: Ratings, prepared: Prepared, start: Any) -> tuple[Array, Array]:
    """Return factors in the coordinates of `prepared`, as start is, and objectives."""
    loops, other = compiled_rows(), prepared.padded
    n, k = len(ratings.indptr) - 1, len(prepared.spectrum)
    objective = prepared.objective
    begun = prepared.solver == "cg" or prepared.nonnegative
    if begun and start is None:
        factors = np.zeros((n, k), other.dtype)
    else:
        factors = np.array(start) if begun else np.empty((n, k), other.dtype)
    objectives = np.empty(n)
    entries = loops.Entries(
        _given(ratings.indptr, np.int64),
        _given(ratings.indices, np.int32),
        _given(ratings.values, other.dtype),
        _given(other, other.dtype),
        prepared.spectrum,
    )
    rules = loops.Rules(
        objective.implicit,
        float(objective.alpha),
        float(objective.reg),
        float(objective.reg_exponent),
        prepared.trace,
    )
    work, in_double = _work(loops, k, other.dtype), _work(loops, k, np.dtype(np.float64))
    longest = int(np.diff(ratings.indptr).max(initial=0))
    lengths = loops.Lengths(*(np.zeros(longest, other.dtype) for _ in loops.Lengths._fields))
    for begin in range(0, n, _SLAB):
        stop_point()
        rows = begin, min(n, begin + _SLAB)
        if prepared.nonnegative:
            loops.nonnegative_rows(
                *rows, entries, prepared.gram, rules, in_double, factors, objectives
            )
        elif prepared.solver == "cg":
            loops.conjugate_rows(
                *rows, CG_STEPS, entries, rules, work, lengths, factors, objectives
            )
        else:
            loops.exact_rows(*rows, entries, rules, work, in_double, lengths, factors, objectives)
    return factors, objectives


def _given(array: Any, dtype: Any) -> Array:
    """Return the array as loops take it, whoever owns it: read-only, as if in shared memory."""
    there = np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"]).view()
    there.flags.writeable = False
    return there


def _work(loops: Any, k: int, dtype: np.dtype[Any]) -> Any:
    from daskml_exec.kernels.factors.compiled_systems import PANEL
    from daskml_exec.kernels.factors.machine_code import lanes, tile

    width = rounded_up(k, lanes(dtype))
    rows = max(width, PANEL)
    matrices = [aligned((height, width), dtype) for height in (rows, width, width)]
    vectors = [aligned((width,), dtype) for _ in ("diagonal", "inverse", "y", "x", "mu")]
    of_panel = [aligned((rows,), dtype) for _ in ("scale", "d", "q")]
    places = np.zeros(rows, np.int32)
    return loops.Work(*matrices, *vectors, *of_panel, places, lanes(dtype), tile(dtype))
