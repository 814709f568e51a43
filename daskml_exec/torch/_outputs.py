"""What a module makes of samples, for predictions: a function that travels with its weights."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cloudpickle
import numpy as np
import torch
from torch import nn

from daskml_exec.partitions import tree_rows, tree_stacked
from daskml_exec.torch._hints import called
from daskml_exec.torch._steady import steady
from daskml_exec.torch._tensors import arrays, taken, tensors

_ROWS_AT_ONCE = 256


def call(module: Any, X: Any) -> Any:
    """Return what a module makes of X: the leaves of a dict by name, those of a tuple in order."""
    if isinstance(X, dict):
        return module(**X)
    return module(*X) if isinstance(X, tuple) else module(X)


@dataclass(frozen=True, eq=False)
class OutputsOf:
    """A module in eval mode as a function from trees of arrays to trees of arrays.

    Attributes
    ----------
    pickled : bytes
        The module, and ``function(module, X)``, which returns tensors, arrays or lists of one entry
        per sample.
    dtype : str
        Of floating-point inputs.
    """

    pickled: bytes
    dtype: str

    @classmethod
    def of(
        cls, module: nn.Module, function: Callable[[nn.Module, Any], Any], dtype: str
    ) -> "OutputsOf":
        """Return the function of a module that is here."""
        return cls(cloudpickle.dumps((module.eval(), function)), dtype)

    @property
    def __name__(self) -> str:
        return "outputs"

    @cached_property
    def _made(self) -> Any:
        return cloudpickle.loads(self.pickled)

    def __getstate__(self) -> dict[str, Any]:
        return {"pickled": self.pickled, "dtype": self.dtype}

    def __call__(self, X: Any) -> Any:
        # In eval mode a module does not change, so that threads may share it.
        module, function = self._made
        device, dtype = torch.device("cpu"), getattr(torch, self.dtype)
        n = tree_rows(X)
        pieces = []
        with steady(device), torch.no_grad():
            for start in range(0, max(n, 1), _ROWS_AT_ONCE):
                rows = np.arange(start, min(start + _ROWS_AT_ONCE, n))
                batch = tensors(taken(X, rows), dtype, device)
                pieces.append(arrays(called("function(module, X)", function, module, batch)))
        return tree_stacked(pieces)
