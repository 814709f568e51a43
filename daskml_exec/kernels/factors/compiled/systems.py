"""The system of one row, compiled by Numba: to be imported where it is installed.

A row of n entries is solved as a system of n or of k equations, whichever are fewer. Both are a
diagonal plus Z'Z, with the rows of Z contiguous: for k equations these are the factors of the
entries, for n equations their transpose. The factorisation takes in the rows of Z as it takes its
own rows above, so that the system itself is never written down where one panel of Z is enough.

Arrays are given as pointers, with their lengths.
"""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

from daskml_exec.kernels.factors.compiled import machine_code as machine

PANEL = 64
"""Entries of a row that are in Z at once, where the system is of k equations."""

# Sums may be reordered, for vector registers; what is not finite must stay so.
_fast = {"reassoc", "contract", "nsz"}
# Inlined before anything is compiled: what is inlined later is first compiled by itself.
inlined: Any = numba.njit(fastmath=_fast, inline="always")


def _digest() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


_DIGEST = _digest()


def compiled(function: Any) -> Any:
    """Return a function compiled for each type of its arguments, from the cache if it is there.

    Numba takes code from its cache while the file of the function is what it was. What is inlined
    is of other files, so the name under which code is kept tells of all of them.
    """
    function.__qualname__ += f"_{_DIGEST}"
    # To ask before each division whether it is by zero would keep it out of vector registers.
    return numba.njit(error_model="numpy", fastmath=_fast, nogil=True, cache=True)(function)


class Rules(NamedTuple):
    """The objective, in numbers."""

    implicit: bool
    alpha: float
    reg: float
    exponent: float
    trace: float
    """Of the Gram matrix; 0 without one."""


class Table(NamedTuple):
    """The other side's factors and the Gram matrix."""

    rows: Any
    spectrum: Any
    k: int
    width: int
    """Numbers from one row to the next, which is k rounded up to whole registers."""


class Entries(NamedTuple):
    """The entries of one row; scratch space as long as the longest."""

    places: Any
    values: Any
    s: Any
    t: Any
    d: Any
    q: Any
    falling: Any
    none: Any


class Ahead(NamedTuple):
    """The entries that are next, of which the other side's factors are brought near meanwhile."""

    indices: Any
    begin: int
    end: int


class Work(NamedTuple):
    """Scratch space for the system of one row; vectors are long enough for k and a panel."""

    z: Any
    t: Any
    w: Any
    diagonal: Any
    inverse: Any
    y: Any
    x: Any
    """What solutions are written to, padded with zeros."""
    mu: Any
    scale: Any
    d: Any
    q: Any
    places: Any
    lanes: int
    tile: int
    one: Any
    """Numbers in the dtype of the arrays, as arithmetic with others would be in double."""
    alpha: Any
    tiny: Any
    """Of d, whose root divides."""
    rounding: float


@inlined
def weigh(values: Any, begin: int, n: int, implicit: bool, work: Any, d: Any, q: Any) -> None:
    """Write the weights of n entries, as `Objective.weights` does."""
    one = work.one
    if implicit:
        for i in range(n):
            r = one * values[begin + i]
            d[i] = work.alpha * abs(r)
            q[i] = one + d[i] if r > 0 else one - one
    else:
        for i in range(n):
            d[i] = one
            q[i] = values[begin + i]


@inlined
def penalise(table: Any, entries: Any, n: int, rules: Any, work: Any) -> float:
    """Write the diagonal without entries, raised where the system might be singular.

    What returns is a bound of the system's condition, scaled by that diagonal. With the Gram matrix
    in the diagonal, it is the largest weight: no entry is more than is in there already.
    """
    penalty = rules.reg * float(n) ** rules.exponent
    mu, width = work.mu, table.width
    largest = 0.0
    if rules.implicit:
        greatest = work.one - work.one
        for i in range(n):
            greatest = max(greatest, abs(work.one * entries.values[i]))
        largest = rules.alpha * greatest
        least = max(2.0**-52 * rules.trace, 1e-24)
    else:
        squares = 0.0
        for i in range(n):
            row = entries.places[i] * width
            for j in range(width):
                squares += table.rows[row + j] * table.rows[row + j]
        least = max(squares * work.rounding, 1e-24)
        largest = squares / max(penalty, least)
    for j in range(table.k):
        mu[j] = max(table.spectrum[j] + penalty, least)
    for j in range(table.k, width):
        mu[j] = 1.0
    return 1.0 + largest


@inlined
def solve(table: Any, entries: Any, n: int, rules: Any, work: Any, ahead: Any) -> float:
    """Write the solution of a row to `work.x`, and return its largest pivot over the smallest.

    `work.mu` is the diagonal without entries; it is spent.
    """
    if n < table.k:
        return _solve_by_entries(table, entries, n, rules, work, ahead)
    for j in range(table.width):
        work.y[j] = 0.0
        work.diagonal[j] = work.mu[j]
    begin = weighted_gram(table, entries, n, rules, work, False)
    return factorised_solution(n - begin, table.k, table, work, begin > 0, ahead)


@inlined
def _solve_by_entries(table: Any, entries: Any, n: int, rules: Any, work: Any, ahead: Any) -> float:
    y, x, scale, roots, places, lanes = (
        work.y,
        work.x,
        work.scale,
        work.mu,
        work.places,
        work.lanes,
    )
    width, one = table.width, work.one
    weigh(entries.values, 0, n, rules.implicit, work, work.d, work.q)
    up = -(-n // lanes) * lanes
    for i in range(n):
        scale[i] = np.sqrt(max(work.d[i], work.tiny))
        y[i] = work.q[i] / scale[i]
        places[i] = entries.places[i]
        work.diagonal[i] = one
    for i in range(n, up):
        scale[i] = 0.0
        y[i] = 0.0
        places[i] = places[0]
        work.diagonal[i] = one
    for j in range(width):
        roots[j] = one / np.sqrt(roots[j])
    for i in range(0, up, lanes):
        machine.gather_transposed(
            work.z, width, table.rows, width, places, scale, roots, i, width // lanes
        )
    steepness = factorised_solution(table.k, n, table, work, False, ahead)
    for i in range(n):
        y[i] = scale[i] * x[i]
    machine.combine(x, table.rows, width, places, y, n, width // lanes)
    for j in range(width):
        x[j] *= roots[j] * roots[j]
    return steepness


@inlined
def factorised_solution(
    length: int, n: int, table: Any, work: Any, begun: bool, ahead: Any
) -> float:
    """Write the solution of (t + diagonal + z'z) x = y, of n equations, to x; y is spent.

    `length` is that of z; t counts where it is begun. The largest pivot over the smallest returns.
    """
    width = table.width
    w, inverse, x, y, tile = work.w, work.inverse, work.x, work.y, work.tile
    vecs = -(-n // work.lanes)
    step = -(-(ahead.end - ahead.begin) * tile // n)
    for j in range(0, n, tile):
        begin = ahead.begin + j // tile * step
        machine.fetch(table.rows, width, ahead.indices, begin, min(begin + step, ahead.end))
        machine.eliminate(
            work.t, w, inverse, work.diagonal, work.z, width, length, width, j, vecs, begun
        )
        machine.forward(y, w, width, j, vecs)
    for j in range(width):
        x[j] = 0.0
    least = most = inverse[0]
    for i in range(n):
        y[i] *= inverse[i]
        least = min(least, inverse[i])
        most = max(most, inverse[i])
    for j in range((n - 1) // tile * tile, -1, -tile):
        machine.backward(x, y, w, width, j, vecs)
    return np.float64(most) / np.float64(least)


@inlined
def weighted_gram(table: Any, entries: Any, n: int, rules: Any, work: Any, whole: bool) -> int:
    """Add entries to t and y, the last panel to t only if `whole`; return where it begins."""
    width, scale = table.width, work.scale
    vecs = width // work.lanes
    if whole or n > PANEL:
        for i in range(width * width):
            work.t[i] = 0.0
    begin = 0
    for begin in range(0, n, PANEL):
        m = min(PANEL, n - begin)
        weigh(entries.values, begin, m, rules.implicit, work, work.d, work.q)
        for i in range(m):
            scale[i] = np.sqrt(work.d[i])
        machine.gather(
            work.z, work.y, table.rows, width, entries.places, scale, work.q, begin, m, vecs, width
        )
        if whole or begin + m < n:
            for j in range(0, table.k, work.tile):
                soon = begin + PANEL + j
                end = min(soon + work.tile, begin + 2 * PANEL, n)
                machine.fetch(table.rows, width, entries.places, soon, end)
                machine.multiply(work.t, work.z, width, m, width, j, vecs)
    return begin
