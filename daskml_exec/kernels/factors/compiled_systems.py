"""The system of one row, compiled by Numba: to be imported where it is installed.

A row of n entries is solved as a system of n or of k equations, whichever are fewer. Both are a
diagonal plus Z'Z, with the rows of Z contiguous: for k equations these are the factors of the
entries, for n equations their transpose. The factorisation takes in the rows of Z as it takes its
own rows above, so that the system itself is never written down where one panel of Z is enough.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

from daskml_exec.kernels.factors import machine_code as machine

PANEL = 64
"""Entries of a row that are in Z at once, where the system is of k equations."""

_TINY = 1e-24  # of d, whose root divides, and of the diagonal

# Sums may be reordered, for vector registers; what is not finite must stay so.
compiled = numba.njit(fastmath={"reassoc", "contract", "nsz"}, nogil=True, cache=True)


class Rules(NamedTuple):
    """The objective, in numbers."""

    implicit: bool
    alpha: float
    reg: float
    exponent: float
    trace: float
    """Of the Gram matrix; 0 without one."""


class Work(NamedTuple):
    """Scratch space for one row after the other; vectors are long enough for k and a panel."""

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


@compiled
def weigh(ratings: Any, rules: Any, d: Any, q: Any) -> None:
    """Write the weights of entries, as `Objective.weights` does."""
    kind = d.dtype.type
    for i in range(len(ratings)):
        r = kind(ratings[i])
        if rules.implicit:
            d[i] = kind(rules.alpha) * abs(r)
            q[i] = d[i] + kind(1.0) if r > 0 else kind(0.0)
        else:
            d[i] = kind(1.0)
            q[i] = r


@compiled
def penalise(other: Any, ids: Any, ratings: Any, spectrum: Any, rules: Any, mu: Any) -> float:
    """Write the diagonal without entries, raised where the system might be singular.

    What returns is a bound of the system's condition, scaled by that diagonal. With the Gram matrix
    in the diagonal, it is the largest weight: no entry is more than is in there already.
    """
    k, penalty = len(spectrum), rules.reg * float(len(ids)) ** rules.exponent
    largest = squares = 0.0
    if rules.implicit:
        for i in range(len(ids)):
            largest = max(largest, rules.alpha * abs(np.float64(ratings[i])))
        least = max(2.0**-52 * rules.trace, _TINY)
    else:
        for i in range(len(ids)):
            for j in range(k):
                squares += other[ids[i], j] * other[ids[i], j]
        least = max(squares * (2.0**-23 if mu.itemsize == 4 else 2.0**-52), _TINY)
        largest = squares / max(penalty, least)
    for j in range(k):
        mu[j] = max(spectrum[j] + penalty, least)
    for j in range(k, len(mu)):
        mu[j] = 1.0
    return 1.0 + largest


@compiled
def solve(other: Any, ids: Any, ratings: Any, k: int, rules: Any, work: Any) -> float:
    """Write the solution of a row to `work.x`, and return its largest pivot over the smallest.

    `work.mu` is the diagonal without entries; it is spent.
    """
    if len(ids) < k:
        return _solve_by_entries(other, ids, ratings, k, rules, work)
    work.y[:] = 0.0
    work.diagonal[:] = work.mu
    begin = weighted_gram(other, ids, ratings, k, rules, work, False)
    return factorised_solution(len(ids) - begin, k, work, begin > 0)


@compiled
def _solve_by_entries(other: Any, ids: Any, ratings: Any, k: int, rules: Any, work: Any) -> float:
    z, y, x, scale, roots, places = work.z, work.y, work.x, work.scale, work.mu, work.places
    n, ldo, lanes = len(ids), other.shape[1], work.lanes
    kind = y.dtype.type
    weigh(ratings, rules, work.d, work.q)
    up = -(-n // lanes) * lanes
    for i in range(n):
        scale[i] = np.sqrt(max(work.d[i], kind(_TINY)))
        y[i] = work.q[i] / scale[i]
        places[i] = ids[i]
    for i in range(n, up):
        scale[i] = 0.0
        y[i] = 0.0
        places[i] = ids[0]
    for j in range(k):
        roots[j] = kind(1.0) / np.sqrt(roots[j])
    for i in range(0, up, lanes):
        machine.gather_transposed(z, z.shape[1], other, ldo, places, scale, roots, i, ldo // lanes)
    work.diagonal[:up] = 1.0
    steepness = factorised_solution(k, n, work, False)
    for i in range(n):
        y[i] = scale[i] * x[i]
    machine.combine(x, other, ldo, places, y, n, ldo // lanes)
    for j in range(k):
        x[j] *= roots[j] * roots[j]
    return steepness


@compiled
def factorised_solution(length: int, n: int, work: Any, begun: bool) -> float:
    """Write the solution of (t + diagonal + z'z) x = y, of n equations, to x; y is spent.

    `length` is that of z; t counts where it is begun. The largest pivot over the smallest returns.
    """
    z, t, w, inverse, x, y = work.z, work.t, work.w, work.inverse, work.x, work.y
    ldz, ld, tile = z.shape[1], t.shape[1], work.tile
    vecs = -(-n // work.lanes)
    for j in range(0, n, tile):
        machine.eliminate(
            t, w, inverse, work.diagonal, z, ldz, length, ld, j, vecs, 1 if begun else 0
        )
        machine.forward(y, w, ld, j, vecs)
    x[:] = 0.0
    least = most = inverse[0]
    for i in range(n):
        y[i] *= inverse[i]
        least = min(least, inverse[i])
        most = max(most, inverse[i])
    for j in range((n - 1) // tile * tile, -1, -tile):
        machine.backward(x, y, w, ld, j, vecs)
    return np.float64(most) / np.float64(least)


@compiled
def weighted_gram(
    other: Any, ids: Any, ratings: Any, k: int, rules: Any, work: Any, whole: bool
) -> int:
    """Add entries to t and y, the last panel to t only if `whole`; return where it begins."""
    z, t = work.z, work.t
    n, ldo, ldz, ld = len(ids), other.shape[1], work.z.shape[1], work.t.shape[1]
    vecs = ldo // work.lanes
    if whole or n > PANEL:
        t[:] = 0.0
    begin = 0
    for begin in range(0, n, PANEL):
        end = min(begin + PANEL, n)
        weigh(ratings[begin:end], rules, work.d, work.q)
        for i in range(end - begin):
            work.scale[i] = np.sqrt(work.d[i])
        machine.gather(
            z, work.y, other, ldo, ids[begin:end], work.scale, work.q, end - begin, vecs, ldz
        )
        if whole or end < n:
            for j in range(0, k, work.tile):
                machine.multiply(t, z, ldz, end - begin, ld, j, vecs)
    return begin
