"""Leaves of a state as JSON, and NumPy arrays as arrays of the plain types that files have.

What JSON has no word for is an object with one tag; a dtype is written as in ``dtype.str``.
"""

import math
import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from daskml_exec.kernels.arrays import Array

# Integers beyond are no longer exact where JSON's numbers are read as float64.
_LARGEST_INTEGER = 2**53
_BFLOAT16 = "bfloat16"
_PLAIN_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}
_DTYPE = re.compile(r"([<>|=])([biufcUMm])(\d+)(\[\w+\])?")
_LAST_CODE_POINT = 0x10FFFF


class Carrier(NamedTuple):
    """The plain dtype that an array of another one is stored in.

    Attributes
    ----------
    dtype : numpy.dtype
        Little-endian.
    width : int or None
        Length of an axis that is added at the end; None where none is.
    """

    dtype: np.dtype[Any]
    width: int | None = None


def dtype_text(dtype: np.dtype[Any]) -> str | None:
    """Return how a dtype is written; None for one that no leaf may have.

    Examples
    --------
    >>> dtype_text(np.dtype(np.float32)), dtype_text(np.dtype(object))
    ('<f4', None)
    """
    if dtype.name == _BFLOAT16:
        return _BFLOAT16
    size, kind = dtype.itemsize, dtype.kind
    known = size in _PLAIN_SIZES.get(kind, ()) or kind in "UMm" or (kind == "c" and size <= 16)
    # Structured dtypes, those of other packages and of text of any length have kinds of their own.
    return dtype.str if known and _DTYPE.fullmatch(dtype.str) else None


def dtype_of(text: Any) -> np.dtype[Any]:
    """Return the dtype that is written so.

    Raises
    ------
    ValueError
        None is.
    """
    if text == _BFLOAT16:
        return _bfloat16()
    if isinstance(text, str) and _DTYPE.fullmatch(text):
        try:
            dtype: np.dtype[Any] = np.dtype(text)
        except TypeError:
            dtype = np.dtype(object)
        if dtype_text(dtype) == text:
            return dtype
    raise ValueError(f"{text!r} is no dtype that a state may have")


def _bfloat16() -> np.dtype[Any]:
    try:
        import ml_dtypes  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ValueError("it is of dtype bfloat16: pip install ml_dtypes") from error
    return np.dtype(ml_dtypes.bfloat16)


def carrier_of(dtype: np.dtype[Any]) -> Carrier:
    """Return what arrays of a dtype that a leaf may have are stored as.

    Examples
    --------
    >>> carrier_of(np.dtype("<U3"))
    Carrier(dtype=dtype('uint32'), width=3)
    """
    if dtype.name == _BFLOAT16:
        return Carrier(np.dtype("<u2"))
    if dtype.kind == "c":
        return Carrier(np.dtype(f"<f{dtype.itemsize // 2}"), 2)
    if dtype.kind == "U":
        return Carrier(np.dtype("<u4"), dtype.itemsize // 4)
    if dtype.kind in "Mm":
        return Carrier(np.dtype("<i8"))
    return Carrier(dtype.newbyteorder("<"))


def stored(array: Array) -> Array:
    """Return an array as its carrier, in C order; it shares memory where it can."""
    array = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    dtype, width = carrier_of(array.dtype)
    if width is None:
        return array.view(dtype)
    if not array.dtype.itemsize:
        return np.empty((*array.shape, 0), dtype)
    # A view of another size needs an axis, which arrays without any have not.
    return array.reshape(*array.shape, 1).view(dtype)


def restored(array: Array, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return the array of this dtype and shape that `stored` made this of.

    Raises
    ------
    ValueError
        It is not what `stored` makes of such an array.
    """
    carrier, width = carrier_of(dtype)
    wanted = shape if width is None else (*shape, width)
    if array.dtype != carrier or array.shape != wanted:
        raise ValueError(
            f"it is stored as {array.dtype.str} of shape {array.shape}; {dtype.name} of shape "
            f"{shape} would be {carrier.str} of shape {wanted}"
        )
    array = np.asarray(array, order="C")
    if dtype.kind == "U":
        if array.size and int(array.max()) > _LAST_CODE_POINT:
            raise ValueError("it has numbers that are no characters")
        if not dtype.itemsize:
            return np.empty(shape, dtype)
    same_order = dtype.newbyteorder("<")
    view = array.view(same_order) if width is None else array.view(same_order).reshape(shape)
    return view.astype(dtype, copy=False)


def leaf_to_json(value: Any) -> Any:
    """Return a leaf that is no array and no Enum member as JSON.

    Raises
    ------
    TypeError
        It is none.

    Examples
    --------
    >>> leaf_to_json(2**53 + 1), leaf_to_json(float("-inf")), leaf_to_json(np.int8(3))
    ({'int': '0x20000000000001'}, {'float': '-inf'}, {'scalar': '03', 'dtype': '|i1'})
    """
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if abs(value) <= _LARGEST_INTEGER else {"int": hex(value)}
    if kind is float:
        return _float_to_json(value)
    if kind is complex:
        return {"complex": [_float_to_json(value.real), _float_to_json(value.imag)]}
    if kind is np.str_:
        return {"text": str(value)}
    if isinstance(value, np.dtype) and (text := dtype_text(value)) is not None:
        return {"dtype": text}
    if isinstance(value, np.generic) and (text := dtype_text(value.dtype)) is not None:
        return {"scalar": value.tobytes().hex(), "dtype": text}
    raise TypeError


def _float_to_json(value: float) -> Any:
    if math.isnan(value):
        return {"nan": struct.pack(">d", value).hex()}  # there are many
    return value if math.isfinite(value) else {"float": repr(value)}


def _float_of(value: Any) -> float:
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, dict) and set(value) == {"nan"}:
        return _nan(value)
    if isinstance(value, dict) and set(value) == {"float"}:
        return _infinity(value)
    raise ValueError(f"{value!r} is no float")


def _nan(node: dict[str, Any]) -> float:
    found: float = struct.unpack(">d", _bytes(node["nan"], 8))[0]
    if not math.isnan(found):
        raise ValueError(f"{node['nan']!r} are not the bits of a NaN")
    return found


def _infinity(node: dict[str, Any]) -> float:
    if node["float"] not in ("inf", "-inf"):
        raise ValueError(f"{node['float']!r} is not 'inf' or '-inf'")
    return float(node["float"])


def _integer(node: dict[str, Any]) -> int:
    text = node["int"]
    if not (isinstance(text, str) and re.fullmatch(r"-?0x[0-9a-f]+", text)):
        raise ValueError(f"{text!r} is no hexadecimal integer")
    return int(text, 16)


def _complex(node: dict[str, Any]) -> complex:
    parts = node["complex"]
    if not (isinstance(parts, list) and len(parts) == 2):
        raise ValueError(f"{parts!r} are not two floats")
    return complex(*map(_float_of, parts))


def _text(node: dict[str, Any]) -> np.str_:
    if not isinstance(node["text"], str):
        raise ValueError(f"{node['text']!r} is no text")
    return np.str_(node["text"])


def _scalar(node: dict[str, Any]) -> Any:
    dtype = dtype_of(node["dtype"])
    if dtype.kind == "U":
        raise ValueError("texts are no scalars")
    return np.frombuffer(_bytes(node["scalar"], dtype.itemsize), dtype)[0]


def _bytes(text: Any, length: int) -> bytes:
    if not (isinstance(text, str) and re.fullmatch(r"(?:[0-9a-f]{2})*", text)):
        raise ValueError(f"{text!r} are no hexadecimal bytes")
    if len(text) != 2 * length:
        raise ValueError(f"{text!r} are {len(text) // 2} bytes in place of {length}")
    return bytes.fromhex(text)


LEAVES: dict[frozenset[str], Callable[[dict[str, Any]], Any]] = {
    frozenset({"int"}): _integer,
    frozenset({"float"}): _infinity,
    frozenset({"nan"}): _nan,
    frozenset({"complex"}): _complex,
    frozenset({"text"}): _text,
    frozenset({"dtype"}): lambda node: dtype_of(node["dtype"]),
    frozenset({"scalar", "dtype"}): _scalar,
}
"""How leaves that are JSON objects are read, by their keys; each raises ValueError."""
