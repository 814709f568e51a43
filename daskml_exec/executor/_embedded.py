"""The embedded cluster: its workers leave Ctrl-C to the driver, and are replaced when lost."""

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import resource_tracker
from typing import Any

from distributed import LocalCluster, Nanny, Scheduler
from distributed.core import Status
from distributed.deploy.cluster import Cluster

from daskml_exec.executor._prompt_messages import SoonToWorkers
from daskml_exec.executor._silence import closing_is_no_news

_logger = logging.getLogger(__name__)

# How often to look whether a worker has to be started anew, in seconds; less and less often while
# that fails.
_LOOK_EVERY, _LOOK_AT_LEAST_EVERY = 1.0, 30.0
# How long worker processes have to end by themselves when the cluster closes, in seconds. What they
# still compute then, nobody waits for. A Nanny would complain of them after four.
_ENDING_SECONDS = 3.0
_ENDED = (Status.closed, Status.failed, Status.closing_gracefully)


class EmbeddedCluster(LocalCluster):
    """A `LocalCluster` whose processes outlive Ctrl-C, and that keeps its number of workers.

    A terminal and Jupyter's stop button send SIGINT to all processes of a group. It is the
    driver's to handle: worker processes are started with SIGINT blocked, which they inherit from
    the thread of the event loop, before they run any code of their own.

    A Nanny starts a new process for one that was killed, but there are ways for the Nanny itself
    to end: its worker closed itself, as it does when it loses the connection to the scheduler, or
    the new process did not come up. `LocalCluster` also closes each Nanny that takes longer than
    ``distributed.deploy.lost-worker-timeout`` for it, 15 seconds, which a slow or busy machine
    does. It starts no other in its place, and becomes smaller and smaller. Here a Nanny has the
    time that it needs, and one that has ended is followed by another, unless its worker was
    retired.
    """

    async def _start(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            _block_interrupts()
        self._retired: set[Any] = set()
        await super()._start()
        self._master.add_plugin(SoonToWorkers(self._master))
        self._keeper = asyncio.ensure_future(self._keep_workers())

    def _update_worker_status(self, op: str, msg: Any) -> None:
        if op == "add":
            self._retired.difference_update(info["name"] for info in msg["workers"].values())
        elif (left := self.scheduler_info["workers"].get(msg)) is None:
            return  # seen where workers come and go as the cluster closes
        elif _was_expected(self._master.get_events(msg)):
            self._retired.add(left["name"])
        # Not the next class's, which closes Nannies that take long.
        Cluster._update_worker_status(self, op, msg)

    @property
    def _master(self) -> Scheduler:
        assert isinstance(self.scheduler, Scheduler)  # it is in this process
        return self.scheduler

    async def _keep_workers(self) -> None:
        pause = _LOOK_EVERY
        while True:
            await asyncio.sleep(pause)
            if self.status != Status.running or self._master.status != Status.running:
                return
            for name in [n for n, worker in self.workers.items() if worker.status in _ENDED]:
                del self.workers[name]
                if name in self._retired:
                    self.worker_spec.pop(name, None)
            if set(self.worker_spec) <= set(self.workers):
                pause = _LOOK_EVERY
                continue
            try:
                # Closing cancels this, and must find what has been started.
                await asyncio.shield(self._correct_state())
            except Exception as error:
                _logger.info("a worker did not start, and is tried again: %r", error)
                pause = min(2 * pause, _LOOK_AT_LEAST_EVERY)

    async def _close(self) -> None:
        if (keeper := getattr(self, "_keeper", None)) is not None:
            keeper.cancel()
        nannies = [worker for worker in self.workers.values() if isinstance(worker, Nanny)]
        late = asyncio.get_running_loop().call_later(_ENDING_SECONDS, _kill, nannies)
        try:
            with closing_is_no_news():
                await super()._close()
        finally:
            late.cancel()


def started(start: Callable[[], EmbeddedCluster]) -> EmbeddedCluster:
    """Start a cluster in another thread, so that Ctrl-C leaves no half of one behind.

    The interrupted call returns at once, and what was being started is closed as soon as it is up.
    """
    coming: concurrent.futures.Future[EmbeddedCluster] = concurrent.futures.Future()

    def run() -> None:
        try:
            coming.set_result(start())
        except BaseException as error:
            coming.set_exception(error)

    try:
        threading.Thread(target=run, name="start of a cluster").start()
        return coming.result()
    except KeyboardInterrupt:
        coming.add_done_callback(_close)
        raise


def _close(coming: concurrent.futures.Future[EmbeddedCluster]) -> None:
    if coming.exception() is None:
        coming.result().close()


def _block_interrupts() -> None:
    """Block SIGINT in this thread, and in whatever threads and processes it starts."""
    if hasattr(signal, "pthread_sigmask"):
        # It is started with the first process otherwise, and unblocks the signal when it is.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _was_expected(events: Any) -> bool:
    """Whether the worker of these events left because somebody wanted it to."""
    left = [e for _, e in events if isinstance(e, dict) and e.get("action") == "remove-worker"]
    return bool(left and left[-1].get("expected"))


def _kill(nannies: list[Nanny]) -> None:
    for nanny in nannies:
        if nanny.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(nanny.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
