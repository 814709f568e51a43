"""Run one round over the partitions: one task per worker, the fixed tree, one submission."""

import math
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask
from distributed import Future, get_worker

from daskml_exec.executor._blas import single_threaded_blas
from daskml_exec.executor._failures import explained_losses
from daskml_exec.executor._gather import gather
from daskml_exec.executor._ship import share
from daskml_exec.executor._tree import Node, fold_siblings

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor

Partial = Callable[[Any, Any], Any]
Combine = Callable[[Any, Any], Any]

# A message up to this size travels in each worker's task; a larger one once, as a shared future.
_LITERAL_BYTES = 100_000
# How often a round is submitted again after the cluster, not the user's code, failed it.
_MAX_RETRIES = 3
# How often to look where partitions are although nothing seems to have changed: a worker may have
# come, and Dask may have dropped copies that it found superfluous.
_PLAN_SECONDS = 2.0
_OF_THIS_MACHINE = ("tcp://127.", "tls://127.", "inproc://")


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


@dataclass(frozen=True)
class _GroupResult:
    nodes: dict[Node, Any]
    partial_bytes: int
    worker: str
    seconds: float


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
        Returns the payload size of a partial result or a message.
    workers_lost_before : int
        How many workers the cluster had lost when the work of which these rounds are a part
        began; later losses are charged to the rounds.
    """

    def __init__(
        self,
        executor: "Executor",
        partitions: Sequence[Future[Any]],
        nbytes: Callable[[Any], int],
        workers_lost_before: int,
    ) -> None:
        self._executor = executor
        self._partitions = tuple(partitions)
        self._nbytes = nbytes
        self._workers_lost = workers_lost_before
        self._recomputed = 0
        self._partition_keys = [str(future.key) for future in partitions]
        self._round_keys: list[str] = []
        self._groups: list[Group] = []
        self._planned_at = -math.inf
        self._direct = False
        self._id = uuid.uuid4().hex[:12]
        self._rounds = 0

    @property
    def n_partitions(self) -> int:
        """How many partitions the rounds run over."""
        return len(self._partitions)

    def run(self, partial: Partial, message: Any, combine: Combine, *, name: str) -> RoundOutcome:
        """Compute ``partial(partition, message)`` for all partitions and reduce the results.

        Raises
        ------
        LostPartitionError
            A partition is gone, and the cluster cannot rebuild it.
        RuntimeError
            The round's task was present at the death of several workers.
        TimeoutError
            The cluster had no worker for as long as the dask config value
            ``daskml-exec.workers-timeout``.
        """
        self._round_keys.clear()
        results, retries = self._until_answered(partial, message, combine, name)
        nodes = {node: value for result in results for node, value in result.nodes.items()}
        (total,) = fold_siblings(nodes, len(self._partitions), combine).values()
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
        self, partial: Partial, message: Any, combine: Combine, name: str
    ) -> tuple[list[_GroupResult], int]:
        retries = 0
        while True:
            try:
                with explained_losses(name, {"the data": self._partitions}):
                    return self._attempt(partial, message, combine, name), retries
            except CancelledError:
                retries += 1
                if retries > _MAX_RETRIES or self._executor.client.status != "running":
                    raise

    def _losses(self) -> tuple[int, int]:
        """Return the workers lost and the tasks run again since the last call."""
        events = self._executor.events
        lost, recomputed = len(events.workers_lost), events.interruptions(self._partition_keys)
        new_lost, new_recomputed = lost - self._workers_lost, recomputed - self._recomputed
        self._workers_lost, self._recomputed = lost, recomputed
        return new_lost, new_recomputed + events.interruptions(self._round_keys)

    def _attempt(
        self, partial: Partial, message: Any, combine: Combine, name: str
    ) -> list[_GroupResult]:
        client = self._executor.client
        self._plan()
        self._rounds += 1
        task = _GroupTask(partial, combine, len(self._partitions), self._nbytes)
        prefix = f"{name}-{self._id}-{self._rounds}"
        round_keys = [f"{prefix}-{group.indices[0]}" for group in self._groups]
        self._round_keys.extend(round_keys)
        nbytes = self._nbytes(message)
        if nbytes > _LITERAL_BYTES:
            in_process = self._executor.in_process
            message = share(client, message, nbytes, name=f"{name}-message", in_process=in_process)
        with self._placement(round_keys):
            futures = client.map(
                task,
                [group.indices for group in self._groups],
                [[self._partitions[i] for i in group.indices] for group in self._groups],
                [message] * len(self._groups),
                key=round_keys,
                pure=False,
            )
        for group, future in zip(self._groups, futures, strict=True):
            if group.worker is not None:
                self._executor.events.place(client, future, group.worker)
        try:
            results: list[_GroupResult] = gather(client, futures, direct=self._direct)
        except BaseException:
            client.cancel(futures)
            raise
        return results

    def _plan(self) -> None:
        """Decide which worker serves which partitions, if it is time to."""
        now = time.monotonic()
        if now - self._planned_at < _PLAN_SECONDS:
            return
        client = self._executor.client
        held = client.who_has(list(self._partitions))
        holders = [sorted(held.get(future.key, ())) for future in self._partitions]
        workers = sorted(client.nthreads())
        self._groups = group_by_worker(holders, workers)
        # Workers of this machine can be reached from here; behind a gateway others cannot.
        self._direct = all(worker.startswith(_OF_THIS_MACHINE) for worker in workers)
        self._planned_at = now

    def _placement(self, keys: list[str]) -> AbstractContextManager[Any]:
        """Ask, in the one submission, for each task's own worker; another may take its place."""
        wanted = {key: g.worker for key, g in zip(keys, self._groups, strict=True)}
        if None in wanted.values():
            return nullcontext()
        # The scheduler calls what it is sent with each key: a method of a dict needs no import.
        return dask.annotate(workers=wanted.get, allow_other_workers=True)


@dataclass(frozen=True)
class Group:
    """Partitions that one task serves, on the worker named; None lets the scheduler choose."""

    worker: str | None
    indices: list[int]


def group_by_worker(holders: Sequence[Sequence[str]], workers: Sequence[str]) -> list[Group]:
    """Group partitions by worker, so that no worker idles while another has several.

    Parameters
    ----------
    holders : sequence of sequences of addresses
        Per partition, the workers that hold it. One that nobody holds is being computed, and
        stays alone.
    workers : sequence of addresses
        The workers that live.

    Examples
    --------
    >>> group_by_worker([["a"], ["a", "b"], []], ["a", "b"])[1:]
    [Group(worker='b', indices=[1]), Group(worker=None, indices=[2])]
    >>> group_by_worker([["a"], ["a"], ["a"]], ["a", "b"])
    [Group(worker='a', indices=[0, 1]), Group(worker='b', indices=[2])]
    """
    load: dict[str, list[int]] = {worker: [] for worker in workers}
    alone = []
    for index, candidates in enumerate(holders):
        living = [worker for worker in candidates if worker in load]
        if living:
            load[min(living, key=lambda worker: len(load[worker]))].append(index)
        else:
            alone.append(Group(None, [index]))
    for idle in [worker for worker in workers if not load[worker]]:
        # A worker that came late, or whose copies were dropped, gets half of the largest group.
        largest = max(workers, key=lambda worker: len(load[worker]))
        keep = -(-len(load[largest]) // 2)
        load[largest], load[idle] = load[largest][:keep], load[largest][keep:]
    return [Group(worker, indices) for worker, indices in load.items() if indices] + alone


@dataclass(frozen=True)
class _GroupTask:
    """All partitions of one worker: partial results, combined where they form whole subtrees."""

    partial: Partial
    combine: Combine
    n_partitions: int
    nbytes: Callable[[Any], int]

    def __call__(self, indices: list[int], partitions: list[Any], message: Any) -> _GroupResult:
        started = time.perf_counter()
        nodes: dict[Node, Any] = {}
        size = 0
        with single_threaded_blas():
            for index, partition in zip(indices, partitions, strict=True):
                value = self.partial(partition, message)
                size = max(size, self.nbytes(value))
                # Folding as we go keeps O(log n) partial results in memory instead of n.
                nodes[0, index] = value
                nodes = fold_siblings(nodes, self.n_partitions, self.combine)
        return _GroupResult(nodes, size, get_worker().address, time.perf_counter() - started)
