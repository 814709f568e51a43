"""First values of blocks, which are slices of what the whole network would start from."""

from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.blocks.chunks import row_chunks
from daskml_exec.kernels.networks.blocks.cuts import BlockLayout


def initial_pieces(
    layout: BlockLayout, block: int, *, seed: int, logistic: bool, dtype: np.dtype[Any]
) -> list[Array]:
    """Return per layer the flat vector of a block's first weights and intercepts.

    They have the bits of the same slices of `layout.initial_parameters`, so that the number of
    blocks does not change where training starts. A uniform number takes one draw of 64 bits, and
    the stream is advanced over those of other blocks; no array as large as a layer is made.

    Parameters
    ----------
    layout : BlockLayout
    block : int
    seed : int
    logistic : bool
        Whether the activation is the logistic function.
    dtype : dtype
    """
    pieces = []
    for layer, (fan_in, fan_out) in enumerate(layout.shapes):
        bound = np.sqrt((2.0 if logistic else 6.0) / (fan_in + fan_out))
        flat = np.empty(layout.size(layer, block), dtype)
        coef, intercept = layout.views(layer, block, flat)
        rows, columns = layout.coef_index(layer, block)
        draw = _stream(seed, layer, rows.start * fan_out)
        for start, stop in row_chunks((len(coef), fan_out)):
            whole = draw.uniform(-bound, bound, (stop - start, fan_out))
            coef[start:stop] = whole[:, columns]
        first = layout.intercept_index(layer, block).start
        draw = _stream(seed, layer, fan_in * fan_out + first)
        intercept[:] = draw.uniform(-bound, bound, len(intercept))
        pieces.append(flat)
    return pieces


def _stream(seed: int, layer: int, skipped: int) -> np.random.Generator:
    """Return a layer's random stream after so many draws of 64 bits."""
    bits = np.random.PCG64(np.random.SeedSequence((seed, layer)))  # that of `default_rng`
    bits.advance(skipped)
    return np.random.Generator(bits)
