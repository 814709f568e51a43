"""Streams that fail: what is told matters less than what was trained."""

import io
import os
from contextlib import suppress
from typing import TextIO, cast

from daskml_exec.cli._errors import CommandError, one_line

# A full disk, a reader that has gone, a closed stream, a character that the stream cannot encode.
_FAILURES = (OSError, ValueError)


def tolerant(stream: TextIO | None) -> TextIO:
    """Return a stream for progress and messages, whose failures end nothing: it falls silent.

    Parameters
    ----------
    stream : text stream or None
        None is what Python has for a standard stream that was closed before it started.
    """
    return cast(TextIO, _Tolerant(stream))


class _Tolerant(io.TextIOBase):
    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if self._stream is not None:
            try:
                return self._stream.write(text)
            except _FAILURES:
                self._fall_silent()
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except _FAILURES:
                self._fall_silent()

    def isatty(self) -> bool:
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:  # it was closed
            return False

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "ascii"

    def _fall_silent(self) -> None:
        assert self._stream is not None
        _abandon(self._stream)
        self._stream = None


def tell(text: str, stream: TextIO | None) -> None:
    """Write the result.

    Raises
    ------
    CommandError
        It could not be written.
    """
    try:
        print(text, file=_Tolerant(None) if stream is None else stream, flush=True)
    except _FAILURES as error:
        assert stream is not None
        _abandon(stream)
        raise CommandError(f"cannot write the result to stdout: {one_line(error)}") from error


def _abandon(stream: TextIO) -> None:
    """Keep the interpreter from writing at its end, once more, what could not be written."""
    with suppress(*_FAILURES):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
