"""Matrices in chunks of their rows, small enough that a chunk stays in cache while it is used."""

from collections.abc import Iterator

from scipy.linalg import get_blas_funcs

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.block_sizes import block_sizes


def rows_per_chunk(n_columns: int) -> int:
    """Return how many rows of a matrix make up a chunk.

    That decides how its squares are summed, so it follows from the shape alone.
    """
    return max(1, block_sizes().chunk_elements // n_columns)


def row_chunks(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the first row of each chunk and the one behind its last."""
    n_rows, n_columns = shape
    step = rows_per_chunk(n_columns)
    for start in range(0, n_rows, step):
        yield start, min(start + step, n_rows)


def sum_of_squares(coef: Array) -> float:
    """Sum the squares of a C-contiguous matrix: in its dtype per chunk, in float64 over chunks."""
    dot = get_blas_funcs("dot", (coef,))
    return sum(
        (float(dot(flat, flat)) for flat in (coef[a:b].ravel() for a, b in row_chunks(coef.shape))),
        start=0.0,
    )
