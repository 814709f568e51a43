"""How much a step of a module computes, by the products with its weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

_NO_PRODUCT = nn.Embedding, nn.EmbeddingBag
_CONVOLUTION = nn.modules.conv._ConvNd

# What one thread of a usual core computes in a second, and what one round takes beside its steps:
# in all, and for each byte out and back. Their ratio matters, and that by its order.
_PER_SECOND = 2e10
_ROUND_SECONDS, _BYTES_PER_SECOND = 0.03, 4e8
_STEPS_OVER_ROUND = 10
"""How many times as long as a round the steps before it are to take."""


@dataclass
class Products:
    """What has been multiplied with weights.

    Attributes
    ----------
    flops : float
        Floating-point operations, forwards and backwards.
    """

    flops: float = 0.0


@contextmanager
def products_counted(module: nn.Module) -> Iterator[Products]:
    """Count what a module computes in the block.

    Each weight of a child is multiplied by each of the vectors that go through it: two operations,
    and twice as many backwards. Products without weights, as those of attention, are not counted.
    """
    found = Products()

    def count(child: nn.Module, given: Any, out: Any) -> None:
        out = out[0] if isinstance(out, tuple) else out
        if isinstance(out, torch.Tensor) and out.dim() > 1:
            vectors = out.numel() / out.shape[1 if isinstance(child, _CONVOLUTION) else -1]
            found.flops += 6.0 * _n_weights(child) * vectors

    hooks = [
        child.register_forward_hook(count)
        for child in module.modules()
        if not isinstance(child, _NO_PRODUCT) and _n_weights(child)
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _n_weights(module: nn.Module) -> int:
    """Return the entries of a module's own matrices, without those of its children."""
    return sum(each.numel() for each in module.parameters(recurse=False) if each.dim() > 1)


def samples_per_round(flops: float, nbytes: int) -> float:
    """Return so many samples as take ten times the time of a round, of a partition.

    Parameters
    ----------
    flops : float
        Of a sample.
    nbytes : int
        That a round sends to a partition, and brings back.

    Examples
    --------
    >>> samples_per_round(6e8, 10_000_000)
    18.333333333333332
    >>> samples_per_round(0, 10_000_000)
    inf
    """
    if not flops:
        return float("inf")
    return _STEPS_OVER_ROUND * (_ROUND_SECONDS + nbytes / _BYTES_PER_SECOND) * _PER_SECOND / flops
