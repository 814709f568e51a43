"""Whether two trees of arrays and scalars are the same to the bit, or as sums in another order."""

import functools
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import CodeType, FunctionType
from typing import Any

import cloudpickle
import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array

_DEEPEST = 50
_RELATIVE = 1e-10
# In units of the last place: what rounding leaves beside the largest number of an array.
_BESIDE = 500
# So many numbers are compared at once: with what is computed of them, they fit into caches.
_PIECE = 2**15


def first_difference(first: Any, second: Any, at: str = "") -> str | None:
    """Return where and how two trees differ, in words; None where all bits are the same.

    Examples
    --------
    >>> first_difference((1.0, {"n": 3}), (1.0, {"n": 4}))
    "at [1]['n']: 3 and 4"
    """
    if first is second:
        return None
    if type(first) is not type(second):
        return _said(at, f"a {type(first).__name__} and a {type(second).__name__}")
    nodes, others = _children(first), _children(second)
    if nodes is None or others is None or len(at) > 4 * _DEEPEST:
        return None if _same_leaf(first, second) else _said(at, _both(first, second))
    if nodes.keys() != others.keys():
        return _said(at, f"parts {_listed(nodes)} and {_listed(others)}")
    for step, node in nodes.items():
        if (found := first_difference(node, others[step], at + step)) is not None:
            return found
    return None


def copied(value: Any) -> Any:
    """Return what another process would have of it."""
    buffers: list[pickle.PickleBuffer] = []
    body = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    # Large arrays are not part of the body, and copied once.
    return pickle.loads(body, buffers=[_copy(buffer) for buffer in buffers])


def _copy(buffer: pickle.PickleBuffer) -> Any:
    raw = buffer.raw()
    array = np.frombuffer(raw, np.uint8).copy()
    array.flags.writeable = not raw.readonly
    return array


def unpicklable(value: Any, at: str = "") -> str:
    """Return where in a tree the part is that cannot be pickled, as far down as one can look."""
    for step, node in (_children(value) or {}).items():
        try:
            copied(node)
        except Exception:
            return unpicklable(node, at + step)
    return at


class Scales:
    """How large the numbers are that sums are made of, by where the sums stand in the answer.

    A sum may be next to nothing while its terms are not, and the order of terms changes it by as
    much as they are rounded. So they are compared beside their terms, in this round or an earlier.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the rows.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._epsilon = float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0
        self._known: dict[str, Array] = {}

    def take_in(self, answers: list[Any]) -> None:
        """Learn from the answers of the partitions of one cut."""
        sums: dict[str, Array] = {}
        for answer in answers:
            for at, leaf in numbers(answer):
                size = np.abs(leaf)
                alike = at in sums and sums[at].shape == size.shape
                sums[at] = sums[at] + size if alike else size
        for at, size in sums.items():
            alike = at in self._known and self._known[at].shape == size.shape
            self._known[at] = np.fmax(self._known[at], size) if alike else size

    def difference(self, first: Any, second: Any) -> str | None:
        """Return where two answers differ by more than rounding, in words; None if nowhere."""
        ours, theirs = dict(numbers(first)), dict(numbers(second))
        if ours.keys() != theirs.keys():
            return f"parts {_listed(ours)} and {_listed(theirs)}"
        for at, leaf in ours.items():
            if (found := self._between(at, leaf, theirs[at])) is not None:
                return _said(at, found)
        return first_difference(_without_numbers(first), _without_numbers(second))

    def _between(self, at: str, first: Array, second: Array) -> str | None:
        if first.shape != second.shape:
            return f"shapes {first.shape} and {second.shape}"
        known = self._known.get(at)
        alike = [] if known is None or known.shape != first.shape else [known]
        flat = [each.reshape(-1) for each in (first, second, *alike)]
        starts = range(0, first.size, _PIECE)
        pieces = [[each[start : start + _PIECE] for each in flat] for start in starts]
        largest = max((float(_sizes(piece).max()) for piece in pieces), default=0.0)
        for start, piece in zip(starts, pieces, strict=True):
            different = self._different(piece, largest)
            if different.any():
                index = np.unravel_index(start + int(different.argmax()), first.shape)
                place = f"{list(map(int, index))} is " if index else ""
                return f"{place}{first[index]!s} and {second[index]!s}"
        return None

    def _different(self, piece: list[Array], largest: float) -> Array:
        first, second = piece[:2]
        different: Array = first != second
        if not (_is_float(first) or _is_float(second)):
            return different
        of_sums = [np.finfo(each.dtype).eps for each in (first, second) if _is_float(each)]
        epsilon = max(self._epsilon, *map(float, of_sums))
        allowed = max(_RELATIVE, 1000 * epsilon) * _sizes(piece) + _BESIDE * epsilon * largest
        with np.errstate(invalid="ignore", over="ignore"):
            far = np.abs(first - second) > allowed
        both_nan = np.isnan(first) & np.isnan(second)
        finite = np.isfinite(first) & np.isfinite(second)
        return np.where(finite, far, different & ~both_nan)


def _sizes(piece: list[Array]) -> Array:
    """Return how large the finite numbers are that stand in one place."""
    sizes = functools.reduce(np.fmax, map(np.abs, piece))
    return np.where(np.isfinite(sizes), sizes, 0.0)


def numbers(tree: Any, at: str = "") -> Iterator[tuple[str, Array]]:
    """Yield all numbers, and arrays of them, with where they are."""
    if sp.issparse(tree):
        yield at, tree.toarray()
    elif _is_number(tree):
        yield at, np.asarray(tree)
    else:
        for step, node in (_children(tree) or {}).items():
            yield from numbers(node, at + step)


def _is_number(value: Any) -> bool:
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "biufc"
    return isinstance(value, int | float | complex) and not isinstance(value, Enum)


def _is_float(array: Array) -> bool:
    return array.dtype.kind in "fc"


def _without_numbers(tree: Any) -> Any:
    """Return the rest of the tree, as dicts and leaves."""
    if _is_number(tree) or sp.issparse(tree):
        return None
    nodes = _children(tree)
    if nodes is None:
        return tree
    return type(tree).__name__, {step: _without_numbers(node) for step, node in nodes.items()}


def _children(value: Any) -> Mapping[str, Any] | None:
    """Return the parts of a node by how they are reached; None of a leaf."""
    if isinstance(value, Enum | type | np.ndarray | np.generic | np.dtype | str | bytes):
        return None
    if sp.issparse(value):
        # Not all that it has in its __dict__: some is noted there as one reads.
        names = ("shape", "data", "indices", "indptr", "row", "col", "offsets")
        return {f".{name}": getattr(value, name) for name in names if hasattr(value, name)}
    if is_dataclass(value):
        return {f".{field.name}": getattr(value, field.name) for field in fields(value)}
    if isinstance(value, tuple | list):
        return {f"[{i}]": each for i, each in enumerate(value)}
    if isinstance(value, dict):
        return {f"[{key!r}]": each for key, each in value.items()}
    if isinstance(value, FunctionType):
        cells = tuple(cell.cell_contents for cell in value.__closure__ or ())
        return {".__code__": value.__code__, ".__defaults__": value.__defaults__, ".cells": cells}
    if callable(value):
        return None
    return {f".{name}": each for name, each in vars(value).items()} if _has_parts(value) else None


def _has_parts(value: Any) -> bool:
    return bool(getattr(value, "__dict__", None))


def _same_leaf(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray) and first.dtype != object:
        same_kind = (first.dtype, first.shape) == (second.dtype, second.shape)
        return same_kind and np.array_equal(_bits(first), _bits(second))
    if isinstance(first, np.generic):
        return first.dtype == second.dtype and first.tobytes() == second.tobytes()
    if isinstance(first, float | complex):
        return np.asarray(first).tobytes() == np.asarray(second).tobytes()
    if isinstance(first, int | str | bytes | set | frozenset | type | Enum | np.dtype | CodeType):
        return bool(first == second)
    try:
        return bool(cloudpickle.dumps(first) == cloudpickle.dumps(second))
    except Exception:  # there are things of which one can only say that they are not one
        return False


def _bits(array: Array) -> Array:
    """Return the bits of an array as numbers, without a copy where its values are in a row."""
    if not array.nbytes:
        return np.empty(0, np.uint8)
    bits = np.ascontiguousarray(array).reshape(-1)
    return bits.view(np.uint64 if bits.nbytes % 8 == 0 else np.uint8)


def _both(first: Any, second: Any) -> str:
    if isinstance(first, np.ndarray) and first.shape == second.shape and first.dtype != object:
        if first.dtype != second.dtype:
            return f"dtypes {first.dtype} and {second.dtype}"
        different = (first != second) & ~((first != first) & (second != second))
        for where in np.argwhere(different):
            index = tuple(map(int, where))
            place = f"{list(index)} is " if index else ""
            return f"{place}{first[index]!s} and {second[index]!s}"
        return "arrays whose zeros or NaNs differ"
    return f"{_short(first)} and {_short(second)}"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."


def _listed(parts: Mapping[str, Any]) -> str:
    names = [name or "itself" for name in parts]
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") or "none"


def _said(at: str, what: str) -> str:
    return f"at {at}: {what}" if at else what
