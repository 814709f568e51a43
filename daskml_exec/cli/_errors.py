"""Failures that a user can mend, told in one line."""

from typing import TextIO

PROGRAM = "daskml-exec"

# TimeoutError, ConnectionError and whatever else concerns files and sockets is an OSError. An
# ImportError names the package that a URL's protocol needs; a RuntimeError comes from a cluster
# that is lost, or from a file that changed meanwhile.
_EXPECTED = (OSError, ValueError, TypeError, RuntimeError, ImportError)


class CommandError(Exception):
    """A failure whose message is all that there is to say."""


def is_expected(error: Exception) -> bool:
    """Whether a line says all about the error; otherwise its traceback is wanted."""
    from_cluster = type(error).__module__.partition(".")[0] == "distributed"
    return from_cluster or isinstance(error, (CommandError, *_EXPECTED))


def one_line(error: BaseException) -> str:
    r"""Return the message of an error with its notes, which say where it happened.

    Examples
    --------
    >>> error = ValueError("two\nlines")
    >>> error.add_note("while reading a.txt")
    >>> one_line(error)
    'two lines (while reading a.txt)'
    """
    message = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        message = f"{error.filename}: {error.strerror}"
    notes = "; ".join(getattr(error, "__notes__", ()))
    return " ".join(f"{message} ({notes})".split()) if notes else " ".join(message.split())


def say(stream: TextIO, text: str) -> None:
    """Write a line that is signed with the program's name."""
    print(f"{PROGRAM}: {text}", file=stream, flush=True)
