"""Where to cut the feature axis, and what is known of its chunks without any data."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.partitions._kinds import ARRAY, FRAME, FUTURES, kind_of

# Blocks of data that has none of its own, by its number of columns alone: few, as each costs
# tasks, until the slices of the weights are long.
_FEW_BLOCKS, _COLUMNS_OF_A_BLOCK, _MOST_BLOCKS = 4, 2**16, 64


@dataclass(frozen=True)
class ColumnChunks:
    """What a Dask array says of its chunks.

    Attributes
    ----------
    widths : tuple of int
        Columns of each column chunk.
    most_rows : int or None
        Rows of the longest row chunk, if row chunks are known.
    itemsize : int
    sparse : bool
    """

    widths: tuple[int, ...]
    most_rows: int | None
    itemsize: int
    sparse: bool


def column_chunks(X: Any) -> ColumnChunks | None:
    """Return what a two-dimensional Dask array says of its chunks; None for all else."""
    if kind_of(X) != ARRAY or X.ndim != 2 or np.isnan(X.chunks[1]).any():
        return None
    rows = np.asarray(X.chunks[0], dtype=float)
    most = None if np.isnan(rows).any() else int(rows.max(initial=0))
    widths = tuple(int(width) for width in X.chunks[1])
    return ColumnChunks(widths, most, X.dtype.itemsize, sp.issparse(X._meta))


def source_widths(X: Any) -> list[int]:
    """Return the widths of the column chunks of X, which may be in memory: one then.

    Raises
    ------
    ValueError
        Lists of futures, and arrays whose columns are unknown.
    """
    kind = kind_of(X)
    if kind == FUTURES:
        raise ValueError(
            "X is a list of futures, with parallel='model'; allowed are a Dask array chunked along "
            "rows and features, a Dask dataframe, and data in memory"
        )
    if kind == FRAME:
        return [len(X.columns)]
    if kind == ARRAY:
        chunks = column_chunks(X)
        if chunks is None:
            raise ValueError(
                "X is a Dask array with column chunks of unknown size; parallel='model' allows "
                "unknown row chunks only: X.compute_chunk_sizes() finds them all"
            )
        return list(chunks.widths)
    return [X.shape[1]]


def block_bounds(widths: list[int], n_blocks: int | str) -> list[int]:
    """Return where column blocks begin, and the number of columns.

    Parameters
    ----------
    widths : list of int
        Of the column chunks there are.
    n_blocks : int or "auto"
        Blocks whose widths differ by one at most; "auto" keeps the chunks if there are several.

    Raises
    ------
    ValueError
        There are fewer columns than blocks.

    Examples
    --------
    >>> block_bounds([4, 0, 2], "auto")
    [0, 4, 6]
    >>> block_bounds([7], "auto")
    [0, 1, 3, 5, 7]
    >>> block_bounds([4, 3], 3)
    [0, 2, 4, 7]
    """
    d = sum(widths)
    ends = np.unique(np.cumsum(widths)).tolist()
    if n_blocks == "auto":
        filled = [end for end in ends if end]
        if len(filled) > 1:
            return [0, *filled]
        n = max(_FEW_BLOCKS, -(-d // _COLUMNS_OF_A_BLOCK))
        n = max(1, min(n, _MOST_BLOCKS, d))
    else:
        n = int(n_blocks)
        if n > max(1, d):
            raise ValueError(
                f"n_blocks={n_blocks!r}, but X has {d} columns; allowed are up to as many blocks"
            )
    return [index * d // n for index in range(n + 1)]


def overlaps(widths: list[int], bounds: list[int]) -> list[list[tuple[int, int, int]]]:
    """Return, per column block, the chunks it is cut from, each with its first and last column.

    Examples
    --------
    >>> overlaps([4, 3], [0, 2, 7])
    [[(0, 0, 2)], [(0, 2, 4), (1, 0, 3)]]
    """
    ends = np.cumsum(widths)
    starts = ends - widths
    found = []
    for low, high in itertools.pairwise(bounds):
        touched = np.flatnonzero((starts < high) & (ends > low)).tolist()
        found.append(
            [
                (i, int(max(low, starts[i]) - starts[i]), int(min(high, ends[i]) - starts[i]))
                for i in touched or [0]
            ]
        )
    return found
