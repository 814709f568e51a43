"""Half-steps row by row, compiled by Numba: to be imported where it is installed."""

from typing import Any, NamedTuple

import numpy as np

from daskml_exec.kernels.factors import machine_code as machine
from daskml_exec.kernels.factors.compiled_systems import (
    Rules,
    Work,
    compiled,
    factorised_solution,
    penalise,
    solve,
    weigh,
    weighted_gram,
)

_STEEP, _CONDITION = 4.0, 1000.0
"""A row in single precision is solved again in double if pivots differ by more than the first
factor and the bound of the condition is above the second: then errors may come to 1e-5."""


class Entries(NamedTuple):
    """The entries of rows, and of the columns what they meet."""

    indptr: Any
    indices: Any
    values: Any
    other: Any
    """The other side's factors, padded with zeros to whole vectors."""
    spectrum: Any


class Lengths(NamedTuple):
    """Scratch space as long as the longest row."""

    s: Any
    t: Any
    d: Any
    falling: Any
    q: Any
    none: Any


@compiled
def exact_rows(
    begin: int,
    end: int,
    entries: Any,
    rules: Any,
    work: Any,
    in_double: Any,
    lengths: Any,
    factors: Any,
    objectives: Any,
) -> None:
    """Write the factors of rows from `begin` up to `end`, and their objectives."""
    other, k = entries.other, len(entries.spectrum)
    for row in range(begin, end):
        first, last = entries.indptr[row], entries.indptr[row + 1]
        if first == last:
            factors[row] = 0.0
            objectives[row] = 0.0
            continue
        ids, ratings = entries.indices[first:last], entries.values[first:last]
        condition = penalise(other, ids, ratings, entries.spectrum, rules, work.mu)
        steepness = solve(other, ids, ratings, k, rules, work)
        if other.itemsize == 4 and condition > _CONDITION and not steepness < _STEEP:
            wide, places = _in_double(other, ids, in_double.mu.size)
            penalise(wide, places, ratings, entries.spectrum, rules, in_double.mu)
            solve(wide, places, ratings, k, rules, in_double)
            for j in range(k):
                work.x[j] = in_double.x[j]
            for j in range(k, len(work.x)):
                work.x[j] = 0.0
        for j in range(k):
            factors[row, j] = work.x[j]
        machine.predict(
            lengths.s, other, other.shape[1], ids, work.x, len(ids), other.shape[1] // work.lanes
        )
        objectives[row] = _of_all(work.x, entries.spectrum, rules, len(ids)) + _of_entries(
            ratings, lengths.s, rules
        )


@compiled
def conjugate_rows(
    begin: int,
    end: int,
    steps: int,
    entries: Any,
    rules: Any,
    work: Any,
    lengths: Any,
    factors: Any,
    objectives: Any,
) -> None:
    """Take steps of conjugate gradients from the factors of rows, as `exact_rows` writes them."""
    other, k, x, mu = entries.other, len(entries.spectrum), work.x, work.mu
    r, p, moved = work.y, work.diagonal, work.inverse
    s, t, d, falling, q = lengths.s, lengths.t, lengths.d, lengths.falling, lengths.q
    ldo, vecs = other.shape[1], other.shape[1] // work.lanes
    kind = x.dtype.type
    for row in range(begin, end):
        first, last = entries.indptr[row], entries.indptr[row + 1]
        if first == last:
            factors[row] = 0.0
            objectives[row] = 0.0
            continue
        ids, ratings = entries.indices[first:last], entries.values[first:last]
        n = len(ids)
        penalise(other, ids, ratings, entries.spectrum, rules, mu)
        weigh(ratings, rules, d, q)
        for i in range(n):
            falling[i] = -d[i]
        x[:] = 0.0
        for j in range(k):
            x[j] = factors[row, j]
        machine.normal_product(r, s, other, ldo, ids, q, falling, x, n, vecs)
        fall = 0.0
        for j in range(ldo):
            r[j] -= mu[j] * x[j]
            p[j] = r[j] / mu[j]
            fall += r[j] * p[j]
        for _ in range(steps):
            machine.normal_product(moved, t, other, ldo, ids, lengths.none, d, p, n, vecs)
            curvature = 0.0
            for j in range(ldo):
                moved[j] += mu[j] * p[j]
                curvature += moved[j] * p[j]
            step = kind(fall / curvature if curvature > 0.0 else 0.0)
            now = 0.0
            for j in range(ldo):
                x[j] += step * p[j]
                r[j] -= step * moved[j]
                now += r[j] * (r[j] / mu[j])
            for i in range(n):
                s[i] += step * t[i]
            turn = kind(now / fall if fall > 0.0 else 0.0)
            for j in range(ldo):
                p[j] = r[j] / mu[j] + turn * p[j]
            fall = now
        for j in range(k):
            factors[row, j] = x[j]
        objectives[row] = _of_all(x, entries.spectrum, rules, n) + _of_entries(ratings, s, rules)


@compiled
def nonnegative_rows(
    begin: int,
    end: int,
    entries: Any,
    gram: Any,
    rules: Any,
    work: Any,
    factors: Any,
    objectives: Any,
) -> None:
    """Write the best factors of which none is negative, as `exact_rows` does; all in double."""
    k = len(gram)
    system, gradient = np.empty((k, k)), np.empty(k)
    b, mu, free = np.empty(k), np.empty(len(work.mu)), np.empty(k, np.bool_)
    for row in range(begin, end):
        first, last = entries.indptr[row], entries.indptr[row + 1]
        if first == last:
            factors[row] = 0.0
            objectives[row] = 0.0
            continue
        ratings = entries.values[first:last]
        wide, places = _in_double(entries.other, entries.indices[first:last], len(mu))
        penalise(wide, places, ratings, entries.spectrum, rules, mu)
        work.y[:] = 0.0
        weighted_gram(wide, places, ratings, k, rules, work, True)
        for i in range(k):
            b[i] = work.y[i]
            free[i] = factors[row, i] > 0
            for j in range(i, k):
                system[i, j] = system[j, i] = work.t[i, j] + gram[i, j]
        _pivot(system, mu, b, free, gradient, work)
        for j in range(k):
            factors[row, j] = work.x[j]
            work.x[j] = factors[row, j]
        s = np.empty(len(ratings))
        for i in range(len(ratings)):
            s[i] = wide[i, :k] @ work.x[:k]
        total = _of_entries(ratings, s, rules) + _of_all(
            work.x, entries.spectrum, rules, len(ratings)
        )
        for i in range(k):
            total += work.x[i] * (gram[i] @ work.x[:k])
        objectives[row] = total


@compiled
def _pivot(system: Any, mu: Any, b: Any, free: Any, gradient: Any, work: Any) -> None:
    """Write the nonnegative minimiser to `work.x`, as `nonnegative_solutions` finds it."""
    k, x = len(b), work.x
    wrong = np.empty(k, np.bool_)
    fewest, chances, rounds = k + 1, 3, 0
    while True:
        work.t[:] = 0.0
        work.y[:] = 0.0
        work.diagonal[:] = 1.0
        for i in range(k):
            if free[i]:
                work.diagonal[i] = mu[i]
                work.y[i] = b[i]
                for j in range(i, k):
                    if free[j]:
                        work.t[i, j] = system[i, j]
        factorised_solution(0, k, work, True)
        largest = highest = 0.0
        for i in range(k):
            gradient[i] = mu[i] * x[i] - b[i]
            for j in range(k):
                gradient[i] += system[i, j] * x[j]
            largest, highest = max(largest, abs(x[i])), max(highest, abs(b[i]))
        # What counts as rounding grows if there is no end.
        slack = -(2.0**-52) * 10.0 ** (2 + rounds // (5 * k))
        count = last = 0
        for i in range(k):
            wrong[i] = x[i] < slack * largest if free[i] else gradient[i] < slack * highest
            if wrong[i]:
                count, last = count + 1, i
        if count == 0:
            for i in range(k):
                x[i] = max(x[i], 0.0)
            return
        if count < fewest:
            fewest, chances = count, 3
        else:
            chances -= 1
        for i in range(k):
            if wrong[i] and (chances >= 0 or i == last):
                free[i] = not free[i]
        rounds += 1


@compiled
def _in_double(other: Any, ids: Any, width: int) -> Any:
    rows = np.zeros((len(ids), width))
    for i in range(len(ids)):
        for j in range(min(width, other.shape[1])):
            rows[i, j] = other[ids[i], j]
    return rows, np.arange(len(ids)).astype(np.int32)


@compiled
def _of_all(x: Any, spectrum: Any, rules: Any, n: int) -> float:
    penalty, total = rules.reg * float(n) ** rules.exponent, 0.0
    for j in range(len(spectrum)):
        value = np.float64(x[j])
        total += (spectrum[j] + penalty) * (value * value)
    return total


@compiled
def _of_entries(ratings: Any, s: Any, rules: Any) -> float:
    total = 0.0
    for i in range(len(ratings)):
        r, predicted = np.float64(ratings[i]), np.float64(s[i])
        if rules.implicit:
            miss = (1.0 if r > 0 else 0.0) - predicted
            total += (1.0 + rules.alpha * abs(r)) * (miss * miss) - predicted * predicted
        else:
            total += (r - predicted) * (r - predicted)
    return total


__all__ = [
    "Entries",
    "Lengths",
    "Rules",
    "Work",
    "conjugate_rows",
    "exact_rows",
    "nonnegative_rows",
]
