"""Arrays for the steps of one worker, allocated once per batch size.

When a buffer that was sent may be written again: what was passed to an exchange must stay
unchanged until each other worker has answered a later one. Each step has one `sum_everywhere`,
which ends only when every worker has sent its part of it, and a worker sends that after all
exchanges before it have ended there.

- What is sent before the sum of a step is next written in a later step: the sum lies between.
- What is sent after it is next written after the sum of a later step, which lies between.
- The parts of the sum itself would have only the next sum, into which they are written, between
  them. There are two sets of buffers for them, used by turns: then a whole sum lies between.

For this each sent array has a buffer of its own within a step, and batches of other sizes between
two uses only add to what lies between. What an exchange writes is read by its own worker alone.
"""

from dataclasses import dataclass

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.blocks.group import BlockGroup
from daskml_exec.kernels.networks.blocks.partial_sums import n_buffers


@dataclass(frozen=True)
class ForwardSpace:
    """Values of a batch; arrays have the shape (units, rows).

    Attributes
    ----------
    values : list of dict of block to ndarray
        Per hidden layer, the slices of this worker's blocks.
    whole_values : dict of layer to ndarray
        All hidden values that a layer by columns reads.
    partials : dict of layer to list of ndarray
        For the sums of what hidden layers by rows make.
    output_partials : tuple of two lists of ndarray
        For the sum of the outputs, in even and in odd steps.
    outputs : ndarray
    """

    values: list[dict[int, Array]]
    whole_values: dict[int, Array]
    partials: dict[int, list[Array]]
    output_partials: tuple[list[Array], list[Array]]
    outputs: Array


@dataclass(frozen=True)
class BackwardSpace:
    """Gradients of a batch's loss by the inputs of units; arrays have the shape (units, rows).

    Attributes
    ----------
    deltas : list of dict of block to ndarray
        Per hidden layer, the slices of this worker's blocks.
    whole_deltas : dict of layer to ndarray
        Those of all units that a hidden layer by rows makes.
    partials : dict of layer to list of ndarray
        For the sums that layers by columns pass back.
    losses : ndarray of shape (rows,)
    """

    deltas: list[dict[int, Array]]
    whole_deltas: dict[int, Array]
    partials: dict[int, list[Array]]
    losses: Array


def forward_space(group: BlockGroup, rows: int) -> ForwardSpace:
    """Return space for the values of batches of so many rows."""
    layout, units = group.layout, group.layout.units
    last = layout.n_layers - 1
    inner = range(1, last)
    return ForwardSpace(
        values=_slices(group, rows),
        whole_values={
            layer: np.empty((units[layer], rows), group.dtype)
            for layer in inner
            if layout.by_columns(layer)
        },
        partials={
            layer: _partials(group, units[layer + 1], rows)
            for layer in inner
            if not layout.by_columns(layer)
        },
        output_partials=(_partials(group, units[-1], rows), _partials(group, units[-1], rows)),
        outputs=np.empty((units[-1], rows), group.dtype),
    )


def backward_space(group: BlockGroup, rows: int) -> BackwardSpace:
    """Return space for the deltas of batches of so many rows."""
    layout, units = group.layout, group.layout.units
    inner = range(1, layout.n_layers - 1)
    return BackwardSpace(
        deltas=_slices(group, rows),
        whole_deltas={
            layer: np.empty((units[layer + 1], rows), group.dtype)
            for layer in inner
            if not layout.by_columns(layer)
        },
        partials={
            layer: _partials(group, units[layer], rows)
            for layer in inner
            if layout.by_columns(layer)
        },
        losses=np.empty(rows, group.dtype),
    )


def _slices(group: BlockGroup, rows: int) -> list[dict[int, Array]]:
    slices = []
    for layer in range(group.layout.n_layers - 1):
        cuts = group.layout.slices(layer)
        slices.append(
            {
                block: np.empty((cuts[block].stop - cuts[block].start, rows), group.dtype)
                for block in group.blocks
            }
        )
    return slices


def _partials(group: BlockGroup, units: int, rows: int) -> list[Array]:
    n = n_buffers(group.blocks, group.layout.n_blocks)
    return [np.empty((units, rows), group.dtype) for _ in range(n)]
