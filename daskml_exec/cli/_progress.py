"""Tell how training goes, round by round: a bar on a terminal, lines in a log."""

from collections.abc import Iterator
from typing import Protocol, TextIO

from tqdm import tqdm

from daskml_exec.training import (
    BeginEvent,
    EndEvent,
    RoundEvent,
    RoundLines,
    RoundRecord,
    losses_in_words,
)

# Seconds between two lines.
_INTERVAL = 2.0


class Progress(Protocol):
    """A callback of the fit that is told of its begin and end, too."""

    def on_begin(self, event: BeginEvent) -> None: ...

    def __call__(self, event: RoundEvent) -> None: ...

    def on_end(self, event: EndEvent) -> None: ...


def progress_on(stream: TextIO) -> Progress:
    """Return what suits the stream."""
    if stream.isatty():
        return ProgressBar(stream)
    return RoundLines(write=lambda line: print(line, file=stream, flush=True), interval=_INTERVAL)


class ProgressBar:
    """One line that is written over with each round.

    It counts epochs, of which there is a number at most, or else rounds.

    Parameters
    ----------
    stream : text stream
        A terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def on_begin(self, event: BeginEvent) -> None:
        self._bar = tqdm(
            desc="training", unit=" rounds", file=self._stream, miniters=0, dynamic_ncols=True
        )

    def __call__(self, event: RoundEvent) -> None:
        record, reached = event.record, event.reached
        if record.loss is not None:
            self._bar.set_postfix_str(
                ", ".join(f"{name}={value}" for name, value in _found(record)), refresh=False
            )
        if record.workers_lost:
            self._bar.write(losses_in_words(record), file=self._stream)
        if reached is not None and reached.unit == "epoch":
            self._bar.unit, self._bar.total = f" {reached.unit}s", reached.limit
            self._bar.update(round(reached.done, 2) - self._bar.n)
        else:
            self._bar.update()

    def on_end(self, event: EndEvent) -> None:
        self._bar.close()


def _found(record: RoundRecord) -> Iterator[tuple[str, str]]:
    """Return what a round has measured: names with values."""
    if record.loss is not None:
        yield "loss", f"{record.loss:.6f}"
    if record.gradient_norm is not None:
        yield "gradient", f"{record.gradient_norm:.1e}"
