"""Whose turn it is: one segment at a time, in the order in which they asked."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from daskml_exec.executor._tuning import tuning


class Admission:
    """A queue of runs. Who is first has all workers, so that no two runs hold half of them each.

    Parameters
    ----------
    lapsed : callable
        Called with the first run while others wait: whether it has lost its right to the workers.
        It is then left out of the queue, and may ask again.
    """

    def __init__(self, lapsed: Callable[[str], bool] = lambda run_id: False) -> None:
        self._lapsed = lapsed
        self._queue: dict[str, asyncio.Event] = {}

    @property
    def first(self) -> str | None:
        """The run that has the workers."""
        return next(iter(self._queue), None)

    async def enter(self, run_id: str) -> bool:
        """Return True when this run is the first, or False when it is no longer in the queue."""
        turn = self._queue.setdefault(run_id, asyncio.Event())
        self._wake_first()
        while not turn.is_set():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(turn.wait(), tuning().admission_look_seconds)
            first = self.first
            if first is not None and first != run_id and self._lapsed(first):
                self.leave(first)
        return self.first == run_id

    def leave(self, run_id: str) -> None:
        """Let the next one go on; a run that is not in the queue is none to leave."""
        turn = self._queue.pop(run_id, None)
        if turn is not None:
            turn.set()
        self._wake_first()

    def _wake_first(self) -> None:
        for turn in self._queue.values():
            turn.set()
            return
