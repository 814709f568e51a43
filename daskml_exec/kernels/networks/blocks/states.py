"""What a worker keeps of a block between steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.blocks.chunks import sum_of_squares
from daskml_exec.kernels.networks.blocks.cuts import BlockLayout
from daskml_exec.kernels.networks.optimisers import Optimiser, OptimiserState, init


@dataclass(frozen=True)
class BlockState:
    """Parameters of one block with what the optimiser remembers; steps change them in place.

    Attributes
    ----------
    parameters : tuple of ndarray of shape (size,)
        Per layer, the block's piece: weights, then intercepts.
    optimiser : tuple of OptimiserState
        Per layer.
    squares : ndarray of shape (layers,)
        In float64: per layer, the sum of the squares of the present weights.
    """

    parameters: tuple[Array, ...]
    optimiser: tuple[OptimiserState, ...]
    squares: Array

    def arrays(self) -> dict[str, Array]:
        """Return by name, without copying, all that is needed to go on from here."""
        named = {"squares": self.squares}
        for layer, (flat, state) in enumerate(zip(self.parameters, self.optimiser, strict=True)):
            named[f"parameters.{layer}"] = flat
            named[f"moments.{layer}"] = state.moments
            named[f"scales.{layer}"] = state.scales
        return named


def from_arrays(arrays: Mapping[str, Array]) -> BlockState:
    """Return the state that had these arrays, in memory of its own.

    What came in a message may be read-only or at an odd address; BLAS would then update a copy.
    """
    own = {name: np.array(array, order="C") for name, array in arrays.items()}
    layers = range(len(own["squares"]))
    return BlockState(
        tuple(own[f"parameters.{layer}"] for layer in layers),
        tuple(OptimiserState(own[f"moments.{layer}"], own[f"scales.{layer}"]) for layer in layers),
        own["squares"],
    )


def first_state(
    layout: BlockLayout, block: int, pieces: Sequence[Array], optimiser: Optimiser
) -> BlockState:
    """Return the state before the first step; `pieces`, one per layer, become its parameters.

    Parameters
    ----------
    layout : BlockLayout
    block : int
    pieces : sequence of ndarray of shape (size,)
        As `initial_pieces` or `cut` return them.
    optimiser : Optimiser
    """
    coefs = (layout.views(layer, block, flat)[0] for layer, flat in enumerate(pieces))
    return BlockState(
        tuple(pieces),
        tuple(init(optimiser, flat.size, flat.dtype) for flat in pieces),
        np.array([sum_of_squares(coef) for coef in coefs]),
    )
