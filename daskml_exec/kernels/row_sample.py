"""Choose rows for a sample by their number in the whole data, whatever its partitions."""

from typing import Any

import numpy as np
from array_api_compat import device

from daskml_exec.kernels.array_namespace import array_namespace, is_host
from daskml_exec.kernels.arrays import Rows

# 2**64 by the golden ratio: its multiples are spread evenly, at distances of three sizes, so that
# data with a period of its own (days of a week, classes in turn) does not fall in step.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def row_sample(start: int, n: int, share: float) -> Rows:
    """Return which of the n rows from row `start` on belong to the sample.

    Parameters
    ----------
    start : int
        Number of the first row in the whole data.
    n : int
    share : float
        Of all rows, that are in the sample; from 1 on, all are.

    Source: Knuth (1998), The Art of Computer Programming, volume 3, section 6.4 (Fibonacci
    hashing).

    Examples
    --------
    >>> row_sample(0, 10, 0.25)
    array([0, 2, 5])
    >>> row_sample(5, 5, 0.25)
    array([0])
    """
    if share >= 1.0:
        return np.arange(n)
    with np.errstate(over="ignore"):
        places = np.arange(start, start + n, dtype=np.uint64) * _GOLDEN
    return np.flatnonzero(places < np.uint64(share * 2.0**64))


def take_rows(X: Any, rows: Rows) -> Any:
    """Return these rows of a host or device array or a CSR matrix, where it is."""
    if is_host(X):
        return X[rows]
    xp = array_namespace(X)
    return xp.take(X, xp.asarray(rows, device=device(X)), axis=0)
