"""The Executor: a standard-library executor whose threads are the workers of a Dask cluster."""

import concurrent.futures
import functools
import html
import itertools
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from distributed import Client

from daskml_exec.executor import _connection, _current, _install
from daskml_exec.executor._accepted import Accepted, require_running_interpreter
from daskml_exec.executor._arguments import pack
from daskml_exec.executor._call import CallEach, Shipped, flatten, name_of, timed_call
from daskml_exec.executor._checks import check_integer
from daskml_exec.executor._events import ClusterEvents
from daskml_exec.executor._future import ClusterFuture
from daskml_exec.executor._handshake import check_newcomers, check_workers
from daskml_exec.executor._job import Job, Task, require_reducible, submit_fold
from daskml_exec.executor._opening import open_or_attach
from daskml_exec.executor._scheduler import require_scheduler, scheduler_needed
from daskml_exec.executor._workers import WorkerTable, html_of_cluster, summary, worker_table

T = TypeVar("T")


class Executor(concurrent.futures.Executor):
    """Open or attach a Dask cluster and run Jobs on it.

    Parameters
    ----------
    cluster : None, str, path, Dask cluster or distributed.Client, optional
        Where to run. None takes the active Client if there is one, else starts an embedded
        cluster on this machine, bound to 127.0.0.1. A string is a scheduler's address, such as
        ``"tcp://127.0.0.1:8786"``, or the path of the file that ``dask scheduler
        --scheduler-file`` writes, such as ``"scheduler.json"``. A cluster is any Dask cluster
        object (``LocalCluster``, ``SSHCluster``, dask-jobqueue, dask-kubernetes,
        dask-cloudprovider).
    n_workers : int, optional
        Workers of the embedded cluster; by default one per CPU core.
    threads_per_worker : int, default=1
        Threads of each embedded worker.
    processes : bool, default=True
        Whether embedded workers are processes, or threads of this process that share its arrays.
    security : distributed.Security, dict or bool, optional
        Certificates for TLS: those of the scheduler at an address that begins with ``tls://``, by
        default as in dask's configuration. For an embedded cluster True makes them, with the extra
        ``security``.
    **cluster_options
        Further options of ``distributed.LocalCluster``, for the embedded cluster.

    Raises
    ------
    TimeoutError
        No scheduler answered at the address, or its file is not there.
    TypeError
        `cluster` is of a type not named above, or is asynchronous; or nothing takes an option.
    ValueError
        Options of the embedded cluster were given together with `cluster`; or an address that
        begins with ``tls://``, and no certificates.
    ConnectionError
        The active Client has lost its scheduler.
    RuntimeError
        The embedded cluster did not start, for example from a script without a main guard.

    Notes
    -----
    The contract is that of `concurrent.futures.Executor`. What differs, since a scheduler hands
    out the calls, to processes that nobody can interrupt:

    - ``running()`` of a future is False all the time, and a call that runs already can be
      cancelled: its result is dropped.
    - Functions and arguments are pickled when they are given, also for Workers in this process,
      which share the buffers of arrays. What cannot be pickled raises ``TypeError`` at once, which
      names it.
    - Futures and Tasks of this Executor, and futures of Dask, are replaced by their values where
      they are arguments, also in lists, tuples, sets and dicts among them. The call waits for them,
      and ends as they do where they fail or are cancelled.
    - A call whose Worker is lost runs again; one that four Workers did not survive fails.
    - ``shutdown(cancel_futures=True)`` may find that nothing runs yet of what was submitted just
      before, and cancel all.

    Calls are never cached: every `submit` runs, with the keywords passed on to the function,
    whatever their names. What a call raises, ``SystemExit`` and ``KeyboardInterrupt`` included, is
    its future's exception and nobody else's. Callbacks run one after the other in a thread in which
    they may wait for other futures. Calls and Tasks that were accepted are run, also those that
    nobody holds: the end of the ``with`` waits for them, and so does the end of Python.

    The Executor of an open ``with`` is the one that estimators use within it, in other threads too.

    Values of Jobs live on the cluster: fetch them before the end of the ``with``.

    `shutdown`, and the end of the outermost ``with``, close what the Executor opened and nothing
    else: a Client or a cluster that was passed in stays open. Ctrl-C ends a call of the driver;
    embedded worker processes ignore it, and each that is lost is followed by another.

    Before the first task, and for Workers that join later, Python, Dask, NumPy, SciPy, scikit-learn
    and this package are compared with the driver's, in a way that cannot harm a Worker: `run`,
    `submit`, `map` and every fit raise `WorkerMismatchError`, which names the fix.

    Inside a task, BLAS runs one thread, so that results do not depend on how many cores a
    machine has.

    Examples
    --------
    >>> from daskml_exec import Executor
    >>> with Executor(processes=False, n_workers=2) as executor:
    ...     job = executor.run(pow, [1, 2, 3], [2, 2, 2], name="squares")
    ...     print(job.results(), executor.reduce(job, int.__add__).result())
    [1, 4, 9] 14
    """

    def __init__(
        self,
        cluster: Any = None,
        *,
        n_workers: int | None = None,
        threads_per_worker: int = 1,
        processes: bool = True,
        security: Any = None,
        **cluster_options: Any,
    ) -> None:
        self._start(
            open_or_attach(
                cluster,
                n_workers=n_workers,
                threads_per_worker=threads_per_worker,
                processes=processes,
                security=security,
                options=cluster_options,
            )
        )

    def _start(self, connection: _connection.Connection) -> None:
        self._connection = connection
        self._accepted = Accepted(connection)
        self._opened_by = os.getpid()
        self._depth = 0
        self._shut_down = False
        self._state_lock = threading.Lock()
        self._closing_lock = threading.Lock()
        self.events = ClusterEvents.of(self.client)

    @classmethod
    def current(cls) -> "Executor":
        """Return the Executor to use here.

        In this order: the innermost ``with Executor(...)`` of this context; outside of tasks, the
        innermost that is open in this process, in whatever thread; inside a task, the cluster that
        runs the task (the task then gives up its thread, so that it may wait for others); the
        active Client; one in-process cluster, opened at first use and closed when the interpreter
        exits.

        Raises
        ------
        RuntimeError
            Several Executors are open in other threads, on different clusters, and none in this
            one; or this process was forked from one with an open Executor.
        """
        executor = _current.innermost()
        if executor is None:
            client = (
                _current.client_of_this_task()
                or _current.active_client()
                or _current.in_process_client()
            )
            executor = cls.__new__(cls)
            executor._start(_connection.attach(client))
        executor._require_open()
        return executor

    @property
    def client(self) -> Client:
        """The `distributed.Client` in use. Closing it is the Executor's business."""
        return self._connection.client

    @property
    def in_process(self) -> bool:
        """Whether the workers are threads of this process and share its memory."""
        return self._connection.in_process

    # The standard library's contract

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> ClusterFuture[T]:
        """Run ``fn(*args, **kwargs)`` on a Worker and return a `concurrent.futures.Future`.

        Parameters
        ----------
        fn : callable
            What runs there.
        *args, **kwargs : objects
            Of its call; futures that this package made are replaced by their values.

        Returns
        -------
        concurrent.futures.Future
            Never of an earlier call.

        Raises
        ------
        TypeError
            The function or an argument cannot be pickled; it is named.
        ValueError
            A future among the arguments is one of another cluster.
        RuntimeError
            The Executor was shut down, or Python ends.
        """
        self._require_open()
        name = name_of(fn)
        key = f"{name}-{uuid.uuid4().hex}"
        function, arguments = Shipped.of(fn), pack(self.client, name, args, kwargs)
        self._check_newcomers()
        with self._state_lock:
            self._require_open()
            task = self.client.submit(
                functools.partial(timed_call, function, key, tell=False),
                arguments.packed,
                arguments.tasks,
                key=key,
                pure=False,
                fifo_timeout="0s",  # else calls of the same moment start in any order
            )
            return self._accepted.add_call(self.client, task)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[T]:
        """Return an iterator of ``fn`` over the iterables, in order.

        Parameters
        ----------
        fn : callable
            Of as many arguments as there are iterables.
        *iterables : iterables
            As for the built-in `map`: the shortest one ends it.
        timeout : float, optional
            Seconds from this call; ``TimeoutError`` is raised when the next result is later.
        chunksize : int, default=1
            Number of calls that one task makes.

        Returns
        -------
        iterator
            Of the values, each waited for when it is asked for.
        """
        check_integer("chunksize", chunksize)
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout)
        calls = zip(*iterables, strict=False)
        chunks = iter(lambda: list(itertools.islice(calls, chunksize)), [])
        return flatten(super().map(CallEach(fn), chunks, timeout=timeout))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Refuse further work and close what this Executor opened.

        Parameters
        ----------
        wait : bool, default=True
            Return after all pending futures and Jobs have ended; otherwise return at once, and
            close when they have.
        cancel_futures : bool, default=False
            Cancel calls and Tasks that no Worker runs yet. The Workers are asked which those are: a
            call that begins in this moment may run, although its future is cancelled.
        """
        if self._forked():
            return  # what the parent opened is the parent's
        # Said before the lock is had: who submits without a pause would not let it go.
        self._shut_down = True
        with self._state_lock:  # what was being submitted has been
            pass
        if cancel_futures:
            self._accepted.cancel(running=False)
        if wait or self._accepted.idle:
            self._accepted.wait()
            self._close()
        else:
            self._accepted.wait_aside(self._close)

    def _close(self) -> None:
        with self._closing_lock:
            self._connection.close()

    def __enter__(self) -> "Executor":
        with self._state_lock:
            self._require_open()
            self._depth += 1
        _current.enter(self)
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: Any, traceback: Any) -> None:
        _current.leave(self)
        with self._state_lock:
            self._depth -= 1
            outermost = self._depth == 0
        if outermost:
            if exc_type is not None and not issubclass(exc_type, Exception):
                # Somebody who pressed Ctrl-C does not want to wait.
                self._accepted.cancel(running=True)
            self.shutdown(wait=True)

    # Jobs

    def run(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        name: str | None = None,
        retries: int = 0,
    ) -> Job[T]:
        """Run ``fn`` over the iterables, one Task per element, and return the Job at once.

        Parameters
        ----------
        fn : callable
            Of as many arguments as there are iterables.
        *iterables : iterables
            As for the built-in `map`: the shortest one ends it.
        name : str, optional
            What the Job is called in reports and on the dashboard; by default the function's
            name.
        retries : int, default=0
            How often a Task that raises is started again. A Task whose Worker is lost is started
            again in any case.

        Returns
        -------
        Job
            With its Tasks in the order of the elements.
        """
        check_integer("retries", retries, minimum=0)
        self._require_open()
        label = name if name is not None else name_of(fn)
        job_id = f"{label}-{uuid.uuid4().hex}"
        function = functools.partial(timed_call, Shipped.of(fn))
        calls = [
            pack(self.client, name_of(fn), args, {}, where=f" in task {index}")
            for index, args in enumerate(zip(*iterables, strict=False))
        ]
        keys = [f"{job_id}-{index}" for index in range(len(calls))]
        packed, tasks = [c.packed for c in calls], [c.tasks for c in calls]
        self._check_newcomers()
        with self._state_lock:
            self._require_open()
            self.events.watch(self.client, self.client.nthreads())
            futures = self.client.map(
                function, keys, packed, tasks, key=keys, retries=retries, pure=False
            )
            self._accepted.add_tasks(self.client, futures)
        return Job(
            self.client,
            job_id,
            label,
            [Task[T](self.client, future, self.events) for future in futures],
        )

    def reduce(self, job: Job[T], combine: Callable[[T, T], T], *, fan_in: int = 8) -> Task[T]:
        """Reduce a Job's values to one, on the Workers, in a fixed tree over task index.

        The arithmetic is a binary tree over the index of the tasks, whatever `fan_in`, the
        number of Workers, or the order in which tasks finish: the bits are the same.

        Parameters
        ----------
        job : Job
            Of `run`.
        combine : callable
            ``combine(left, right)``, associative up to rounding.
        fan_in : int, default=8
            How many values one task combines; a power of two, so that it holds a whole subtree.

        Returns
        -------
        Task
            Its ``result()`` is the total.
        """
        require_reducible(job, fan_in)
        futures = [task._future for task in job.tasks]
        prefix = f"reduce-{job.id}-{uuid.uuid4().hex}"
        self._check_newcomers()
        with self._state_lock:
            self._require_open()
            total = submit_fold(self.client, combine, futures, fan_in, prefix)
            self._accepted.add_tasks(self.client, [total])
        return Task(self.client, total, self.events)

    # What there is

    def workers(self) -> WorkerTable:
        """Return a table of the Workers.

        Returns
        -------
        WorkerTable
            A list of addresses, threads, memory, GPUs and process ids, which prints as a table.
        """
        self._require_open()
        return worker_table(self.client)

    def check_workers(self) -> tuple[str, ...]:
        """Check that every Worker can run this package's tasks.

        Returns
        -------
        tuple of str
            The Workers' addresses.

        Raises
        ------
        WorkerMismatchError
            A Worker lacks the package, or has another version of it, of Dask, of Python or of what
            the package builds on.
        TimeoutError
            The cluster has no Worker, and none came within the dask config value
            ``daskml-exec.workers-timeout``.
        ConnectionError
            A Worker cannot be reached, and does not leave either.
        """
        with self._state_lock:
            self._require_open()
        self.events.watch(self.client, self.client.nthreads())  # a loss from now on is counted
        with scheduler_needed(self.client, "checking the workers"):
            addresses = check_workers(self.client)
        self.events.watch(self.client, addresses)
        return addresses

    def install_on_workers(
        self, how: Literal["upload", "pip"] = "upload", *, packages: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Bring this package to all Workers, also to those that join later.

        Before the first task, every Worker is asked what it has; this mends what the error of that
        check names. Dask's own plugins do the work, and the cluster keeps them as long as it lives.

        Parameters
        ----------
        how : {"upload", "pip"}, default="upload"
            "upload" sends the files of this process's package, and nothing that it depends on.
            "pip" lets every Worker run ``pip install``. By either way, Workers under a Nanny are
            restarted: tasks begin anew, and data without a recipe that only they hold is lost.
        packages : sequence of str, optional
            For "pip": requirements, such as the URL of a wheel. By default this release.

        Returns
        -------
        tuple of str
            The Workers' addresses.

        Raises
        ------
        WorkerMismatchError
            Something else is missing on a Worker still.
        """
        with self._state_lock:
            self._require_open()
        _install.install(self.client, how, packages)
        return self.check_workers()

    def _check_newcomers(self) -> None:
        """Check Workers that have joined, before tasks go to them."""
        if self.client.status == "running" and not self._shut_down:
            check_newcomers(self.client)

    def _forked(self) -> bool:
        return os.getpid() != self._opened_by

    def _require_open(self) -> None:
        if self._forked():
            raise RuntimeError(_current.FORKED)
        require_running_interpreter()
        if self._shut_down:
            raise RuntimeError("the Executor was shut down: it takes no further work")
        if self.client.status in ("closing", "closed"):
            raise RuntimeError("the Client of this Executor was closed: open another Executor")
        require_scheduler(self.client, "this Executor takes no work")

    def __reduce__(self) -> Any:
        raise TypeError(
            "an Executor is of the process that opened it: in a task, Executor.current() returns "
            "one of the same cluster"
        )

    def __repr__(self) -> str:
        if self._shut_down:
            return "<Executor: shut down>"
        if self.client.status != "running":
            return f"<Executor: Client {self.client.status}>"
        return f"<Executor: {summary(self.client)}>"

    def _repr_html_(self) -> str:
        if self._shut_down or self.client.status != "running":
            return html.escape(repr(self))
        return f"<b>{html.escape(repr(self)[1:-1])}</b>{html_of_cluster(self.client)}"
