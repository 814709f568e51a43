"""The sums that a fit needs over a grid of cells, one round each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import scipy.sparse as sp

from daskml_exec.executor import GridRunner, LostPartitionError
from daskml_exec.linear_model._grid_problem import (
    GradientExchange,
    MomentsPass,
    Slice,
    joined_moments,
    joined_sums,
    slices,
)
from daskml_exec.linear_model._problem import GLMProblem, Parameters
from daskml_exec.partitions import Grid, loaded_again

# How often in a row the cells are loaded again, before the cluster is given up.
_MAX_RELOADS = 3
_NUMBER = 8
"""Bytes of what travels, which is all in float64."""


@dataclass(frozen=True)
class Evaluated:
    """A sum over the whole grid, and what it took.

    Bytes are the payload's per cell, out and back, and per row block for what belongs to rows,
    whatever the placement; `bytes_between` those of margins and residuals, which go from cells to
    rows and back.
    """

    total: Any
    bytes_out: int
    bytes_back: int
    bytes_between: int
    outcome: Any


class GridRounds:
    """Evaluates moments and gradients of a problem over a grid."""

    def __init__(self, problem: GLMProblem, grid: Grid, name: str) -> None:
        self.problem, self.grid, self.name = problem, grid, name
        self._runner = grid.runner(_nbytes)

    def moments(self, share: float) -> Evaluated:
        """Return moments and a sample of this share of all rows, as `MomentsAndPool`."""
        name = f"{self.name}-moments"
        outcome = self._answered(lambda runner: runner.run_pass(MomentsPass(share), name=name))
        total = joined_moments(outcome.columns, outcome.rows, self.problem.feature_names)
        n, d, n_blocks = len(self.grid.rows), self.grid.n_features, self.grid.n_blocks
        back = n * _NUMBER * (2 * d + n_blocks + 3)  # means, spreads and weights; the target's
        pieces = [column for piece in total.pool.pieces for column in piece]
        return Evaluated(total, 0, back + sum(map(_nbytes, pieces)), 0, outcome)

    def gradient(self, at: Parameters, *, homogeneous: bool = False) -> Evaluated:
        """Return the sums of loss and gradient, as `LossSums`; for targets of zero if asked."""
        grid, K = self.grid, len(at.intercept)
        messages = slices(at, grid.columns)
        outcome = self._answered(
            lambda runner: runner.run(
                GradientExchange(self.problem.family.loss, homogeneous),
                messages,
                at.intercept,
                [message.center for message in messages],
                name=f"{self.name}-gradient",
            )
        )
        n, rows = len(grid.rows), sum(grid.rows)
        out = n * (sum(map(_nbytes, messages)) + _NUMBER * K)
        back = n * _NUMBER * (K * grid.n_features + K + 2)
        between = 2 * _NUMBER * K * rows * grid.n_blocks
        total = joined_sums(outcome.columns, outcome.rows)
        return Evaluated(total, out, back, between, outcome)

    def _answered(self, ask: Callable[[GridRunner], Any]) -> Any:
        """Return what a round gives; load the cells again where they are lost."""
        for _ in range(_MAX_RELOADS):
            try:
                return ask(self._runner)
            except LostPartitionError as error:
                self.grid = loaded_again(self.grid, error)
                self._runner.close()
                self._runner = self.grid.runner(_nbytes)
        return ask(self._runner)

    def close(self) -> None:
        """Leave nothing on the cluster."""
        self._runner.close()
        self.grid.release()


def _nbytes(message: Any) -> int:
    if message is None:
        return 0
    if isinstance(message, Slice):
        return _nbytes(message.coef) + _nbytes(message.center)
    parts = [message.data, message.indices, message.indptr] if sp.issparse(message) else [message]
    return sum(int(part.nbytes) for part in parts)
