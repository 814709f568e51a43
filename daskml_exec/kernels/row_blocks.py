"""Cut a dense matrix into row blocks that stay in cache while they are used twice."""

from collections.abc import Iterator
from typing import Any

import numpy as np

# A block is read from memory once and then used from the second-level cache.
_BLOCK_BYTES = 2**20


def row_blocks(X: np.ndarray[Any, Any]) -> Iterator[tuple[slice, np.ndarray[Any, Any]]]:
    """Yield consecutive row slices and the rows in float64.

    The blocks depend on the shape alone. Rows in another dtype are converted block by block into
    one buffer, so a block is valid until the next one is asked for.
    """
    n, d = X.shape
    rows = max(1, _BLOCK_BYTES // max(1, 8 * d))
    buffer = None if X.dtype == np.float64 else np.empty((min(rows, n), d))
    for start in range(0, n, rows):
        where = slice(start, min(start + rows, n))
        if buffer is None:
            yield where, X[where]
        else:
            block = buffer[: where.stop - start]
            np.copyto(block, X[where])
            yield where, block
