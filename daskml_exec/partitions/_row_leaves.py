"""Blocks of rows of one kind: arrays, sparse matrices, frames, series and lists."""

from collections.abc import Sequence
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import array_namespace, is_host
from daskml_exec.kernels.arrays import Rows
from daskml_exec.kernels.row_sample import take_rows

# Of so many rows at most, the bytes of texts and objects are counted.
_SAMPLE = 500


def bytes_of(block: Any) -> int:
    """Return the bytes of a block of rows of any kind, about; the same each time it is asked."""
    if block is None:  # rows of which the columns are elsewhere
        return 0
    if sp.issparse(block):
        arrays = (getattr(block, name, None) for name in ("data", "indices", "indptr", "coords"))
        return sum(np.asarray(array).nbytes for array in arrays if array is not None)
    nbytes = getattr(block, "nbytes", None)
    if nbytes is not None and getattr(getattr(block, "dtype", None), "kind", "") != "O":
        return int(nbytes)
    rows = row_count(block)
    some = np.unique(np.linspace(0, rows - 1, min(rows, _SAMPLE)).astype(np.intp))
    return len(cloudpickle.dumps(taken_rows(block, some))) * rows // max(1, len(some))


def row_count(block: Any) -> int:
    """Return the rows of a block, which may be a list."""
    shape = getattr(block, "shape", None)
    return int(shape[0]) if shape else len(block)


def rows_between(block: Any, start: int, stop: int) -> Any:
    """Return a range of the rows of an array, a frame, a series or a list."""
    return block.iloc[start:stop] if hasattr(block, "iloc") else block[start:stop]


def taken_rows(block: Any, rows: Rows) -> Any:
    """Return these rows of an array, a sparse matrix, a frame, a series or a list."""
    if hasattr(block, "iloc"):
        return block.iloc[rows]
    if isinstance(block, list):
        return [block[row] for row in rows]
    return take_rows(block, rows)


def stacked(blocks: Sequence[Any]) -> Any:
    """Return blocks of one kind below one another."""
    first = blocks[0]
    if len(blocks) == 1:
        return first
    if isinstance(first, list):
        return [row for block in blocks for row in block]
    if isinstance(first, (pd.DataFrame, pd.Series)):
        return pd.concat(blocks)
    if any(sp.issparse(block) for block in blocks):
        return canonical(sp.vstack(blocks, format="csr"))
    if is_host(first):
        return np.concatenate(blocks)
    return array_namespace(first).concat(blocks, axis=0)


def canonical(X: Any) -> Any:
    """Return a CSR matrix with sorted indices and without duplicates; dense arrays as they are."""
    if sp.issparse(X) and not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X
