"""Which cluster is meant when none is named: in a script, a notebook, a thread, or a task."""

import contextlib
import os
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dask.system import CPU_COUNT
from distributed import Client, Worker, get_client, get_worker, secede
from distributed.utils import in_async_call

from daskml_exec.executor._connection import Connection, open_local, scheduler_address

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor


@dataclass(frozen=True)
class _Entered:
    """An Executor whose ``with`` is open, and the worker whose task opened it, if one did.

    The threads of an in-process cluster inherit the context of whoever started it. What was
    entered there is not entered in the tasks that they run.
    """

    executor: "Executor"
    worker: str | None


_entered: ContextVar[tuple[_Entered, ...]] = ContextVar("daskml_exec_entered", default=())
_in_process: dict[int, Connection] = {}
"""The one in-process cluster, by process id: a forked child has no use for its parent's."""
_lock = threading.Lock()


def enter(executor: "Executor") -> None:
    """Make `executor` the innermost one of this context."""
    worker = _this_worker()
    _entered.set((*_entered.get(), _Entered(executor, worker.id if worker else None)))


def leave(executor: "Executor") -> None:
    """Undo the last `enter` of `executor` in this context, if it was in this context."""
    stack = list(_entered.get())
    for at in reversed(range(len(stack))):
        if stack[at].executor is executor:
            del stack[at]
            break
    _entered.set(tuple(stack))


def innermost() -> "Executor | None":
    """Return the Executor of the innermost ``with`` around this code, in this task."""
    worker = _this_worker()
    here = worker.id if worker else None
    return next((e.executor for e in reversed(_entered.get()) if e.worker == here), None)


def active_client() -> Client | None:
    """Return Dask's current Client, if there is one, it is open, and somebody asked for it."""
    try:
        client = Client.current()
    except ValueError:
        return None
    if client.status not in ("running", "connecting"):
        return None
    # A worker in this process that needed a Client made its own everybody's default.
    in_process = scheduler_address(client).startswith("inproc://")
    return None if in_process and client in Worker._initialized_clients else client


def client_of_this_task() -> Client | None:
    """Inside a task, give up its thread and return a Client of its cluster; else None."""
    worker = _this_worker()
    if worker is None:
        return None
    ours = _in_process.get(os.getpid())
    if worker._client is not None and worker._client.status == "closed":
        worker._client = None  # it would be handed out again
    if ours is not None and scheduler_address(ours.client) == worker.scheduler.address:
        client = ours.client
    else:
        _keep_default_client(worker)
        client = get_client()
    if not client.asynchronous:  # else this is a coroutine on the event loop, without a thread
        with contextlib.suppress(KeyError):  # given up before
            secede()
    return client


def _keep_default_client(worker: Worker) -> None:
    """Open the Client of a worker in this process without making it the process's default.

    Dask would: plain ``compute`` calls of the user's own would then go to this worker's cluster,
    and fail when that is closed.
    """
    if not worker.scheduler.address.startswith("inproc://") or in_async_call(worker.loop):
        return
    with _lock:
        if worker._client is None:
            worker._client = Client(
                worker.scheduler.address,
                loop=worker.loop,
                security=worker.security,
                set_as_default=False,
                direct_to_workers=True,
                name="worker",
            )
            Worker._initialized_clients.add(worker._client)  # closed with the worker


def in_process_client() -> Client:
    """Return the Client of the one in-process cluster, which is opened at first use."""
    if _in_process and os.getpid() not in _in_process:
        raise RuntimeError(
            "this process was forked from one that has an in-process cluster, whose threads were "
            "not forked along. Start processes with multiprocessing's method 'spawn', or open the "
            "cluster in the child only"
        )
    with _lock:
        connection = _in_process.get(os.getpid())
        if connection is None or connection.client.status != "running":
            connection = _in_process[os.getpid()] = open_local(
                n_workers=CPU_COUNT,
                threads_per_worker=1,
                processes=False,
                options={},
                set_as_default=False,
            )
        return connection.client


def _this_worker() -> Worker | None:
    try:
        return get_worker()
    except ValueError:
        return None
