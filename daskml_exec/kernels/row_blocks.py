"""Cut a dense matrix into row blocks that stay in cache while they are used twice."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from daskml_exec.kernels.array_namespace import is_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.block_sizes import block_sizes
from daskml_exec.kernels.stop_points import stop_point


def row_ranges(X: Array) -> Iterator[slice]:
    """Yield consecutive row slices, which depend on the shape alone."""
    n, d = X.shape
    rows = max(1, block_sizes().row_bytes // max(1, 8 * d))
    for start in range(0, n, rows):
        stop_point()
        yield slice(start, min(start + rows, n))


def row_blocks(X: Any) -> Iterator[tuple[slice, Any]]:
    """Yield consecutive row slices and the rows in float64; on a device, all rows as they are.

    Rows in another dtype are converted block by block into one buffer, so a block is valid until
    the next one is asked for. So are rows at odd addresses, as those are that came out of a
    message from another process: BLAS would be handed a copy of them in each call, at a tenth of
    its speed.
    """
    if not is_host(X):  # there one large product is faster than many small ones
        yield slice(None), X
        return
    direct = X.dtype == np.float64 and X.flags.aligned
    buffer = np.empty((0, X.shape[1]))
    for rows in row_ranges(X):
        if direct:
            yield rows, X[rows]
        else:
            length = rows.stop - rows.start
            if not len(buffer):  # the first block is the largest
                buffer = np.empty((length, X.shape[1]))
            block = buffer[:length]
            np.copyto(block, X[rows])
            yield rows, block
