"""Arrays to a device and back, all of a round in one copy: each waits for all that came before."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch

from daskml_exec.kernels.arrays import Array

_ALIGNED = 8
"""Bytes, of the widest numbers."""


def is_here(device: torch.device) -> bool:
    """Whether a device computes on the host's own memory."""
    return device.type == "cpu"


def sent(arrays: Sequence[Array], device: torch.device) -> list[torch.Tensor]:
    """Return arrays as tensors on the device, which are the callee's own."""
    own = [np.ascontiguousarray(each) for each in arrays]
    if is_here(device):
        return [torch.from_numpy(each.copy()) for each in own]
    starts = _starts([each.nbytes for each in own])
    packed = np.zeros(starts[-1], np.uint8)
    for each, start in zip(own, starts[:-1], strict=True):
        packed[start : start + each.nbytes] = each.reshape(-1).view(np.uint8)
    there = to_device(packed, device)
    return [
        there[start : start + each.nbytes].view(_torch_dtype(each)).reshape(each.shape)
        for each, start in zip(own, starts[:-1], strict=True)
    ]


def fetched(tensors: Sequence[torch.Tensor], device: torch.device) -> list[Array]:
    """Return tensors that are on the device as arrays, which are the callee's own."""
    own = [each.detach().contiguous() for each in tensors]
    if is_here(device):
        return [each.numpy().copy() for each in own]
    starts = _starts([each.nbytes for each in own])
    packed = torch.zeros(starts[-1], dtype=torch.uint8, device=device)
    for each, start in zip(own, starts[:-1], strict=True):
        packed[start : start + each.nbytes] = each.reshape(-1).view(torch.uint8)
    here = to_host(packed)
    return [
        here[start : start + each.nbytes].view(_numpy_dtype(each)).reshape(tuple(each.shape))
        for each, start in zip(own, starts[:-1], strict=True)
    ]


def on_device(values: Sequence[Any], device: torch.device) -> torch.Tensor:
    """Return in one tensor those of some numbers that are tensors, for `numbers`."""
    found = [
        each.detach().to(device).reshape(()).double()
        for each in values
        if isinstance(each, torch.Tensor)
    ]
    return torch.stack(found) if found else torch.empty(0, dtype=torch.float64, device=device)


def numbers(values: Sequence[Any], found: Array) -> Array:
    """Return numbers as an array, of which `found` has those that are tensors."""
    rest = iter(found.tolist())
    return np.array(
        [next(rest) if isinstance(each, torch.Tensor) else float(each) for each in values]
    )


def to_device(packed: Array, device: torch.device) -> torch.Tensor:
    """Copy bytes there: the one copy of a round on its way in."""
    return torch.from_numpy(packed).to(device)


def to_host(packed: torch.Tensor) -> Array:
    """Copy bytes here: the one copy of a round on its way out."""
    here: Array = packed.cpu().numpy()
    return here


def _starts(sizes: Sequence[int]) -> list[int]:
    return list(accumulate((-(-size // _ALIGNED) * _ALIGNED for size in sizes), initial=0))


def _torch_dtype(array: Array) -> torch.dtype:
    return torch.from_numpy(np.empty(0, array.dtype)).dtype


def _numpy_dtype(tensor: torch.Tensor) -> Any:
    return torch.empty(0, dtype=tensor.dtype).numpy().dtype
