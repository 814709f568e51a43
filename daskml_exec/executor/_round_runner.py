"""Run one round over the partitions: one task per worker, the fixed tree, one submission."""

import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distributed import Future, get_worker
from distributed.scheduler import KilledWorker

from daskml_exec.executor import _failures
from daskml_exec.executor._blas import single_threaded_blas
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
        self._groups: list[list[int]] | None = None
        self._expected: list[str] = []
        self._id = uuid.uuid4().hex[:12]
        self._rounds = 0

    def run(self, partial: Partial, message: Any, combine: Combine, *, name: str) -> RoundOutcome:
        """Compute ``partial(partition, message)`` for all partitions and reduce the results.

        Raises
        ------
        LostPartitionError
            A partition without a recipe died with its worker.
        RuntimeError
            The round's task was present at the death of several workers.
        """
        self._round_keys.clear()
        results, retries = self._until_answered(partial, message, combine, name)
        nodes = {node: value for result in results for node, value in result.nodes.items()}
        (total,) = fold_siblings(nodes, len(self._partitions), combine).values()
        seconds: dict[str, float] = {}
        for result in results:
            seconds[result.worker] = seconds.get(result.worker, 0.0) + result.seconds
        where = [result.worker for result in results]
        if where != self._expected:
            self._groups = None  # partitions moved: look again where they are
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
                return self._attempt(partial, message, combine, name), retries
            except KilledWorker as error:
                raise _failures.killed_worker_error(error, name) from error
            except CancelledError:
                lost = _failures.lost_partitions(self._partitions)
                if lost:
                    raise _failures.lost_partition_error(lost) from None
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
        if self._groups is None:
            self._group_by_worker()
        assert self._groups is not None
        self._rounds += 1
        task = _GroupTask(partial, combine, len(self._partitions), self._nbytes)
        prefix = f"{name}-{self._id}-{self._rounds}"
        round_keys = [f"{prefix}-{group[0]}" for group in self._groups]
        self._round_keys.extend(round_keys)
        nbytes = self._nbytes(message)
        if nbytes > _LITERAL_BYTES:
            in_process = self._executor.in_process
            message = share(client, message, nbytes, name=f"{name}-message", in_process=in_process)
        futures = client.map(
            task,
            self._groups,
            [[self._partitions[i] for i in group] for group in self._groups],
            [message] * len(self._groups),
            key=round_keys,
            pure=False,
        )
        try:
            results: list[_GroupResult] = client.gather(futures)
        except BaseException:
            client.cancel(futures)
            raise
        return results

    def _group_by_worker(self) -> None:
        """Group partitions by the worker that holds them; those that nobody holds stay alone."""
        holders = self._executor.client.who_has(list(self._partitions))
        groups: dict[Any, list[int]] = {}
        for index, future in enumerate(self._partitions):
            # Small partitions get copied to idle workers; the work goes to the least busy holder.
            candidates = holders.get(future.key) or [index]
            where = min(candidates, key=lambda holder: (len(groups.get(holder, ())), holder))
            groups.setdefault(where, []).append(index)
        self._groups = list(groups.values())
        self._expected = [where for where in groups if isinstance(where, str)]


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
