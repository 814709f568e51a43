"""What peers have sent, until the task that wants it takes it."""

import threading
import time
from collections.abc import Hashable
from typing import Any, Protocol

from daskml_exec.executor.peers._errors import GenerationEndedError, PeerTimeoutError
from daskml_exec.executor.peers._runs import CLOSED, Run

# Closed runs that are remembered, so that what arrives late for one is refused.
_REMEMBERED = 1_000


class Clock(Protocol):
    """The time, and how to wait: tests have their own."""

    def now(self) -> float:
        """Return the time in seconds."""

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait until the condition, which is held, is notified, or the time is up."""


class MonotonicClock:
    """The machine's own."""

    def now(self) -> float:
        """Return the time in seconds."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait until the condition, which is held, is notified, or the time is up."""
        condition.wait(seconds)


class Mailbox:
    """Letters by run and tag. The event loop files them, tasks take them.

    Parameters
    ----------
    clock : Clock, optional
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or MonotonicClock()
        self._changed = threading.Condition()
        self._letters: dict[Run, dict[Hashable, Any]] = {}
        self._floors: dict[str, tuple[int, str]] = {}
        self._closed = False

    def file(self, run: Run, tag: Hashable, letter: Any) -> bool:
        """Keep a letter; return False, and drop it, if its generation has ended."""
        with self._changed:
            if self._ended(run) is not None:
                return False
            self._letters.setdefault(run, {})[tag] = letter
            self._changed.notify_all()
            return True

    def take(self, run: Run, tag: Hashable, *, timeout: float, sender: str) -> Any:
        """Return a letter and forget it; wait for it if it has not come.

        Parameters
        ----------
        run : Run
        tag : hashable
        timeout : float
            Seconds.
        sender : str
            Whose letter it is, for the message of an error.

        Raises
        ------
        GenerationEndedError
            The generation has ended.
        PeerTimeoutError
            The letter has not come in time.
        """
        deadline = self._clock.now() + timeout
        with self._changed:
            while True:
                self._require_current(run)
                letters = self._letters.get(run, {})
                if tag in letters:
                    return letters.pop(tag)
                left = deadline - self._clock.now()
                if left <= 0:
                    raise PeerTimeoutError(
                        f"the worker {sender} did not send {tag!r} within {timeout:g} s: it hangs, "
                        "or takes longer for a step; the limits are the dask config values "
                        "'daskml-exec.peer-timeout' within a segment and "
                        "'daskml-exec.segment-start-timeout' for its start"
                    )
                self._clock.wait(self._changed, left)

    def require_current(self, run: Run) -> None:
        """Raise GenerationEndedError if the generation has ended."""
        with self._changed:
            self._require_current(run)

    def floor(self, run_id: str) -> int:
        """Return the generation below which all have ended."""
        with self._changed:
            return self._floors.get(run_id, (0, ""))[0]

    def end_before(self, run_id: str, generation: int, reason: str) -> None:
        """End all generations of a run below this one: drop their letters, wake who waits."""
        with self._changed:
            floor, _ = self._floors.get(run_id, (0, ""))
            if generation <= floor:
                return
            self._floors.pop(run_id, None)
            self._floors[run_id] = (generation, reason)  # now the youngest
            for run in [r for r in self._letters if r.id == run_id and r.generation < generation]:
                del self._letters[run]
            if len(self._floors) > _REMEMBERED:
                closed = (each for each, (floor, _) in self._floors.items() if floor == CLOSED)
                oldest = next(closed, None)
                if oldest is not None:
                    del self._floors[oldest]
            self._changed.notify_all()

    def close(self) -> None:
        """End all generations of all runs: the worker goes."""
        with self._changed:
            self._closed = True
            self._letters.clear()
            self._changed.notify_all()

    def __len__(self) -> int:
        """Return the number of letters that nobody has taken."""
        with self._changed:
            return sum(map(len, self._letters.values()))

    def _ended(self, run: Run) -> str | None:
        if self._closed:
            return "this worker closes"
        floor, reason = self._floors.get(run.id, (0, ""))
        return reason if run.generation < floor else None

    def _require_current(self, run: Run) -> None:
        reason = self._ended(run)
        if reason is not None:
            raise GenerationEndedError(reason)
