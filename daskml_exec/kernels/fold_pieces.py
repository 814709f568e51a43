"""Cut rows into pieces of one fold each, which stay in cache while many models use them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import is_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.block_sizes import block_sizes
from daskml_exec.kernels.row_sample import take_rows
from daskml_exec.kernels.stop_points import stop_point

# Bytes of the margins and residuals of a block: what many models need beside its rows.
_STORED_BYTES = 12


def fold_pieces(X: Any, fold: Array, n_folds: int) -> Iterator[tuple[int, Any, Any]]:
    """Yield the fold, the places and the rows of pieces of X; dense ones on the host in float64.

    Rows of a block are sorted by fold, unless they are, so that each fold's follow one another;
    `n_folds` stands for rows in no fold. The pieces of a block are valid until the next one.

    Parameters
    ----------
    X : array or CSR matrix of shape (n, d)
    fold : array of shape (n,)
    n_folds : int

    Examples
    --------
    >>> X, fold = np.arange(4.0)[:, None], np.array([1, 0, 1, 0])
    >>> for k, _, rows in fold_pieces(X, fold, 2):
    ...     print(k, rows.ravel())
    0 [1. 3.]
    1 [0. 2.]
    """
    n, d = X.shape
    if not is_host(X):  # there one large product is faster than many small ones
        for k in np.unique(fold).tolist():
            of_fold = np.flatnonzero(fold == k)
            yield min(k, n_folds), of_fold, take_rows(X, of_fold)
        return
    sparse = sp.issparse(X)
    width = _STORED_BYTES * X.nnz / max(1, n) if sparse else 8 * d
    size = max(1, int(block_sizes().product_bytes // max(1, width)))
    buffers = None if sparse else _Buffers(X, min(size, n))
    for start in range(0, n, size):
        stop_point()
        stop = min(start + size, n)
        of_rows = fold[start:stop]
        rows: Any = slice(start, stop)
        if (of_rows[1:] < of_rows[:-1]).any():
            rows = np.argsort(of_rows, kind="stable")
            of_rows = of_rows[rows]
            rows += start
        block = X[rows] if buffers is None else buffers.block(rows, stop - start)
        ends = [*(np.flatnonzero(of_rows[1:] != of_rows[:-1]) + 1).tolist(), stop - start]
        first = 0
        for end in ends:
            places = (
                rows[first:end]
                if not isinstance(rows, slice)
                else slice(start + first, start + end)
            )
            yield min(int(of_rows[first]), n_folds), places, block[first:end]
            first = end


class _Buffers:
    """Rows of a dense matrix in float64, in some order, in memory that is used again."""

    def __init__(self, X: Array, size: int) -> None:
        self._X = X
        self._direct = X.dtype == np.float64 and X.flags.aligned
        self._taken = np.empty((size, X.shape[1]), X.dtype)
        self._doubles = self._taken if self._direct else np.empty((size, X.shape[1]))

    def block(self, rows: Any, length: int) -> Array:
        if isinstance(rows, slice):
            if self._direct:
                return self._X[rows]
            block = self._doubles[:length]
            np.copyto(block, self._X[rows])
            return block
        taken = self._taken[:length]
        np.take(self._X, rows, axis=0, out=taken, mode="clip")
        if self._direct:
            return taken
        block = self._doubles[:length]
        np.copyto(block, taken)
        return block
