"""Rows of equal count stacked, and solved together in the array namespace of the factors.

The way without compiled loops, and the way on a device. There is no loop over rows: rows with the
same number of entries, as many as fit into a slab of memory, go through one chain of batched
products and solves, each of which treats every matrix of the stack by itself, so that a row's bits
do not depend on the others. All is computed in double where there is such a dtype: then no system
needs care for rounding.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import device

from daskml_exec.kernels.array_namespace import (
    array_namespace,
    concatenated,
    doubles,
    has_doubles,
    host_dtype,
    resolution,
    to_device_of,
    to_host,
    zeros,
)
from daskml_exec.kernels.arrays import Array, Rows
from daskml_exec.kernels.block_sizes import block_sizes
from daskml_exec.kernels.factors.nonnegative import nonnegative_solutions
from daskml_exec.kernels.factors.prepared import CG_STEPS, Prepared
from daskml_exec.kernels.factors.ratings import Ratings
from daskml_exec.kernels.row_sample import take_rows
from daskml_exec.kernels.stop_points import stop_point

_LONGEST = 4096  # entries of a row that are gathered at once
_TINY = 1e-24  # of d: its root divides


@dataclass(frozen=True)
class _Piece:
    """The same number of entries of each of B rows: all that they have, or a part."""

    y: Any
    """The other side's factors, (B, n, k)."""
    d: Any
    """The weights of `Objective.weights`, (B, n)."""
    q: Any
    values: Any

    def predicted(self, x: Any) -> Any:
        """Return y x, (B, n)."""
        return array_namespace(x).matmul(self.y, x[:, :, None])[:, :, 0]

    def added(self, weights: Any) -> Any:
        """Return y' weights, (B, k)."""
        return array_namespace(weights).matmul(weights[:, None, :], self.y)[:, 0, :]


@dataclass(frozen=True)
class _Slab:
    """Rows with n entries each, B of them."""

    pieces: Callable[[], Iterator[_Piece]]
    shared: "_Shared"
    penalty: float
    """What the squared norm of the factors is times."""

    def total(self, of_piece: Callable[[_Piece], Any]) -> Any:
        """Return the sum over pieces, in their order."""
        pieces = self.pieces()
        whole = of_piece(next(pieces))
        for piece in pieces:
            whole = whole + of_piece(piece)
        return whole

    def diagonals(self) -> Any:
        """Return the diagonal without entries, raised where it might be singular, (B, k)."""
        shared = self.shared
        spectrum = shared.spectrum[None, :] + self.penalty
        least = max(_TINY, resolution(spectrum) * shared.prepared.trace)
        if not shared.prepared.objective.implicit:  # there the entries are all that there is
            squares = self.total(lambda piece: _dots(piece.y, piece.y))
            least = array_namespace(squares).clip(squares * resolution(squares), _TINY, None)
        return array_namespace(spectrum).maximum(spectrum, least)


@dataclass(frozen=True)
class _Shared:
    """What all slabs use, where the work is."""

    prepared: Prepared
    spectrum: Any
    gram: Any
    """In nonnegative solves, else None."""
    work: Callable[[Any], Any]
    """Brings an array to the precision of the work."""


def solved(ratings: Ratings, prepared: Prepared, start: Any) -> tuple[Any, Any]:
    """Return factors in the coordinates of `prepared`, as start is, and objectives."""
    other = prepared.other
    work = doubles if has_doubles(other) else _unchanged
    like, k = work(other[:1, :]), other.shape[1]
    gram = None if prepared.gram is None else to_device_of(prepared.gram, like)
    shared = _Shared(prepared, to_device_of(prepared.spectrum, like), gram, work)
    order: list[Rows] = []
    solutions: list[tuple[Any, Any]] = []
    for rows, first, n in _equal_rows(to_host(ratings.indptr), k, host_dtype(like).itemsize):
        stop_point()
        order.append(rows)
        if n == 0:
            solutions.append((zeros((len(rows), k), other), zeros((len(rows), 1), like)[:, 0]))
            continue
        slab = _slab(ratings, first, n, shared)
        begun = None if start is None else work(take_rows(start, rows))
        x = _solution(slab, n, begun)
        rounded = array_namespace(x).astype(x, other.dtype)
        solutions.append((rounded, _objectives(slab, work(rounded))))
    if not order:
        return zeros((0, k), other), zeros((0, 1), like)[:, 0]
    back = np.argsort(np.concatenate(order))
    factors, objectives = (concatenated(list(parts)) for parts in zip(*solutions, strict=True))
    return take_rows(factors, back), take_rows(objectives, back)


def _unchanged(array: Any) -> Any:
    return array


def _equal_rows(indptr: Array, k: int, itemsize: int) -> Iterator[tuple[Rows, Rows, int]]:
    """Yield rows of one count, where their entries begin, and the count."""
    counts = np.diff(indptr)
    order = np.argsort(counts, kind="stable")
    cuts = np.flatnonzero(np.diff(counts[order])) + 1
    for rows in np.split(order, cuts) if len(order) else ():
        n = int(counts[rows[0]])
        of_row = min(n, _LONGEST) * k + min(n, k) * min(n, k) + k
        size = max(1, block_sizes().product_bytes // (itemsize * of_row))
        for begin in range(0, len(rows), size):
            part = rows[begin : begin + size]
            yield part, indptr[part], n


def _slab(ratings: Ratings, first: Rows, n: int, shared: _Shared) -> _Slab:
    prepared, k = shared.prepared, shared.prepared.other.shape[1]
    xp = array_namespace(prepared.other)

    def piece(begin: int) -> _Piece:
        length = min(_LONGEST, n - begin)
        at = (first[:, None] + np.arange(begin, begin + length)).ravel()
        # Indices go where the entries are, once for both.
        there = at if xp is np else to_device_of(at, ratings.indices, at.dtype)
        y = xp.take(prepared.other, xp.take(ratings.indices, there, axis=0), axis=0)
        values = shared.work(xp.take(ratings.values, there, axis=0))
        values = xp.reshape(values, (len(first), length))
        y = xp.reshape(shared.work(y), (len(first), length, k))
        return _Piece(y, *prepared.objective.weights(values), values)

    whole = piece(0) if n <= _LONGEST else None

    def pieces() -> Iterator[_Piece]:
        if whole is not None:
            yield whole
        else:
            yield from (piece(begin) for begin in range(0, n, _LONGEST))

    return _Slab(pieces, shared, prepared.objective.penalty(float(n)))


def _solution(slab: _Slab, n: int, start: Any) -> Any:
    prepared = slab.shared.prepared
    if prepared.nonnegative:
        return _nonnegative(slab, start)
    if prepared.solver == "cg":
        return _conjugate_gradients(slab, start)
    return _by_entries(slab) if n < prepared.other.shape[1] else _by_factors(slab)


def _by_entries(slab: _Slab) -> Any:
    """Solve the n x n systems."""
    piece = next(slab.pieces())
    xp, inverse = array_namespace(piece.y), 1.0 / slab.diagonals()
    roots = xp.sqrt(xp.clip(piece.d, _TINY, None))
    scaled = piece.y * roots[:, :, None] * xp.sqrt(inverse)[:, None, :]
    w = roots * _solve(xp.matmul(scaled, xp.matrix_transpose(scaled)), 1.0, piece.q / roots)
    return inverse * piece.added(w)


def _by_factors(slab: _Slab) -> Any:
    """Solve the k x k systems."""
    b = slab.total(lambda piece: piece.added(piece.q))
    return _solve(slab.total(_weighted_gram), slab.diagonals(), b)


def _nonnegative(slab: _Slab, start: Any) -> Any:
    b = slab.total(lambda piece: piece.added(piece.q))
    system = slab.shared.gram[None, :, :] + slab.total(_weighted_gram)
    return nonnegative_solutions(_with_diagonal(system, slab.diagonals()), b, start)


def _conjugate_gradients(slab: _Slab, start: Any) -> Any:
    diagonal = slab.diagonals()
    inverse = 1.0 / diagonal
    x = start
    if start is None:
        x = 0.0 * inverse
        r = slab.total(lambda piece: piece.added(piece.q))
    else:
        r = slab.total(lambda piece: piece.added(piece.q - piece.d * piece.predicted(start)))
        r = r - diagonal * x
    p = inverse * r
    fall = _dots(r, p)
    for _ in range(CG_STEPS):
        moved = diagonal * p + slab.total(
            lambda piece, p=p: piece.added(piece.d * piece.predicted(p))  # type: ignore[misc]
        )
        step = _ratio(fall, _dots(p, moved))
        x = x + step * p
        r = r - step * moved
        ahead = inverse * r
        now = _dots(r, ahead)
        p = ahead + _ratio(now, fall) * p
        fall = now
    return x


def _objectives(slab: _Slab, x: Any) -> Any:
    xp, shared = array_namespace(x), slab.shared
    losses = slab.total(
        lambda piece: _sums(shared.prepared.objective.losses(piece.values, piece.predicted(x)))
    )
    of_all = (shared.spectrum[None, :] + slab.penalty) * x
    if shared.gram is not None:
        of_all = of_all + xp.matmul(x[:, None, :], shared.gram)[:, 0, :]
    return (losses + _dots(x, of_all))[:, 0]


def _weighted_gram(piece: _Piece) -> Any:
    xp = array_namespace(piece.y)
    return xp.matmul(xp.matrix_transpose(piece.y), piece.d[:, :, None] * piece.y)


def _solve(system: Any, diagonal: Any, b: Any) -> Any:
    xp = array_namespace(system)
    return xp.linalg.solve(_with_diagonal(system, diagonal), b[:, :, None])[:, :, 0]


def _with_diagonal(system: Any, diagonal: Any) -> Any:
    xp, k = array_namespace(system), system.shape[1]
    places = xp.eye(k, dtype=system.dtype, device=device(system))
    return system + (diagonal * xp.ones_like(system[:, 0, :]))[:, :, None] * places


# Sums over the last axis are products with ones: each is of one row whatever the stack, where a
# reduction may choose its order by the shape of the whole.


def _sums(terms: Any) -> Any:
    return _dots(terms, array_namespace(terms).ones_like(terms))


def _dots(a: Any, b: Any) -> Any:
    """Return the sums of products over all axes but the first, (B, 1)."""
    xp, n = array_namespace(a), a.shape[0]
    return xp.matmul(xp.reshape(a, (n, 1, -1)), xp.reshape(b, (n, -1, 1)))[:, :, 0]


def _ratio(above: Any, below: Any) -> Any:
    """Return a quotient, zero where there is nothing left to do."""
    xp = array_namespace(above)
    positive = below > 0
    return xp.where(positive, above / xp.where(positive, below, xp.ones_like(below)), 0.0 * above)
