"""From the rows of a batch to the outputs, which every worker then knows."""

from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.blocks.group import BlockGroup
from daskml_exec.kernels.networks.blocks.partial_sums import partial_sums
from daskml_exec.kernels.networks.blocks.workspace import ForwardSpace


def forward(group: BlockGroup, X: Any, space: ForwardSpace, step: int) -> None:
    """Write hidden values and outputs, before the last layer's activation, to the work space.

    Parameters
    ----------
    group : BlockGroup
    X : ndarray or CSR matrix of shape (rows, features)
        The same rows on all workers.
    space : ForwardSpace
    step : int
        Tells this step's exchanges from others, the same on all workers.
    """
    last = group.layout.n_layers - 1
    for layer in range(last):
        if not group.layout.by_columns(layer):
            _sum_to_owners(group, layer, space, step)
        elif layer == 0:
            for block in group.blocks:
                _first_product(group.coef(0, block), X, space.values[0][block])
        else:
            _by_columns(group, layer, space, step)
        for block in group.blocks:
            values = space.values[layer][block]
            values += group.intercept(layer, block)[:, None]
            group.network.activation.apply(values)

    def write(block: int, out: Array) -> None:
        np.matmul(group.coef(last, block).T, space.values[last - 1][block], out=out)
        if block == 0:
            out += group.intercept(last, 0)[:, None]

    partials = partial_sums(
        group.blocks, group.layout.n_blocks, write, space.output_partials[step % 2]
    )
    group.exchange.sum_everywhere((step, "outputs"), partials, space.outputs)()


def _first_product(coef: Array, X: Any, out: Array) -> None:
    if isinstance(X, np.ndarray):
        np.matmul(coef.T, X.T, out=out)
    else:
        out[:] = (X @ coef).T  # SciPy has no place for the result of a sparse product


def _by_columns(group: BlockGroup, layer: int, space: ForwardSpace, step: int) -> None:
    whole = space.whole_values[layer]
    cuts = group.layout.slices(layer - 1)
    group.exchange.gather((step, f"values {layer}"), space.values[layer - 1], cuts, whole)()
    for block in group.blocks:
        np.matmul(group.coef(layer, block).T, whole, out=space.values[layer][block])


def _sum_to_owners(group: BlockGroup, layer: int, space: ForwardSpace, step: int) -> None:
    def write(block: int, out: Array) -> None:
        np.matmul(group.coef(layer, block).T, space.values[layer - 1][block], out=out)

    partials = partial_sums(group.blocks, group.layout.n_blocks, write, space.partials[layer])
    cuts = group.layout.slices(layer)
    tag = (step, f"value sums {layer}")
    group.exchange.sum_to_owners(tag, partials, cuts, space.values[layer])()
