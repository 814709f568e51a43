"""What runs on a worker in a round over a grid: the stages of the cells of one column block."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from distributed import get_worker

from daskml_exec.executor._blas import single_threaded_blas
from daskml_exec.executor._heap import heap_kept
from daskml_exec.kernels.fixed_tree import Node, fold_siblings


class Exchange(Protocol):
    """What the three stages of a round compute; all methods are pure and run on Workers."""

    def forward(self, cell: Any, message: Any) -> Any:
        """Return a cell's part of its rows."""

    def meet(self, row: Any, parts: Sequence[Any], common: Any) -> tuple[Any, Any]:
        """Take a row block's parts, in column order; return what goes back, and what is summed."""

    def backward(self, cell: Any, returned: Any, message: Any) -> Any:
        """Return a cell's sum, of what `meet` returned for its rows."""


class Pass(Protocol):
    """What a round without an exchange computes; all methods are pure and run on Workers."""

    def of_cell(self, cell: Any, row: Any) -> Any:
        """Return a cell's sum."""

    def of_row(self, row: Any) -> Any:
        """Return a row block's sum."""


@dataclass(frozen=True)
class CellGroup:
    """Cells of one column block that one task serves, on the worker named."""

    worker: str | None
    column: int
    rows: list[int]


@dataclass(frozen=True)
class Parts:
    """What stays on a worker between two stages: a value per row block, and what it took."""

    column: int
    """Whose part it is; none's, and -1, of what belongs to whole rows."""
    values: dict[int, Any]
    sums: dict[int, Any]
    spent: dict[str, tuple[str, float]]
    """Per task that had a part in it: worker and seconds."""

    def __sizeof__(self) -> int:
        # Dask asks this when it chooses between moving this and moving what is combined with it.
        return 256 + sum(getattr(value, "nbytes", 64) for value in self.values.values())


@dataclass(frozen=True)
class ColumnTotal:
    """Subtrees of the fixed tree over some row blocks of one column block."""

    column: int
    nodes: dict[Node, Any]
    row_nodes: dict[Node, Any]
    spent: dict[str, tuple[str, float]]


def forward_cells(
    exchange: Exchange, key: str, group: CellGroup, cells: list[Any], message: Any
) -> Parts:
    """Return the parts of the rows that one column block has, for row blocks of one band."""
    started = time.perf_counter()
    with single_threaded_blas(), heap_kept():
        pairs = zip(group.rows, cells, strict=True)
        values = {i: exchange.forward(cell, message) for i, cell in pairs}
    return Parts(group.column, values, {}, {key: _spent(started)})


def meet_rows(
    exchange: Exchange, key: str, band: dict[int, Any], parts: list[Parts], common: Any
) -> Parts:
    """Return what goes back to the cells of a band's rows, from the parts of all column blocks."""
    started = time.perf_counter()
    values, sums = {}, {}
    with single_threaded_blas(), heap_kept():
        in_order = sorted(parts, key=lambda part: part.column)
        for i, row in band.items():
            of_row = [part.values[i] for part in in_order if i in part.values]
            values[i], sums[i] = exchange.meet(row, of_row, common)
    spent = {k: v for part in parts for k, v in part.spent.items()}
    return Parts(-1, values, sums, spent | {key: _spent(started)})


def backward_cells(
    exchange: Exchange,
    key: str,
    group: CellGroup,
    n_rows: int,
    cells: list[Any],
    message: Any,
    met: list[Parts],
) -> ColumnTotal:
    """Return the sums of one column block, with those of the rows beside the first one."""
    started = time.perf_counter()
    returned = {i: value for parts in met for i, value in parts.values.items()}
    sums = {i: value for parts in met for i, value in parts.sums.items()}
    spent = {k: v for parts in met for k, v in parts.spent.items()}
    values = (
        (i, exchange.backward(cell, returned[i], message))
        for i, cell in zip(group.rows, cells, strict=True)
    )
    of_rows = [(i, sums[i]) for i in group.rows] if group.column == 0 else []
    return _totalled(values, of_rows, group, n_rows, spent, key, started)


def meet_and_backward(
    exchange: Exchange,
    key: str,
    group: CellGroup,
    n_rows: int,
    cells: list[Any],
    message: Any,
    band: dict[int, Any],
    parts: list[Parts],
    common: Any,
) -> ColumnTotal:
    """Return what `backward_cells` does of what `meet_rows` returns for the only band."""
    met = meet_rows(exchange, f"{key}-meet", band, parts, common)
    return backward_cells(exchange, key, group, n_rows, cells, message, [met])


def pass_over_cells(
    over: Pass,
    key: str,
    group: CellGroup,
    n_rows: int,
    cells: list[Any],
    bands: list[dict[int, Any]],
) -> ColumnTotal:
    """Return the sums of one column block in a round without an exchange."""
    started = time.perf_counter()
    targets = {i: row for band in bands for i, row in band.items()}
    pairs = list(zip(group.rows, cells, strict=True))
    values = ((i, over.of_cell(cell, targets[i])) for i, cell in pairs)
    of_rows = ((i, over.of_row(targets[i])) for i, _ in pairs if group.column == 0)
    return _totalled(values, of_rows, group, n_rows, {}, key, started)


def _totalled(
    values: Iterable[tuple[int, Any]],
    of_rows: Iterable[tuple[int, Any]],
    group: CellGroup,
    n_rows: int,
    spent: dict[str, tuple[str, float]],
    key: str,
    started: float,
) -> ColumnTotal:
    """Fold values as they come; what belongs to rows comes along with the first column block."""
    with single_threaded_blas(), heap_kept():
        nodes, row_nodes = _folded(values, n_rows), _folded(of_rows, n_rows)
    return ColumnTotal(group.column, nodes, row_nodes, spent | {key: _spent(started)})


def _folded(values: Iterable[tuple[int, Any]], n_rows: int) -> dict[Node, Any]:
    nodes: dict[Node, Any] = {}
    for i, value in values:
        nodes[0, i] = value
        nodes = fold_siblings(nodes, n_rows, add)
    return nodes


def _spent(started: float) -> tuple[str, float]:
    return get_worker().address, time.perf_counter() - started


def add(left: Any, right: Any) -> Any:
    """Add two partial sums; `left` covers the lower row blocks."""
    return left + right
