"""Matrices in chunks of their rows, small enough that a chunk stays in cache while it is used."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK_ELEMENTS = 2**18
# How a matrix is chunked decides how its squares are summed, so it follows from the shape alone.


def rows_per_chunk(n_columns: int) -> int:
    """Return how many rows of a matrix make up a chunk."""
    return max(1, CHUNK_ELEMENTS // n_columns)


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
