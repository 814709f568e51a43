"""What peers have sent, until the task that wants it takes it."""

import hmac
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

from daskml_exec.executor.peers._errors import (
    GenerationEndedError,
    MailboxFullError,
    PeerTimeoutError,
)
from daskml_exec.executor.peers._runs import CLOSED, Run

# Closed runs that are remembered, so that what arrives late for one is refused.
_REMEMBERED = 1_000
# Messages of one generation that may wait to be taken. Peers are a step or two ahead of each other,
# each with a few messages for each layer.
_MOST_MESSAGES = 2**16
# How long one wait is at most: a condition refuses to wait for ever.
_LONGEST_WAIT = 3600.0


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


@dataclass(frozen=True)
class Announcement:
    """Who takes part in a generation, as the scheduler says.

    Attributes
    ----------
    members : tuple of str
        Addresses.
    index : int
        Of this worker.
    token : str
        That messages of this generation have.
    """

    members: tuple[str, ...]
    index: int
    token: str

    def admits(self, sender: Any, token: Any) -> bool:
        """Return whether a message may be from the member that it says."""
        return (
            isinstance(sender, int)
            and 0 <= sender < len(self.members)
            and isinstance(token, str)
            and hmac.compare_digest(token.encode(), self.token.encode())
        )


@dataclass
class _Box:
    """What has come for one generation and was not taken yet."""

    messages: dict[Hashable, tuple[Any, int]] = field(default_factory=dict)
    nbytes: int = 0
    is_full: bool = False


class Mailbox:
    """Messages by run and tag. The event loop files them, tasks take them.

    Parameters
    ----------
    clock : Clock, optional
    limit : int, optional
        Bytes of messages of one generation that may wait to be taken.
    """

    def __init__(self, clock: Clock | None = None, limit: int | None = None) -> None:
        self._clock = clock or MonotonicClock()
        self._limit = limit
        self._changed = threading.Condition()
        self._boxes: dict[Run, _Box] = {}
        self._announced: dict[Run, Announcement] = {}
        self._floors: dict[str, tuple[int, str]] = {}
        self._closed = False

    def announce(self, run: Run, announcement: Announcement) -> None:
        """Expect messages of a generation, if it has not ended."""
        with self._changed:
            if self._ended(run) is None:
                self._announced[run] = announcement

    def announced(self, run: Run) -> Announcement:
        """Return what the scheduler has said of a generation.

        Raises
        ------
        GenerationEndedError
            It has ended, or this worker was not named as one of its members.
        """
        with self._changed:
            self._require_current(run)
            if run not in self._announced:
                raise GenerationEndedError(f"this worker is no member of {run}")
            return self._announced[run]

    def admits(self, run: Run, sender: Any, token: Any) -> bool:
        """Return whether a message is from a member of a generation that was announced."""
        with self._changed:
            announced = self._announced.get(run)
        return announced is not None and announced.admits(sender, token)

    def file(self, run: Run, tag: Hashable, message: Any, nbytes: int = 0) -> bool:
        """Keep a message; return False, and drop it, where it is not to be kept.

        It is not if its generation has ended, if another one with its tag is here, which was the
        first, or if there is no room for it.
        """
        with self._changed:
            if self._ended(run) is not None:
                return False
            box = self._boxes.setdefault(run, _Box())
            if tag in box.messages:
                return False
            if len(box.messages) >= _MOST_MESSAGES or (
                self._limit is not None and box.nbytes + nbytes > self._limit
            ):
                box.is_full = True
            else:
                box.messages[tag] = message, nbytes
                box.nbytes += nbytes
            self._changed.notify_all()
            return not box.is_full

    def take(self, run: Run, tag: Hashable, *, timeout: float, sender: str) -> Any:
        """Return a message and forget it; wait for it if it has not come.

        Parameters
        ----------
        run : Run
        tag : hashable
        timeout : float
            Seconds.
        sender : str
            Whose message it is, for the message of an error.

        Raises
        ------
        GenerationEndedError
            The generation has ended.
        PeerTimeoutError
            The message has not come in time.
        MailboxFullError
            There was no room for it, or for another one of the generation.
        """
        deadline = self._clock.now() + timeout
        with self._changed:
            while True:
                self._require_current(run)
                box = self._boxes.get(run, _Box())
                if tag in box.messages:
                    message, nbytes = box.messages.pop(tag)
                    box.nbytes -= nbytes
                    return message
                if box.is_full:
                    raise MailboxFullError(
                        f"messages of {run} that nobody has taken yet take {box.nbytes:,} bytes in "
                        f"{len(box.messages):,} pieces on this worker; it has no room for more"
                    )
                left = deadline - self._clock.now()
                if left <= 0:
                    raise PeerTimeoutError(
                        f"the worker {sender} did not send {tag!r} within {timeout:g} s: it hangs, "
                        "or takes longer for a step; the limits are the dask config values "
                        "'daskml-exec.peer-timeout' within a segment and "
                        "'daskml-exec.segment-start-timeout' for its start"
                    )
                self._clock.wait(self._changed, min(left, _LONGEST_WAIT))

    def require_current(self, run: Run) -> None:
        """Raise GenerationEndedError if the generation has ended."""
        with self._changed:
            self._require_current(run)

    def floor(self, run_id: str) -> int:
        """Return the generation below which all have ended."""
        with self._changed:
            return self._floors.get(run_id, (0, ""))[0]

    def end_before(self, run_id: str, generation: int, reason: str) -> None:
        """End all generations of a run below this one: drop their messages, wake who waits."""
        with self._changed:
            floor, _ = self._floors.get(run_id, (0, ""))
            if generation <= floor:
                return
            self._floors.pop(run_id, None)
            self._floors[run_id] = (generation, reason)  # now the youngest
            for kept in (self._boxes, self._announced):
                for run in [r for r in kept if r.id == run_id and r.generation < generation]:
                    del kept[run]
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
            self._boxes.clear()
            self._announced.clear()
            self._changed.notify_all()

    def __len__(self) -> int:
        """Return the number of messages that nobody has taken."""
        with self._changed:
            return sum(len(box.messages) for box in self._boxes.values())

    def _ended(self, run: Run) -> str | None:
        if self._closed:
            return "this worker closes"
        floor, reason = self._floors.get(run.id, (0, ""))
        return reason if run.generation < floor else None

    def _require_current(self, run: Run) -> None:
        reason = self._ended(run)
        if reason is not None:
            raise GenerationEndedError(reason)
