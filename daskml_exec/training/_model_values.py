"""What estimators hold beside what states may: lists, objects, dicts by label, random streams."""

from collections.abc import Callable
from typing import Any

import numpy as np

from daskml_exec.training._state_trees import Adapter


def _list(parts: Any) -> list[Any]:
    if not isinstance(parts, tuple):
        raise ValueError("these are not the items of a list")
    return list(parts)


def _is_objects(value: Any) -> bool:
    return type(value) is np.ndarray and value.dtype == object


def _objects(parts: Any) -> Any:
    if not (isinstance(parts, dict) and set(parts) == {"shape", "items"}):
        raise ValueError("these are not the parts of an array of objects")
    shape, items = parts["shape"], parts["items"]
    if not (
        isinstance(shape, tuple)
        and isinstance(items, tuple)
        and all(type(n) is int and n >= 0 for n in shape)
        and len(items) == int(np.prod(shape))
    ):
        raise ValueError(f"these are no objects of shape {shape}")
    array = np.empty(len(items), object)
    for index, item in enumerate(items):  # NumPy would take a tuple for a row
        array[index] = item
    return array.reshape(shape)


def _is_labelled(value: Any) -> bool:
    return type(value) is dict and any(type(key) is not str for key in value)


def _labelled(parts: Any) -> dict[Any, Any]:
    if not (isinstance(parts, tuple) and all(isinstance(p, tuple) and len(p) == 2 for p in parts)):
        raise ValueError("these are not the keys and values of a dict")
    try:
        return dict(parts)
    except TypeError as error:
        raise ValueError(f"no dict: {error}") from error


def _slice(parts: Any) -> slice:
    if not (isinstance(parts, tuple) and len(parts) == 3):
        raise ValueError("these are not the ends and step of a slice")
    return slice(*parts)


def _scalar_type(name: Any) -> type:
    try:
        return np.dtype(name).type
    except TypeError as error:
        raise ValueError(f"{name!r} is no type of numbers") from error


def _is_random(value: Any) -> bool:
    # Those around another generator have a state that only it can take back.
    return (
        type(value) is np.random.RandomState
        and value.get_state(legacy=False)["bit_generator"] == "MT19937"
    )


def _random(parts: Any) -> np.random.RandomState:
    stream = np.random.RandomState()
    try:
        stream.set_state(parts)
    except Exception as error:  # of whatever has been made of it
        raise ValueError(f"no state of a RandomState: {error}") from error
    return stream


def _adapter(
    tag: str, kind: str, takes: Callable[[Any], bool], parts: Any, whole: Callable[[Any], Any]
) -> Adapter:
    return Adapter(tag=tag, kind=kind, takes=takes, parts=parts, whole=whole)


VALUES = (
    _adapter("list", "lists", lambda value: type(value) is list, tuple, _list),
    _adapter(
        "objects",
        "arrays of such objects",
        _is_objects,
        lambda array: {"shape": array.shape, "items": tuple(array.ravel().tolist())},
        _objects,
    ),
    _adapter(
        "labelled",
        "dicts with keys of such",
        _is_labelled,
        lambda value: tuple(value.items()),
        _labelled,
    ),
    _adapter(
        "slice",
        "slices",
        lambda value: type(value) is slice,
        lambda value: (value.start, value.stop, value.step),
        _slice,
    ),
    _adapter(
        "scalar",
        "NumPy's types of numbers",
        lambda value: isinstance(value, type) and issubclass(value, np.generic),
        lambda value: np.dtype(value).name,
        _scalar_type,
    ),
    _adapter(
        "object dtype",
        "the dtype of objects",
        lambda value: isinstance(value, np.dtype) and value.kind == "O",
        lambda value: None,
        lambda parts: np.dtype(object),
    ),
    _adapter(
        "random",
        "numpy.random.RandomState (of MT19937)",
        _is_random,
        lambda stream: stream.get_state(legacy=False),
        _random,
    ),
)
"""In the order in which they are asked."""
