"""Sums over the blocks of one worker, as far as they are whole subtrees of the fixed tree."""

from collections.abc import Callable, Sequence

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.fixed_tree import Node, fold_siblings


def n_buffers(blocks: Sequence[int], n_blocks: int) -> int:
    """Return how many partial sums `partial_sums` holds at a time.

    For consecutive blocks it is of the order of the logarithm of their number.
    """
    most = 0
    nodes: dict[Node, None] = {}
    for block in blocks:
        nodes[0, block] = None
        most = max(most, len(nodes))
        nodes = fold_siblings(nodes, n_blocks, lambda left, right: None)
    return most


def partial_sums(
    blocks: Sequence[int],
    n_blocks: int,
    write: Callable[[int, Array], None],
    buffers: Sequence[Array],
) -> dict[Node, Array]:
    """Add up the partials of a worker's blocks while they are made.

    Parameters
    ----------
    blocks : sequence of int
        In increasing order.
    n_blocks : int
        Of all workers.
    write : callable
        ``write(block, out)`` writes the partial of a block.
    buffers : sequence of ndarray
        `n_buffers` arrays; the result is in some of them.

    Returns
    -------
    dict
        From a node of the fixed tree over the blocks to the sum below it.
    """
    free = list(buffers)

    def add(left: Array, right: Array) -> Array:
        free.append(right)
        return np.add(left, right, out=left)

    nodes: dict[Node, Array] = {}
    for block in blocks:
        nodes[0, block] = partial = free.pop()
        write(block, partial)
        nodes = fold_siblings(nodes, n_blocks, add)
    return nodes
