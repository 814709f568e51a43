"""What the cells of a grid compute of a generalised linear model's objective."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.executor import GridOutcome, GridRunner
from daskml_exec.kernels.array_namespace import total_weight
from daskml_exec.kernels.arrays import Array, Rows
from daskml_exec.kernels.feature_blocks import partial_gradient, partial_margins
from daskml_exec.kernels.fixed_tree import fold
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.kernels.losses import Loss, far_steps, weighted_residuals
from daskml_exec.kernels.moments import Moments, column_moments
from daskml_exec.kernels.row_sample import row_sample
from daskml_exec.kernels.sums import FieldwiseSum
from daskml_exec.linear_model._problem import MomentsAndPool, Parameters, PartitionMoments, Pool
from daskml_exec.partitions import Cell, Grid, Partition, Place
from daskml_exec.training import CellExchange, payload_nbytes

_NUMBER = 8
"""Bytes of what travels, which is all in float64."""


@dataclass(frozen=True)
class Slice:
    """What travels to the cells of one column block: its part of the parameters."""

    coef: Array
    center: Array | None


@dataclass(frozen=True)
class RowSums(FieldwiseSum):
    """Sums over rows of what belongs to no column."""

    weight: float
    loss: float
    intercept: Array


@dataclass(frozen=True)
class GradientExchange:
    """Margins of the cells, residuals of their rows, the gradient of each column block."""

    loss: Loss
    homogeneous: bool = False
    """Whether targets count as zero."""

    def forward(self, cell: Cell, message: Slice) -> Array:
        """Return the cell's part of the margins, shape (K, n)."""
        return partial_margins(cell.X, message.coef, message.center)

    def meet(
        self, row: Partition, parts: Sequence[Array], intercept: Array
    ) -> tuple[Array, RowSums]:
        """Return weighted residuals, shape (K, n), and the sums of the rows."""
        with far_steps():
            margins: Array = fold(parts, np.add) + intercept[:, None]
            y = np.zeros(len(row.y)) if self.homogeneous else row.y
            value, residuals = weighted_residuals(self.loss, margins, y, row.sample_weight)
            weight = total_weight(row.y, row.sample_weight)
            return residuals, RowSums(weight, value, residuals.sum(axis=1))

    def backward(self, cell: Cell, returned: Array, message: Array | None) -> Array:
        """Return the cell's part of the gradient, shape (K, d_j)."""
        return partial_gradient(cell.X, returned, message)


@dataclass(frozen=True)
class CellMoments:
    """Moments of the columns of a cell, where it is not finite, and its part of sampled rows."""

    columns: Moments
    place: Place | None
    pieces: tuple[Any, ...]

    def __add__(self, other: "CellMoments") -> "CellMoments":
        return CellMoments(
            self.columns + other.columns,
            min((p for p in (self.place, other.place) if p is not None), default=None),
            self.pieces + other.pieces,
        )


@dataclass(frozen=True)
class RowMoments(FieldwiseSum):
    """Moments of the targets, and targets and weights of sampled rows."""

    target: Moments
    pieces: tuple[tuple[Array, Array], ...]


@dataclass(frozen=True)
class MomentsPass:
    """Moments of the columns and of the targets; and a sample of this share of all rows."""

    share: float

    def of_cell(self, cell: Cell, row: Partition) -> CellMoments:
        """Return the moments of the cell's columns."""
        columns = column_moments(cell.X, row.sample_weight)
        place = None if columns.finite.all() else cell.first_non_finite()
        pieces = (cell.X[self._sample(row)],) if self.share else ()
        return CellMoments(columns, place, pieces)

    def of_row(self, row: Partition) -> RowMoments:
        """Return the moments of the targets."""
        y = np.asarray(row.y, dtype=np.float64)[:, None]
        moments = column_moments(y, row.sample_weight)
        if not self.share:
            return RowMoments(moments, ())
        rows = self._sample(row)
        weight = np.ones(len(rows)) if row.sample_weight is None else row.sample_weight[rows]
        return RowMoments(moments, ((row.y[rows], weight),))

    def _sample(self, row: Partition) -> Rows:
        return row_sample(row.start, len(row.y), self.share)


def slices(at: Parameters, columns: Sequence[slice]) -> list[Slice]:
    """Cut the parameters into what each column block needs of them."""
    return [
        Slice(
            np.ascontiguousarray(at.coef[:, block]),
            None if at.center is None else at.center[block],
        )
        for block in columns
    ]


def joined_sums(gradients: Sequence[Array], rows: RowSums) -> LossSums:
    """Return the sums of loss and gradient over all rows and columns."""
    coef = np.concatenate(gradients, axis=1)
    return LossSums(rows.weight, rows.loss, coef, rows.intercept)


def joined_moments(columns: Sequence[CellMoments], rows: RowMoments) -> MomentsAndPool:
    """Return the moments of all columns, the first place that is not finite, and sampled rows."""
    place = min((part.place for part in columns if part.place is not None), default=None)
    moments = Moments(
        columns[0].columns.weight,
        np.concatenate([part.columns.mean for part in columns]),
        np.concatenate([part.columns.spread for part in columns]),
    )
    cells = zip(*(part.pieces for part in columns), strict=True)
    pool = tuple((_joined(row), *target) for row, target in zip(cells, rows.pieces, strict=True))
    return MomentsAndPool(PartitionMoments(moments, rows.target, place), Pool(pool))


@dataclass(frozen=True)
class _MomentsOverCells:
    """`OverCells` of moments: no exchange is needed."""

    over: MomentsPass

    def submit(self, runner: GridRunner, name: str) -> GridOutcome:
        return runner.run_pass(self.over, name=name)

    def joined(self, outcome: GridOutcome) -> MomentsAndPool:
        return joined_moments(outcome.columns, outcome.rows)

    def bytes_out(self, grid: Grid) -> int:
        return grid.n_blocks * len(grid.rows) * payload_nbytes(self.over)

    def bytes_back(self, grid: Grid, answer: MomentsAndPool) -> int:
        each = 2 * grid.n_features + grid.n_blocks + 3  # means, spreads, weights; the target's
        return len(grid.rows) * _NUMBER * each + payload_nbytes(answer.pool)

    def bytes_between(self, grid: Grid) -> int:
        return 0


def pass_for_moments(share: float) -> _MomentsOverCells:
    """Return how cells answer a query for moments and a sample of this share of all rows."""
    return _MomentsOverCells(MomentsPass(share))


def exchanged_gradient(
    loss: Loss, at: Parameters, columns: Sequence[slice], *, homogeneous: bool = False
) -> CellExchange:
    """Return how cells answer a query for loss and gradient; for targets of zero if asked."""
    messages = slices(at, columns)
    return CellExchange(
        GradientExchange(loss, homogeneous),
        messages,
        at.intercept,
        [message.center for message in messages],
        joined_sums,
        _NUMBER * len(at.intercept),
    )


def _joined(pieces: Sequence[Any]) -> Any:
    """Return the columns of all pieces side by side."""
    if any(sp.issparse(piece) for piece in pieces):
        return sp.hstack(pieces, format="csr")
    return np.concatenate(pieces, axis=1)
