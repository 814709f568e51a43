"""Whole weight matrices from the pieces of all blocks, and pieces from whole matrices."""

from collections.abc import Mapping, Sequence

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.blocks.cuts import BlockLayout
from daskml_exec.kernels.networks.layout import Layers


def assemble(layout: BlockLayout, pieces: Mapping[int, Sequence[Array]]) -> Layers:
    """Return the whole weights and intercepts of each layer.

    Parameters
    ----------
    layout : BlockLayout
    pieces : mapping of block to sequence of ndarray of shape (size,)
        For every block, its piece of each layer.

    Raises
    ------
    ValueError
        If a block is missing or is not one of the layout's.
    """
    if sorted(pieces) != list(range(layout.n_blocks)):
        raise ValueError(
            f"pieces has the blocks {sorted(pieces)}: it must have each of the "
            f"{layout.n_blocks} from 0 once"
        )
    coefs, intercepts = [], []
    for layer, shape in enumerate(layout.shapes):
        dtype = pieces[0][layer].dtype
        coef, intercept = np.empty(shape, dtype), np.empty(shape[1], dtype)
        for block, flats in pieces.items():
            views = layout.views(layer, block, flats[layer])
            coef[layout.coef_index(layer, block)] = views[0]
            intercept[layout.intercept_index(layer, block)] = views[1]
        coefs.append(coef)
        intercepts.append(intercept)
    return Layers(coefs, intercepts)


def cut(layout: BlockLayout, layers: Layers, block: int) -> list[Array]:
    """Return per layer a new flat vector with a block's piece of whole weights and intercepts."""
    pieces = []
    for layer, (coef, intercept) in enumerate(zip(*layers, strict=True)):
        flat = np.empty(layout.size(layer, block), coef.dtype)
        own_coef, own_intercept = layout.views(layer, block, flat)
        own_coef[:] = coef[layout.coef_index(layer, block)]
        own_intercept[:] = intercept[layout.intercept_index(layer, block)]
        pieces.append(flat)
    return pieces
