"""Whose turn it is: one segment at a time, in the order in which they asked."""

import asyncio


class Admission:
    """A queue of runs. Who is first has all workers, so that no two runs hold half of them each."""

    def __init__(self) -> None:
        self._queue: dict[str, asyncio.Event] = {}

    async def enter(self, run_id: str) -> None:
        """Return when this run is the first, or when it is no longer in the queue."""
        turn = self._queue.setdefault(run_id, asyncio.Event())
        self._wake_first()
        await turn.wait()

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
