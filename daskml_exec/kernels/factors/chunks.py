"""Sums over rows by chunks of a fixed number of them, so that blocks do not change their bits.

A block of rows always begins at a multiple of the chunk, and ends at one if it is not the last.
"""

from typing import Any

import numpy as np

from daskml_exec.kernels.array_namespace import (
    array_namespace,
    doubles,
    has_doubles,
    is_host,
    to_host,
    zeros,
)
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.fixed_tree import Node, fold_siblings

ROWS = 32
"""Rows in a chunk."""

_CHUNKS_AT_ONCE = 64  # a power of two; their Grams are in memory at once


def in_chunks(rows: Any) -> Any:
    """Return rows (n, k) as chunks (m, ROWS, k), with zeros behind the last row."""
    xp, (n, k) = array_namespace(rows), rows.shape
    missing = -n % ROWS
    if missing:
        rows = xp.concat([rows, zeros((missing, k), rows)])
    return xp.reshape(rows, (-1, ROWS, k))


def rotated(rows: Any, basis: Any) -> Any:
    """Return rows (n, k) times basis (k, k).

    Products are of exactly `ROWS` rows each, as the bits of a product by a BLAS may depend on their
    number.
    """
    xp, (n, k) = array_namespace(rows), rows.shape
    if is_host(basis):
        basis = np.ascontiguousarray(basis)  # small products with a transpose take twice as long
    return xp.reshape(xp.matmul(in_chunks(rows), basis), (-1, k))[:n, :]


def gram_nodes(factors: Any, first_row: int, n_rows_total: int) -> dict[Node, Array]:
    """Return the sums of outer products of factors in double, by nodes of the fixed tree.

    The leaves of the tree are the chunks of `ROWS` rows of all blocks together. `fold_siblings` of
    the nodes of all blocks leaves the root, F'F, with the same bits however rows were cut.

    Parameters
    ----------
    factors : array of shape (n, k)
        Of a block of rows. They may be on a device; nodes are on the host.
    first_row : int
        Where the block begins among all rows: a multiple of `ROWS`.
    n_rows_total : int
        Rows of all blocks.

    Returns
    -------
    dict
        Arrays of shape (k, k) by (level, index); none if the block is empty.

    Raises
    ------
    ValueError
        If the block begins or ends inside a chunk.

    Examples
    --------
    >>> nodes = gram_nodes(np.ones((40, 1), np.float32), 32, 72)
    >>> {node: gram.item() for node, gram in nodes.items()}
    {(0, 1): 32.0, (1, 1): 8.0}
    """
    n = int(factors.shape[0])
    if first_row % ROWS:
        raise ValueError(f"first_row is {first_row}: a block begins at a multiple of {ROWS}")
    if first_row + n > n_rows_total or (n % ROWS and first_row + n != n_rows_total):
        raise ValueError(
            f"factors are those of rows {first_row} to {first_row + n} of {n_rows_total}: a block "
            f"ends at a multiple of {ROWS} or at the last row"
        )
    factors = factors if has_doubles(factors) else to_host(factors)
    xp, leaves, first = array_namespace(factors), -(-n_rows_total // ROWS), first_row // ROWS
    nodes: dict[Node, Any] = {}
    begin = 0
    while begin < n:
        chunk = first + begin // ROWS
        end = min(n, begin + (_CHUNKS_AT_ONCE - chunk % _CHUNKS_AT_ONCE) * ROWS)
        chunks = in_chunks(doubles(factors[begin:end, :]))
        grams = xp.matmul(xp.matrix_transpose(chunks), chunks)
        there = {(0, chunk + i): grams[i, ...] for i in range(grams.shape[0])}
        nodes |= fold_siblings(there, leaves, _sum)
        begin = end
    return {at: to_host(gram) for at, gram in fold_siblings(nodes, leaves, _sum).items()}


def chunk_sums(values: Any) -> Any:
    """Return the sums (m,) of values (n,) in double by chunks of `ROWS`, the last one shorter.

    Each is a sum of halves of halves, so that its bits depend on its values alone.

    Examples
    --------
    >>> chunk_sums(np.ones(40))
    array([32.,  8.])
    """
    xp = array_namespace(values)
    sums = xp.reshape(in_chunks(values[:, None]), (-1, ROWS))
    while (width := sums.shape[1] // 2) > 0:
        sums = sums[:, :width] + sums[:, width:]
    return sums[:, 0]


def _sum(left: Any, right: Any) -> Any:
    return left + right
