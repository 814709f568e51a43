"""Run rounds over a grid of cells: row blocks times column blocks, with an exchange between them.

A round is one submission of pure tasks, in three stages: each column block's part of every row
(`forward`), the parts of a row added over the column blocks (`meet`), and what that says of each
column block (`backward`). Messages belong to a column block and travel to its tasks alone. As in
`RoundRunner`, a task serves all cells of a column block that one worker holds, placement is soft,
and sums over rows and over columns are the fixed tree's, so that neither the workers nor the
grouping of cells changes bits.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dask.task_spec import List, Task, TaskRef
from distributed import Future

from daskml_exec.executor._carries import SpentFutures
from daskml_exec.executor._failures import explained_losses
from daskml_exec.executor._gather import gather
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
from daskml_exec.executor._groups import plan_groups
from daskml_exec.executor._round_runner import MAX_RETRIES, PLAN_SECONDS, placement
from daskml_exec.executor._scheduler import scheduler_needed
from daskml_exec.executor._ship import share
from daskml_exec.kernels.fixed_tree import Node, fold_siblings

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor

# Messages travel in the tasks up to this size of all together; else each once, as a future.
_LITERALS_BYTES = 8_000_000
# Of few rows, each of so many column blocks adds up the parts for itself: that is as many times
# the work, which one more stage, of 10 ms, would save.
_FEW_COLUMNS = 8


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
        self._executor = executor
        self._cells = [list(row) for row in cells]
        self._bands = list(bands)
        self._nbytes = nbytes
        self._workers_lost = workers_lost_before
        self.n_rows, self.n_columns = len(cells), len(cells[0])
        self._order = [(i, j) for j in range(self.n_columns) for i in range(self.n_rows)]
        self._sizes = [cell_nbytes(i, j) for i, j in self._order]
        self._data_keys = [
            *(str(future.key) for row in self._cells for future in row),
            *(str(band.future.key) for band in self._bands),
        ]
        self._round_keys: list[str] = []
        self._recomputed_data = 0
        self._groups: list[CellGroup] = []
        self._direct = False
        self._planned_at = -math.inf
        self._spent = SpentFutures()
        self._id = uuid.uuid4().hex[:12]
        self._rounds = 0

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
        self._spent.release()

    def _run(self, steps_of: Callable[..., list[_Step]], name: str) -> GridOutcome:
        retries = 0
        self._round_keys.clear()
        data = {"the data": [future for row in self._cells for future in row]}
        while True:
            try:
                with scheduler_needed(self._executor.client, name), explained_losses(name, data):
                    totals = self._attempt(steps_of, name)
                break
            except CancelledError:
                retries += 1
                if retries > MAX_RETRIES:
                    raise
        columns: list[dict[Node, Any]] = [{} for _ in range(self.n_columns)]
        rows: dict[Node, Any] = {}
        spent: dict[str, tuple[str, float]] = {}
        for total in totals:
            columns[total.column] |= total.nodes
            rows |= total.row_nodes
            spent |= total.spent
        seconds: dict[str, float] = {}
        for worker, took in spent.values():
            seconds[worker] = seconds.get(worker, 0.0) + took
        if not set(seconds) <= {group.worker for group in self._groups}:
            self._planned_at = -math.inf  # cells moved: look again where they are
            self._executor.events.watch(self._executor.client, seconds)
        workers_lost, recomputed = self._losses()
        return GridOutcome(
            columns=[self._folded(nodes) for nodes in columns],
            rows=self._folded(rows),
            seconds_by_worker=seconds,
            workers_lost=workers_lost,
            tasks_recomputed=recomputed,
            retries=retries,
        )

    def _folded(self, nodes: Mapping[Node, Any]) -> Any:
        (total,) = fold_siblings(nodes, self.n_rows, add).values()
        return total

    def _losses(self) -> tuple[int, int]:
        """Return the workers lost and the tasks run again since the last call."""
        events = self._executor.events
        lost = len(events.workers_lost)
        data = events.interruptions(self._data_keys)
        new = data - self._recomputed_data + events.interruptions(self._round_keys)
        new_lost = lost - self._workers_lost
        self._workers_lost, self._recomputed_data = lost, data
        return new_lost, new

    def _attempt(self, steps_of: Callable[..., list[_Step]], name: str) -> list[ColumnTotal]:
        started = time.monotonic()
        self._plan()
        self._rounds += 1
        steps = steps_of(prefix=f"{name}-{self._id}-{self._rounds}")
        self._round_keys.extend(step.key for step in steps)
        with self._submitted(steps) as futures:
            totals: list[ColumnTotal] = gather(self._executor.client, futures, direct=self._direct)
        self._spent.add(futures, 0, time.monotonic() - started)
        return totals

    def _plan(self) -> None:
        """Decide which worker serves which cells, if it is time to."""
        now = time.monotonic()
        if now - self._planned_at < PLAN_SECONDS:
            return
        futures = [self._cells[i][j] for i, j in self._order]
        plan = plan_groups(self._executor.client, futures, self._sizes)
        self._groups = []
        for group in plan.groups:
            by_column: dict[int, list[int]] = {}
            for index in group.indices:
                i, j = self._order[index]
                by_column.setdefault(j, []).append(i)
            self._groups += [CellGroup(group.worker, j, rows) for j, rows in by_column.items()]
        self._direct, self._planned_at = plan.direct, now

    def _exchange_steps(
        self,
        exchange: Exchange,
        outgoing: Sequence[Any],
        common: Any,
        returning: Sequence[Any],
        prefix: str,
    ) -> list[_Step]:
        out, back = self._messages(outgoing, prefix), self._messages(returning, prefix)
        steps: list[_Step] = []
        parts: list[list[TaskRef]] = [[] for _ in self._bands]
        for group in self._groups:
            for number, band in enumerate(self._bands):
                rows = sorted(set(group.rows) & set(band.indices))
                if rows:
                    key = f"{prefix}-forward-{group.column}-{rows[0]}"
                    part = CellGroup(group.worker, group.column, rows)
                    cells = self._refs(group.column, rows)
                    message = out[group.column]
                    steps.append(
                        _Step(
                            key, group.worker, forward_cells, (exchange, key, part, cells, message)
                        )
                    )
                    parts[number].append(TaskRef(key))
        inputs = [
            (TaskRef(band.future.key), List(*of_band), common)
            for band, of_band in zip(self._bands, parts, strict=True)
        ]
        alone = len(self._bands) == 1 and self.n_columns <= _FEW_COLUMNS
        meetings = [f"{prefix}-meet-{number}" for number in range(len(self._bands))]
        if not alone:
            workers = sorted({group.worker for group in self._groups if group.worker is not None})
            for number, (key, arguments) in enumerate(zip(meetings, inputs, strict=True)):
                worker = workers[number * len(workers) // len(inputs)] if workers else None
                steps.append(_Step(key, worker, meet_rows, (exchange, key, *arguments)))
        for group in self._groups:
            key = f"{prefix}-backward-{group.column}-{group.rows[0]}"
            cells = self._refs(group.column, group.rows)
            served = (exchange, key, group, self.n_rows, cells, back[group.column])
            if alone:
                last = _Step(key, group.worker, meet_and_backward, (*served, *inputs[0]))
            else:
                met = List(*(TaskRef(meetings[n]) for n in self._bands_of(group)))
                last = _Step(key, group.worker, backward_cells, (*served, met))
            steps.append(replace(last, wanted=True))
        return steps

    def _pass_steps(self, over: Pass, prefix: str) -> list[_Step]:
        steps = []
        for group in self._groups:
            key = f"{prefix}-{group.column}-{group.rows[0]}"
            bands = List(*(TaskRef(self._bands[n].future.key) for n in self._bands_of(group)))
            cells = self._refs(group.column, group.rows)
            arguments = (over, key, group, self.n_rows, cells, bands)
            steps.append(_Step(key, group.worker, pass_over_cells, arguments, wanted=True))
        return steps

    def _refs(self, column: int, rows: Sequence[int]) -> List:
        return List(*(TaskRef(self._cells[i][column].key) for i in rows))

    def _bands_of(self, group: CellGroup) -> list[int]:
        rows = set(group.rows)
        return [n for n, band in enumerate(self._bands) if rows & set(band.indices)]

    def _messages(self, messages: Sequence[Any], prefix: str) -> list[Any]:
        """Return what to put into the tasks of each column block."""
        sizes = [self._nbytes(message) for message in messages]
        if sum(sizes[group.column] for group in self._groups) <= _LITERALS_BYTES:
            return list(messages)
        client, in_process = self._executor.client, self._executor.in_process
        return [
            share(client, message, size, name=f"{prefix}-message", in_process=in_process)
            for message, size in zip(messages, sizes, strict=True)
        ]

    @contextmanager
    def _submitted(self, steps: Sequence[_Step]) -> Iterator[list[Future[Any]]]:
        """Submit the steps; when the block fails cancel them."""
        client = self._executor.client
        graph = {step.key: Task(step.key, step.function, *step.refs()) for step in steps}
        wanted = [step.key for step in steps if step.wanted]
        places = {step.key: step.worker for step in steps}
        with placement(places):
            # Only the last stage has futures: what is between is forgotten as soon as it is used.
            futures: list[Future[Any]] = client.get(graph, wanted, sync=False)
        for key, worker in places.items():
            if worker is not None:
                self._executor.events.place(client, key, worker, owner=futures[0])
        try:
            yield futures
        except BaseException:
            client.cancel(futures)
            raise


@dataclass(frozen=True)
class _Step:
    """One task of a round, on the worker named; None lets the scheduler choose."""

    key: str
    worker: str | None
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    wanted: bool = False
    """Whether its result travels to the driver."""

    def refs(self) -> list[Any]:
        """Return the arguments, with futures as references."""
        return [TaskRef(x.key) if isinstance(x, Future) else x for x in self.arguments]
