"""Run one round over the partitions: a task per worker, the fixed tree, one submission."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dask
from dask.task_spec import TaskRef
from dask.utils import apply
from distributed import Future

from daskml_exec.executor._carries import CarryChain, Recipe, SpentFutures
from daskml_exec.executor._failures import explained_losses
from daskml_exec.executor._gather import gather
from daskml_exec.executor._group_task import (
    CarryingGroupTask,
    CarryingPartial,
    Combine,
    GroupResult,
    GroupTask,
    Partial,
    without_carries,
)
from daskml_exec.executor._groups import Group, plan_groups
from daskml_exec.executor._scheduler import scheduler_needed
from daskml_exec.executor._ship import share
from daskml_exec.kernels.fixed_tree import fold_siblings

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor

# A message travels in each task up to these sizes, of one and of all tasks together; else once, as
# a shared future. Median ms of a round with so many MB out and back, 4 partitions of no work, 2
# worker processes (in threads of this process):
#   MB        0.1        0.4        1.2         4          8
#   literal   10 (11)    10 (11)    14 (10)    28 (10)    32 (15)
#   shared    22 (16)    24 (17)    27 (17)    38 (19)    38 (20)
# A literal costs the scheduler about 1 ms a task and MB, a shared message 12 ms, however many the
# tasks. Dask warns of more than 10 MB in one submission.
_LITERAL_BYTES = 8_000_000
_LITERALS_BYTES = 16_000_000
# How often a round is submitted again after the cluster, not the user's code, failed it.
MAX_RETRIES = 3
# How often to look where partitions are although nothing seems to have changed: a worker may have
# come, and Dask may have dropped copies that it found superfluous.
PLAN_SECONDS = 2.0


@dataclass(frozen=True)
class RoundOutcome:
    """The total of one round and what it took."""

    total: Any
    partial_bytes: int
    """Bytes that one partition's partial result takes; the same for all of them."""
    seconds_by_worker: dict[str, float]
    workers_lost: int
    tasks_recomputed: int
    retries: int


class RoundRunner:
    """Runs rounds over partitions that live on workers.

    Where the partitions live decides only how they are grouped into tasks; the arithmetic is the
    tree over partition index, so grouping cannot change the bits.

    Parameters
    ----------
    executor : Executor
    partitions : sequence of distributed.Future
        In partition order.
    nbytes : callable
        Returns the payload size of a partial result, a message or a carry.
    workers_lost_before : int
        How many workers the cluster had lost when the work of which these rounds are a part
        began; later losses are charged to the rounds.
    partition_nbytes : sequence of int, optional
        The size of each partition in memory. With it, no task loads more partitions at once than
        a modest share of its worker's memory limit has room for; at least one.
    """

    def __init__(
        self,
        executor: Executor,
        partitions: Sequence[Future[Any]],
        nbytes: Callable[[Any], int],
        workers_lost_before: int,
        partition_nbytes: Sequence[int] | None = None,
    ) -> None:
        self._executor = executor
        self._partitions = tuple(partitions)
        self._partition_nbytes = partition_nbytes or [0] * len(self._partitions)
        self._nbytes = nbytes
        self._workers_lost = workers_lost_before
        self._recomputed_partitions = 0
        self._recomputed_chain = 0
        self._partition_keys = [str(future.key) for future in partitions]
        self._round_keys: list[str] = []
        self._groups: list[Group] = []
        self._planned_at = -math.inf
        self._direct = False
        self._chain = CarryChain()
        self._spent = SpentFutures()
        self._id = uuid.uuid4().hex[:12]
        self._rounds = 0

    @property
    def n_partitions(self) -> int:
        """How many partitions the rounds run over."""
        return len(self._partitions)

    def some_of_each_worker(self) -> list[int]:
        """Return indices of partitions, so that each worker has one, and few have several.

        Of partitions that are being computed nobody knows yet who will have them: all are among
        them.
        """
        self._plan()
        first: dict[str, int] = {}
        unknown: list[int] = []
        for group in self._groups:
            if group.worker is None:
                unknown += group.indices
            else:
                first.setdefault(group.worker, group.indices[0])
        return sorted([*first.values(), *unknown])

    def run(self, partial: Partial, message: Any, combine: Combine, *, name: str) -> RoundOutcome:
        """Compute ``partial(partition, message)`` for all partitions and reduce the results.

        Raises
        ------
        LostPartitionError
            A partition is gone, and the cluster cannot rebuild it.
        LostSchedulerError
            The scheduler is gone.
        RuntimeError
            The round's task was present at the death of several workers.
        TimeoutError
            The cluster had no worker for as long as the dask config value
            ``daskml-exec.workers-timeout``.
        """
        task = GroupTask(partial, combine, self.n_partitions, self._nbytes)
        return self._run(task, message, name)

    def run_carrying(
        self, partial: CarryingPartial, message: Any, combine: Combine, *, name: str, last: bool
    ) -> RoundOutcome:
        """Run a round whose partitions carry something to the next one, on the workers.

        The rounds since the carries were None form a chain: what is lost of the carries is had
        again by running the chain's rounds again, on the partitions concerned. A long chain takes
        long to repeat, and all its messages are kept; ending it is the caller's business.

        Parameters
        ----------
        partial : callable
            ``partial(partition, message, carry)`` returns the partial result and the next carry,
            made of arrays and scalars. `carry` is what it returned for the same partition in the
            last carrying round, and None in the first round of a chain. It must not be changed
            in place.
        message, combine, name
            As of `run`.
        last : bool
            Whether the chain ends with this round: its carries are thrown away.

        Raises
        ------
        LostPartitionError, RuntimeError, TimeoutError
            As `run`. After any exception the chain is at its end.
        """
        task = CarryingGroupTask(partial, combine, self.n_partitions, self._nbytes, last)
        try:
            return self._run(task, message, name)
        except BaseException:
            self._end_chain()
            raise

    @property
    def carries(self) -> bool:
        """Whether partitions carry something to the next round."""
        return bool(self._chain)

    def close(self) -> None:
        """Leave nothing on the cluster, whoever still holds this object."""
        self._end_chain()

    def _end_chain(self) -> None:
        self._spent.add(self._chain.end(), 0, 0.0)
        self._spent.release()
        self._recomputed_chain = 0
        self._round_keys.clear()

    def _run(self, task: GroupTask | CarryingGroupTask, message: Any, name: str) -> RoundOutcome:
        if not self._chain:
            self._round_keys.clear()
        results, retries = self._until_answered(task, message, name)
        nodes = {node: value for result in results for node, value in result.nodes.items()}
        (total,) = fold_siblings(nodes, self.n_partitions, task.combine).values()
        seconds: dict[str, float] = {}
        for result in results:
            seconds[result.worker] = seconds.get(result.worker, 0.0) + result.seconds
        where = [result.worker for result in results]
        if where != [group.worker for group in self._groups]:
            self._planned_at = -math.inf  # partitions moved: look again where they are
            self._executor.events.watch(self._executor.client, where)
        workers_lost, recomputed = self._losses()
        return RoundOutcome(
            total=total,
            partial_bytes=results[0].partial_bytes,
            seconds_by_worker=seconds,
            workers_lost=workers_lost,
            tasks_recomputed=recomputed,
            retries=retries,
        )

    def _until_answered(
        self, task: GroupTask | CarryingGroupTask, message: Any, name: str
    ) -> tuple[list[GroupResult], int]:
        retries = 0
        data = {"the data": self._partitions}
        if isinstance(task, CarryingGroupTask):
            data["the state beside the data"] = tuple(self._chain.in_order())
        while True:
            try:
                with scheduler_needed(self._executor.client, name), explained_losses(name, data):
                    return self._attempt(task, message, name), retries
            except CancelledError:
                retries += 1
                if retries > MAX_RETRIES:
                    raise

    def _losses(self) -> tuple[int, int]:
        """Return the workers lost and the tasks run again since the last call."""
        events = self._executor.events
        lost = len(events.workers_lost)
        partitions = events.interruptions(self._partition_keys)
        rounds = events.interruptions(self._round_keys)
        new_lost = lost - self._workers_lost
        new = partitions + rounds - self._recomputed_partitions - self._recomputed_chain
        self._workers_lost, self._recomputed_partitions = lost, partitions
        # The keys of a chain stay on the list, where they may be interrupted once more.
        self._recomputed_chain = rounds if self._chain else 0
        return new_lost, new

    def _attempt(
        self, task: GroupTask | CarryingGroupTask, message: Any, name: str
    ) -> list[GroupResult]:
        started = time.monotonic()
        client = self._executor.client
        self._plan()
        self._rounds += 1
        sent, recipe = self._outgoing(message, name)
        prefix = f"{name}-{self._id}-{self._rounds}"
        steps = [self._step(task, group, sent, prefix) for group in self._groups]
        self._round_keys.extend(step.key for step in steps)
        keeps_carries = isinstance(task, CarryingGroupTask) and not task.last
        if keeps_carries:
            # On the worker of the group's task, in the same submission: what travels to the
            # driver without what stays.
            steps = [replace(step, owner=recipe) for step in steps] + [
                _Step(f"{step.key}-total", step.worker, without_carries, [TaskRef(step.key)])
                for step in steps
            ]
        with self._submitted(steps, sent) as futures:
            groups, totals = futures[: len(self._groups)], futures[-len(self._groups) :]
            results: list[GroupResult] = gather(client, totals, direct=self._direct)
        spent = list(totals)
        if keeps_carries:
            spent += self._chain.advance(self._groups, groups, recipe)
        elif isinstance(task, CarryingGroupTask):
            spent += self._chain.end()
        nbytes = sum(result.nbytes for result in results)
        self._spent.add(spent, nbytes, time.monotonic() - started)
        return results

    def _step(
        self, task: GroupTask | CarryingGroupTask, group: Group, message: Any, prefix: str
    ) -> _Step:
        arguments = [group.indices, [self._partitions[i] for i in group.indices], message]
        if isinstance(task, CarryingGroupTask):
            arguments.append(self._chain.inputs(group.indices))
        return _Step(f"{prefix}-{group.indices[0]}", group.worker, task, arguments)

    def _outgoing(self, message: Any, name: str) -> tuple[Any, Recipe]:
        """Return what to put into the tasks, and what to keep while they may run again."""
        nbytes = self._nbytes(message)
        if nbytes <= _LITERAL_BYTES and nbytes * len(self._groups) <= _LITERALS_BYTES:
            return message, Recipe()
        in_process = self._executor.in_process
        client = self._executor.client
        shared = share(client, message, nbytes, name=f"{name}-message", in_process=in_process)
        # Between processes the scheduler has the message itself, and the workers need not keep it.
        return shared, Recipe(shared if in_process else None)

    @contextmanager
    def _submitted(self, steps: Sequence[_Step], message: Any) -> Iterator[list[Future[Any]]]:
        """Submit the steps; when the block fails cancel them, and the message if it is shared."""
        client = self._executor.client
        with placement({step.key: step.worker for step in steps}):
            futures: list[Future[Any]] = client.map(
                apply,
                [step.function for step in steps],
                [step.arguments for step in steps],
                key=[step.key for step in steps],
                pure=False,
            )
        for step, future in zip(steps, futures, strict=True):
            if step.worker is not None:
                owner = step.owner or future
                self._executor.events.place(client, step.key, step.worker, owner)
        try:
            yield futures
        except BaseException:
            client.cancel([*futures, message] if isinstance(message, Future) else futures)
            raise

    def _plan(self) -> None:
        """Decide which worker serves which partitions, if it is time to."""
        now = time.monotonic()
        if now - self._planned_at < PLAN_SECONDS:
            return
        plan = plan_groups(self._executor.client, self._partitions, self._partition_nbytes)
        self._groups, self._direct = plan.groups, plan.direct
        self._planned_at = now


@dataclass(frozen=True)
class _Step:
    """One task of a round, on the worker named; None lets the scheduler choose."""

    key: str
    worker: str | None
    function: Callable[..., Any]
    arguments: list[Any]
    owner: Recipe | None = None
    """As long as it lives the task may run again; None means as long as its future lives."""


def placement(wanted: Mapping[str, str | None]) -> AbstractContextManager[Any]:
    """Ask, in one submission, for each task's own worker; another may take its place.

    Parameters
    ----------
    wanted : mapping of key to str
        Addresses. If one of them is None the scheduler chooses for all.
    """
    if None in wanted.values():
        return nullcontext()
    # The scheduler calls what it is sent with each key: a method of a dict needs no import.
    return dask.annotate(workers=wanted.get, allow_other_workers=True)
