"""What `verbose` prints: how a fit begins, a line per round, and signs of life in long rounds."""

import math
import threading
import time
from collections.abc import Callable

from daskml_exec.training._events import BeginEvent, EndEvent, RoundEvent
from daskml_exec.training._history import RoundRecord

# Seconds without a line after which one says that the round goes on.
_PATIENCE = 10.0


def duration(seconds: float) -> str:
    """Return a time in words of two units at most.

    Examples
    --------
    >>> duration(0.25), duration(75.0), duration(7300.0)
    ('0.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


class TimeLeft:
    """Says how long the rest of a fit may take, by its rounds so far.

    Of epochs or iterations there are as many as the limit at most. A gradient norm is taken to
    fall at the rate at which it has fallen so far; Newton's ends sooner.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._first_norm: float | None = None
        self._text = ""

    def after(self, event: RoundEvent) -> str:
        """Return the time left in words; an empty text if it is not known, or none is left."""
        record, reached = event.record, event.reached
        self._seconds += record.seconds
        self._text = ""
        if reached is not None:
            share = reached.done / reached.limit
            by_norm = self._share_by_norm(record.gradient_norm, reached.goal)
            if share >= 1 or by_norm >= 1:
                return ""
            if max(share, by_norm) > 0:
                rest = self._seconds * (1 / max(share, by_norm) - 1)
                self._text = f"{'about' if by_norm > share else 'at most'} {duration(rest)} left"
        return self._text

    def still(self) -> str:
        """Return what was said last."""
        return self._text

    def _share_by_norm(self, norm: float | None, goal: float | None) -> float:
        if not norm or not goal or not math.isfinite(norm):
            return 0.0
        self._first_norm = self._first_norm or norm
        way = math.log(self._first_norm / goal)
        return math.log(self._first_norm / norm) / way if way > 0 else 0.0


class RoundLines:
    """A callback that writes the plan, a line for rounds, and one where a round takes long.

    Parameters
    ----------
    write : callable, default=print
        Takes a line. It is called from two threads, never at once.
    interval : float, default=0
        Seconds between the lines of two rounds; those of the first, of the last and of rounds
        that have lost workers come in any case.
    patience : float, default=10
        Seconds without a line after which one says that the round goes on.
    clock : callable, optional
        Returns the seconds since some moment.
    """

    def __init__(
        self,
        *,
        write: Callable[[str], object] = print,
        interval: float = 0.0,
        patience: float = _PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._put = write
        self._interval = interval
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._last: RoundEvent | None = None
        self._left = TimeLeft()
        self._unsaid = ""

    def on_begin(self, event: BeginEvent) -> None:
        """Write the plan, and begin to watch how long rounds take."""
        self._said = self._due = self._round_started = self._clock()
        self._write(f"{type(event.estimator).__name__}: {event.plan}")
        self._watch = threading.Thread(target=self._wait, name="verbose", daemon=True)
        self._watch.start()

    def on_end(self, event: EndEvent) -> None:
        """Write what was held back."""
        self._ended.set()
        self._watch.join()
        if self._unsaid:
            self._write(self._unsaid)

    def __call__(self, event: RoundEvent) -> None:
        record = event.record
        with self._lock:
            now = self._clock()
            line = "  ".join(
                part
                for part in (
                    f"round {record.round:>4}",
                    where(event),
                    f"{record.step:8}",
                    *found(record),
                    f"{record.seconds * 1e3:.1f} ms",
                    self._left.after(event),
                )
                if part
            )
            self._last, self._round_started = event, now
            if record.workers_lost:
                self._write(losses_in_words(record))
            if now >= self._due:
                self._write(line)
                self._due, self._unsaid = now + self._interval, ""
            else:
                self._unsaid = line

    def tick(self) -> None:
        """Say that the round goes on, if nothing was said for long."""
        with self._lock:
            now = self._clock()
            if now - self._said < self._patience:
                return
            number = 0 if self._last is None else self._last.record.round + 1
            parts = (
                f"round {number:>4}",
                "" if self._last is None else where(self._last),
                f"has taken {duration(now - self._round_started)} so far",
                self._left.still(),
            )
            self._write("  ".join(part for part in parts if part))

    def _wait(self) -> None:
        while not self._ended.wait(self._patience / 4):
            self.tick()

    def _write(self, line: str) -> None:
        self._said = self._clock()
        self._put(line)


def where(event: RoundEvent) -> str:
    """Say how far a fit has come; an empty text if that is not known."""
    return "" if event.reached is None else str(event.reached)


def found(record: RoundRecord) -> list[str]:
    """Return what a round has measured, in words."""
    texts = []
    if record.loss is not None:
        texts.append(f"loss {record.loss:.8f}")
    if record.gradient_norm is not None:
        texts.append(f"gradient {record.gradient_norm:.2e}")
    if record.score is not None:
        texts.append(f"score {record.score:.4f}")
    texts.extend(f"{name} {value:.4f}" for name, value in record.scores.items())
    return texts


def losses_in_words(record: RoundRecord) -> str:
    """Say what a round has lost."""
    return (
        f"round {record.round:>4}  workers lost: {record.workers_lost}, "
        f"tasks run again: {record.tasks_recomputed}"
    )
