"""Half-steps row by row, compiled by Numba: to be imported where it is installed."""

from typing import Any, NamedTuple

import numpy as np

from daskml_exec.kernels.factors.compiled import machine_code as machine
from daskml_exec.kernels.factors.compiled.systems import (
    PANEL,
    Ahead,
    compiled,
    factorised_solution,
    inlined,
    penalise,
    solve,
    weigh,
    weighted_gram,
)
from daskml_exec.kernels.factors.compiled.vector_code import alike, pointers

_STEEP, _CONDITION = 4.0, 1000.0
"""In single precision a row is doubtful if pivots differ by more than the first factor and the
bound of the condition is above the second: then errors may come to 1e-5."""


class Rows(NamedTuple):
    """A block of rows: its entries, as `Ratings` has them, and what is written."""

    indptr: Any
    indices: Any
    values: Any
    factors: Any
    objectives: Any


@compiled
def exact_rows(
    begin: int,
    end: int,
    rows: Any,
    table: Any,
    rules: Any,
    entries: Any,
    scratch: Any,
    doubtful: Any,
) -> None:
    """Write the factors of rows from `begin` up to `end`, and their objectives.

    Rows are marked as doubtful where single precision may not be enough.
    """
    given, one, own, work = pointers(rows), pointers(table), pointers(entries), pointers(scratch)
    for row in range(begin, end):
        n = _take(given, row, own)
        if n == 0:
            _keep_nothing(given, row, one.k)
            continue
        condition = penalise(one, own, n, rules, work)
        last = given.indptr[row + 1]
        following = given.indptr[row + 2] if row + 1 < end else last
        ahead = Ahead(given.indices, last, min(following, last + PANEL))
        steepness = solve(one, own, n, rules, work, ahead)
        doubtful[row] = condition > _CONDITION and not steepness < _STEEP
        _predict(one, own, n, work)
        _keep(given, row, one, own, n, rules, work.x)


@compiled
def exact_rows_in_double(
    numbers: Any,
    rows: Any,
    table: Any,
    rules: Any,
    entries: Any,
    table_in_double: Any,
    entries_in_double: Any,
    scratch_in_double: Any,
) -> None:
    """Write the factors of some rows as `exact_rows` does, computed in double."""
    given, one, own = pointers(rows), pointers(table), pointers(entries)
    wide, copied = pointers(table_in_double), pointers(entries_in_double)
    work = pointers(scratch_in_double)
    for row in numbers:
        n = _take(given, row, own)
        _in_double(one, own, n, wide, copied)
        penalise(wide, copied, n, rules, work)
        solve(wide, copied, n, rules, work, Ahead(copied.places, 0, 0))
        _keep_rounded(given, row, wide, copied, n, rules, work)


@compiled
def conjugate_rows(
    begin: int, end: int, steps: int, rows: Any, table: Any, rules: Any, entries: Any, scratch: Any
) -> None:
    """Take steps of conjugate gradients from the factors of rows, as `exact_rows` writes them."""
    given, one, own, work = pointers(rows), pointers(table), pointers(entries), pointers(scratch)
    k, width, x, mu = one.k, one.width, work.x, work.mu
    r, p, moved, s, t = work.y, work.diagonal, work.inverse, own.s, own.t
    vecs, zero = width // work.lanes, work.one - work.one
    for row in range(begin, end):
        n = _take(given, row, own)
        if n == 0:
            _keep_nothing(given, row, k)
            continue
        penalise(one, own, n, rules, work)
        weigh(own.values, 0, n, rules.implicit, work, own.d, own.q)
        for i in range(n):
            own.falling[i] = -own.d[i]
        for j in range(k):
            x[j] = given.factors[row * k + j]
        for j in range(k, width):
            x[j] = zero
        machine.normal_product(r, s, one.rows, width, own.places, own.q, own.falling, x, n, vecs)
        fall = 0.0
        for j in range(width):
            r[j] -= mu[j] * x[j]
            p[j] = r[j] / mu[j]
            fall += r[j] * p[j]
        for _ in range(steps):
            machine.normal_product(
                moved, t, one.rows, width, own.places, own.none, own.d, p, n, vecs
            )
            curvature = 0.0
            for j in range(width):
                moved[j] += mu[j] * p[j]
                curvature += moved[j] * p[j]
            step = alike(work.one, fall / curvature if curvature > 0.0 else 0.0)
            now = 0.0
            for j in range(width):
                x[j] += step * p[j]
                r[j] -= step * moved[j]
                now += r[j] * (r[j] / mu[j])
            for i in range(n):
                s[i] += step * t[i]
            turn = alike(work.one, now / fall if fall > 0.0 else 0.0)
            for j in range(width):
                p[j] = r[j] / mu[j] + turn * p[j]
            fall = now
        _keep(given, row, one, own, n, rules, x)


@compiled
def nonnegative_rows(
    begin: int,
    end: int,
    rows: Any,
    table: Any,
    rules: Any,
    entries: Any,
    gram: Any,
    table_in_double: Any,
    entries_in_double: Any,
    scratch_in_double: Any,
) -> None:
    """Write the best factors of which none is negative, as `exact_rows` does; all in double."""
    given, one, own = pointers(rows), pointers(table), pointers(entries)
    wide, copied = pointers(table_in_double), pointers(entries_in_double)
    work = pointers(scratch_in_double)
    k, x = wide.k, work.x
    system, gradient, b = np.empty((k, k)), np.empty(k), np.empty(k)
    mu, free, wrong = np.empty(k), np.empty(k, np.bool_), np.empty(k, np.bool_)
    for row in range(begin, end):
        n = _take(given, row, own)
        if n == 0:
            _keep_nothing(given, row, k)
            continue
        _in_double(one, own, n, wide, copied)
        penalise(wide, copied, n, rules, work)
        for j in range(wide.width):
            work.y[j] = 0.0
        weighted_gram(wide, copied, n, rules, work, True)
        for i in range(k):
            b[i], mu[i] = work.y[i], work.mu[i]
            free[i] = given.factors[row * k + i] > 0
            for j in range(i, k):
                system[i, j] = system[j, i] = work.t[i * wide.width + j] + gram[i, j]
        _pivot(system, mu, b, free, wrong, gradient, wide, copied, work)
        _keep_rounded(given, row, wide, copied, n, rules, work)
        for i in range(k):
            for j in range(k):
                given.objectives[row] += x[i] * gram[i, j] * x[j]


@inlined
def _pivot(
    system: Any,
    mu: Any,
    b: Any,
    free: Any,
    wrong: Any,
    gradient: Any,
    table: Any,
    entries: Any,
    work: Any,
) -> None:
    """Write the nonnegative minimiser to `work.x`, as `nonnegative_solutions` finds it."""
    k, x, width = len(b), work.x, table.width
    fewest, chances, rounds = k + 1, 3, 0
    while True:
        for i in range(width * width):
            work.t[i] = 0.0
        for i in range(width):
            work.y[i], work.diagonal[i] = 0.0, 1.0
        for i in range(k):
            if free[i]:
                work.diagonal[i], work.y[i] = mu[i], b[i]
                for j in range(i, k):
                    if free[j]:
                        work.t[i * width + j] = system[i, j]
        factorised_solution(0, k, table, work, True, Ahead(entries.places, 0, 0))
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


@inlined
def _take(rows: Any, row: int, entries: Any) -> int:
    first = rows.indptr[row]
    n = rows.indptr[row + 1] - first
    for i in range(n):
        entries.places[i] = rows.indices[first + i]
        entries.values[i] = rows.values[first + i]
    return n


@inlined
def _keep_nothing(rows: Any, row: int, k: int) -> None:
    for j in range(k):
        rows.factors[row * k + j] = 0.0
    rows.objectives[row] = 0.0


@inlined
def _predict(table: Any, entries: Any, n: int, work: Any) -> None:
    width = table.width
    machine.predict(entries.s, table.rows, width, entries.places, work.x, n, width // work.lanes)


@inlined
def _keep_rounded(
    rows: Any, row: int, table: Any, entries: Any, n: int, rules: Any, work: Any
) -> None:
    for j in range(table.k):  # the objective is that of what is kept
        rows.factors[row * table.k + j] = work.x[j]
        work.x[j] = rows.factors[row * table.k + j]
    _predict(table, entries, n, work)
    _keep(rows, row, table, entries, n, rules, work.x)


@inlined
def _keep(rows: Any, row: int, table: Any, entries: Any, n: int, rules: Any, x: Any) -> None:
    """Write the factors x of a row, of whose entries the predictions are there."""
    penalty, total = rules.reg * float(n) ** rules.exponent, 0.0
    for j in range(table.k):
        rows.factors[row * table.k + j] = x[j]
        value = np.float64(x[j])
        total += (table.spectrum[j] + penalty) * (value * value)
    for i in range(n):
        r, predicted = np.float64(entries.values[i]), np.float64(entries.s[i])
        if rules.implicit:
            miss = (1.0 if r > 0 else 0.0) - predicted
            total += (1.0 + rules.alpha * abs(r)) * (miss * miss) - predicted * predicted
        else:
            total += (r - predicted) * (r - predicted)
    rows.objectives[row] = total


@inlined
def _in_double(table: Any, entries: Any, n: int, wide: Any, given: Any) -> None:
    for i in range(n):
        row, to = entries.places[i] * table.width, i * wide.width
        for j in range(table.k):
            wide.rows[to + j] = table.rows[row + j]
        for j in range(table.k, wide.width):
            wide.rows[to + j] = 0.0
        given.places[i] = i
        given.values[i] = entries.values[i]
