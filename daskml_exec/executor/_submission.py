"""Submit the tasks of rounds until they are answered, and count what was lost meanwhile."""

from __future__ import annotations

import itertools
import math
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask
from dask.task_spec import List, Task, TaskRef
from dask.utils import apply
from distributed import Future

from daskml_exec.executor._capacity import travel_in_tasks
from daskml_exec.executor._carries import Recipe, SpentFutures
from daskml_exec.executor._failures import explained_losses
from daskml_exec.executor._gather import gather
from daskml_exec.executor._groups import Group, plan_groups
from daskml_exec.executor._memory_file import SharedMemoryError
from daskml_exec.executor._scheduler import scheduler_needed
from daskml_exec.executor._shared_values import (
    InMemory,
    SharedValue,
    loaded,
    share_memory,
    shared,
)
from daskml_exec.executor._ship import share
from daskml_exec.executor._tuning import tuning

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor

# How often a round is submitted again after the cluster, not the user's code, failed it.
_MAX_RETRIES = 3
# How often to look where the data are although nothing seems to have changed: a worker may have
# come, and Dask may have dropped copies that it found superfluous.
_PLAN_SECONDS = 2.0


@dataclass(frozen=True)
class Step:
    """One task of a round, on the worker named; None lets the scheduler choose."""

    key: str
    worker: str | None
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    """A future among them stands for its result."""
    travels: bool = True
    """Whether its result comes to the driver."""
    stays: bool = False
    """Whether its result is held on its worker; if neither, it goes when it has been used."""

    def refs(self) -> list[Any]:
        """Return the arguments, with futures as references."""
        return [TaskRef(x.key) if isinstance(x, Future) else x for x in self.arguments]


@dataclass(frozen=True)
class Answer:
    """What came of a round, and what it took."""

    results: list[Any]
    """Of the steps whose results travel, in order."""
    futures: list[Future[Any]]
    """Of the same steps."""
    kept: list[Future[Any]]
    """Of the steps whose results stay, in order."""
    recipe: Recipe
    """To be held as long as steps whose results stay may run again."""
    seconds: float
    """Of the attempt that was answered."""
    workers_lost: int
    tasks_recomputed: int
    retries: int


class Submission:
    """Submits rounds over data that live on workers, one after the other.

    Parameters
    ----------
    executor : Executor
    data : sequence of distributed.Future
        By whose places the tasks are planned, in that order.
    data_nbytes : sequence of int
        The size of each in memory.
    nbytes, workers_lost_before
        As of `RoundRunner`.
    beside : sequence of distributed.Future
        What else is lost with a worker.

    Attributes
    ----------
    groups : list of Group
        Which data a task of the round serves, and on which worker.
    spent : SpentFutures
        For what a round leaves that nobody needs any more.
    """

    def __init__(
        self,
        executor: Executor,
        data: Sequence[Future[Any]],
        data_nbytes: Sequence[int],
        nbytes: Callable[[Any], int],
        workers_lost_before: int,
        beside: Sequence[Future[Any]] = (),
    ) -> None:
        self.groups: list[Group] = []
        self.spent = SpentFutures()
        self._executor = executor
        self._data = data
        self._data_nbytes = data_nbytes
        self._nbytes = nbytes
        self._data_keys = [str(future.key) for future in (*data, *beside)]
        self._round_keys: list[str] = []
        self._lost = (workers_lost_before, 0, 0)
        self._planned_at = -math.inf
        self._direct = False
        self._shared: list[Future[Any]] = []
        self._in_memory: list[SharedValue] = []
        self._shares_memory = False
        self._may_share_memory = True
        self._id = uuid.uuid4().hex[:12]
        self._rounds = 0

    def answered(
        self,
        steps_of: Callable[[str], list[Step]],
        name: str,
        data: Mapping[str, Sequence[Future[Any]]],
        *,
        goes_on: bool = False,
    ) -> Answer:
        """Submit the steps of a round, again where the cluster fails it, and return the results.

        Parameters
        ----------
        steps_of : callable
            Returns the steps for `groups`, from the beginning of their keys.
        name : str
            What the tasks are called.
        data : mapping of name to sequence of distributed.Future
            What may be lost, under the names that the user knows.
        goes_on : bool
            Whether the tasks of the rounds before may still run again.

        Raises
        ------
        LostPartitionError, LostSchedulerError, RuntimeError, TimeoutError
            As `RoundRunner.run`.
        """
        if not goes_on:
            self._round_keys.clear()
            self._lost = (*self._lost[:2], 0)
        for retries in itertools.count():
            started = time.monotonic()
            try:
                with scheduler_needed(self._executor.client, name), explained_losses(name, data):
                    found = self._attempt(steps_of, name)
                break
            except CancelledError:
                if retries == _MAX_RETRIES:
                    raise
            except SharedMemoryError:
                # A worker has gone with its answer, or a task to where ours cannot be seen.
                if not self._shares_memory:
                    raise
                self._may_share_memory = self._shares_memory = False
            finally:
                self._shared, self._in_memory = [], []
        seconds = time.monotonic() - started
        return Answer(*found, seconds, *self._losses(), retries)

    def plan(self) -> None:
        """Decide which worker serves which data, if it is time to."""
        now = time.monotonic()
        if now - self._planned_at < _PLAN_SECONDS:
            return
        plan = plan_groups(self._executor.client, self._data, self._data_nbytes)
        self.groups, self._direct = plan.groups, plan.direct
        self._shares_memory = (
            self._may_share_memory
            and plan.direct
            and share_memory(self._executor, (group.worker for group in plan.groups))
        )
        self._planned_at = now

    def moved(self, workers: Iterable[str]) -> None:
        """Look again where the data are before the next round: its tasks ran on these workers."""
        self._planned_at = -math.inf
        self._executor.events.watch(self._executor.client, workers)

    def outgoing(
        self, messages: Sequence[Any], copies: Sequence[int], most: int, name: str
    ) -> list[Any]:
        """Return what to put into the tasks: messages, where they are in memory, or futures.

        Parameters
        ----------
        messages : sequence
        copies : sequence of int
            How many tasks of the round each is for.
        most : int
            Bytes of all copies together that may travel in tasks.
        name : str
            Of the futures.
        """
        sizes = [self._nbytes(message) for message in messages]
        if self._shares_memory:
            least = tuning().in_memory_bytes
            messages = [
                shared(message, least) if size >= least else message
                for message, size in zip(messages, sizes, strict=True)
            ]
            self._in_memory += [each for each in messages if isinstance(each, SharedValue)]
            sizes = [
                0 if isinstance(message, SharedValue) else size
                for message, size in zip(messages, sizes, strict=True)
            ]
        if travel_in_tasks(sizes, copies, most):
            return list(messages)
        client, in_process = self._executor.client, self._executor.in_process
        futures = [
            share(client, message, size, name=name, in_process=in_process)
            for message, size in zip(messages, sizes, strict=True)
        ]
        self._shared += futures
        return futures

    def _attempt(
        self, steps_of: Callable[[str], list[Step]], name: str
    ) -> tuple[list[Any], list[Future[Any]], list[Future[Any]], Recipe]:
        self.plan()
        self._rounds += 1
        steps = steps_of(f"{name}-{self._id}-{self._rounds}")
        stay = [step.key for step in steps if step.stays]
        # Where results stay, what travels is only taken out of them.
        self._round_keys += stay or [step.key for step in steps]
        # Where messages travel the scheduler has them: nobody else needs to keep them.
        kept = self._shared if self._executor.in_process else self._in_memory
        recipe = Recipe(tuple(kept))
        client = self._executor.client
        futures = self._submitted(steps, recipe)
        try:
            travelling = [futures[step.key] for step in steps if step.travels]
            found = gather(client, travelling, direct=self._direct)
            results = [loaded(each, own=True) for each in found]
        except BaseException:
            client.cancel([*futures.values(), *self._shared])
            raise
        return results, travelling, [futures[key] for key in stay], recipe

    def _submitted(self, steps: Sequence[Step], recipe: Recipe) -> dict[str, Future[Any]]:
        """Submit the steps; return the futures of those whose results travel or stay."""
        client = self._executor.client
        wanted = [step.key for step in steps if step.travels or step.stays]
        in_order: list[Future[Any]]
        with _placement({step.key: step.worker for step in steps}):
            if len(wanted) == len(steps):
                # They are run as they come; an order of a graph's tasks is looked for, which takes
                # the scheduler 3 ms for 256 partitions.
                functions, arguments = zip(
                    *((self._function(s), s.refs()) for s in steps), strict=True
                )
                in_order = client.map(apply, functions, arguments, key=wanted, pure=False)
            else:
                graph = {
                    step.key: Task(step.key, self._function(step), *step.refs()) for step in steps
                }
                in_order = client.get(graph, wanted, sync=False)
        futures: dict[str, Future[Any]] = dict(zip(wanted, in_order, strict=True))
        for step in steps:
            if step.worker is not None:
                # As long as it lives the task may run again.
                owner = recipe if step.stays else futures.get(step.key, in_order[0])
                self._executor.events.place(client, step.key, step.worker, owner)
        return futures

    def _function(self, step: Step) -> Callable[..., Any]:
        if not self._shares_memory:
            return step.function
        only_travels = step.travels and not step.stays
        return InMemory(step.function, tuning().in_memory_bytes if only_travels else None)

    def _losses(self) -> tuple[int, int]:
        """Return the workers lost and the tasks run again since the last call."""
        events = self._executor.events
        before = self._lost
        # The keys of rounds that go on stay on the list, where they may be interrupted once more.
        self._lost = (
            len(events.workers_lost),
            events.interruptions(self._data_keys),
            events.interruptions(self._round_keys),
        )
        workers, data, rounds = (now - then for now, then in zip(self._lost, before, strict=True))
        return workers, data + rounds


def refs(futures: Iterable[Future[Any]]) -> List:
    """Return, for a step's arguments, what stands for a list of results."""
    return List(*(TaskRef(future.key) for future in futures))


def added_up(seconds: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the seconds of each worker."""
    total: dict[str, float] = {}
    for worker, took in seconds:
        total[worker] = total.get(worker, 0.0) + took
    return total


def _placement(wanted: Mapping[str, str | None]) -> AbstractContextManager[Any]:
    """Ask, in one submission, for each task's own worker; another may take its place.

    If one of the addresses is None the scheduler chooses for all.
    """
    if None in wanted.values():
        return nullcontext()
    # The scheduler calls what it is sent with each key: a method of a dict needs no import.
    return dask.annotate(workers=wanted.get, allow_other_workers=True)
