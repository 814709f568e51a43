"""Run rounds over a grid of cells: row blocks times column blocks, with an exchange between them.

A round is one submission of pure tasks, in three stages: each column block's part of every row
(`forward`), the parts of a row added over the column blocks (`meet`), and what that says of each
column block (`backward`). Messages belong to a column block and travel to its tasks alone. As in
`RoundRunner`, a task serves all cells of a column block that one worker holds, placement is soft,
and sums over rows and over columns are the fixed tree's, so that neither the workers nor the
grouping of cells changes bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from dask.task_spec import List, TaskRef
from distributed import Future

from daskml_exec.executor._grid_tasks import (
    CellGroup,
    ColumnTotal,
    Exchange,
    Pass,
    add,
    backward_cells,
    forward_cells,
    meet_and_backward,
    meet_rows,
    pass_over_cells,
)
from daskml_exec.executor._submission import Step, Submission, added_up, refs
from daskml_exec.executor._tuning import tuning
from daskml_exec.kernels.fixed_tree import Node, fold_siblings

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor


@dataclass(frozen=True)
class Band:
    """Some row blocks' targets, held together: a future of a dict from row index to target."""

    indices: tuple[int, ...]
    future: Future[Any]


@dataclass(frozen=True)
class GridOutcome:
    """The totals of one round and what it took."""

    columns: list[Any]
    """Per column block, the sum over all row blocks."""
    rows: Any
    """The sum over row blocks of what belongs to rows."""
    seconds_by_worker: dict[str, float]
    workers_lost: int
    tasks_recomputed: int
    retries: int


class GridRunner:
    """Runs rounds over the cells of a grid.

    Parameters
    ----------
    executor : Executor
    cells : sequence of sequences of distributed.Future
        Per row block, its column blocks.
    bands : sequence of Band
        Which cover each row block once.
    nbytes : callable
        Returns the payload size of a message.
    workers_lost_before : int
        As of `RoundRunner`.
    cell_nbytes : callable
        Returns the size of a cell in memory, from its row and column.
    """

    def __init__(
        self,
        executor: Executor,
        cells: Sequence[Sequence[Future[Any]]],
        bands: Sequence[Band],
        nbytes: Callable[[Any], int],
        workers_lost_before: int,
        cell_nbytes: Callable[[int, int], int],
    ) -> None:
        self._cells = [list(row) for row in cells]
        self._bands = list(bands)
        self.n_rows, self.n_columns = len(cells), len(cells[0])
        self._order = [(i, j) for j in range(self.n_columns) for i in range(self.n_rows)]
        self._submission = Submission(
            executor,
            [self._cells[i][j] for i, j in self._order],
            [cell_nbytes(i, j) for i, j in self._order],
            nbytes,
            workers_lost_before,
            [band.future for band in self._bands],
        )

    def run(
        self,
        exchange: Exchange,
        outgoing: Sequence[Any],
        common: Any,
        returning: Sequence[Any],
        *,
        name: str,
    ) -> GridOutcome:
        """Compute an exchange over all cells and reduce the results.

        Parameters
        ----------
        exchange : Exchange
        outgoing, returning : sequences
            Per column block, the messages of `forward` and of `backward`.
        common : object
            The message of `meet`; small.
        name : str

        Raises
        ------
        LostPartitionError, RuntimeError, TimeoutError
            As `RoundRunner.run`.
        """
        return self._run(partial(self._exchange_steps, exchange, outgoing, common, returning), name)

    def run_pass(self, over: Pass, *, name: str) -> GridOutcome:
        """Compute sums over all cells and row blocks, without an exchange; errors as of `run`."""
        return self._run(partial(self._pass_steps, over), name)

    def close(self) -> None:
        """Leave nothing on the cluster, whoever still holds this object."""
        self._submission.spent.release()

    def _run(self, steps_of: Callable[[str], list[Step]], name: str) -> GridOutcome:
        data = {"the data": [future for row in self._cells for future in row]}
        answer = self._submission.answered(steps_of, name, data)
        self._submission.spent.add(answer.futures, 0, answer.seconds)
        totals: list[ColumnTotal] = answer.results
        columns: list[dict[Node, Any]] = [{} for _ in range(self.n_columns)]
        rows: dict[Node, Any] = {}
        spent: dict[str, tuple[str, float]] = {}
        for total in totals:
            columns[total.column] |= total.nodes
            rows |= total.row_nodes
            spent |= total.spent
        seconds = added_up(spent.values())
        if not set(seconds) <= {group.worker for group in self._submission.groups}:
            self._submission.moved(seconds)
        return GridOutcome(
            columns=[self._folded(nodes) for nodes in columns],
            rows=self._folded(rows),
            seconds_by_worker=seconds,
            workers_lost=answer.workers_lost,
            tasks_recomputed=answer.tasks_recomputed,
            retries=answer.retries,
        )

    def _folded(self, nodes: Mapping[Node, Any]) -> Any:
        (total,) = fold_siblings(nodes, self.n_rows, add).values()
        return total

    def _groups(self) -> list[CellGroup]:
        """Return which cells a task serves: those of a column block that one worker holds."""
        groups = []
        for group in self._submission.groups:
            by_column: dict[int, list[int]] = {}
            for index in group.indices:
                i, j = self._order[index]
                by_column.setdefault(j, []).append(i)
            groups += [CellGroup(group.worker, j, rows) for j, rows in by_column.items()]
        return groups

    def _exchange_steps(
        self,
        exchange: Exchange,
        outgoing: Sequence[Any],
        common: Any,
        returning: Sequence[Any],
        prefix: str,
    ) -> list[Step]:
        groups = self._groups()
        copies = [sum(group.column == j for group in groups) for j in range(self.n_columns)]
        most = tuning().grid_literals_bytes
        out, back = (
            self._submission.outgoing(messages, copies, most, f"{prefix}-message")
            for messages in (outgoing, returning)
        )
        steps: list[Step] = []
        arguments: tuple[Any, ...]
        parts: list[list[TaskRef]] = [[] for _ in self._bands]
        for group in groups:
            for number, band in enumerate(self._bands):
                if rows := sorted(set(group.rows) & set(band.indices)):
                    key = f"{prefix}-forward-{group.column}-{rows[0]}"
                    part = CellGroup(group.worker, group.column, rows)
                    cells = self._refs(group.column, rows)
                    arguments = (exchange, key, part, cells, out[group.column])
                    steps.append(Step(key, group.worker, forward_cells, arguments, travels=False))
                    parts[number].append(TaskRef(key))
        inputs = [
            (TaskRef(band.future.key), List(*of_band), common)
            for band, of_band in zip(self._bands, parts, strict=True)
        ]
        alone = len(self._bands) == 1 and self.n_columns <= tuning().few_columns
        meetings = [f"{prefix}-meet-{number}" for number in range(len(self._bands))]
        if not alone:
            workers = sorted({group.worker for group in groups if group.worker is not None})
            for number, (key, of_band) in enumerate(zip(meetings, inputs, strict=True)):
                worker = workers[number * len(workers) // len(inputs)] if workers else None
                arguments = (exchange, key, *of_band)
                steps.append(Step(key, worker, meet_rows, arguments, travels=False))
        for group in groups:
            key = f"{prefix}-backward-{group.column}-{group.rows[0]}"
            cells = self._refs(group.column, group.rows)
            served = (exchange, key, group, self.n_rows, cells, back[group.column])
            if alone:
                arguments = (*served, *inputs[0])
                steps.append(Step(key, group.worker, meet_and_backward, arguments))
            else:
                met = List(*(TaskRef(meetings[n]) for n in self._bands_of(group)))
                steps.append(Step(key, group.worker, backward_cells, (*served, met)))
        return steps

    def _pass_steps(self, over: Pass, prefix: str) -> list[Step]:
        steps = []
        for group in self._groups():
            key = f"{prefix}-{group.column}-{group.rows[0]}"
            bands = refs(self._bands[n].future for n in self._bands_of(group))
            cells = self._refs(group.column, group.rows)
            arguments = (over, key, group, self.n_rows, cells, bands)
            steps.append(Step(key, group.worker, pass_over_cells, arguments))
        return steps

    def _refs(self, column: int, rows: Sequence[int]) -> List:
        return refs(self._cells[i][column] for i in rows)

    def _bands_of(self, group: CellGroup) -> list[int]:
        rows = set(group.rows)
        return [n for n, band in enumerate(self._bands) if rows & set(band.indices)]
