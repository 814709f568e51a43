"""The begin and the end of a fit, as a listener hears of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from daskml_exec.linear_model import LinearRegression
from daskml_exec.training import BeginEvent, EndEvent, Reached

OPENING = "LinearRegression: 3 rows"


@contextmanager
def fitting(listener: Any) -> Iterator[Any]:
    """Tell of the begin of a fit, and of its end, also where the block raises."""
    listener.on_begin(BeginEvent("3 rows", Reached("epoch", 0, 10), LinearRegression()))
    try:
        yield listener
    finally:
        listener.on_end(EndEvent("done", Reached("epoch", 1, 10), LinearRegression()))
