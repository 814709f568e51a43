"""Updates of parameters in one pass over memory, compiled by Numba where it is installed."""

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from daskml_exec.kernels.arrays import Array


class Updates(NamedTuple):
    """The compiled functions."""

    adam: Callable[..., None]
    """Parameters, gradient, both moments, their decays and shares, rate and epsilon."""


@cache
def compiled_updates() -> Updates | None:
    """Return the compiled functions, or None where Numba is not installed."""
    if importlib.util.find_spec("numba") is None:
        return None
    import numba

    # Without numpy's error model a division would be checked for zero, which keeps it scalar.
    compiled = numba.njit(error_model="numpy", fastmath={"contract"}, nogil=True, cache=True)
    return Updates(compiled(_adam))


def compile_updates(dtype: np.dtype[Any]) -> None:
    """Compile the functions for parameters of this dtype, or load them."""
    updates = compiled_updates()
    if updates is not None:
        arrays = (np.zeros(1, dtype) for _ in range(4))
        updates.adam(*arrays, *(dtype.type(0.5) for _ in range(6)))


def _adam(
    parameters: Array,
    gradient: Array,
    first: Array,
    second: Array,
    keep_first: Any,
    share_first: Any,
    keep_second: Any,
    share_second: Any,
    rate: Any,
    epsilon: Any,
) -> None:
    for i in range(parameters.shape[0]):
        g = gradient[i]
        m = keep_first * first[i] + share_first * g
        v = keep_second * second[i] + share_second * (g * g)
        first[i] = m
        second[i] = v
        parameters[i] -= rate * m / (np.sqrt(v) + epsilon)
