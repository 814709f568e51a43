"""From the residual of a batch back to the first layer, updating each layer on the way."""

from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.blocks.exchange import Wait
from daskml_exec.kernels.networks.blocks.group import BlockGroup
from daskml_exec.kernels.networks.blocks.partial_sums import partial_sums
from daskml_exec.kernels.networks.blocks.updates import Updater, product_rows
from daskml_exec.kernels.networks.blocks.workspace import BackwardSpace, ForwardSpace


def backward(
    group: BlockGroup,
    X: Any,
    forth: ForwardSpace,
    back: BackwardSpace,
    updater: Updater,
    *,
    step: int,
    penalty: float,
) -> None:
    """Update all weights and intercepts of the group's blocks.

    Of each layer first comes what others wait for, from the weights before their update, then
    the update while that is under way.

    Parameters
    ----------
    group : BlockGroup
    X : ndarray or CSR matrix of shape (rows, features)
    forth : ForwardSpace
        As `forward` leaves it, with the gradient of the mean loss in place of the outputs.
    back : BackwardSpace
    updater : Updater
    step : int
    penalty : float
        Alpha over the weight of the batch.
    """
    layout = group.layout
    for layer in range(layout.n_layers - 1, 0, -1):
        if layout.by_columns(layer):
            # The layer below is by rows: its deltas are needed whole.
            wait = _send_sums(group, layer, back, step)
            _update(group, layer, forth, back, updater, penalty)
            wait()
            _times_slopes(group, layer - 1, forth, back)
            _send_slices(group, layer - 1, back, step)()
            continue
        delta = _whole_delta(group, layer, forth, back)
        for block in group.blocks:
            np.matmul(group.coef(layer, block), delta, out=back.deltas[layer - 1][block])
        _times_slopes(group, layer - 1, forth, back)
        wait = (
            _nothing if layout.by_columns(layer - 1) else _send_slices(group, layer - 1, back, step)
        )
        _update(group, layer, forth, back, updater, penalty)
        wait()
    inputs = X.T if isinstance(X, np.ndarray) else X.T.tocsr()
    for block in group.blocks:
        delta = back.deltas[0][block]
        updater.update(0, block, product_rows(inputs, delta), delta, penalty)


def _update(
    group: BlockGroup,
    layer: int,
    forth: ForwardSpace,
    back: BackwardSpace,
    updater: Updater,
    penalty: float,
) -> None:
    last = group.layout.n_layers - 1
    for block in group.blocks:
        if group.layout.by_columns(layer):
            inputs = forth.whole_values[layer]
            delta = of_intercepts = back.deltas[layer][block]
        else:
            inputs = forth.values[layer - 1][block]
            delta = _whole_delta(group, layer, forth, back)
            if layer == last:
                of_intercepts = delta[group.layout.intercept_index(layer, block)]
            else:
                of_intercepts = back.deltas[layer][block]
        updater.update(layer, block, product_rows(inputs, delta), of_intercepts, penalty)


def _whole_delta(group: BlockGroup, layer: int, forth: ForwardSpace, back: BackwardSpace) -> Array:
    """Return the deltas of all units that a layer by rows makes."""
    return forth.outputs if layer == group.layout.n_layers - 1 else back.whole_deltas[layer]


def _times_slopes(group: BlockGroup, layer: int, forth: ForwardSpace, back: BackwardSpace) -> None:
    for block, delta in back.deltas[layer].items():
        group.network.activation.times_slope(forth.values[layer][block], delta)


def _send_sums(group: BlockGroup, layer: int, back: BackwardSpace, step: int) -> Wait:
    """Send what a layer by columns passes back; its sums become the deltas of the layer below."""

    def write(block: int, out: Array) -> None:
        np.matmul(group.coef(layer, block), back.deltas[layer][block], out=out)

    partials = partial_sums(group.blocks, group.layout.n_blocks, write, back.partials[layer])
    cuts = group.layout.slices(layer - 1)
    tag = (step, f"delta sums {layer}")
    return group.exchange.sum_to_owners(tag, partials, cuts, back.deltas[layer - 1])


def _send_slices(group: BlockGroup, layer: int, back: BackwardSpace, step: int) -> Wait:
    """Send the deltas of the units that a hidden layer by rows makes."""
    cuts = group.layout.slices(layer)
    tag = (step, f"deltas {layer}")
    return group.exchange.gather(tag, back.deltas[layer], cuts, back.whole_deltas[layer])


def _nothing() -> None:
    """Wait for nothing."""
