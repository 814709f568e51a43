"""The inner loops of half-steps, written in vector registers for Numba's compiler.

What a compiler makes of loops over factors keeps sums in memory where they belong in registers.
Here the registers are named: each function emits instructions for vectors of as many numbers as a
register of this machine holds, and compiled loops call it as they call any function.

Rows and columns come in whole vectors: arrays are padded with zeros to a multiple of `lanes`.
Matrices are given with the distance between their rows, in numbers. Every sum has one order,
which depends on its length alone.
"""

import inspect
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INDEX = ir.IntType(64)
_REGISTER = 64 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 32


def lanes(dtype: Any) -> int:
    """Return how many numbers of a dtype a vector register of this machine holds."""
    return _REGISTER // np.dtype(dtype).itemsize


def tile(dtype: Any) -> int:
    """Return how many rows of a system are worked on at once."""
    return min(8, lanes(dtype))


class _Code:
    """Emits instructions on vectors of one floating type."""

    def __init__(self, builder: Any, scalar: Any, dtype: Any) -> None:
        self.builder = builder
        self.scalar = scalar
        self.lanes = lanes(dtype)
        self.tile = tile(dtype)
        self.vector = ir.VectorType(scalar, self.lanes)
        self.size = np.dtype(dtype).itemsize
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)

    def index(self, value: int) -> Any:
        return ir.Constant(_INDEX, value)

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.add(a, self.index(b) if isinstance(b, int) else b)

    def mul(self, a: Any, b: Any) -> Any:
        return self.builder.mul(a, self.index(b) if isinstance(b, int) else b)

    def at(self, pointer: Any, index: Any) -> Any:
        return self.builder.gep(pointer, [self.index(index) if isinstance(index, int) else index])

    def load(self, pointer: Any, index: Any) -> Any:
        where = self.builder.bitcast(self.at(pointer, index), self.vector.as_pointer())
        return self.builder.load(where, align=self.size)

    def store(self, value: Any, pointer: Any, index: Any) -> None:
        where = self.builder.bitcast(self.at(pointer, index), self.vector.as_pointer())
        self.builder.store(value, where, align=self.size)

    def load_one(self, pointer: Any, index: Any) -> Any:
        return self.builder.load(self.at(pointer, index))

    def store_one(self, value: Any, pointer: Any, index: Any) -> None:
        self.builder.store(value, self.at(pointer, index))

    def splat(self, value: Any) -> Any:
        one = self.builder.insert_element(
            ir.Constant(self.vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
        )
        return self.shuffle(one, one, [0] * self.lanes)

    def everywhere(self, pointer: Any, index: Any) -> Any:
        return self.splat(self.load_one(pointer, index))

    def lane(self, vector: Any, i: int) -> Any:
        return self.builder.extract_element(vector, ir.Constant(ir.IntType(32), i))

    def shuffle(self, a: Any, b: Any, order: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
        return self.builder.shuffle_vector(a, b, mask)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a b + c, rounded once."""
        kind, bits = a.type, self.size * 8
        name = f"llvm.fma.f{bits}" if kind == self.scalar else f"llvm.fma.v{self.lanes}f{bits}"
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(kind, [kind] * 3), name
        )
        return self.builder.call(function, [a, b, c])

    def less(self, a: Any, b: Any, c: Any) -> Any:
        """Return c - a b, rounded once."""
        return self.fma(self.builder.fneg(a), b, c)

    def only(self, vector: Any, chosen: Callable[[int], bool]) -> Any:
        """Return a vector with zeros in the lanes that are not chosen."""
        order = [i if chosen(i) else self.lanes for i in range(self.lanes)]
        return self.shuffle(vector, self.zero, order)

    def total(self, vector: Any) -> Any:
        """Return the sum of all lanes: of halves, of halves of them, and so on."""
        width = self.lanes
        while width > 1:
            width //= 2
            lower = self.shuffle(vector, vector, list(range(width)))
            upper = self.shuffle(vector, vector, list(range(width, 2 * width)))
            vector = self.builder.fadd(lower, upper)
        return self.lane(vector, 0)

    def variables(self, n: int, kind: Any = None) -> list[Any]:
        """Return places in registers."""
        return [cgutils.alloca_once(self.builder, kind or self.vector) for _ in range(n)]

    def read(self, places: list[Any]) -> list[Any]:
        return [self.builder.load(place) for place in places]

    def write(self, values: list[Any], places: list[Any]) -> None:
        for value, place in zip(values, places, strict=True):
            self.builder.store(value, place)

    def loop(self, count: Any) -> Any:
        """Return a context in which the body of a loop is emitted; it has an `index`."""
        return cgutils.for_range(self.builder, count, intp=_INDEX)

    def loop_from(self, begin: Any, end: Any, step: int) -> Any:
        return cgutils.for_range_slice(self.builder, begin, end, self.index(step), _INDEX)

    def equal(self, number: Any, value: int) -> Any:
        return self.builder.icmp_signed("==", number, self.index(value))


def _function(emit: Callable[..., None]) -> Any:
    """Return a function of pointers and numbers for compiled loops."""

    def typed(typing: Any, *arguments: Any) -> Any:
        given = [a if isinstance(a, types.CPointer) else types.int64 for a in arguments]
        dtype = next(a.dtype for a in given if isinstance(a, types.CPointer))

        def generate(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
            emit(_Code(builder, context.get_value_type(dtype), dtype.name), *operands)
            return context.get_dummy_value()

        return types.void(*given), generate

    typed.__name__ = emit.__name__
    # The compiler counts arguments; the first of them is its own here as it is there.
    typed.__signature__ = inspect.signature(emit)  # type: ignore[attr-defined]
    return intrinsic(typed)


def _pointers(typing: Any, record: Any) -> Any:
    """Return a named tuple with pointers to the first numbers of its arrays.

    The arrays have to outlive it. To hand arrays on would be to count references to them, which
    costs more than a small row.
    """
    kinds = tuple(
        types.CPointer(kind.dtype) if isinstance(kind, types.Array) else kind
        for kind in record.types
    )
    pointed = types.BaseTuple.from_types(kinds, record.instance_class)

    def generate(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
        values = cgutils.unpack_tuple(builder, operands[0], len(kinds))
        values = [
            context.make_array(kind)(context, builder, value).data
            if isinstance(kind, types.Array)
            else value
            for kind, value in zip(record.types, values, strict=True)
        ]
        return context.make_tuple(builder, pointed, values)

    return pointed(record), generate


pointers: Any = intrinsic(_pointers)


def _alike(typing: Any, one: Any, value: Any) -> Any:
    """Return a number in the type of another."""

    def generate(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
        return context.cast(builder, operands[1], signature.args[1], signature.args[0])

    return one(one, value), generate


alike: Any = intrinsic(_alike)


@_function
def multiply(
    code: _Code, t: Any, z: Any, ldz: Any, length: Any, ld: Any, j: Any, vecs: Any
) -> None:
    """Emit t[j : j + tile] += z[:length, j : j + tile]' z[:length], from the diagonal on."""
    first = code.builder.sdiv(j, code.index(code.lanes))

    def columns(width: int, vec: Any) -> None:
        at = code.mul(vec, code.lanes)
        sums = code.variables(code.tile * width)
        code.write(_tile(code, t, ld, j, at, width), sums)
        _add_products(code, sums, (z, ldz, length), (z, ldz), j, at, width, code.fma)
        _keep_tile(code, code.read(sums), t, ld, j, at, width)

    _by_columns(code, first, vecs, columns)


@_function
def eliminate(
    code: _Code,
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


def _by_columns(code: _Code, first: Any, last: Any, emit: Callable[[int, Any], None]) -> None:
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


def _tile(code: _Code, t: Any, ld: Any, j: Any, at: Any, width: int) -> list[Any]:
    return [
        code.load(t, code.add(code.mul(code.add(j, r), ld), code.add(at, c * code.lanes)))
        for r in range(code.tile)
        for c in range(width)
    ]


def _keep_tile(code: _Code, rows: list[Any], t: Any, ld: Any, j: Any, at: Any, width: int) -> None:
    for i, row in enumerate(rows):
        r, c = divmod(i, width)
        where = code.add(code.mul(code.add(j, r), ld), code.add(at, c * code.lanes))
        code.store(row, t, where)


def _add_products(
    code: _Code,
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
    code: _Code,
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


@_function
def forward(code: _Code, y: Any, w: Any, ld: Any, j: Any, vecs: Any) -> None:
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


@_function
def backward(code: _Code, x: Any, y: Any, w: Any, ld: Any, j: Any, vecs: Any) -> None:
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


@_function
def gather_transposed(
    code: _Code,
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
    rows = [code.mul(wide(code.load_one(indices, code.add(i, r)), _INDEX), ldo) for r in range(n)]
    scales = code.load(row_scale, i)
    with code.loop(vecs) as loop:
        at = code.mul(loop.index, n)
        columns = code.load(column_scale, at)
        block = [code.builder.fmul(code.load(other, code.add(row, at)), columns) for row in rows]
        for c, column in enumerate(_transposed(code, block)):
            value = code.builder.fmul(column, scales)
            code.store(value, z, code.add(code.mul(code.add(at, c), ldz), i))


def _transposed(code: _Code, rows: list[Any]) -> list[Any]:
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


@_function
def gather(
    code: _Code,
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
        row = code.mul(code.builder.sext(code.load_one(indices, code.add(begin, i)), _INDEX), ldo)
        to = code.mul(i, ldz)
        factor, weight = code.everywhere(scale, i), code.everywhere(q, i)
        with code.loop(vecs) as inner:
            at = code.mul(inner.index, code.lanes)
            y = code.load(other, code.add(row, at))
            code.store(code.builder.fmul(factor, y), z, code.add(to, at))
            code.store(code.fma(weight, y, code.load(b, at)), b, at)


@_function
def fetch(code: _Code, other: Any, ldo: Any, indices: Any, begin: Any, end: Any) -> None:
    """Emit orders to bring other[indices[begin : end]] near; the work goes on meanwhile."""
    builder = code.builder
    byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    read, near, data = (ir.Constant(flag, value) for value in (0, 3, 1))
    line = 64 // code.size
    with code.loop_from(begin, end, 1) as (i, _):
        row = code.mul(builder.sext(code.load_one(indices, i), _INDEX), ldo)
        with code.loop_from(code.index(0), ldo, line) as (at, _):
            where = builder.bitcast(code.at(other, code.add(row, at)), byte)
            builder.call(function, [where, read, near, data])


@_function
def combine(
    code: _Code, x: Any, other: Any, ldo: Any, indices: Any, weights: Any, n: Any, vecs: Any
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
            row = code.mul(builder.sext(code.load_one(indices, i), _INDEX), ldo)
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


@_function
def predict(
    code: _Code, s: Any, other: Any, ldo: Any, indices: Any, x: Any, n: Any, vecs: Any
) -> None:
    """Emit s[i] = the product of other[indices[i]] and x."""
    builder = code.builder
    (total,) = code.variables(1)
    with code.loop(n) as loop:
        i = loop.index
        row = code.mul(builder.sext(code.load_one(indices, i), _INDEX), ldo)
        builder.store(code.zero, total)
        with code.loop(vecs) as inner:
            at = code.mul(inner.index, code.lanes)
            y = code.load(other, code.add(row, at))
            builder.store(code.fma(y, code.load(x, at), builder.load(total)), total)
        code.store_one(code.total(builder.load(total)), s, i)


@_function
def normal_product(
    code: _Code,
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
            row = code.mul(code.builder.sext(code.load_one(indices, i), _INDEX), ldo)
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
            row = code.mul(code.builder.sext(code.load_one(indices, i), _INDEX), ldo)
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
