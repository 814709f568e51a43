"""How large the blocks are in which kernels go through rows and weights."""

from dataclasses import dataclass

from daskml_exec.kernels.in_force import InForce


@dataclass(frozen=True)
class BlockSizes:
    """Sizes that nobody sets but tests and benchmarks; sums, and so bits, depend on them.

    Attributes
    ----------
    row_bytes : int
        Of rows in float64 that stay in cache while they are used twice. A block is read from memory
        once and then used from cache. Smaller ones would be nearer to the core, but their number
        costs more in calls than that saves.
    product_bytes : int
        Of rows in float64 that are scaled and multiplied block by block: as large as matrix
        products want them.
    chunk_elements : int
        Numbers in a chunk of a weight matrix, which stays in cache while it is used.
    """

    row_bytes: int = 2**21
    product_bytes: int = 2**22
    chunk_elements: int = 2**18


_in_force = InForce(BlockSizes())
sized_blocks = _in_force.changed
"""A context manager: inside it, the sizes that it names are others, for all of this process."""


def block_sizes() -> BlockSizes:
    """Return the sizes in force."""
    return _in_force.now
