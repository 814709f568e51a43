from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from dask.sizeof import sizeof

from daskml_exec.training._payload import payload_nbytes


@dataclass
class Message:
    array: np.ndarray
    scalar: float
    inner: object = None


def test_what_cannot_be_counted_is_named_by_its_field():
    with pytest.raises(TypeError, match="Message has a field 'inner': a function is not a payl"):
        payload_nbytes((1, Message(np.zeros(3), 1.0, lambda: None)))
    with pytest.raises(TypeError, match=r"a Series is not a payload: .* its to_numpy\(\)"):
        payload_nbytes(pd.Series([1.0]))


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
        (object(), None),
    ],
)
def test_payload_is_counted_in_array_bytes(payload, size):
    if size is None:
        with pytest.raises(TypeError, match="is not a payload: send arrays and scalars"):
            payload_nbytes(payload)
    else:
        assert payload_nbytes(payload) == size


class Sketch:
    def __init__(self, nbytes):
        self.nbytes = nbytes


@dataclass
class Lazy:
    made: object


def test_classes_that_dask_has_been_told_of():
    sizeof.register(Sketch, lambda sketch: sketch.nbytes)
    sizeof.register(Lazy, lambda lazy: 7)
    assert payload_nbytes((Sketch(1000), np.zeros(2))) == 1016
    assert payload_nbytes(Message(np.zeros(1), 1.0, Sketch(50))) == 66
    assert payload_nbytes(Lazy(object())) == 7, "not field by field"


def test_what_dask_counts_by_itself():
    assert payload_nbytes(bytearray(10)) == 10
    assert payload_nbytes({1, 2}) > 0


def test_a_frame_adds_by_its_index_and_is_no_payload():
    with pytest.raises(TypeError, match=r"a Series is not a payload: .* its to_numpy\(\)"):
        payload_nbytes(pd.Series(np.zeros(1000)))


def test_a_class_of_which_nobody_has_said_how_large_it_is():
    class Unheard:
        pass

    with pytest.raises(TypeError, match=r"@dask.sizeof.sizeof.register\(Unheard\)"):
        payload_nbytes(Unheard())
