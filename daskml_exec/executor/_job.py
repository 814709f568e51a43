"""A Job: the Tasks of one stage, with states, progress, results in order, and cancel."""

from __future__ import annotations

import functools
import html
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from distributed import Client, Future, as_completed

from daskml_exec.executor._arguments import OnCluster
from daskml_exec.executor._call import Shipped, timed_fold
from daskml_exec.executor._checks import check_integer
from daskml_exec.executor._events import ClusterEvents
from daskml_exec.executor._outcome import Outcome, OutcomeInfo, outcome_info
from daskml_exec.executor._raised import Raised, original
from daskml_exec.executor._scheduler import scheduler_needed
from daskml_exec.executor._tables import Table

T = TypeVar("T")

# States in which a task ends without a value.
_FAILED = ("error", "cancelled")
# The notebook's table of a Job ends after this many tasks.
_HTML_ROWS = 100


def _require_open(client: Client, what: str) -> None:
    if client.status != "running":
        raise RuntimeError(
            f"the values of {what} were on a cluster that is closed now: fetch them before the end "
            "of the Executor's `with`"
        )


class Task(OnCluster, Generic[T]):
    """One call on one Worker. Made by `Executor.run` and `Executor.reduce`.

    Parameters
    ----------
    client : Client
        That submitted it.
    future : Future
        Of its value, with where and how long it ran.
    events : ClusterEvents
        That count its attempts.

    Attributes
    ----------
    key : str
        The task's name on the cluster; it is shown on Dask's dashboard.
    """

    def __init__(self, client: Client, future: Future[Any], events: ClusterEvents) -> None:
        self.key = str(future.key)
        self._client = client
        self._future = future
        self._events = events
        self._info: OutcomeInfo | None = None

    @property
    def status(self) -> str:
        """One of "pending", "finished", "error", "cancelled" and "lost"."""
        return "finished" if self._info is not None else str(self._future.status)

    @property
    def worker(self) -> str | None:
        """Address of the Worker that ran the task; None until it has finished."""
        return self._load_info().worker if self.status == "finished" else None

    @property
    def seconds(self) -> float | None:
        """Seconds that the function ran; None until the task has finished."""
        return self._load_info().seconds if self.status == "finished" else None

    @property
    def retries(self) -> int:
        """How often the task was started again, after it raised or lost its Worker."""
        failed = self._events.failed_attempts(self.key)
        return max(failed - 1, 0) if self.status == "error" else failed

    def result(self, timeout: float | None = None) -> T:
        """Wait for the value and return it, or raise what the task raised.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most; ``TimeoutError`` is raised after.

        Returns
        -------
        object
            What the function returned.
        """
        _require_open(self._client, f"task {self.key!r}")
        try:
            with scheduler_needed(self._client, f"waiting for task {self.key!r}"):
                outcome: Outcome[T] = self._future.result(timeout=timeout)
        except Raised as raised:
            raise raised.original() from None
        self._info = outcome_info(outcome)
        return outcome.value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the task and return what it raised, if it did.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most; ``TimeoutError`` is raised after.

        Returns
        -------
        BaseException or None
            None where it raised nothing.
        """
        _require_open(self._client, f"task {self.key!r}")
        with scheduler_needed(self._client, f"waiting for task {self.key!r}"):
            raised: BaseException | None = self._future.exception(timeout=timeout)
        return None if raised is None else original(raised)

    def _load_info(self) -> OutcomeInfo:
        if self._info is None:
            info = self._client.submit(outcome_info, self._future, pure=False)
            self._info = info.result()
        return self._info

    def __repr__(self) -> str:
        return f"<Task {self.key}: {self.status}>"

    def _repr_html_(self) -> str:
        return f"<code>{html.escape(self.key)}</code>: {self.status}"


@dataclass(frozen=True)
class Progress:
    """How many tasks of a job are in which state."""

    total: int
    states: Counter[str]

    @property
    def done(self) -> int:
        """Number of tasks that are no longer pending."""
        return self.total - self.states["pending"]

    @property
    def fraction(self) -> float:
        """Share of tasks that are no longer pending; 1 for a job without tasks."""
        return self.done / self.total if self.total else 1.0

    def __str__(self) -> str:
        counts = ", ".join(f"{n} {state}" for state, n in sorted(self.states.items()))
        return f"{self.done}/{self.total} done" + (f" ({counts})" if counts else "")


class Job(Generic[T]):
    """The Tasks of one stage, in the order of their inputs.

    Made by `Executor.run`.

    Parameters
    ----------
    client : Client
        That submitted the tasks.
    id : str
        Unique name of the job.
    name : str
        What the user called it.
    tasks : sequence of Task
        One task per input, in order.

    Attributes
    ----------
    id, name, tasks
        As given; `tasks` is a tuple.
    """

    def __init__(self, client: Client, id: str, name: str, tasks: Sequence[Task[T]]) -> None:
        self.id = id
        self.name = name
        self.tasks = tuple(tasks)
        self._client = client

    def __reduce__(self) -> Any:
        raise TypeError("a Job is of the process that runs it: pass its tasks, as list(job)")

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[Task[T]]:
        return iter(self.tasks)

    @property
    def status(self) -> str:
        """The state of the job: the worst of its tasks' states."""
        states = self.progress().states
        worst_first = ("error", "lost", "cancelled", "pending")
        return next((state for state in worst_first if states[state]), "finished")

    def progress(self) -> Progress:
        """Return the number of tasks in each state, now.

        Returns
        -------
        Progress
            How many of the tasks are in which state.
        """
        return Progress(len(self.tasks), Counter(task.status for task in self.tasks))

    def results(self, timeout: float | None = None) -> list[T]:
        """Wait for all tasks and return their values in the order of the inputs.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most; ``TimeoutError`` is raised after.

        Returns
        -------
        list
            One value per input.

        Raises
        ------
        Exception
            What the first failing task raised, with a note that names the task. The other tasks
            go on; `cancel` stops them.
        LostSchedulerError
            The scheduler is gone.
        """
        _require_open(self._client, f"job {self.name!r}")
        futures = [task._future for task in self.tasks]
        with scheduler_needed(self._client, f"job {self.name!r}"):
            for done in as_completed(futures, loop=self._client.loop, timeout=timeout):
                if done.status in _FAILED:
                    self._raise_first_failure()
            outcomes: list[Outcome[T]] = self._client.gather(futures)
        for task, outcome in zip(self.tasks, outcomes, strict=True):
            task._info = outcome_info(outcome)
        return [outcome.value for outcome in outcomes]

    def exception(self) -> BaseException | None:
        """Return what the failed task with the lowest index raised, without waiting.

        Returns
        -------
        BaseException or None
            None where none has failed so far.
        """
        failed = next((task for task in self.tasks if task.status == "error"), None)
        return failed.exception() if failed else None

    def cancel(self) -> None:
        """Drop all tasks that have not finished."""
        self._client.cancel([task._future for task in self.tasks if task.status == "pending"])

    def report(self) -> str:
        """Return a table with each task's state, worker, seconds and retries.

        Returns
        -------
        str
            A line for each task, below one for the job.
        """
        self._load_infos()
        seconds = ["" if task.seconds is None else f"{task.seconds:.3f}" for task in self.tasks]
        rows = [
            (str(index), task.status, taken, str(task.retries), task.worker or "")
            for index, (task, taken) in enumerate(zip(self.tasks, seconds, strict=True))
        ]
        header = ("task", "state", "seconds", "retries", "worker")
        table = Table(header, rows, words=("state", "worker"))
        return "\n".join([f"Job {self.name!r}: {self.progress()}", *table.lines()])

    def _load_infos(self) -> None:
        """Fetch the small part of all finished outcomes in one go."""
        missing = [t for t in self.tasks if t.status == "finished" and t._info is None]
        if not missing:
            return
        futures = [task._future for task in missing]
        infos = self._client.gather(self._client.map(outcome_info, futures, pure=False))
        for task, info in zip(missing, infos, strict=True):
            task._info = info

    def _raise_first_failure(self) -> None:
        index, task = next((i, t) for i, t in enumerate(self.tasks) if t.status in _FAILED)
        try:
            task.result()
        except BaseException as error:
            note = f"task {index} of {len(self.tasks)} of job {self.name!r}"
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
            raise

    def __repr__(self) -> str:
        return f"<Job {self.name!r}: {self.progress()}>"

    def _repr_html_(self) -> str:
        progress = self.progress()
        rows = [
            (str(index), task.status, str(task.retries), task.key)
            for index, task in enumerate(self.tasks[:_HTML_ROWS])
        ]
        if len(self.tasks) > _HTML_ROWS:
            rows.append(("", f"and {len(self.tasks) - _HTML_ROWS} more", "", ""))
        table = Table(("task", "state", "retries", "key"), rows)
        return (
            f"<b>Job</b> {html.escape(self.name)}: {html.escape(str(progress))}<br>"
            f'<progress value="{progress.done}" max="{progress.total}"></progress>'
            f"<details><summary>tasks</summary>{table.html()}</details>"
        )


def require_reducible(job: Any, fan_in: int) -> None:
    """Raise what is wrong with the arguments of `Executor.reduce`."""
    check_integer("fan_in", fan_in, minimum=2)
    if fan_in & (fan_in - 1):
        raise ValueError(f"fan_in={fan_in!r}; allowed are powers of two from 2")
    if not isinstance(job, Job):
        raise TypeError(f"job is a {type(job).__name__}; allowed is a Job, which run returns")
    if not job.tasks:
        raise ValueError(f"job {job.name!r} has no tasks: there is nothing to reduce")


def submit_fold(
    client: Client,
    combine: Callable[[Any, Any], Any],
    futures: Sequence[Future[Any]],
    fan_in: int,
    prefix: str,
) -> Future[Any]:
    """Submit the tree of tasks that combines outcomes; each holds whole subtrees of the fixed tree.

    Parameters
    ----------
    client : Client
    combine : callable
        Of two values.
    futures : sequence of Future
        Of outcomes.
    fan_in : int
        How many of them a task combines: a power of two.
    prefix : str
        Of the tasks' keys.
    """
    fold_values = functools.partial(timed_fold, Shipped.of(combine))
    for level in itertools.count():
        groups = [list(futures[i : i + fan_in]) for i in range(0, len(futures), fan_in)]
        keys = [f"{prefix}-{level}-{i}" for i in range(len(groups))]
        futures = client.map(fold_values, keys, groups, key=keys, pure=False)
        if len(futures) == 1:
            break
    return futures[0]
