"""The output layer of a module, whose rows are cut into blocks that are units beside the stages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from torch import nn

from daskml_exec.kernels.arrays import Array
from daskml_exec.torch.pipeline._cut_softmax import Block

ALLOWED = (
    "allowed with output_blocks is a module that ends with an nn.Linear, whose outputs are the "
    "logits of the loss: what comes after it, as a softmax, belongs to the loss"
)


@dataclass(frozen=True)
class OutputLayer:
    """Where the rows of an output layer are.

    Attributes
    ----------
    name : str
    weight : str
        Its name in the module, where it may be tied to another.
    bias : str or None
    n_outputs : int
    first : int
        The unit of the first block, of a replica: before it come the stages.
    rows : tuple of pairs
        The first row of each block, and the first that is not in it.
    tied : mapping of str to tuple of int
        Of the layer's parameters that stages have, too, as an embedding, these stages.
    """

    name: str
    weight: str
    bias: str | None
    n_outputs: int
    first: int
    rows: tuple[tuple[int, int], ...]
    tied: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def n_blocks(self) -> int:
        return len(self.rows)

    @property
    def units(self) -> range:
        """Those of the blocks, of a replica."""
        return range(self.first, self.first + self.n_blocks)

    def rows_of(self, unit: int) -> tuple[int, int]:
        """Return the rows that a unit has; of a stage that has the weights, too, all."""
        return self.rows[unit - self.first] if unit in self.units else (0, self.n_outputs)

    def own(self, unit: int, owner: str, array: Array) -> Array:
        """Return what a unit has of an array of a parameter, or of one that is remembered of it."""
        if owner not in (self.weight, self.bias) or not array.ndim:
            return array
        start, stop = self.rows_of(unit)
        return array[start:stop]

    def whole(self, units: Mapping[int, Mapping[str, Array]]) -> dict[int, Mapping[str, Array]]:
        """Return the arrays of units with those of all blocks together in place of each one's."""
        found = {unit: arrays for unit, arrays in units.items() if unit not in self.units}
        if self.first not in units:  # nothing was trained
            return found
        blocks = [units[unit] for unit in self.units]
        found[self.first] = {
            name: np.concatenate([each[name] for each in blocks]) if array.ndim else array
            for name, array in blocks[0].items()
        }
        return found


class OutputBlock(nn.Module):
    """Some rows of an output layer.

    Where this is made its tensors are those of the whole layer; where it is brought to, a block's.

    Parameters
    ----------
    layer : nn.Linear
    first : int
        The first row.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, layer: nn.Linear, first: int) -> None:
        super().__init__()
        self.weight = layer.weight
        self.register_parameter("bias", layer.bias)
        self.first = first
        self.n_outputs = layer.out_features

    @property
    def block(self) -> Block:
        """As the arithmetic needs it."""
        return Block(self.weight, self.bias, self.first, self.n_outputs)


def rows_in_blocks(n_rows: int, n_blocks: int) -> tuple[tuple[int, int], ...]:
    """Return consecutive rows for each block, about as many.

    Examples
    --------
    >>> rows_in_blocks(10, 3)
    ((0, 3), (3, 6), (6, 10))
    """
    ends = [i * n_rows // n_blocks for i in range(n_blocks + 1)]
    return tuple(pairwise(ends))


def require_blocks(layer: nn.Module, name: str, n_blocks: int) -> nn.Linear:
    """Return an output layer that can be cut.

    Raises
    ------
    ValueError
        It cannot.
    """
    kind = type(layer).__name__
    if type(layer) is not nn.Linear:
        what = f"of which a subclass is not, {kind}" if isinstance(layer, nn.Linear) else kind
        raise ValueError(
            f"output_blocks={n_blocks}, and the module ends with {name!r}, which is no nn.Linear: "
            f"{what}; {ALLOWED}"
        )
    if layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks:
        raise ValueError(
            f"output_blocks={n_blocks}, and {name!r}, the last part of the module, has hooks, "
            "which would see blocks of it; allowed is an nn.Linear without"
        )
    if layer.out_features < n_blocks:
        raise ValueError(
            f"output_blocks={n_blocks}, and {name!r}, the last part of the module, has "
            f"{layer.out_features} outputs; allowed are as many blocks at most"
        )
    return layer
