"""A standard-library future for a task on the cluster."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any, TypeVar

from distributed import Client, Future

from daskml_exec.executor._arguments import OnCluster
from daskml_exec.executor._callbacks import Callbacks
from daskml_exec.executor._outcome import Outcome
from daskml_exec.executor._raised import original
from daskml_exec.executor._scheduler import lost_scheduler

T = TypeVar("T")


class ClusterFuture(OnCluster, concurrent.futures.Future[T]):
    """A `concurrent.futures.Future` that follows one task.

    It stays pending until the task has ended, so `running` is False all the time and `cancel`
    succeeds on a task that runs: the scheduler drops its result.

    Callbacks run in the thread that ends the future where that is one of the user's, by `cancel`;
    else one after the other in a thread for them, in which they may wait for other futures.
    """

    def __init__(self, client: Client, task: Future[Any], callbacks: Callbacks) -> None:
        super().__init__()
        self._client = client
        self._future = task
        self._callbacks = callbacks
        self.settled: concurrent.futures.Future[None] = concurrent.futures.Future()
        """Ends when the future has ended and its callbacks have run or been put."""
        self._on_loop(self._follow)

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if cancelled:
            self._on_loop(self._client.cancel, [self._future])
        return cancelled

    def add_done_callback(self, fn: Callable[[concurrent.futures.Future[T]], object]) -> None:
        client, callbacks = self._client, self._callbacks  # a callback that held us would keep us

        def call(future: concurrent.futures.Future[T]) -> None:
            if _runs_in(client):  # which must not wait
                callbacks.put(fn, future)
            else:
                fn(future)

        super().add_done_callback(call)

    def _on_loop(self, function: Callable[..., Any], *args: Any) -> None:
        assert self._client.loop is not None
        self._client.loop.add_callback(function, *args)

    async def _follow(self) -> None:
        result = error = None
        try:
            outcome: Outcome[T] = await self._future
            result = outcome.value
        except BaseException as raised:  # whatever the callee raised, somebody waits for it
            error = original(raised)
            if isinstance(raised, asyncio.CancelledError):  # by Dask, not by the callee
                lost = lost_scheduler(self._client, raised, "a submitted call")
                error = lost or concurrent.futures.CancelledError(str(raised))
        if self.set_running_or_notify_cancel():
            if error is not None:
                self.set_exception(error)
            else:
                self.set_result(result)  # type: ignore[arg-type]
        self.settled.set_result(None)


def _runs_in(client: Client) -> bool:
    """Whether this is the thread of the client's event loop."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return False
    return client.loop is not None and client.loop.asyncio_loop is running  # type: ignore[attr-defined]
