"""The blocks that one worker computes with."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.blocks.cuts import BlockLayout
from daskml_exec.kernels.networks.blocks.exchange import Exchange
from daskml_exec.kernels.networks.blocks.states import BlockState
from daskml_exec.kernels.networks.network import Network


@dataclass(frozen=True)
class BlockGroup:
    """A worker's blocks of a network, and its way to the others.

    Attributes
    ----------
    network : Network
    layout : BlockLayout
    states : mapping of block to BlockState
        At least one, all of one dtype.
    exchange : Exchange

    Raises
    ------
    ValueError
        If there are no states, or the layout is of another network or has no such block.
    """

    network: Network
    layout: BlockLayout
    states: Mapping[int, BlockState]
    exchange: Exchange

    def __post_init__(self) -> None:
        if self.layout.units != self.network.layout.units:
            raise ValueError(
                f"layout has the units {self.layout.units}: the network's are "
                f"{self.network.layout.units}"
            )
        if not self.states or not set(self.states) <= set(range(self.layout.n_blocks)):
            raise ValueError(
                f"states has the blocks {sorted(self.states)}: it must have at least one, each "
                f"from 0 to {self.layout.n_blocks - 1}"
            )

    @cached_property
    def blocks(self) -> list[int]:
        """In increasing order, which is that of the fixed tree."""
        return sorted(self.states)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of parameters, values and deltas."""
        return self.states[self.blocks[0]].parameters[0].dtype

    def coef(self, layer: int, block: int) -> Array:
        """Return a view of a block's weights of a layer."""
        return self._views[layer, block][0]

    def intercept(self, layer: int, block: int) -> Array:
        """Return a view of a block's intercepts of a layer."""
        return self._views[layer, block][1]

    @cached_property
    def _views(self) -> dict[tuple[int, int], tuple[Array, Array]]:
        return {
            (layer, block): self.layout.views(layer, block, flat)
            for block, state in self.states.items()
            for layer, flat in enumerate(state.parameters)
        }
