"""The rows of a partition as numbers, block by block, whatever holds them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.kernels.block_sizes import block_sizes
from daskml_exec.kernels.row_blocks import row_blocks
from daskml_exec.kernels.stop_points import stop_point
from daskml_exec.partitions._assemble import matrix
from daskml_exec.partitions._row_leaves import row_count, rows_between


def number_blocks(X: Any, *, where: str) -> Iterator[tuple[slice, Any]]:
    """Yield consecutive row slices and these rows as floats, of which few are copied at a time.

    Parameters
    ----------
    X : array, sparse matrix, frame or list of rows
        As it came: of any dtype that holds numbers.
    where : str
        It is, for messages.

    Yields
    ------
    rows : slice
    block : array in float64, canonical CSR matrix of floats, or array on a device
        Valid until the next is asked for. A sparse matrix and what is on a device come as a whole.
        NaN and infinities are left as they are. An X without rows is one block without rows.

    Raises
    ------
    ValueError, TypeError
        What is there is no matrix of numbers; the message names the column, and says where it is.
    """
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype in (np.float32, np.float64) and len(X):
        yield from row_blocks(X)
        return
    for rows in _slices(X):
        stop_point()
        block = matrix(rows_between(X, rows.start, rows.stop), where=where)
        yield rows, block.astype(np.float64) if isinstance(block, np.ndarray) else block


def _slices(X: Any) -> Iterator[slice]:
    """Yield slices of rows that are few bytes, of what can be cut without a copy of all of it."""
    n = at_once = row_count(X)
    if isinstance(X, (np.ndarray, pd.DataFrame, list)) and n:
        width = len(X[0]) if isinstance(X, list) else X.shape[-1]
        at_once = max(1, block_sizes().row_bytes // (8 * max(1, width)))
    for start in range(0, max(n, 1), max(at_once, 1)):
        yield slice(start, min(start + at_once, n))
