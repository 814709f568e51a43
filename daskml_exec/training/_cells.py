"""Cells answer: a grid of rows and columns, of which the driver alone has whole vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from daskml_exec.executor import Exchange, GridOutcome, GridRunner, LostPartitionError
from daskml_exec.partitions import Grid, loaded_again
from daskml_exec.training._algorithm import Algorithm, S
from daskml_exec.training._answering import (
    MAX_RELOADS,
    Answered,
    Answerer,
    Batch,
    Cost,
    one_round,
)
from daskml_exec.training._payload import payload_nbytes


class OverCells(Protocol):
    """How a grid answers one query; what a query's ``over_cells(columns)`` returns.

    `columns` are the slices of the column blocks.
    """

    def submit(self, runner: GridRunner, name: str) -> GridOutcome:
        """Run the round."""

    def joined(self, outcome: GridOutcome) -> Any:
        """Return what rows would have answered."""

    def bytes_out(self, grid: Grid) -> int:
        """Return the bytes of what goes to all cells and row blocks."""

    def bytes_back(self, grid: Grid, answer: Any) -> int:
        """Return the bytes of what comes back from each of them."""

    def bytes_between(self, grid: Grid) -> int:
        """Return the bytes that go from cells to rows and back."""


@dataclass(frozen=True)
class CellExchange:
    """`OverCells` with an exchange: parts of rows from their cells, and back what they add up to.

    Parameters
    ----------
    exchange : Exchange
    messages : sequence of objects
        Per column block, what its cells need on the way out.
    common : object
        What row blocks need.
    returning : sequence of objects
        Per column block, what its cells need on the way back.
    join : callable
        Takes the sums of each column block and of the rows.
    row_nbytes : int
        Of what one row sends to each of its cells, and they to it.
    """

    exchange: Exchange
    messages: Sequence[Any]
    common: Any
    returning: Sequence[Any]
    join: Callable[[Sequence[Any], Any], Any]
    row_nbytes: int

    def submit(self, runner: GridRunner, name: str) -> GridOutcome:
        return runner.run(self.exchange, self.messages, self.common, self.returning, name=name)

    def joined(self, outcome: GridOutcome) -> Any:
        return self.join(outcome.columns, outcome.rows)

    def bytes_out(self, grid: Grid) -> int:
        each = sum(map(payload_nbytes, self.messages)) + payload_nbytes(self.common)
        return len(grid.rows) * each

    def bytes_back(self, grid: Grid, answer: Any) -> int:
        return len(grid.rows) * payload_nbytes(answer)

    def bytes_between(self, grid: Grid) -> int:
        return 2 * self.row_nbytes * sum(grid.rows) * grid.n_blocks


class CellsAnswerer(Answerer):
    """Answers queries over a grid, one round trip each."""

    def __init__(self, grid: Grid, name: str) -> None:
        self._grid, self._name = grid, name
        self._runner = grid.runner(payload_nbytes)

    @property
    def n_partitions(self) -> int:
        """Row blocks."""
        return len(self._grid.rows)

    def rounds(self, algorithm: Algorithm[S], state: S, query: Any, *, keep: bool) -> Batch[S]:
        """Answer this query."""
        return one_round(self.answer, algorithm, state, query)

    def close(self) -> None:
        """Leave nothing on the cluster that was not there before."""
        self._runner.close()

    def answer(self, query: Any) -> Answered:
        """Have all cells answer one query."""
        over: OverCells = _cells_of(query)(self._grid.columns)
        outcome = self._outcome(over, f"{self._name}-{query.step}")
        answer = over.joined(outcome)
        cost = Cost.of(
            outcome,
            bytes_out=over.bytes_out(self._grid),
            bytes_back=over.bytes_back(self._grid, answer),
            bytes_between=over.bytes_between(self._grid),
        )
        return Answered(query, answer, cost)

    def _outcome(self, over: OverCells, name: str) -> GridOutcome:
        """Run a round; load the cells again where they are lost."""
        for _ in range(MAX_RELOADS):
            try:
                return over.submit(self._runner, name)
            except LostPartitionError as error:
                self._grid = loaded_again(self._grid, error)
                self._runner.close()
                self._runner = self._grid.runner(payload_nbytes)
        return over.submit(self._runner, name)


def _cells_of(query: Any) -> Callable[[Sequence[slice]], OverCells]:
    over = getattr(query, "over_cells", None)
    if over is None:
        raise TypeError(
            f"the query {type(query).__name__} asks for whole rows, and the data is cut into cells "
            "of rows and columns; allowed are queries with a method `over_cells`, and data in rows"
        )
    found: Callable[[Sequence[slice]], OverCells] = over
    return found
