"""Which cluster is meant when none is named: in a script, a notebook, a thread, or a task."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import weakref
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dask.system import CPU_COUNT
from distributed import Client, Worker, get_client, get_worker, secede
from distributed.utils import in_async_call

from daskml_exec.executor._connection import Connection, open_local, scheduler_address

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor


FORKED = (
    "this process was forked from one that has an Executor or an in-process cluster open, whose "
    "threads and connections were not forked along. Start processes with multiprocessing's method "
    "'spawn' (joblib's default does), or open the first Executor in the child"
)


@dataclass(frozen=True, eq=False)
class _Entered:
    """An Executor whose ``with`` is open, and the worker whose task opened it, if one did.

    The threads of an in-process cluster inherit the context of whoever started it. What was
    entered there is not entered in the tasks that they run.
    """

    executor: Executor
    worker: str | None
    around: tuple[_Entered, ...]
    """What was entered around it."""


_entered: ContextVar[tuple[_Entered, ...]] = ContextVar("daskml_exec_entered", default=())
_open: list[_Entered] = []
"""What is entered in any context, in the order of entering: threads begin with an empty context."""
_in_process: dict[int, Connection] = {}
"""The one in-process cluster, by process id: a forked child has no use for its parent's."""
_lock = threading.Lock()
_inherited: list[weakref.ref[Client]] = []
"""In a forked child: its parent's Client."""
_has_parents = False
"""Whether this process was forked from one with an open Executor."""


def enter(executor: Executor) -> None:
    """Make `executor` the innermost one of this context."""
    worker = _this_worker()
    around = _entered.get()
    entry = _Entered(executor, worker.id if worker else None, around)
    _entered.set((*around, entry))
    with _lock:
        _open.append(entry)


def leave(executor: Executor) -> None:
    """Undo the last `enter` of `executor`, in this context if it was in this context."""
    stack = list(_entered.get())
    entry = next((e for e in reversed(stack) if e.executor is executor and e in _open), None)
    if entry is not None:
        stack.remove(entry)
        _entered.set(tuple(stack))
    with _lock:
        if entry is None:
            entry = next((e for e in reversed(_open) if e.executor is executor), None)
        if entry is not None:
            _open.remove(entry)


def innermost() -> Executor | None:
    """Return the Executor of the innermost ``with`` around this code, in this task.

    Outside of tasks, where this context is in no ``with``: the innermost one that is open in this
    process. A thread begins with an empty context, and means the cluster of whoever started it.

    Raises
    ------
    RuntimeError
        Several are open, on several clusters and none within the other.
    """
    worker = _this_worker()
    here = worker.id if worker else None
    with _lock:
        opened = [entry for entry in _open if entry.worker == here]
    mine = [entry for entry in _entered.get() if entry in opened]
    if mine:
        return mine[-1].executor
    if worker is not None:
        return None
    if not opened:
        return None
    around = {id(outer) for entry in opened for outer in entry.around}
    innermost = [entry.executor for entry in opened if id(entry) not in around]
    clusters = {scheduler_address(executor.client) for executor in innermost}
    if len(clusters) > 1:
        raise RuntimeError(
            f"{len(clusters)} Executors are open in other threads or contexts, on different "
            f"clusters ({', '.join(sorted(clusters))}), and none in this one: say which is meant "
            "by `with executor:` around the code of this thread"
        )
    return innermost[-1]


def _forget_parents() -> None:
    """In a forked child: nothing that the parent opened can be used."""
    global _lock, _has_parents
    _lock = threading.Lock()
    with contextlib.suppress(ValueError):
        client = Client.current()
        if client.status in ("running", "connecting"):
            _inherited.append(weakref.ref(client))
    _has_parents = _has_parents or bool(_open or _inherited)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents)


def active_client() -> Client | None:
    """Return Dask's current Client, if there is one, it is open, and somebody asked for it."""
    try:
        client = Client.current()
    except ValueError:
        return None
    if client.status == "connecting":
        if client.asynchronous:
            return client  # which is refused by name
        raise ConnectionError(
            "the active Client has lost its scheduler and tries to connect again. Close it, and "
            "open another one or an Executor"
        )
    if client.status != "running":
        return None
    if any(inherited() is client for inherited in _inherited):
        return None
    # A worker in this process that needed a Client made its own everybody's default.
    in_process = scheduler_address(client).startswith("inproc://")
    return None if in_process and client in Worker._initialized_clients else client


def cluster_is_meant() -> bool:
    """Return whether an Executor, a task or a Client says which cluster to use here."""
    return innermost() is not None or _this_worker() is not None or active_client() is not None


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
    if _has_parents or (_in_process and os.getpid() not in _in_process):
        raise RuntimeError(FORKED)
    with _lock:
        connection = _in_process.get(os.getpid())
        if connection is None or connection.client.status != "running":
            connection = _in_process[os.getpid()] = open_local(
                n_workers=threads_of_this_process(),
                threads_per_worker=1,
                processes=False,
                options={},
                set_as_default=False,
            )
        return connection.client


def is_opened_by_nobody(client: Client) -> bool:
    """Return whether this is the Client of the in-process cluster that `current` falls back on."""
    ours = _in_process.get(os.getpid())
    return ours is not None and ours.client is client


def _this_worker() -> Worker | None:
    try:
        return get_worker()
    except ValueError:
        return None


def threads_of_this_process() -> int:
    """Return how many threads to compute with: a share of the cores where siblings use the others.

    joblib's processes, of which each may open a cluster of its own, are told their share so.
    """
    share = os.environ.get("OMP_NUM_THREADS", "")
    if multiprocessing.parent_process() is not None and share.isdigit():
        return max(1, min(CPU_COUNT, int(share)))
    return CPU_COUNT
