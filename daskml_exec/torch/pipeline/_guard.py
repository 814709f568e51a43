"""What code of the user's raises in a segment, with where that was."""

from collections.abc import Iterator
from contextlib import contextmanager

from daskml_exec.executor._raised import carried


@contextmanager
def guarded(where: str) -> Iterator[None]:
    """Say where code of the user's raised, and let whatever that was come to the driver."""
    try:
        yield
    except BaseException as error:
        error.add_note(where)
        raise carried(error) from None
