"""Say for which workers one waits: one that has other work to do, or no memory, does not hang."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from typing import Any

from distributed import Client, Future

logger = logging.getLogger(__name__)


class Late:
    """The workers that keep some futures waiting, each said once.

    Parameters
    ----------
    futures : sequence of Future
    """

    def __init__(self, futures: Sequence[Future[Any]]) -> None:
        self._futures = futures
        self._name = _common([str(future.key) for future in futures])
        self._said: dict[str, str] = {}

    async def say(self, client: Client) -> None:
        """Log which workers have not begun with their tasks, and why."""
        assert client.scheduler is not None
        pending = [str(future.key) for future in self._futures if future.status == "pending"]
        processing = await client.scheduler.processing(workers=None)
        workers = (await client.scheduler.identity())["workers"]
        for address, why in sorted(reasons(pending, self._name, processing, workers).items()):
            if self._said.get(address) != why:
                self._said[address] = why
                logger.warning("%s waits for the worker %s, which %s", self._name, address, why)


def reasons(
    pending: Sequence[str],
    name: str,
    processing: dict[str, Sequence[Any]],
    workers: dict[str, Any],
) -> dict[str, str]:
    """Return, by address, why workers may not have begun with tasks that are theirs.

    Parameters
    ----------
    pending : sequence of str
        The tasks that one waits for.
    name : str
        What the tasks of the same round are all called.
    processing : dict
        What the scheduler has given to each worker.
    workers : dict
        What the scheduler says of each worker.

    Examples
    --------
    >>> about = {"w": {"nthreads": 2, "status": "running"}}
    >>> reasons(["a-1"], "a", {"w": ["b", "c", "a-1"]}, about)
    {'w': 'has other tasks to do first'}
    """
    found = {}
    for address, keys in processing.items():
        about = workers.get(address, {})
        mine = [key for key in map(str, keys) if key in pending or (name and key.startswith(name))]
        others = len(keys) - len(mine)
        if not set(mine) & set(pending):
            continue
        if about.get("status") == "paused":
            found[address] = "is paused, because its memory is nearly full"
        elif others >= about.get("nthreads", 1):
            found[address] = "has other tasks to do first"
    return found


def _common(keys: Sequence[str]) -> str:
    """Return what the tasks of one round are all called."""
    if len(keys) == 1:
        return keys[0].rpartition("-")[0]
    first, last = min(keys, default=""), max(keys, default="")
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(letter for letter, _ in same).rstrip("-")
