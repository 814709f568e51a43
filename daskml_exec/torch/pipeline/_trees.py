"""What one stage passes on to the next: tensors in tuples, lists and dicts, and plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from daskml_exec.kernels.arrays import Array

_PLAIN = (bool, int, float, str, type(None))
# NumPy has none of these; their bits travel.
_AS_INTEGERS = {torch.bfloat16: torch.int16}


@dataclass(frozen=True)
class Passed:
    """A tree of tensors that is on its way.

    Attributes
    ----------
    form : list
        The tree, in lists and plain values, with places for tensors.
    tensors : sequence of tensor
    """

    form: Any
    tensors: Sequence[torch.Tensor]

    @property
    def tree(self) -> Any:
        """What was passed."""
        return _formed(self.form, self.tensors)

    def alone(self) -> "Passed":
        """Return the same without what it was computed from."""
        return Passed(self.form, self._leaves())

    def _leaves(self) -> list[torch.Tensor]:
        return [each.detach().requires_grad_(each.requires_grad) for each in self.tensors]

    def entered(self) -> tuple[list[torch.Tensor], Any]:
        """Return tensors that gradients come to, and the tree of copies to go on with.

        Copies, because a module may change in place what it is given, which others still need.
        """
        leaves = self._leaves()
        return leaves, _formed(self.form, [each.clone() for each in leaves])


def passed(tree: Any, who: str) -> Passed:
    """Return a tree as it travels.

    Parameters
    ----------
    tree : object
    who : str
        What has made it, for an error.

    Raises
    ------
    TypeError
        There is something else in it than tensors and plain values.
    """
    tensors: list[torch.Tensor] = []

    def form(node: Any) -> Any:
        if isinstance(node, torch.Tensor):
            tensors.append(node)
            return ["tensor", len(tensors) - 1]
        if type(node) in (tuple, list):
            return [type(node).__name__, [form(each) for each in node]]
        if type(node) is dict and all(isinstance(key, (str, int)) for key in node):
            return ["dict", [[key, form(each)] for key, each in node.items()]]
        if type(node) in _PLAIN:
            return ["plain", node]
        raise TypeError(
            f"{who} passes on a {type(node).__name__}; in stages allowed are "
            "tensors, tuples, lists and dicts of them, numbers, texts and None"
        )

    return Passed(form(tree), tensors)


def _formed(form: Any, tensors: Sequence[torch.Tensor]) -> Any:
    kind, what = form
    if kind == "tensor":
        return tensors[what]
    if kind == "dict":
        return {key: _formed(each, tensors) for key, each in what}
    if kind == "plain":
        return what
    made = [_formed(each, tensors) for each in what]
    return tuple(made) if kind == "tuple" else made


def packed(tensors: Sequence[torch.Tensor | None]) -> tuple[list[Array], list[Any]]:
    """Return tensors as arrays without copying, where that can be, with what makes them again.

    The order of axes in memory is kept: a sum over another order has other bits.
    """
    arrays: list[Array] = []
    about: list[Any] = []
    for each in tensors:
        if each is None:
            about.append(None)
            continue
        there = each.detach()
        axes = sorted(range(there.dim()), key=lambda axis: -there.stride(axis))
        if not there.permute(axes).is_contiguous():
            there, axes = there.contiguous(), list(range(there.dim()))
        arrays.append(array_of(there.permute(axes)))
        about.append([str(there.dtype).removeprefix("torch."), axes, each.requires_grad])
    return arrays, about


def unpacked(
    arrays: Sequence[Array], about: Sequence[Any], device: torch.device
) -> list[torch.Tensor | None]:
    """Return the tensors of `packed`, in memory of their own."""
    rest = iter(arrays)
    found: list[torch.Tensor | None] = []
    for each in about:
        if each is None:
            found.append(None)
            continue
        name, axes, requires_grad = each
        made = tensor_of(next(rest), getattr(torch, name), device)
        places = np.argsort(axes).tolist()
        found.append(made.permute(places).requires_grad_(requires_grad))
    return found


def array_of(tensor: torch.Tensor) -> Array:
    """Return a tensor's numbers as an array, which shares memory with it on the CPU."""
    there = tensor.detach()
    if there.dtype in _AS_INTEGERS:
        there = there.view(_AS_INTEGERS[there.dtype])
    array: Array = there.cpu().numpy()
    return array


def tensor_of(array: Array, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return the tensor that had this array, in memory that PyTorch has made.

    What is multiplied from memory of another alignment may have other bits.
    """
    here = torch.empty(array.shape, dtype=_AS_INTEGERS.get(dtype, dtype))
    here.numpy()[...] = array
    return here.view(dtype).to(device)
