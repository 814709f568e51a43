"""The inner loops of half-steps, written in vector registers for Numba's compiler.

What a compiler makes of loops over factors keeps sums in memory where they belong in registers.
Here the registers are named: each function emits instructions for vectors of as many numbers as a
register of this machine holds, and compiled loops call it as they call any function.

Rows and columns come in whole vectors: arrays are padded with zeros to a multiple of `lanes`.
Matrices are given with the distance between their rows, in numbers. Every sum has one order,
which depends on its length alone.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from daskml_exec.kernels.factors.compiled.vector_code import INDEX, Code, machine_function


@machine_function
def multiply(code: Code, t: Any, z: Any, ldz: Any, length: Any, ld: Any, j: Any, vecs: Any) -> None:
    """Emit t[j : j + tile] += z[:length, j : j + tile]' z[:length], from the diagonal on."""
    first = code.builder.sdiv(j, code.index(code.lanes))

    def columns(width: int, vec: Any) -> None:
        at = code.mul(vec, code.lanes)
        sums = code.variables(code.tile * width)
        code.write(_tile(code, t, ld, j, at, width), sums)
        _add_products(code, sums, (z, ldz, length), (z, ldz), j, at, width, code.fma)
        _keep_tile(code, code.read(sums), t, ld, j, at, width)

    _by_columns(code, first, vecs, columns)


@machine_function
def eliminate(
    code: Code,
    t: Any,
    w: Any,
    inverse: Any,
    diagonal: Any,
    z: Any,
    ldz: Any,
    length: Any,
    ld: Any,
    j: Any,
    vecs: Any,
    begun: Any,
) -> None:
    """Emit the rows j : j + tile of the factors of t + diagonal + z'z.

    These are t, upper triangular, and w = t / its diagonal, strictly upper triangular; the system
    is (1 + w)' t. Where `begun` is zero, t is not read but written alone. No pivot is below the
    diagonal that is added, nor is it in exact arithmetic.
    """
    builder = code.builder
    first = builder.sdiv(j, code.index(code.lanes))
    place = builder.srem(j, code.index(code.lanes))

    def accumulated(width: int, vec: Any) -> list[Any]:
        at = code.mul(vec, code.lanes)
        sums = code.variables(code.tile * width)
        code.write([code.zero] * len(sums), sums)
        with builder.if_then(builder.icmp_signed("!=", begun, code.index(0))):
            code.write(_tile(code, t, ld, j, at, width), sums)
        _add_products(code, sums, (z, ldz, length), (z, ldz), j, at, width, code.fma)
        _add_products(code, sums, (w, ld, j), (t, ld), j, at, width, code.less)
        return sums

    sums = accumulated(1, first)
    for offset in range(0, code.lanes, code.tile):
        with builder.if_then(code.equal(place, offset)):
            _diagonal_tile(code, code.read(sums), t, w, inverse, diagonal, ld, j, offset)

    def columns(width: int, vec: Any) -> None:
        at = code.mul(vec, code.lanes)
        rows = code.read(accumulated(width, vec))
        for r in range(code.tile):
            for later in range(r + 1, code.tile):
                factor = code.everywhere(
                    w, code.add(code.mul(code.add(j, r), ld), code.add(j, later))
                )
                for c in range(width):
                    rows[later * width + c] = code.less(
                        factor, rows[r * width + c], rows[later * width + c]
                    )
        _keep_tile(code, rows, t, ld, j, at, width)
        for r in range(code.tile):
            scale = code.everywhere(inverse, code.add(j, r))
            for c in range(width):
                rows[r * width + c] = builder.fmul(rows[r * width + c], scale)
        _keep_tile(code, rows, w, ld, j, at, width)

    _by_columns(code, code.add(first, 1), vecs, columns)


def _by_columns(code: Code, first: Any, last: Any, emit: Callable[[int, Any], None]) -> None:
    """Emit loops over vectors of columns, as many at once as there are registers for."""
    if code.lanes * code.size < 64:  # sixteen registers
        with code.loop_from(first, last, 1) as (vec, _):
            emit(1, vec)
        return
    builder = code.builder
    pairs = builder.sdiv(builder.sub(last, first), code.index(2))
    middle = code.add(first, code.mul(pairs, 2))
    with code.loop_from(first, middle, 2) as (vec, _):
        emit(2, vec)
    with code.loop_from(middle, last, 1) as (vec, _):
        emit(1, vec)


def _tile(code: Code, t: Any, ld: Any, j: Any, at: Any, width: int) -> list[Any]:
    return [
        code.load(t, code.add(code.mul(code.add(j, r), ld), code.add(at, c * code.lanes)))
        for r in range(code.tile)
        for c in range(width)
    ]


def _keep_tile(code: Code, rows: list[Any], t: Any, ld: Any, j: Any, at: Any, width: int) -> None:
    for i, row in enumerate(rows):
        r, c = divmod(i, width)
        where = code.add(code.mul(code.add(j, r), ld), code.add(at, c * code.lanes))
        code.store(row, t, where)


def _add_products(
    code: Code,
    sums: list[Any],
    left: tuple[Any, Any, Any],
    right: tuple[Any, Any],
    j: Any,
    at: Any,
    width: int,
    combine: Callable[[Any, Any, Any], Any],
) -> None:
    """Emit sums += or -= left[:length, j : j + tile]' right[:length, at : at + width]."""
    (a, lda, length), (b, ldb) = left, right
    with code.loop(length) as loop:
        of_left, of_right = code.mul(loop.index, lda), code.mul(loop.index, ldb)
        columns = [
            code.load(b, code.add(of_right, code.add(at, c * code.lanes))) for c in range(width)
        ]
        for r in range(code.tile):
            factor = code.everywhere(a, code.add(of_left, code.add(j, r)))
            for c in range(width):
                place = sums[r * width + c]
                code.builder.store(combine(factor, columns[c], code.builder.load(place)), place)


def _diagonal_tile(
    code: Code,
    rows: list[Any],
    t: Any,
    w: Any,
    inverse: Any,
    diagonal: Any,
    ld: Any,
    j: Any,
    offset: int,
) -> None:
    builder = code.builder
    at = builder.sub(j, code.index(offset))
    one = ir.Constant(code.scalar, 1.0)
    for r in range(code.tile):
        lane = offset + r
        least = code.load_one(diagonal, code.add(j, r))
        pivot = code.lane(rows[r], lane)
        pivot = builder.fadd(pivot, least)
        enough = builder.fcmp_ordered(">", pivot, least)
        pivot = builder.select(enough, pivot, least)
        reciprocal = builder.fdiv(one, pivot)
        code.store_one(reciprocal, inverse, code.add(j, r))
        scaled = code.only(builder.fmul(rows[r], code.splat(reciprocal)), _after(lane))
        where = code.add(code.mul(code.add(j, r), ld), at)
        code.store(rows[r], t, where)
        code.store(scaled, w, where)
        for later in range(r + 1, code.tile):
            factor = code.shuffle(scaled, scaled, [offset + later] * code.lanes)
            rows[later] = code.less(factor, rows[r], rows[later])


def _after(last: int) -> Callable[[int], bool]:
    return lambda lane: lane > last


@machine_function
def forward(code: Code, y: Any, w: Any, ld: Any, j: Any, vecs: Any) -> None:
    """Emit the rows j : j + tile of the solution of (1 + w)' y = y, and what they take from y."""
    values = [code.load_one(y, code.add(j, r)) for r in range(code.tile)]
    for r in range(code.tile):
        row = code.mul(code.add(j, r), ld)
        for later in range(r + 1, code.tile):
            factor = code.load_one(w, code.add(row, code.add(j, later)))
            values[later] = code.less(factor, values[r], values[later])
    for r in range(code.tile):
        code.store_one(values[r], y, code.add(j, r))
    splats = [code.splat(value) for value in values]
    builder = code.builder
    end = code.add(j, code.tile)
    first = builder.sdiv(end, code.index(code.lanes))

    def take(vec: Any, inside: int) -> None:
        at = code.mul(vec, code.lanes)
        rest = code.load(y, at)
        for r in range(code.tile):
            row = code.load(w, code.add(code.mul(code.add(j, r), ld), at))
            if inside:
                row = code.only(row, _after(inside - 1))
            rest = code.less(splats[r], row, rest)
        code.store(rest, y, at)

    place = builder.srem(end, code.index(code.lanes))
    for inside in range(code.tile, code.lanes, code.tile):
        with builder.if_then(code.equal(place, inside)):
            take(first, inside)
    whole = builder.select(code.equal(place, 0), first, code.add(first, 1))
    with code.loop_from(whole, vecs, 1) as (vec, _):
        take(vec, 0)


@machine_function
def backward(code: Code, x: Any, y: Any, w: Any, ld: Any, j: Any, vecs: Any) -> None:
    """Emit the rows j : j + tile of the solution of (1 + w) x = y; x is zero in them before."""
    builder = code.builder
    sums = code.variables(code.tile)
    code.write([code.zero] * code.tile, sums)
    with code.loop_from(builder.sdiv(j, code.index(code.lanes)), vecs, 1) as (vec, _):
        at = code.mul(vec, code.lanes)
        known = code.load(x, at)
        for r in range(code.tile):
            row = code.load(w, code.add(code.mul(code.add(j, r), ld), at))
            builder.store(code.fma(row, known, builder.load(sums[r])), sums[r])
    values = [
        builder.fsub(code.load_one(y, code.add(j, r)), code.total(total))
        for r, total in enumerate(code.read(sums))
    ]
    for r in reversed(range(code.tile)):
        for earlier in range(r):
            factor = code.load_one(w, code.add(code.mul(code.add(j, earlier), ld), code.add(j, r)))
            values[earlier] = code.less(factor, values[r], values[earlier])
        code.store_one(values[r], x, code.add(j, r))


@machine_function
def gather_transposed(
    code: Code,
    z: Any,
    ldz: Any,
    other: Any,
    ldo: Any,
    indices: Any,
    row_scale: Any,
    column_scale: Any,
    i: Any,
    vecs: Any,
) -> None:
    """Emit z[:, i : i + lanes] = (row_scale other[indices[i : i + lanes]] column_scale)'."""
    n = code.lanes
    wide = code.builder.sext
    rows = [code.mul(wide(code.load_one(indices, code.add(i, r)), INDEX), ldo) for r in range(n)]
    scales = code.load(row_scale, i)
    with code.loop(vecs) as loop:
        at = code.mul(loop.index, n)
        columns = code.load(column_scale, at)
        block = [code.builder.fmul(code.load(other, code.add(row, at)), columns) for row in rows]
        for c, column in enumerate(_transposed(code, block)):
            value = code.builder.fmul(column, scales)
            code.store(value, z, code.add(code.mul(code.add(at, c), ldz), i))


def _transposed(code: Code, rows: list[Any]) -> list[Any]:
    # Halves of ever smaller blocks change places: that of the upper right with the lower left.
    n, half = code.lanes, code.lanes // 2
    while half:
        upper = [(i // half % 2) * (n + 0) + i - (i // half % 2) * half for i in range(n)]
        lower = [(i // half % 2) * n + i + (1 - i // half % 2) * half for i in range(n)]
        changed = list(rows)
        for i in range(n):
            if i // half % 2 == 0:
                a, b = rows[i], rows[i + half]
                changed[i] = code.shuffle(a, b, upper)
                changed[i + half] = code.shuffle(a, b, lower)
        rows, half = changed, half // 2
    return rows


@machine_function
def gather(
    code: Code,
    z: Any,
    b: Any,
    other: Any,
    ldo: Any,
    indices: Any,
    scale: Any,
    q: Any,
    begin: Any,
    n: Any,
    vecs: Any,
    ldz: Any,
) -> None:
    """Emit z[i] = scale[i] y and b += q[i] y for y of indices[begin + i]."""
    with code.loop(n) as outer:
        i = outer.index
        row = code.mul(code.builder.sext(code.load_one(indices, code.add(begin, i)), INDEX), ldo)
        to = code.mul(i, ldz)
        factor, weight = code.everywhere(scale, i), code.everywhere(q, i)
        with code.loop(vecs) as inner:
            at = code.mul(inner.index, code.lanes)
            y = code.load(other, code.add(row, at))
            code.store(code.builder.fmul(factor, y), z, code.add(to, at))
            code.store(code.fma(weight, y, code.load(b, at)), b, at)


@machine_function
def fetch(code: Code, other: Any, ldo: Any, indices: Any, begin: Any, end: Any) -> None:
    """Emit orders to bring other[indices[begin : end]] near; the work goes on meanwhile."""
    builder = code.builder
    byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    read, near, data = (ir.Constant(flag, value) for value in (0, 3, 1))
    line = 64 // code.size
    with code.loop_from(begin, end, 1) as (i, _):
        row = code.mul(builder.sext(code.load_one(indices, i), INDEX), ldo)
        with code.loop_from(code.index(0), ldo, line) as (at, _):
            where = builder.bitcast(code.at(other, code.add(row, at)), byte)
            builder.call(function, [where, read, near, data])


@machine_function
def combine(
    code: Code, x: Any, other: Any, ldo: Any, indices: Any, weights: Any, n: Any, vecs: Any
) -> None:
    """Emit x = the sum of weights[i] other[indices[i]]."""
    builder = code.builder
    width = 4

    def columns(width: int, vec: Any) -> None:
        at = code.mul(vec, code.lanes)
        sums = code.variables(width)
        code.write([code.zero] * width, sums)
        with code.loop(n) as loop:
            i = loop.index
            row = code.mul(builder.sext(code.load_one(indices, i), INDEX), ldo)
            weight = code.everywhere(weights, i)
            for c in range(width):
                y = code.load(other, code.add(row, code.add(at, c * code.lanes)))
                builder.store(code.fma(weight, y, builder.load(sums[c])), sums[c])
        for c, total in enumerate(code.read(sums)):
            code.store(total, x, code.add(at, c * code.lanes))

    middle = code.mul(builder.sdiv(vecs, code.index(width)), width)
    with code.loop_from(code.index(0), middle, width) as (vec, _):
        columns(width, vec)
    with code.loop_from(middle, vecs, 1) as (vec, _):
        columns(1, vec)


@machine_function
def predict(
    code: Code, s: Any, other: Any, ldo: Any, indices: Any, x: Any, n: Any, vecs: Any
) -> None:
    """Emit s[i] = the product of other[indices[i]] and x."""
    builder = code.builder
    (total,) = code.variables(1)
    with code.loop(n) as loop:
        i = loop.index
        row = code.mul(builder.sext(code.load_one(indices, i), INDEX), ldo)
        builder.store(code.zero, total)
        with code.loop(vecs) as inner:
            at = code.mul(inner.index, code.lanes)
            y = code.load(other, code.add(row, at))
            builder.store(code.fma(y, code.load(x, at), builder.load(total)), total)
        code.store_one(code.total(builder.load(total)), s, i)


@machine_function
def normal_product(
    code: Code,
    sums: Any,
    s: Any,
    other: Any,
    ldo: Any,
    indices: Any,
    base: Any,
    slope: Any,
    x: Any,
    n: Any,
    vecs: Any,
) -> None:
    """Emit s[i] = y x and sums = the sum of (base[i] + slope[i] s[i]) y for y of indices[i]."""
    few = 8  # vectors of a row that are held while it is used twice

    def in_registers(width: int) -> None:
        totals = code.variables(width)
        code.write([code.zero] * width, totals)
        columns = [code.load(x, c * code.lanes) for c in range(width)]
        with code.loop(n) as loop:
            i = loop.index
            row = code.mul(code.builder.sext(code.load_one(indices, i), INDEX), ldo)
            y = [code.load(other, code.add(row, c * code.lanes)) for c in range(width)]
            product = code.builder.fmul(y[0], columns[0])
            for c in range(1, width):
                product = code.fma(y[c], columns[c], product)
            predicted = code.total(product)
            code.store_one(predicted, s, i)
            weight = code.fma(code.load_one(slope, i), predicted, code.load_one(base, i))
            weight = code.splat(weight)
            for c in range(width):
                place = totals[c]
                code.builder.store(code.fma(weight, y[c], code.builder.load(place)), place)
        for c, value in enumerate(code.read(totals)):
            code.store(value, sums, c * code.lanes)

    def in_memory() -> None:
        (product,) = code.variables(1)
        with code.loop(vecs) as loop:
            code.store(code.zero, sums, code.mul(loop.index, code.lanes))
        with code.loop(n) as loop:
            i = loop.index
            row = code.mul(code.builder.sext(code.load_one(indices, i), INDEX), ldo)
            code.builder.store(code.zero, product)
            with code.loop(vecs) as inner:
                at = code.mul(inner.index, code.lanes)
                y = code.load(other, code.add(row, at))
                value = code.fma(y, code.load(x, at), code.builder.load(product))
                code.builder.store(value, product)
            predicted = code.total(code.builder.load(product))
            code.store_one(predicted, s, i)
            weight = code.fma(code.load_one(slope, i), predicted, code.load_one(base, i))
            weight = code.splat(weight)
            with code.loop(vecs) as inner:
                at = code.mul(inner.index, code.lanes)
                y = code.load(other, code.add(row, at))
                code.store(code.fma(weight, y, code.load(sums, at)), sums, at)

    for width in range(1, few + 1):
        with code.builder.if_then(code.equal(vecs, width)):
            in_registers(width)
    more = code.builder.icmp_signed(">", vecs, code.index(few))
    with code.builder.if_then(more):
        in_memory()
