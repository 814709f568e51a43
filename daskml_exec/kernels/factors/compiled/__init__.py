"""Half-steps row by row, in loops that Numba compiles where it is installed."""

import importlib
import importlib.util
from functools import cache
from typing import Any


@cache
def compiled_loops() -> Any:
    """Return the module of compiled half-steps, or None where Numba is not installed."""
    if importlib.util.find_spec("numba") is None:
        return None
    return importlib.import_module("daskml_exec.kernels.factors.compiled.blocks")
