"""The size of what travels, counted in array bytes."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.executor import is_registered, object_nbytes

_SCALAR_BYTES = 8


def payload_nbytes(payload: Any) -> int:
    """Return the bytes of all arrays and scalars in a message or a partial result.

    Of other classes they are what `dask.sizeof.sizeof` says, which can be told of more of them:
    ``@sizeof.register(MyClass)``.

    Parameters
    ----------
    payload : object

    Returns
    -------
    int

    Raises
    ------
    TypeError
        Nobody has said how large objects of a class are.

    Examples
    --------
    >>> payload_nbytes((np.zeros(3), 1.0, None))
    32
    """
    kind: Any = type(payload)
    return _sizer(kind)(payload)


@lru_cache(maxsize=1024)
def _sizer(kind: Any) -> Callable[[Any], int]:
    """Return what counts objects of a class; each round counts, so classes are looked at once."""
    if kind is type(None):
        return _nothing
    if issubclass(kind, np.ndarray):
        return attrgetter("nbytes")
    if issubclass(kind, (sp.sparray, sp.spmatrix)):
        return _stored
    if issubclass(kind, (int, float, complex, np.generic, np.dtype, Enum)):
        return _scalar
    if issubclass(kind, (str, bytes)):
        return len
    if issubclass(kind, (tuple, list)):
        return _items
    if issubclass(kind, dict):
        return _values
    if hasattr(kind, "to_numpy"):
        raise TypeError(f"a {kind.__name__} is not a payload: send arrays, such as its to_numpy()")
    if is_registered(kind):
        return object_nbytes
    if is_dataclass(kind):
        return _fields(kind)
    raise TypeError(
        f"a {kind.__name__} is not a payload: send arrays and scalars, or let "
        f"@dask.sizeof.sizeof.register({kind.__name__}) tell its bytes"
    )


def _fields(kind: Any) -> Callable[[Any], int]:
    names = tuple(field.name for field in fields(kind))

    def counted(payload: Any) -> int:
        name, total = "", 0
        try:
            for name in names:
                total += payload_nbytes(getattr(payload, name))
        except TypeError as error:
            raise TypeError(f"{kind.__name__} has a field {name!r}: {error}") from error
        return total

    return counted


def _nothing(payload: None) -> int:
    return 0


def _scalar(payload: Any) -> int:
    return _SCALAR_BYTES


def _stored(payload: Any) -> int:
    return sum(part.nbytes for part in (payload.data, payload.indices, payload.indptr))


def _items(payload: Any) -> int:
    return sum(map(payload_nbytes, payload))


def _values(payload: Any) -> int:
    return sum(map(payload_nbytes, payload.values()))
