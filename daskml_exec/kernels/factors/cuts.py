"""Where rows are cut into blocks, so that all blocks take about as long."""

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.factors.chunks import ROWS


def half_step_costs(counts: Array, n_factors: int) -> Array:
    """Return about how many multiplications the factors of each row take.

    A row of n entries takes a system of the smaller of n and k unknowns: n entries times k of that
    to set it up, and a third of a cube to solve it; and k to read each entry and to write the row.

    Parameters
    ----------
    counts : ndarray of shape (n_rows,)
        Entries of each row.
    n_factors : int
    """
    n, k = counts.astype(np.float64), float(n_factors)
    unknowns = np.minimum(n, k)
    return unknowns * n * k / 2 + unknowns**3 / 6 + 8 * k * (n + 1)


def cut_by_cost(costs: Array, n_blocks: int) -> Array:
    """Return the first row of each block, and the number of rows behind them.

    Parameters
    ----------
    costs : ndarray of shape (n_rows,)
    n_blocks : int

    Returns
    -------
    ndarray of int64 of shape (n_blocks + 1,)
        All but the last are multiples of `chunks.ROWS`; blocks may be without rows.

    Examples
    --------
    >>> cut_by_cost(np.ones(100), 3)
    array([  0,  32,  64, 100])
    """
    n = len(costs)
    sums = np.add.accumulate(np.append(0.0, costs))
    ends = np.append(np.arange(0, n, ROWS), n)
    wanted = sums[-1] * np.arange(1, n_blocks) / n_blocks
    at = np.searchsorted(sums[ends], wanted)
    before = np.maximum(at - 1, 0)
    nearer = np.where(wanted - sums[ends[before]] < sums[ends[at]] - wanted, before, at)
    return np.concatenate([[0], ends[nearer], [n]]).astype(np.int64)
