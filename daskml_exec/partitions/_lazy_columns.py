"""What transformers have made of a Dask array, side by side: all chunks dense, or all CSR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
import scipy.sparse as sp


def sparse_enough(parts: Sequence[Any], threshold: float) -> bool:
    """Return whether the parts become sparse together: by the first rows that there are.

    Parameters
    ----------
    parts : sequence of Dask arrays
        With the same chunks of rows.
    threshold : float
        The share of values other than zero that is too large, as of scikit-learn's.
    """
    if not any(sp.issparse(part._meta) for part in parts):
        return False
    filled = [index for index, rows in enumerate(parts[0].chunks[0]) if rows]
    first = dask.compute(*(part.blocks[filled[0] if filled else 0] for part in parts))
    stored = sum(block.nnz if sp.issparse(block) else block.size for block in first)
    total = sum(int(np.prod(block.shape)) for block in first)
    return bool(total and stored / total < threshold)


def columns_side_by_side(parts: Sequence[Any], *, sparse: bool) -> Any:
    """Return one Dask array of the columns of all parts, lazily.

    Parameters
    ----------
    parts : sequence of Dask arrays
        With the same chunks of rows, and one chunk of columns each.
    sparse : bool
        Whether chunks are CSR.
    """
    meta = _joined(*(part._meta[:0] for part in parts), sparse=sparse)
    width = sum(part.shape[1] for part in parts)
    return da.map_blocks(
        _joined,
        *(part.rechunk({1: -1}) if part.numblocks[1] > 1 else part for part in parts),
        sparse=sparse,
        chunks=(parts[0].chunks[0], (width,)),
        dtype=meta.dtype,
        meta=meta,
    )


def _joined(*blocks: Any, sparse: bool) -> Any:
    if sparse:
        return sp.hstack([sp.csr_matrix(block) for block in blocks], format="csr")
    return np.hstack([block.toarray() if sp.issparse(block) else block for block in blocks])
