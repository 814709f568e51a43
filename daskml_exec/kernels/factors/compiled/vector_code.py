"""What emits instructions on vector registers for Numba's compiler, and hands it pointers."""

import inspect
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

INDEX = ir.IntType(64)
"""The type of places in memory."""
_REGISTER = 64 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 32


def lanes(dtype: Any) -> int:
    """Return how many numbers of a dtype a vector register of this machine holds."""
    return _REGISTER // np.dtype(dtype).itemsize


def tile(dtype: Any) -> int:
    """Return how many rows of a system are worked on at once."""
    return min(8, lanes(dtype))


class Code:
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
        """Return a number of places as a constant."""
        return ir.Constant(INDEX, value)

    def add(self, a: Any, b: Any) -> Any:
        """Return a sum of places."""
        return self.builder.add(a, self.index(b) if isinstance(b, int) else b)

    def mul(self, a: Any, b: Any) -> Any:
        """Return a product of places."""
        return self.builder.mul(a, self.index(b) if isinstance(b, int) else b)

    def at(self, pointer: Any, index: Any) -> Any:
        """Return a pointer so many numbers further."""
        return self.builder.gep(pointer, [self.index(index) if isinstance(index, int) else index])

    def load(self, pointer: Any, index: Any) -> Any:
        """Return the vector that begins at a place."""
        where = self.builder.bitcast(self.at(pointer, index), self.vector.as_pointer())
        return self.builder.load(where, align=self.size)

    def store(self, value: Any, pointer: Any, index: Any) -> None:
        """Write a vector to where it is to begin."""
        where = self.builder.bitcast(self.at(pointer, index), self.vector.as_pointer())
        self.builder.store(value, where, align=self.size)

    def load_one(self, pointer: Any, index: Any) -> Any:
        """Return the number at a place."""
        return self.builder.load(self.at(pointer, index))

    def store_one(self, value: Any, pointer: Any, index: Any) -> None:
        """Write a number to a place."""
        self.builder.store(value, self.at(pointer, index))

    def splat(self, value: Any) -> Any:
        """Return a vector that has a number in every lane."""
        one = self.builder.insert_element(
            ir.Constant(self.vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
        )
        return self.shuffle(one, one, [0] * self.lanes)

    def everywhere(self, pointer: Any, index: Any) -> Any:
        """Return a vector that has the number at a place in every lane."""
        return self.splat(self.load_one(pointer, index))

    def lane(self, vector: Any, i: int) -> Any:
        """Return the number in a lane."""
        return self.builder.extract_element(vector, ir.Constant(ir.IntType(32), i))

    def shuffle(self, a: Any, b: Any, order: list[int]) -> Any:
        """Return lanes of two vectors in an order, the second counted behind the first."""
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
        """Return what is in places."""
        return [self.builder.load(place) for place in places]

    def write(self, values: list[Any], places: list[Any]) -> None:
        """Write values to places."""
        for value, place in zip(values, places, strict=True):
            self.builder.store(value, place)

    def loop(self, count: Any) -> Any:
        """Return a context in which the body of a loop is emitted; it has an `index`."""
        return cgutils.for_range(self.builder, count, intp=INDEX)

    def loop_from(self, begin: Any, end: Any, step: int) -> Any:
        """Return a context in which the body of a loop over a range is emitted."""
        return cgutils.for_range_slice(self.builder, begin, end, self.index(step), INDEX)

    def equal(self, number: Any, value: int) -> Any:
        """Return whether a number is this one."""
        return self.builder.icmp_signed("==", number, self.index(value))


def machine_function(emit: Callable[..., None]) -> Any:
    """Return a function of pointers and numbers for compiled loops."""

    def typed(typing: Any, *arguments: Any) -> Any:
        given = [a if isinstance(a, types.CPointer) else types.int64 for a in arguments]
        dtype = next(a.dtype for a in given if isinstance(a, types.CPointer))

        def generate(context: Any, builder: Any, signature: Any, operands: Any) -> Any:
            emit(Code(builder, context.get_value_type(dtype), dtype.name), *operands)
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
