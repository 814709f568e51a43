"""Tell how training goes, round by round: a bar on a terminal, lines in a log."""

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol, Self, TextIO

from tqdm import tqdm

from daskml_exec.training import RoundEvent, RoundRecord

# Seconds between two lines.
_INTERVAL = 2.0


class Progress(Protocol):
    """A callback of the fit that is told when the fit is over, too."""

    def __call__(self, event: RoundEvent) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


def progress_on(stream: TextIO) -> Progress:
    """Return what suits the stream."""
    return ProgressBar(stream) if stream.isatty() else ProgressLines(stream)


class ProgressBar:
    """One line that is written over with each round.

    Parameters
    ----------
    stream : text stream
        A terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: RoundEvent) -> None:
        record = event.record
        if record.loss is not None:
            self._bar.set_postfix_str(
                ", ".join(f"{name}={value}" for name, value in _found(record)), refresh=False
            )
        if record.workers_lost:
            self._bar.write(_loss_of_workers(record), file=self._stream)
        self._bar.update()

    def __enter__(self) -> Self:
        # How many rounds there will be is not known: no total.
        self._bar = tqdm(
            desc="training", unit=" rounds", file=self._stream, miniters=1, dynamic_ncols=True
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()


class ProgressLines:
    """A line for the first and the last round, and every few seconds between them.

    Parameters
    ----------
    stream : text stream
    interval : float, default=2.0
        Seconds between two lines.
    clock : callable, optional
        Returns the seconds since some moment.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        interval: float = _INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._interval = interval
        self._clock = clock
        self._due = self._started = clock()
        self._unsaid: RoundRecord | None = None

    def __call__(self, event: RoundEvent) -> None:
        record = event.record
        if record.workers_lost:
            self._write(_loss_of_workers(record))
        if self._clock() >= self._due:
            self._say(record)
        else:
            self._unsaid = record

    def __enter__(self) -> Self:
        self._due = self._started = self._clock()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._unsaid is not None:
            self._say(self._unsaid)

    def _say(self, record: RoundRecord) -> None:
        now = self._clock()
        found = "  ".join(f"{name} {value}" for name, value in _found(record)) or record.step
        self._write(f"round {record.round:>5}  {found}  {now - self._started:.1f} s")
        self._due = now + self._interval
        self._unsaid = None

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


def _found(record: RoundRecord) -> Iterator[tuple[str, str]]:
    """Return what a round has measured: names with values."""
    if record.loss is not None:
        yield "loss", f"{record.loss:.6f}"
    if record.gradient_norm is not None:
        yield "gradient", f"{record.gradient_norm:.1e}"


def _loss_of_workers(record: RoundRecord) -> str:
    return (
        f"round {record.round:>5}  workers lost: {record.workers_lost}, "
        f"tasks run again: {record.tasks_recomputed}"
    )
