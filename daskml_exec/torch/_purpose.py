"""What a module is trained for, and what follows from that and from the first samples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from daskml_exec.partitions import Partition
from daskml_exec.torch._gather import Gather

Encode = Callable[[Any, Any], tuple[Any, Any]]
"""Makes of y and weights what the loss gets; weights may be None."""


@dataclass(frozen=True)
class Purpose:
    """What a module is trained for.

    Attributes
    ----------
    loss : callable
    scores : callable or None
    encode : callable or None
        Makes of y and weights what the loss gets.
    known : mapping of str to int
        What modules are called with that ask for it by name.
    n_classes : int or None
        Of a classifier, how many codes `encode` may make.
    fitted : mapping of str to object
        Attributes that the data gives.
    """

    loss: Callable[[nn.Module, Any], Any]
    scores: Callable[[nn.Module, Any], Any] | None
    encode: Encode | None = None
    known: Mapping[str, int] = field(default_factory=dict)
    n_classes: int | None = None
    fitted: Mapping[str, Any] = field(default_factory=dict)

    @property
    def attributes(self) -> dict[str, Any]:
        """What an estimator remembers of the data: `fitted`, and what its module was told."""
        return {**self.fitted, "_told": dict(self.known)}


def encoded(partition: Partition, encode: Encode | None) -> Partition:
    """Return a partition with y and weights as the loss gets them."""
    if encode is None or partition.y is None:
        return partition
    y, sample_weight = encode(partition.y, partition.sample_weight)
    return replace(partition, y=y, sample_weight=sample_weight)


def first_batch(
    head: Partition,
    purpose: Purpose,
    module: nn.Module,
    augment: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """Return the first samples as the loss gets them; as scores do without augmentation."""
    dtype = next(
        (each.dtype for each in module.parameters() if each.is_floating_point()), torch.float32
    )
    samples = encoded(head, purpose.encode)
    return Gather(samples, dtype, augment, seed=0, epoch=0)(np.arange(head.n_rows))


def is_sequence(X: Any) -> bool:
    """Whether each sample is a sequence of integers."""
    return getattr(X, "ndim", 0) == 2 and X.dtype.kind in "iu"
