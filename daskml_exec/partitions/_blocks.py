"""Turn a collection on the cluster into blocks: futures in a grid of rows and columns.

Everything behind this module works on futures of NumPy, SciPy, pandas or CuPy objects, so that
the kinds of collection, and the two engines of ``dask.array``, differ here only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Client, Future, futures_of

from daskml_exec.partitions._gather import gather
from daskml_exec.partitions._kinds import (
    ARRAY,
    FUTURES,
    kind_of,
    require_column,
    require_column_shape,
    require_matrix,
    shape_of,
)


@dataclass(frozen=True)
class Blocks:
    """The blocks of one argument.

    Attributes
    ----------
    name : str
        The argument's name, for messages.
    grid : list of list of Future
        Per row block, its column blocks: one, unless X is chunked along features.
    rows : list of int
        Number of rows of each row block.
    """

    name: str
    grid: list[list[Future[Any]]]
    rows: list[int]

    @property
    def n_rows(self) -> int:
        return sum(self.rows)


def blocks_of(client: Client, arguments: dict[str, Any]) -> dict[str, Blocks]:
    """Start computing the collections, together, and return their blocks with their lengths.

    Collections that share parts of their graphs (the X and y of one reader) are persisted in one
    call, so that the shared parts are computed once.
    """
    for name, data in arguments.items():
        if name == "X":
            require_matrix(data)
        else:
            require_column(data, name)
    persisted = _persist(
        client, {name: data for name, data in arguments.items() if kind_of(data) != FUTURES}
    )
    grids = {name: _grid(persisted.get(name, data)) for name, data in arguments.items()}
    lengths = {name: _known_lengths(data) for name, data in arguments.items()}
    unknown = [name for name, known in lengths.items() if known is None]
    first_columns = [row[0] for name in unknown for row in grids[name]]
    shapes_of = client.map(shape_of, first_columns, pure=False, key="partition-shape")
    counted = iter(gather(client, shapes_of, arguments))
    for name in unknown:
        shapes = [next(counted) for _ in grids[name]]
        if name != "X" and kind_of(arguments[name]) == FUTURES:
            require_column_shape(max(shapes, key=len), name)
        lengths[name] = [shape[0] for shape in shapes]
    return {name: Blocks(name, grids[name], lengths[name] or []) for name in arguments}


def cut_like(rows: Sequence[int], column: Blocks) -> list[list[tuple[Future[Any], int, int]]]:
    """Return, per row block of X, the pieces of `column` that make up the same rows."""
    require_rows(sum(rows), column.n_rows, column.name)
    ends = np.cumsum(column.rows)
    starts = ends - column.rows
    pieces, position = [], 0
    for length in rows:
        stop = position + length
        touched = np.flatnonzero((starts < stop) & (ends > position))
        pieces.append(
            [
                (
                    column.grid[i][0],
                    int(max(position, starts[i]) - starts[i]),
                    int(min(stop, ends[i]) - starts[i]),
                )
                for i in touched
            ]
        )
        position = stop
    return pieces


def require_rows(rows: int, length: int, name: str) -> None:
    """Raise ValueError unless a column is as long as X."""
    if length != rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {rows} rows, "
            f"{name} has {length}; they must be the same"
        )


def _persist(client: Client, collections: dict[str, Any]) -> dict[str, Any]:
    """Persist collections in one call per engine: Dask does not mix graphs and expressions."""
    persisted: dict[str, Any] = {}
    for engine in (True, False):
        alike = {name: x for name, x in collections.items() if hasattr(x, "expr") is engine}
        persisted |= zip(alike, client.persist(list(alike.values())), strict=True) if alike else {}
    return persisted


def _grid(data: Any) -> list[list[Future[Any]]]:
    if kind_of(data) == FUTURES:
        return [[future] for future in data]
    # Optimisation renames the blocks of expressions, but their indices stay.
    block: dict[Any, Future[Any]] = {future.key[1:]: future for future in futures_of(data)}
    if kind_of(data) == ARRAY and data.ndim == 2:
        n, m = data.numblocks
        return [[block[i, j] for j in range(m)] for i in range(n)]
    return [[block[i,]] for i in range(len(block))]


def _known_lengths(data: Any) -> list[int] | None:
    if kind_of(data) != ARRAY or np.isnan(data.chunks[0]).any():
        return None
    return [int(length) for length in data.chunks[0]]
