"""A state as named arrays and JSON, and back, to the bit.

A tuple is a list in the JSON; whatever else JSON has no word for is an object with a tag. The
fields of a dataclass are written once, beside the tree, however many of it there are.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.arrays import Array
from daskml_exec.training._state_leaves import (
    LEAVES,
    dtype_of,
    dtype_text,
    leaf_to_json,
    restored,
    stored,
)

_DEEPEST = 100
_LEAVES = (
    "None, bool, int, float, complex, str, members of Enums, NumPy dtypes, NumPy scalars and "
    "arrays of numbers, bools, dates or texts"
)
_NODES = "tuples, dicts with keys that are str, and frozen dataclasses of such"
# Where files keep what is no array.
_RESERVED = "__metadata__"


@dataclass(frozen=True)
class Adapter:
    """How values of a kind are written that are none of the usual leaves and nodes.

    Attributes
    ----------
    tag : str
    kind : str
        In words, and in plural.
    takes : callable
        Whether a value is of this kind.
    parts : callable
        Return the value as a state.
    whole : callable
        Make a value of what `parts` returned; ValueError for what it cannot have returned.
    """

    tag: str
    kind: str
    takes: Callable[[Any], bool]
    parts: Callable[[Any], Any]
    whole: Callable[[Any], Any]


def state_to_arrays(state: Any, states: tuple[type, ...]) -> tuple[dict[str, Array], Any]:
    """Return the arrays of a state by name, and all else as what JSON can hold.

    Parameters
    ----------
    state : tree
        Leaves are None, bool, int, float, complex, str, members of Enums, NumPy dtypes, NumPy
        scalars and arrays of numbers, bools, dates or texts, SciPy CSR matrices. Nodes are tuples,
        dicts with keys that are str, and frozen dataclasses.
    states : tuple of classes
        The dataclasses and Enums that it may hold. What is returned holds their indices in it.

    Returns
    -------
    arrays : dict of str to ndarray
        By where they are, such as "search.point" or "memory[2].step". They share memory with the
        state; of what safetensors has no type for (texts, dates, complex, bfloat16) they hold the
        bits.
    about : dict
        To be handed to `state_from_arrays`.

    Raises
    ------
    TypeError
        The state has something else, or a dataclass or Enum that is not among `states`; the
        message says where.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from daskml_exec.training import state_from_arrays, state_to_arrays
    >>> @dataclass(frozen=True)
    ... class Descent:
    ...     point: np.ndarray
    ...     n_iter: int = 0
    >>> arrays, about = state_to_arrays(Descent(np.zeros(3), 7), (Descent,))
    >>> arrays
    {'point': array([0., 0., 0.])}
    >>> state_from_arrays(arrays, about, (Descent,))
    Descent(point=array([0., 0., 0.]), n_iter=7)
    """
    return take_apart(state, states)


def state_from_arrays(arrays: Mapping[str, Array], about: Any, states: tuple[type, ...]) -> Any:
    """Return the state that `state_to_arrays` made this of.

    Parameters
    ----------
    arrays : mapping of str to ndarray
    about : dict
        As it was returned, or read back from JSON.
    states : tuple of classes
        As they were.

    Returns
    -------
    tree
        Equal to the first to the bit. It may share memory with `arrays`.

    Raises
    ------
    ValueError
        The two do not fit together, or not with `states`; the message says where.

    Examples
    --------
    >>> from daskml_exec.training import state_from_arrays, state_to_arrays
    >>> state_from_arrays(*state_to_arrays((1, float("inf"), "two"), ()), ())
    (1, inf, 'two')
    """
    return put_together(arrays, about, states)


def check_state(state: Any, states: tuple[type, ...]) -> None:
    """Raise TypeError unless `state_to_arrays` takes the state.

    Examples
    --------
    >>> check_state(({"seen": {1, 2}},), ())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    TypeError: state[0].seen is a set; allowed are None, bool, int, ...
    """
    take_apart(state, states)


def take_apart(
    state: Any,
    states: tuple[type, ...],
    *,
    adapters: tuple[Adapter, ...] = (),
    root: str = "state",
) -> tuple[dict[str, Array], Any]:
    """Return what `state_to_arrays` does, with more kinds of values, and another word for all."""
    writer = _Writer(_checked(states), (*adapters, CSR), root)
    tree = writer.node(state, "", 0)
    return writer.arrays, {"fields": writer.fields, "tree": tree}


def put_together(
    arrays: Mapping[str, Array],
    about: Any,
    states: tuple[type, ...],
    *,
    adapters: tuple[Adapter, ...] = (),
    root: str = "state",
) -> Any:
    """Return what `state_from_arrays` does, of what `take_apart` returned."""
    if not (isinstance(about, dict) and set(about) == {"fields", "tree"}):
        raise ValueError(f"what is said about the {root} is not {{'fields': ..., 'tree': ...}}")
    states = _checked(states)
    _check_fields(about["fields"], states)
    reader = _Reader(dict(arrays), about["fields"], states, (*adapters, CSR), root)
    state = reader.node(about["tree"], "", 0)
    if reader.arrays:
        raise ValueError(f"arrays that the {root} has no place for: {', '.join(reader.arrays)}")
    return state


def _checked(states: Iterable[type]) -> tuple[type, ...]:
    """Return the state classes if they are such."""
    states = tuple(states)
    for each in states:
        if not (isinstance(each, type) and (issubclass(each, Enum) or is_frozen(each))):
            raise TypeError(f"states has {each!r}; allowed are frozen dataclasses and Enums")
    return states


def is_frozen(cls: type) -> bool:
    """Return whether a class is a frozen dataclass."""
    return is_dataclass(cls) and bool(cls.__dataclass_params__.frozen)  # type: ignore[attr-defined]


def _kept(cls: Any) -> list[str]:
    """Return the fields to keep: what a class computes of them in the beginning, it will again."""
    return [field.name for field in fields(cls) if field.init]


def _check_fields(found: Any, states: tuple[type, ...]) -> None:
    if not isinstance(found, dict):
        raise ValueError("the fields of the state classes are no dict")
    for text, names in found.items():
        index = int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else -1
        cls = _state_class(states, index, text)
        if issubclass(cls, Enum) or names != _kept(cls):
            raise ValueError(
                f"state class {index}, {cls.__name__}, has the fields "
                f"{[] if issubclass(cls, Enum) else _kept(cls)}; what was kept has {names!r}"
            )


def _state_class(states: tuple[type, ...], index: Any, shown: Any = None) -> type:
    if type(index) is not int or not 0 <= index < len(states):
        raise ValueError(
            f"there is no state class {index if shown is None else shown!r}: "
            f"`states` has {len(states)}"
        )
    return states[index]


def _step(key: str) -> str:
    """Return how a field or key is written in a path: no two of them in the same way."""
    return f".{key}" if key.isidentifier() and key != _RESERVED else f"[{key!r}]"


def _name(at: str, root: str) -> str:
    """Return an array's name."""
    return at.removeprefix(".") or root


@dataclass
class _Writer:
    """The walk from a state to arrays and JSON."""

    states: tuple[type, ...]
    adapters: tuple[Adapter, ...]
    root: str
    arrays: dict[str, Array] = dataclasses.field(default_factory=dict)
    fields: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def node(self, value: Any, at: str, depth: int) -> Any:
        if depth > _DEEPEST:
            raise TypeError(f"{self.root} is nested more than {_DEEPEST} deep, at {at[:100]}...")
        for adapter in self.adapters:
            if adapter.takes(value):
                return {adapter.tag: self.node(adapter.parts(value), at, depth + 1)}
        if isinstance(value, Enum):
            return self._enum(value, at)
        kind = type(value)
        if kind is np.ndarray:
            return self._array(value, at)
        if kind is tuple:
            return [self.node(each, f"{at}[{i}]", depth + 1) for i, each in enumerate(value)]
        if kind is dict:
            return {"dict": self._dict(value, at, depth)}
        if is_dataclass(value) and not isinstance(value, type) and is_frozen(kind):
            return self._dataclass(value, at, depth)
        try:
            return leaf_to_json(value)
        except TypeError:
            raise self._refused(at, _what(value)) from None

    def _dict(self, value: dict[Any, Any], at: str, depth: int) -> dict[str, Any]:
        for key in value:
            if type(key) is not str:
                raise self._refused(at, f"a dict with the key {key!r}, {_what(key)}")
        return {key: self.node(each, at + _step(key), depth + 1) for key, each in value.items()}

    def _dataclass(self, value: Any, at: str, depth: int) -> Any:
        index = self._index(value, at)
        names = _kept(value)
        self.fields[str(index)] = names
        return {
            "state": [
                index,
                *(self.node(getattr(value, name), at + _step(name), depth + 1) for name in names),
            ]
        }

    def _enum(self, value: Enum, at: str) -> Any:
        index = self._index(value, at)
        if type(value).__members__.get(value.name) is not value:
            raise self._refused(at, f"{value!r}, which is no single member of its Enum")
        return {"enum": [index, value.name]}

    def _index(self, value: Any, at: str) -> int:
        for index, cls in enumerate(self.states):
            if cls is type(value):
                return index
        names = ", ".join(cls.__name__ for cls in self.states) or "none"
        raise TypeError(
            f"{self.root}{at} is of {type(value).__qualname__}, a state class not declared: add it "
            f"to `states` (declared: {names})"
        )

    def _array(self, value: Array, at: str) -> Any:
        text = dtype_text(value.dtype)
        if text is None:
            raise self._refused(at, f"an array of dtype {value.dtype}")
        name = _name(at, self.root)
        self.arrays[name] = stored(value)
        return {"array": name, "dtype": text, "shape": list(value.shape)}

    def _refused(self, at: str, what: str) -> TypeError:
        leaves = ", ".join([_LEAVES, *(adapter.kind for adapter in self.adapters)])
        return TypeError(f"{self.root}{at} is {what}; allowed are {leaves}; and {_NODES}")


def _what(value: Any) -> str:
    """Say what a value is that is not allowed."""
    kind = type(value)
    if is_dataclass(kind) and not is_frozen(kind):
        return f"of {kind.__qualname__}, a dataclass that is not frozen"
    if isinstance(value, np.dtype):
        return f"the dtype {value}"
    name = kind.__qualname__
    name = name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


@dataclass
class _Reader:
    """The walk from arrays and JSON to a state; arrays that were used are taken away."""

    arrays: dict[str, Array]
    fields: dict[str, list[str]]
    states: tuple[type, ...]
    adapters: tuple[Adapter, ...]
    root: str

    def node(self, node: Any, at: str, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError(f"{self.root} is nested more than {_DEEPEST} deep, at {at[:100]}...")
        if node is None or isinstance(node, bool | str | int):
            return node
        if isinstance(node, list):
            return tuple(self.node(each, f"{at}[{i}]", depth + 1) for i, each in enumerate(node))
        if not isinstance(node, dict):
            return self._float(node, at)
        try:
            return self._tagged(node, at, depth)
        except _AtError:
            raise
        except ValueError as error:
            raise _AtError(f"{self.root}{at}: {error}") from error

    def _float(self, node: Any, at: str) -> float:
        if not (isinstance(node, float) and math.isfinite(node)):
            raise _AtError(f"{self.root}{at}: {node!r} is not what a state is written as")
        return node

    def _tagged(self, node: dict[str, Any], at: str, depth: int) -> Any:
        keys = frozenset(node)
        if keys in LEAVES:
            return LEAVES[keys](node)
        if keys == {"array", "dtype", "shape"}:
            return self._array(node)
        if len(keys) == 1:
            ((tag, content),) = node.items()
            if tag == "dict" and isinstance(content, dict):
                return {
                    key: self.node(each, at + _step(key), depth + 1)
                    for key, each in content.items()
                }
            if tag == "state" and isinstance(content, list) and content:
                return self._dataclass(content, at, depth)
            if tag == "enum" and isinstance(content, list) and len(content) == 2:
                return self._enum(*content)
            for adapter in self.adapters:
                if adapter.tag == tag:
                    return adapter.whole(self.node(content, at, depth + 1))
        raise ValueError(f"{_shortened(node)} is not what a state is written as")

    def _dataclass(self, content: list[Any], at: str, depth: int) -> Any:
        index, *values = content
        cls = _state_class(self.states, index)
        names = self.fields.get(str(index))
        if names is None:
            raise ValueError(f"the fields of {cls.__name__} were not kept")
        if len(values) != len(names):
            raise ValueError(f"{len(values)} values for the fields {names} of {cls.__name__}")
        found = {
            name: self.node(each, at + _step(name), depth + 1)
            for name, each in zip(names, values, strict=True)
        }
        try:
            return cls(**found)
        except Exception as error:
            raise ValueError(f"{cls.__name__} refused what was kept: {error}") from error

    def _enum(self, index: Any, name: Any) -> Any:
        cls = _state_class(self.states, index)
        if not (isinstance(name, str) and issubclass(cls, Enum) and name in cls.__members__):
            raise ValueError(f"{cls.__name__} has no member {name!r}")
        return cls[name]

    def _array(self, node: dict[str, Any]) -> Array:
        name, shape = node["array"], node["shape"]
        if not (isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)):
            raise ValueError(f"{shape!r} is no shape")
        if not isinstance(name, str) or name not in self.arrays:
            raise ValueError(f"there is no array {name!r}, or it was used before")
        try:
            return restored(self.arrays.pop(name), dtype_of(node["dtype"]), tuple(shape))
        except ValueError as error:
            raise ValueError(f"array {name!r}: {error}") from error


class _AtError(ValueError):
    """It says where."""


def _shortened(node: Any) -> str:
    text = repr(node)
    return text if len(text) <= 100 else text[:100] + "..."


def _csr_parts(matrix: Any) -> dict[str, Any]:
    return {
        "data": matrix.data,
        "indices": matrix.indices,
        "indptr": matrix.indptr,
        "shape": tuple(map(int, matrix.shape)),
        "matrix": isinstance(matrix, sp.csr_matrix),
    }


def _csr(parts: Any) -> Any:
    names = {"data", "indices", "indptr", "shape", "matrix"}
    if not (isinstance(parts, dict) and set(parts) == names):
        raise ValueError("these are not the parts of a CSR matrix")
    arrays = [parts[name] for name in ("data", "indices", "indptr")]
    if not all(isinstance(each, np.ndarray) for each in arrays):
        raise ValueError("parts of a CSR matrix are no arrays")
    kind = sp.csr_matrix if parts["matrix"] else sp.csr_array
    try:
        matrix = kind(tuple(arrays), shape=parts["shape"])
        # The constructor may choose another type for them.
        matrix.indices, matrix.indptr = arrays[1:]
        matrix.check_format(full_check=True)
    except Exception as error:  # of whatever has been made of them
        raise ValueError(f"no CSR matrix: {error}") from error
    return matrix


CSR = Adapter(
    tag="csr",
    kind="SciPy CSR matrices",
    takes=lambda value: type(value) in (sp.csr_matrix, sp.csr_array),
    parts=_csr_parts,
    whole=_csr,
)
