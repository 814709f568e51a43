"""Run one round over the partitions: a task per worker, the fixed tree, one submission."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dask.task_spec import TaskRef
from distributed import Future

from daskml_exec.executor._carries import CarryChain
from daskml_exec.executor._group_task import (
    Carried,
    GroupResult,
    GroupTask,
    Opened,
    carries_of,
    keeps,
    without_carries,
)
from daskml_exec.executor._query import AnyQuery, gathers
from daskml_exec.executor._ship import share
from daskml_exec.executor._submission import Step, Submission, added_up, refs
from daskml_exec.executor._tuning import tuning
from daskml_exec.kernels.even_addresses import at_even_addresses
from daskml_exec.kernels.fixed_tree import fold_siblings

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor


@dataclass(frozen=True)
class RoundOutcome:
    """The total of one round and what it took."""

    total: Any
    bytes_out: int
    """Bytes of the query, once for every partition, wherever they are."""
    bytes_back: int
    """Bytes of the answers of all partitions, wherever they are."""
    seconds_by_worker: dict[str, float]
    workers_lost: int
    tasks_recomputed: int
    retries: int
    carried: int
    """Bytes of what partitions carry on."""


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
        Returns the payload size of a query, an answer or a carry.
    workers_lost_before : int
        How many workers the cluster had lost when the work of which these rounds are a part
        began; later losses are charged to the rounds.
    partition_nbytes : sequence of int, optional
        The size of each partition in memory. With it, no task loads more partitions at once than
        a modest share of its worker's memory limit has room for; at least one.
    opened : callable, optional
        Of an index, and what its future holds: the partition. Where futures hold the partitions,
        None.
    places : sequence of distributed.Future, optional
        By whose places the tasks are planned, and whose losses are counted, while partitions are
        still being made of them; by default the partitions'.
    """

    def __init__(
        self,
        executor: Executor,
        partitions: Sequence[Future[Any]],
        nbytes: Callable[[Any], int],
        workers_lost_before: int,
        partition_nbytes: Sequence[int] | None = None,
        opened: Opened | None = None,
        places: Sequence[Future[Any]] | None = None,
    ) -> None:
        self._executor = executor
        self._partitions = tuple(partitions)
        self._nbytes = nbytes
        self._opened = opened
        self._chain = CarryChain()
        sizes = partition_nbytes or [0] * len(self._partitions)
        self._submission = Submission(
            executor, places or self._partitions, sizes, nbytes, workers_lost_before
        )

    @property
    def n_partitions(self) -> int:
        """How many partitions the rounds run over."""
        return len(self._partitions)

    def some_of_each_worker(self) -> list[int]:
        """Return indices of partitions, so that each worker has one, and few have several.

        Of partitions that are being computed nobody knows yet who will have them: all are among
        them.
        """
        self._submission.plan()
        first: dict[str, int] = {}
        unknown: list[int] = []
        for group in self._submission.groups:
            if group.worker is None:
                unknown += group.indices
            else:
                first.setdefault(group.worker, group.indices[0])
        return sorted([*first.values(), *unknown])

    def run(self, query: AnyQuery, *, name: str) -> RoundOutcome:
        """Ask all partitions and reduce their answers.

        Where the query carries, the rounds since nothing was carried form a chain: what is lost
        of the carries is had again by running the chain's rounds again, on the partitions
        concerned. A long chain takes long to repeat, and all its queries are kept; ending it is
        the business of the caller, or of an exception.

        Parameters
        ----------
        query : Query or Carrying
        name : str
            What the tasks are called.

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
        try:
            return self._run(query, name)
        except BaseException:
            if query.carries:
                self._end_chain()
            raise

    @property
    def carries(self) -> bool:
        """Whether partitions carry something to the next round."""
        return bool(self._chain)

    @property
    def chained(self) -> int:
        """How many rounds have to be run again to have what partitions carry, if it is lost."""
        return self._chain.rounds

    def begin_with(self, carried: Sequence[Any]) -> None:
        """Let partitions carry this, as `carried` had it, and forget what they carried before.

        It is in the recipes of tasks, where no lost worker takes it away.
        """
        executor = self._executor
        futures = [
            share(
                executor.client,
                Carried({index: carry}, self._nbytes(carry)),
                self._nbytes(carry),
                name="carried",
                in_process=executor.in_process,
            )
            for index, carry in enumerate(carried)
        ]
        self._submission.spent.add(self._chain.begin(futures), 0, 0.0)

    def carried(self, *, name: str) -> list[Any]:
        """Bring home what partitions carry, in their order; nothing where they carry nothing."""
        holders = self._chain.inputs(range(self.n_partitions))
        if not holders:
            return []

        def steps(prefix: str) -> list[Step]:
            return [
                Step(f"{prefix}-{number}", None, carries_of, (holder,))
                for number, holder in enumerate(holders)
            ]

        data = {"the state beside the data": holders}
        answer = self._submission.answered(steps, f"{name}-carried", data, goes_on=True)
        self._submission.spent.add(answer.futures, 0, answer.seconds)
        found = {index: carry for each in answer.results for index, carry in each.items()}
        return [found[index] for index in range(self.n_partitions)]

    def close(self) -> None:
        """Leave nothing on the cluster, whoever still holds this object."""
        self._end_chain()

    def _end_chain(self) -> None:
        self._submission.spent.add(self._chain.end(), 0, 0.0)
        self._submission.spent.release()

    def _run(self, query: AnyQuery, name: str) -> RoundOutcome:
        data = {"the data": self._partitions}
        if query.carries:
            data["the state beside the data"] = tuple(self._chain.in_order())
        steps = partial(self._steps, query, f"{name}-message")
        answer = self._submission.answered(steps, name, data, goes_on=bool(self._chain))
        results: list[GroupResult] = answer.results
        groups, spent = self._submission.groups, answer.futures
        if keeps(query):
            spent += self._chain.advance(groups, answer.kept, answer.recipe)
        elif query.carries:
            spent += self._chain.end()
        self._submission.spent.add(spent, sum(result.nbytes for result in results), answer.seconds)
        where = [result.worker for result in results]
        if where != [group.worker for group in groups]:
            self._submission.moved(where)
        nodes = {
            node: at_even_addresses(value)
            for result in results
            for node, value in result.nodes.items()
        }
        (total,) = fold_siblings(nodes, self.n_partitions, query.combine).values()
        return RoundOutcome(
            total=total,
            bytes_out=self.n_partitions * self._nbytes(query),
            bytes_back=sum(result.bytes_back for result in results),
            seconds_by_worker=added_up((result.worker, result.seconds) for result in results),
            workers_lost=answer.workers_lost,
            tasks_recomputed=answer.tasks_recomputed,
            retries=answer.retries,
            carried=sum(result.carried for result in results),
        )

    def _steps(self, query: AnyQuery, shared_name: str, prefix: str) -> list[Step]:
        groups = self._submission.groups
        most = tuning().literals_bytes
        (sent,) = self._submission.outgoing([query], [len(groups)], most, shared_name)
        task = GroupTask(self.n_partitions, self._nbytes, self._opened)
        steps = []
        for group in groups:
            partitions = refs(self._partitions[i] for i in group.indices)
            wanted = range(self.n_partitions) if gathers(query) else group.indices
            earlier = refs(self._chain.inputs(wanted) if query.carries else ())
            arguments = (sent, group.indices, partitions, earlier)
            steps.append(Step(f"{prefix}-{group.indices[0]}", group.worker, task, arguments))
        if not keeps(query):
            return steps
        # On the worker of the group's task, in the same submission: what travels to the driver
        # without what stays.
        return [replace(step, travels=False, stays=True) for step in steps] + [
            Step(f"{step.key}-total", step.worker, without_carries, (TaskRef(step.key),))
            for step in steps
        ]
