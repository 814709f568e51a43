"""Fetch results, and do not wait for ever when nobody is left to compute them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Any

from distributed import Client, Future

from daskml_exec.executor import _config
from daskml_exec.executor._failures import no_worker_error
from daskml_exec.executor._late import Late
from daskml_exec.executor._raised import Raised
from daskml_exec.executor._scheduler import require_scheduler, scheduler_needed
from daskml_exec.executor._tuning import tuning
from daskml_exec.executor._waiting import seen, wait_for


def gather(client: Client, futures: Sequence[Future[Any]], *, direct: bool = False) -> list[Any]:
    """Return the results of the futures, in their order, or cancel them.

    Parameters
    ----------
    client : Client
    futures : sequence of Future
    direct : bool, default=False
        Whether to fetch them from the workers, and not through the scheduler. Only for workers
        that can be reached from here: an attempt takes as long as a connection's time-out.

    Raises
    ------
    LostSchedulerError
        The scheduler is gone.
    TimeoutError
        The cluster had no worker for as long as the dask config value
        ``daskml-exec.workers-timeout``.
    BaseException
        What a call raised that the results depend on.
    """
    limit = _config.seconds("workers-timeout")
    with scheduler_needed(client, "waiting for results"):
        try:
            results: list[Any] = wait_for(
                client,
                _unless_deserted,
                client,
                client.gather(list(futures), asynchronous=True, direct=direct),
                limit,
                Late(futures),
            )
        except BaseException as error:
            if client.status == "running":
                client.cancel(list(futures))  # nobody waits for what still runs
            if isinstance(error, Raised):
                raise error.original() from None
            raise
    return results


async def _unless_deserted(
    client: Client, results: Awaitable[list[Any]], limit: float, late: Late
) -> Any:
    waiting = asyncio.ensure_future(results)
    deserted_since = None
    looked = time.monotonic()
    try:
        while not (await asyncio.wait([waiting], timeout=min(limit, tuning().listen_seconds)))[0]:
            require_scheduler(client, "waiting for results")
            now = time.monotonic()
            if now - looked < min(limit, tuning().look_seconds):
                continue
            looked = now
            if await client.nthreads(asynchronous=True):
                deserted_since = None
                await late.say(client)
            elif deserted_since is None:
                deserted_since = now
            elif now - deserted_since >= limit:
                raise no_worker_error(client, limit)
        return await waiting
    finally:
        # Not cancelled: the tasks that it waits in would complain of that, each with a traceback.
        # `gather` cancels the futures, and it ends with them.
        waiting.add_done_callback(seen)
