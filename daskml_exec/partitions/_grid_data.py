"""From what users hold to a grid of cells, with the targets that belong to its rows."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import dask
import numpy as np
import pandas as pd
import scipy.sparse as sp
from distributed import Future

from daskml_exec.executor import Band, Executor, ship, tuning
from daskml_exec.partitions._assemble import astype, matrix, side_by_side
from daskml_exec.partitions._blocks import blocks_of
from daskml_exec.partitions._from_cluster import rows_on_cluster
from daskml_exec.partitions._gather import gather, refusing
from daskml_exec.partitions._given import Given
from daskml_exec.partitions._grid import Cell, Grid
from daskml_exec.partitions._grid_columns import block_bounds, overlaps, source_widths
from daskml_exec.partitions._kinds import (
    FRAME,
    Reading,
    frame_meta,
    is_collection,
    kind_of,
    names_of,
    require_matrix,
)
from daskml_exec.partitions._memory import row_bounds
from daskml_exec.partitions._partition import Partition, Partitions
from daskml_exec.partitions._predict import require_labels
from daskml_exec.partitions._refusals import column_labels
from daskml_exec.partitions._row_leaves import canonical
from daskml_exec.partitions._target import Settled

_MOST_BANDS = 32


def grid_of(given: Given, n_blocks: int | str) -> tuple[Grid, Settled]:
    """Cut X along both axes and hold it as cells, with the targets of their rows.

    Parameters
    ----------
    given : Given
        X is an array, CSR matrix, Dask array or Dask dataframe.
    n_blocks : int or "auto"
        Column blocks, as of `block_bounds`.

    Raises
    ------
    ValueError, TypeError
        As the target and `block_bounds`; X is a list of futures, or its column chunks are unknown.
    """
    cut = _cut(given, n_blocks)
    rows, settled = rows_on_cluster(given.executor, cut.rows_only, cut.y, cut.weight, given.target)
    n_outputs = 1 if settled.classes is None else len(settled.classes)
    return cut.grid(rows, settled.n_targets or n_outputs), settled


@dataclass(frozen=True)
class _Cut:
    """Cells, and targets that are still as the user gave them."""

    executor: Executor
    cells: list[list[Future[Any]]]
    rows_only: list[Future[Any]]
    """Per row block, a column of zeros: what aligns targets to rows without holding any."""
    y: Any
    weight: Any
    row_counts: list[int]
    bounds: list[int]
    nonzeros: int | None
    dtype: np.dtype[Any]
    feature_names: tuple[str, ...] | None
    workers_lost_before: int

    def grid(self, rows: Partitions, n_outputs: int) -> Grid:
        return Grid(
            executor=self.executor,
            cells=tuple(map(tuple, self.cells)),
            bands=tuple(_bands(self.executor, rows, n_outputs)),
            rows=tuple(self.row_counts),
            column_bounds=tuple(self.bounds),
            nonzeros=self.nonzeros,
            dtype=self.dtype,
            feature_names=self.feature_names,
            workers_lost_before=self.workers_lost_before,
            form=rows.form,
        )


def _cut(given: Given, n_blocks: int | str) -> _Cut:
    executor, X, names = given.executor, given.X, given.feature_names
    columns = {"y": given.y, "sample_weight": given.sample_weight}
    workers_lost_before = len(executor.events.workers_lost)
    require_matrix(X)
    widths = source_widths(X)
    bounds = block_bounds(widths, n_blocks)
    workers = executor.check_workers()
    if is_collection(X):
        if kind_of(X) == FRAME:
            names = names_of(pd.DataFrame(columns=list(frame_meta(X).columns)))
        there = {name: column for name, column in columns.items() if is_collection(column)}
        reading = Reading(several=given.target.several)
        blocks = blocks_of(executor.client, {"X": X, **there}, reading)
        columns |= {name: [row[0] for row in blocks[name].grid] for name in there}
        cells = _assembled(executor, blocks["X"].grid, widths, bounds, workers)
        if kind_of(X) == FRAME:
            _check_labels(executor, X, [row[0] for row in blocks["X"].grid])
    else:
        cells = _shipped(executor, canonical(X), bounds, workers)
    in_blocks = replace(given, **columns, feature_names=names)
    return _described(in_blocks, cells, bounds, workers_lost_before)


def _check_labels(executor: Executor, X: Any, frames: list[Future[Any]]) -> None:
    """Raise ValueError for a frame with other columns; names come here, and go nowhere."""
    tasks = executor.client.map(column_labels, frames, pure=False, key="column-labels")
    for index, found in enumerate(gather(executor.client, tasks, {"X": X})):
        require_labels(found, column_labels(frame_meta(X)), f"partition {index}")


def _described(
    given: Given, cells: list[list[Future[Any]]], bounds: list[int], workers_lost_before: int
) -> _Cut:
    """Find out what the cells hold, and bring them into one dtype."""
    client = given.executor.client
    flat = list(itertools.chain(*cells))
    arguments = {"X": given.X, "y": given.y, "sample_weight": given.sample_weight}
    tasks = client.map(_summarise, flat, pure=False, key="summarise-cell")
    summaries: list[_Summary] = gather(client, tasks, arguments)
    _check_shapes(summaries, bounds)
    n_blocks = len(bounds) - 1
    filled = [summary for summary in summaries if summary.rows] or summaries
    dtype = np.result_type(*(summary.dtype for summary in filled))
    if any(summary.dtype != dtype for summary in summaries):
        flat = client.map(_in_dtype, flat, [dtype] * len(flat), pure=False, key="cell-dtype")
        cells = [flat[at : at + n_blocks] for at in range(0, len(flat), n_blocks)]
    known = [summary.nonzeros for summary in filled if summary.nonzeros is not None]
    return _Cut(
        executor=given.executor,
        cells=cells,
        rows_only=client.map(_zeros, [row[0] for row in cells], pure=False, key="rows-only"),
        y=given.y,
        weight=given.sample_weight,
        row_counts=[summary.rows for summary in summaries[::n_blocks]],
        bounds=bounds,
        nonzeros=sum(known) if len(known) == len(filled) else None,
        dtype=dtype,
        feature_names=given.feature_names,
        workers_lost_before=workers_lost_before,
    )


def _assembled(
    executor: Executor,
    blocks: list[list[Future[Any]]],
    widths: list[int],
    bounds: list[int],
    workers: tuple[str, ...],
) -> list[list[Future[Any]]]:
    """Cut the blocks of a collection at other columns, in one task per cell."""
    client = executor.client
    pieces = overlaps(widths, bounds)
    n_rows, n_blocks = len(blocks), len(pieces)
    index = [(i, j) for i in range(n_rows) for j in range(n_blocks)]
    prefix = f"cell-{dask.base.tokenize(object())}"
    keys = [f"{prefix}-{i}-{j}" for i, j in index]
    place = {
        key: _worker(i, j, n_rows, n_blocks, workers)
        for key, (i, j) in zip(keys, index, strict=True)
    }
    with dask.annotate(workers=place.get, allow_other_workers=True):
        futures = client.map(
            _cell,
            [i for i, _ in index],
            [j for _, j in index],
            [bounds[j] for _, j in index],
            [[(blocks[i][b], start, stop) for b, start, stop in pieces[j]] for i, j in index],
            key=keys,
            pure=False,
        )
    for key, future in zip(keys, futures, strict=True):
        executor.events.place(client, key, place[key], owner=future)
    return [futures[at : at + n_blocks] for at in range(0, len(futures), n_blocks)]


def _shipped(
    executor: Executor, X: Any, bounds: list[int], workers: tuple[str, ...]
) -> list[list[Future[Any]]]:
    """Cut data that the driver owns; its rows as they are cut for data parallel fits."""
    rows = list(itertools.pairwise(row_bounds(X)))
    columns = list(itertools.pairwise(bounds))
    return [
        [
            ship(
                executor.client,
                Cell(i, j, low, _piece(X, start, stop, low, high)),
                name="cell",
                worker=_worker(i, j, len(rows), len(columns), workers),
                in_process=executor.in_process,
            )
            for j, (low, high) in enumerate(columns)
        ]
        for i, (start, stop) in enumerate(rows)
    ]


def _piece(X: Any, start: int, stop: int, low: int, high: int) -> Any:
    piece = X[start:stop, low:high]
    return canonical(piece) if sp.issparse(X) else np.ascontiguousarray(piece)


def _worker(i: int, j: int, n_rows: int, n_blocks: int, workers: tuple[str, ...]) -> str:
    """Return who holds a cell: column blocks in turn, so that nobody holds whole rows."""
    return workers[(j * n_rows + i) * len(workers) // (n_rows * n_blocks)]


def _bands(executor: Executor, rows: Partitions, n_outputs: int) -> list[Band]:
    """Hold the targets of as many row blocks together as meet in one task."""
    n = len(rows.futures)
    wanted = math.ceil(8 * n_outputs * sum(rows.rows) / tuning().band_bytes)
    n_bands = max(1, min(n, wanted, _MOST_BANDS))
    cuts = [number * n // n_bands for number in range(n_bands + 1)]
    indices = [tuple(range(start, stop)) for start, stop in itertools.pairwise(cuts)]
    futures = executor.client.map(
        _band, [[rows.futures[i] for i in band] for band in indices], pure=False, key="band"
    )
    return [Band(band, future) for band, future in zip(indices, futures, strict=True)]


@dataclass(frozen=True)
class _Summary:
    """What the driver needs to know of one cell."""

    row: int
    column: int
    rows: int
    width: int
    nonzeros: int | None
    dtype: np.dtype[Any]


@refusing
def _cell(
    row: int,
    column: int,
    start: int,
    pieces: list[tuple[Any, int, int]],
) -> Cell:
    where = f"partition {row}"
    X = side_by_side([_columns_of(block, low, high) for block, low, high in pieces])
    X = matrix(X, where=where)
    if not (isinstance(X, np.ndarray) or sp.issparse(X)):
        raise ValueError(
            f"X has chunks of {type(X).__name__} in {where}, with parallel='model'; allowed are "
            "NumPy arrays, SciPy CSR matrices and pandas dataframes"
        )
    if isinstance(X, np.ndarray) and not X.flags.aligned:
        X = X.copy()  # it came out of a message, and BLAS would copy it in each round
    return Cell(row, column, start, X)


def _columns_of(block: Any, low: int, high: int) -> Any:
    if isinstance(block, pd.DataFrame):
        return block.iloc[:, low:high]
    whole = high - low == block.shape[1]
    return block if whole else block[:, low:high]


@refusing
def _summarise(cell: Cell) -> _Summary:
    X = cell.X
    nonzeros = X.nnz if sp.issparse(X) else None
    return _Summary(cell.row, cell.column, X.shape[0], X.shape[1], nonzeros, X.dtype)


def _check_shapes(summaries: list[_Summary], bounds: list[int]) -> None:
    first: dict[int, int] = {}
    for summary in summaries:
        expected = bounds[summary.column + 1] - bounds[summary.column]
        if summary.width != expected:
            raise ValueError(
                f"column block {summary.column} of X has {summary.width} columns in partition "
                f"{summary.row}; its chunks say {expected}"
            )
        if summary.rows != first.setdefault(summary.row, summary.rows):
            raise ValueError(
                f"partition {summary.row} of X has {first[summary.row]} rows in column block 0 "
                f"and {summary.rows} in column block {summary.column}; they must be the same"
            )


def _in_dtype(cell: Cell, dtype: np.dtype[Any]) -> Cell:
    return replace(cell, X=astype(cell.X, dtype))


def _zeros(cell: Cell) -> Any:
    return np.zeros((cell.X.shape[0], 1))


def _band(rows: list[Partition]) -> dict[int, Partition]:
    return {row.index: replace(row, X=None) for row in rows}
