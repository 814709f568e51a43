"""Data cut along both axes: a grid of cells on the workers, and the targets of their rows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from distributed import Future

from daskml_exec.executor import Band, Executor, GridRunner
from daskml_exec.kernels.moments import first_non_finite
from daskml_exec.partitions._partition import matrix_nbytes
from daskml_exec.partitions._places import Place
from daskml_exec.partitions._recipes import Source
from daskml_exec.partitions._relative import AS_GIVEN, TargetForm


@dataclass(frozen=True)
class Cell:
    """One row block of one column block.

    `X` is a C-ordered array or a canonical CSR matrix in float32 or float64; `row` and `column`
    are the cell's indices in the grid, `start` counts the columns of all column blocks before.
    """

    row: int
    column: int
    start: int
    X: Any

    def first_non_finite(self) -> Place | None:
        """Return the place of the first value that is not finite, if there is one."""
        where = first_non_finite(self.X)
        if where is None:
            return None
        row, column, what = where
        return self.row, row, self.start + column, what

    def __sizeof__(self) -> int:
        """Return the bytes of the values: Dask spills by what it is told that objects take."""
        X = self.X
        parts = [X.data, X.indices, X.indptr] if sp.issparse(X) else [X]
        return object.__sizeof__(self) + sum(part.nbytes for part in parts)


@dataclass(frozen=True)
class Grid:
    """What the driver knows of the cells.

    Attributes
    ----------
    executor : Executor
    cells : tuple of tuples of Future
        Per row block its column blocks, each of a `Cell`.
    bands : tuple of Band
        Targets and weights: futures of dicts from row block to a `Partition` without X.
    rows : tuple of int
        Rows of each row block.
    column_bounds : tuple of int
        Where column blocks begin, and the number of columns.
    nonzeros, dtype, feature_names, workers_lost_before, form, source
        As of `Partitions`.
    """

    executor: Executor
    cells: tuple[tuple[Future[Any], ...], ...]
    bands: tuple[Band, ...]
    rows: tuple[int, ...]
    column_bounds: tuple[int, ...]
    nonzeros: int | None
    dtype: np.dtype[Any]
    feature_names: tuple[str, ...] | None
    workers_lost_before: int
    form: TargetForm = AS_GIVEN
    source: Source | None = None

    @property
    def held(self) -> tuple[Any, ...]:
        """The futures of cells, which tell one load from the next."""
        return self.cells

    @property
    def futures_held(self) -> list[Future[Any]]:
        """All futures that are released together."""
        return [*itertools.chain(*self.cells), *(band.future for band in self.bands)]

    @property
    def n_features(self) -> int:
        """Columns of all column blocks together."""
        return self.column_bounds[-1]

    @property
    def n_blocks(self) -> int:
        """Number of column blocks."""
        return len(self.column_bounds) - 1

    @property
    def columns(self) -> list[slice]:
        """The columns of each block."""
        starts, stops = self.column_bounds[:-1], self.column_bounds[1:]
        return [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]

    @property
    def nbytes(self) -> int:
        """Bytes of X: of all values if it is dense, else of stored ones with their columns."""
        return matrix_nbytes(sum(self.rows), self.n_features, self.nonzeros, self.dtype)

    def runner(self, nbytes: Any) -> GridRunner:
        """Return what runs rounds over the cells; `nbytes` gives the size of a message."""
        per_value = self.nbytes / max(1, sum(self.rows) * self.n_features)
        widths = np.diff(self.column_bounds)
        return GridRunner(
            self.executor,
            self.cells,
            self.bands,
            nbytes,
            self.workers_lost_before,
            lambda i, j: int(per_value * self.rows[i] * widths[j]),
        )

    def forget(self) -> None:
        """Let the cluster forget these cells and targets, whoever still holds this object."""
        for future in self.futures_held:
            future.release()

    def release(self) -> None:
        """Let the cluster forget the cells for good, if they belong to who asks."""
        if self.source is None:
            self.forget()
        else:
            self.source.close()
