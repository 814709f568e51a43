"""A part of a module without its tensors, which travel beside it, each by its name."""

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import cloudpickle
import torch
from torch import nn


class _Pickler(cloudpickle.Pickler):
    def __init__(self, file: io.BytesIO, names: Mapping[int, str]) -> None:
        super().__init__(file)
        self._names = names
        self.met: set[str] = set()

    def persistent_id(self, value: Any) -> Any:
        """Return what stands for a tensor of the module."""
        if not isinstance(value, torch.Tensor) or (name := self._names.get(id(value))) is None:
            return None
        self.met.add(name)
        dtype = str(value.dtype).removeprefix("torch.")
        return name, dtype, isinstance(value, nn.Parameter), value.requires_grad


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, bring: Callable[[str, torch.dtype], torch.Tensor]) -> None:
        super().__init__(file)
        self._bring = bring
        self.found: dict[str, torch.Tensor] = {}

    def persistent_load(self, about: Any) -> torch.Tensor:
        """Return the tensor that this stands for: the same one wherever it is."""
        name, dtype, is_parameter, requires_grad = about
        if name not in self.found:
            tensor = self._bring(name, getattr(torch, dtype))
            if is_parameter:
                tensor = nn.Parameter(tensor, requires_grad=requires_grad)
            self.found[name] = tensor
        return self.found[name]


def names_of(module: nn.Module) -> dict[int, str]:
    """Return the name of each tensor of a module, by which those of its parts are known."""
    tensors = (*module.named_parameters(), *module.named_buffers())
    return {id(each): name for name, each in tensors}


def without_tensors(part: Any, names: Mapping[int, str]) -> tuple[bytes, set[str]]:
    """Return an object as bytes, but for the tensors that have names, and the names of these."""
    file = io.BytesIO()
    pickler = _Pickler(file, names)
    pickler.dump(part)
    return file.getvalue(), pickler.met


def with_tensors(
    skeleton: bytes, bring: Callable[[str, torch.dtype], torch.Tensor]
) -> tuple[Any, dict[str, torch.Tensor]]:
    """Return the object of these bytes, with the tensors that `bring` returns, and those by name.

    Parameters
    ----------
    skeleton : bytes
    bring : callable
        Takes a name and a dtype, and returns a tensor.
    """
    unpickler = _Unpickler(io.BytesIO(skeleton), bring)
    return unpickler.load(), unpickler.found
