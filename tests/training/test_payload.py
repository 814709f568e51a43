from dataclasses import dataclass

import numpy as np
import pytest

from daskml_exec.training._payload import payload_nbytes


@dataclass
class Message:
    array: np.ndarray
    scalar: float
    inner: object = None


@pytest.mark.parametrize(
    ("payload", "size"),
    [
        (None, 0),
        (np.zeros((3, 4), np.float32), 48),
        (np.zeros(0), 0),
        (True, 8),
        (1, 8),
        (1.5, 8),
        (np.float32(1.5), 8),
        ("text", 4),
        (b"bytes", 5),
        ((np.zeros(2), [1, None]), 24),
        ({"name": np.zeros(2), "other": 1}, 24),
        (Message(np.zeros(3), 1.0), 32),
        (Message(np.zeros(3), 1.0, Message(np.zeros(1), 2)), 48),
        (Message, None),
        ({1, 2}, None),
        (object(), None),
    ],
)
def test_payload_is_counted_in_array_bytes(payload, size):
    if size is None:
        with pytest.raises(TypeError, match="is not a payload: send arrays and scalars"):
            payload_nbytes(payload)
    else:
        assert payload_nbytes(payload) == size
