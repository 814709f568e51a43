"""The size of what travels, counted in array bytes."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

_SCALAR_BYTES = 8


def payload_nbytes(payload: Any) -> int:
    """Return the bytes of all arrays and scalars in a message or a partial result.

    Examples
    --------
    >>> payload_nbytes((np.zeros(3), 1.0, None))
    32
    """
    if payload is None:
        return 0
    if isinstance(payload, np.ndarray):
        return payload.nbytes
    if sp.issparse(payload):
        return sum(part.nbytes for part in (payload.data, payload.indices, payload.indptr))
    if isinstance(payload, (int, float, np.generic)):
        return _SCALAR_BYTES
    if isinstance(payload, (str, bytes)):
        return len(payload)
    if isinstance(payload, (tuple, list)):
        return sum(map(payload_nbytes, payload))
    if isinstance(payload, dict):
        return sum(map(payload_nbytes, payload.values()))
    if is_dataclass(payload) and not isinstance(payload, type):
        return sum(payload_nbytes(getattr(payload, field.name)) for field in fields(payload))
    raise TypeError(f"a {type(payload).__name__} is not a payload: send arrays and scalars")
