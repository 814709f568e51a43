"""A standard-library future for a task on the cluster."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

from distributed import Client, Future


class ClusterFuture(concurrent.futures.Future[Any]):
    """A `concurrent.futures.Future` that follows one task.

    It stays pending until the task has ended, so `running` is False all the time and `cancel`
    succeeds on a task that runs: the scheduler drops its result.
    """

    def __init__(self, client: Client, task: Future[Any]) -> None:
        super().__init__()
        self._client = client
        self._task = task
        self._on_loop(self._follow)

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if cancelled:
            self._on_loop(self._client.cancel, [self._task])
        return cancelled

    def _on_loop(self, function: Callable[..., Any], *args: Any) -> None:
        assert self._client.loop is not None
        self._client.loop.add_callback(function, *args)

    async def _follow(self) -> None:
        result = error = None
        try:
            result = await self._task
        except BaseException as raised:  # whatever the callee raised, somebody waits for it
            error = raised
        if not self.set_running_or_notify_cancel():
            return
        if isinstance(error, asyncio.CancelledError):
            error = concurrent.futures.CancelledError(str(error))
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(result)
