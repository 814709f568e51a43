"""What the blocks of a network need from one another, whoever holds them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.fixed_tree import Node

Wait = Callable[[], None]
Tag = tuple[int, str]
"""Which exchange: the step, and what is exchanged."""


class Exchange(Protocol):
    """Sums and collections over the blocks of all workers.

    Arrays have the shape (units, rows). A worker with several blocks passes partial sums that are
    combined where its blocks form whole subtrees of the fixed tree over block index: the result
    has the same bits whoever holds which block.

    Each call sends at once and returns a function that waits for the others and writes the
    result. What was passed must stay unchanged until each other worker has answered a later
    exchange.
    """

    def sum_to_owners(
        self,
        tag: Tag,
        partials: Mapping[Node, Array],
        cuts: Sequence[slice],
        out: Mapping[int, Array],
    ) -> Wait:
        """Sum over all blocks; write to each block of this worker its slice of the total's units.

        Parameters
        ----------
        tag : (int, str)
        partials : mapping of tree node to ndarray of shape (units, rows)
        cuts : sequence of slice
            Per block, its slice of the units.
        out : mapping of block to ndarray of shape (units of the slice, rows)
            For the blocks of this worker.
        """

    def gather(
        self, tag: Tag, slices: Mapping[int, Array], cuts: Sequence[slice], out: Array
    ) -> Wait:
        """Collect the slices of all blocks in `out`, of shape (units, rows)."""

    def sum_everywhere(self, tag: Tag, partials: Mapping[Node, Array], out: Array) -> Wait:
        """Sum over all blocks; write the whole total to `out`, of shape (units, rows)."""
