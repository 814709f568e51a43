"""Work that was accepted and has not ended: it is waited for, at the latest when Python exits."""

from __future__ import annotations

import atexit
import concurrent.futures
import concurrent.futures.thread  # registers its own end before ours, so that it comes after
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from distributed import Client, Future, Worker

from daskml_exec.executor._callbacks import Callbacks
from daskml_exec.executor._future import ClusterFuture
from daskml_exec.executor._waiting import wait_for

# What nobody else holds is held here until it has ended: dropped work runs all the same.
_everywhere: set[Accepted] = set()
_closing: set[threading.Thread] = set()
_lock = threading.RLock()
# These releases start no thread once the main thread has ended, and workers in this process that
# have none yet would wait for ever.
_STUCK = (3, 12, 0) <= sys.version_info[:3] < (3, 12, 2)
_PATIENCE = 10.0 if _STUCK else None
_WHY = "this Python release starts no threads as it ends; use `with Executor(...)`, or a later one"
_FIRST = concurrent.futures.FIRST_COMPLETED
_logger = logging.getLogger(__name__)
_finishing = False
_interpreter_ends = False
_left_open: list[object] = []


class Accepted:
    """The work of one Executor.

    Parameters
    ----------
    holder : object
        Lives as long as there is work.
    """

    def __init__(self, holder: object) -> None:
        self.callbacks = Callbacks()
        self._holder = holder
        self._pending: dict[ClusterFuture[Any] | _Stage, None] = {}

    @property
    def idle(self) -> bool:
        """Whether there is nothing to wait for."""
        return not self._pending and self.callbacks.idle

    def add_call(self, client: Client, task: Future[Any]) -> ClusterFuture[Any]:
        """Return the standard library's future of a task."""
        future: ClusterFuture[Any] = ClusterFuture(client, task, self.callbacks)
        self._add(future)
        return future

    def add_tasks(self, client: Client, tasks: Sequence[Future[Any]]) -> None:
        """Hold the tasks of a Job until they have ended."""
        if tasks:
            self._add(_Stage(client, tasks))

    def cancel(self, *, running: bool) -> None:
        """Cancel what has not ended: Jobs, and then calls as they were submitted.

        Callbacks of calls run meanwhile, and may let go on what was to be cancelled.

        Parameters
        ----------
        running : bool
            Whether to cancel what runs on a worker, too.
        """
        pending = self._snapshot()
        if pending and not running:
            keys = [key for work in pending for key in _keys(work)]
            spared = _running_or_done(pending[0]._client, keys)
        else:
            spared = set()
        for work in sorted(pending, key=lambda work: not isinstance(work, _Stage)):
            if isinstance(work, _Stage):
                work.cancel(spared)
            elif work._future.key not in spared:
                work.cancel()

    def wait(self, patience: float | None = None) -> None:
        """Return when all work has ended and all callbacks have run.

        Parameters
        ----------
        patience : float, optional
            Give up what is left when nothing has ended for so many seconds.
        """
        until = concurrent.futures.ALL_COMPLETED if patience is None else _FIRST
        while pending := self._snapshot():
            settled = [work.settled for work in pending]
            if not concurrent.futures.wait(settled, patience, until).done:
                _logger.warning("%d accepted calls or Jobs do not end: %s", len(pending), _WHY)
            elif patience is not None:
                pending = [work for work in pending if work.settled.done()]
            for work in pending:  # which may not have been told yet
                self._discard(work)
        self.callbacks.drain()

    def wait_aside(self, then: Callable[[], object]) -> None:
        """Wait in a thread, and then call `then`."""

        def wait_and_call() -> None:
            try:
                self.wait()
                if _finishing:  # `atexit` closes what is open; threads may not start any more
                    _left_open.append(self._holder)
                else:
                    then()
            finally:
                with _lock:
                    _closing.discard(threading.current_thread())

        thread = threading.Thread(target=wait_and_call, name="daskml-exec-shutdown", daemon=_STUCK)
        with _lock:
            _closing.add(thread)
        thread.start()

    def _snapshot(self) -> list[ClusterFuture[Any] | _Stage]:
        with _lock:
            return list(self._pending)

    def _add(self, work: ClusterFuture[Any] | _Stage) -> None:
        with _lock:
            self._pending[work] = None
            _everywhere.add(self)
        # Held weakly: the future never lets go of its callbacks, and results would stay until the
        # next garbage collection.
        held = weakref.ref(work)
        work.settled.add_done_callback(lambda _: self._discard(held()))

    def _discard(self, work: ClusterFuture[Any] | _Stage | None) -> None:
        with _lock:
            if work is not None:
                self._pending.pop(work, None)
            if not self._pending:
                _everywhere.discard(self)


class _Stage:
    """The tasks of a Job, held until all have ended."""

    def __init__(self, client: Client, tasks: Sequence[Future[Any]]) -> None:
        self._client = client
        self.settled: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._tasks = list(tasks)
        assert client.loop is not None
        client.loop.add_callback(self._follow)

    @property
    def keys(self) -> list[str]:
        return [str(task.key) for task in self._tasks if task.status == "pending"]

    def cancel(self, spared: Collection[str]) -> None:
        left = [t for t in self._tasks if t.status == "pending" and t.key not in spared]
        with suppress(OSError):  # where the scheduler is gone they have been cancelled
            self._client.cancel(left)

    async def _follow(self) -> None:
        for task in self._tasks:
            with suppress(BaseException):
                await task.exception(asynchronous=True)  # returns when the task has ended
        self.settled.set_result(None)


def require_running_interpreter() -> None:
    """Refuse work that nobody would wait for any more."""
    if _interpreter_ends:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")


def _keys(work: ClusterFuture[Any] | _Stage) -> list[str]:
    return work.keys if isinstance(work, _Stage) else [str(work._future.key)]


def _running_or_done(client: Client, keys: list[str]) -> set[str]:
    """Ask the workers which tasks they run, and then the scheduler which have ended meanwhile."""
    found: set[str] = set()
    with suppress(Exception):  # where nobody answers, nothing is known to run
        for running in client.run(_tasks_in_threads, on_error="ignore").values():
            found.update(running)
        assert client.scheduler is not None
        states = wait_for(client, client.scheduler.get_task_status, keys=keys)
        found.update(key for key, state in states.items() if state in ("memory", "erred"))
    return found


def _tasks_in_threads(dask_worker: Worker) -> list[str]:
    with dask_worker.active_threads_lock:
        return [str(key) for key in dask_worker.active_threads.values()]


def _finish() -> None:
    """Wait for all that was accepted while threads can still be started."""
    global _finishing, _interpreter_ends
    _finishing = True
    while True:
        with _lock:
            accepted, closing = list(_everywhere), list(_closing)
            if not accepted and not closing:
                _interpreter_ends = True
                return
        for work in accepted:
            work.wait(_PATIENCE)
        for thread in closing:
            thread.join(_PATIENCE)
            with _lock:
                _closing.discard(thread)


def _forget_parents() -> None:
    """In a forked child: what the parent accepted is the parent's to wait for."""
    global _lock
    _lock = threading.RLock()
    _everywhere.clear()
    _closing.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents)

# Before the standard library shuts down its thread pools, which Dask's event loops use; functions
# of `atexit` come after that.
getattr(threading, "_register_atexit", atexit.register)(_finish)
