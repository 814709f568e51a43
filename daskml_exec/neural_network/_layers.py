"""Arguments that describe a network, checked."""

from collections.abc import Iterable
from numbers import Real
from typing import Any


def hidden_units(hidden_layer_sizes: Any) -> tuple[int, ...]:
    """Return the units of each hidden layer, of a number or a sequence of numbers."""
    several = isinstance(hidden_layer_sizes, Iterable)
    sizes: list[Any] = list(hidden_layer_sizes) if several else [hidden_layer_sizes]
    units = []
    for size in sizes:
        number = isinstance(size, Real) and not isinstance(size, bool)
        if not number or not size >= 1 or size % 1:
            raise ValueError(
                f"hidden_layer_sizes={hidden_layer_sizes!r}: hidden_layer_sizes must be > 0; "
                "allowed are whole numbers from 1, one per hidden layer"
            )
        units.append(int(size))
    return tuple(units)
