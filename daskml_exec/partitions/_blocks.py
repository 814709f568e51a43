"""Turn a collection on the cluster into blocks: futures in a grid of rows and columns.

Everything behind this module works on futures of NumPy, SciPy, pandas or CuPy objects, so that
the kinds of collection, and the two engines of ``dask.array``, differ here only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Client, Future, futures_of

from daskml_exec.partitions._gather import gather
from daskml_exec.partitions._kinds import (
    ARRAY,
    CHECKED,
    FUTURES,
    Reading,
    kind_of,
    require_column,
    require_column_shape,
    require_matrix,
    require_rows,
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


def blocks_of(
    client: Client, arguments: dict[str, Any], reading: Reading = CHECKED
) -> dict[str, Blocks]:
    """Start computing the collections, together, and return their blocks with their lengths.

    Collections that share parts of their graphs (the X and y of one reader) are persisted in one
    call, so that the shared parts are computed once.
    """
    for name, data in arguments.items():
        if name == "X":
            if not reading.raw:
                require_matrix(data)
        elif not may_be_matrix(name, reading) or _is_one_column(data):
            require_column(data, name)
    columns = {name for name in arguments if name != "X" and not may_be_matrix(name, reading)}
    return row_blocks(client, arguments, columns=columns)


def row_blocks(
    client: Client,
    arguments: dict[str, Any],
    *,
    shape_of: Callable[[Any], Any] = shape_of,
    columns: Set[str] = frozenset(),
) -> dict[str, Blocks]:
    """As `blocks_of`, of collections whose shapes were checked as far as they are known.

    Parameters
    ----------
    client : Client
    arguments : dict of str to Dask collections and lists of futures
    shape_of : callable
        Returns the shape of a block, whose first number are its rows.
    columns : set of str
        Which arguments have one value per row.
    """
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
        if name in columns and kind_of(arguments[name]) == FUTURES:
            require_column_shape(max(shapes, key=len), name)
        lengths[name] = [shape[0] for shape in shapes]
    return {name: Blocks(name, grids[name], lengths[name] or []) for name in arguments}


def block_futures(client: Client, X: Any) -> list[Future[Any]]:
    """Start computing the blocks of a collection of one column, and return them."""
    if kind_of(X) == FUTURES:
        return list(X)
    return [row[0] for row in _grid(_persist(client, {"X": X})["X"])]


def _is_one_column(data: Any) -> bool:
    return kind_of(data) != FUTURES and data.ndim == 2 and data.shape[1] == 1


def may_be_matrix(name: str, reading: Reading) -> bool:
    """Whether an argument beside X may have several columns."""
    return name == "y" and reading.several


def cut_like(rows: Sequence[int], column: Blocks) -> list[list[tuple[Future[Any], int, int]]]:
    """Return, per row block of X, the pieces of `column` that make up the same rows."""
    require_rows(sum(rows), column.n_rows, column.name)
    ends = list(itertools.accumulate(rows))
    return cut_at([(end - length, end) for length, end in zip(rows, ends, strict=True)], column)


def cut_at(
    ranges: Sequence[tuple[int, int]], column: Blocks
) -> list[list[tuple[Future[Any], int, int]]]:
    """Return, per range of rows, the pieces of `column` that make them up."""
    ends = np.cumsum(column.rows)
    starts = ends - column.rows
    pieces = []
    for first, stop in ranges:
        touched = np.flatnonzero((starts < stop) & (ends > first))
        pieces.append(
            [
                (
                    column.grid[i][0],
                    int(max(first, starts[i]) - starts[i]),
                    int(min(stop, ends[i]) - starts[i]),
                )
                for i in touched
            ]
        )
    return pieces


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
    if kind_of(data) == ARRAY:
        n, *others = data.numblocks
        return [[block[i, *place] for place in np.ndindex(*others)] for i in range(n)]
    return [[block[i,]] for i in range(len(block))]


def _known_lengths(data: Any) -> list[int] | None:
    if kind_of(data) != ARRAY or np.isnan(data.chunks[0]).any():
        return None
    return [int(length) for length in data.chunks[0]]
