"""What code of the user's raises in a segment, with where that was."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from daskml_exec.executor._raised import carried
from daskml_exec.torch._hints import hint


@contextmanager
def guarded(where: str) -> Iterator[None]:
    """Say where code of the user's raised, and let whatever that was come to the driver."""
    try:
        yield
    except BaseException as error:
        error.add_note(_with_hint(where, error, None))
        raise carried(error) from None


@contextmanager
def tried(module: nn.Module) -> Iterator[None]:
    """Say that a module raised before training, and what may help."""
    try:
        yield
    except Exception as error:
        where = "the module raised this on some samples, before training began"
        error.add_note(_with_hint(where, error, module))
        raise


def _with_hint(where: str, error: BaseException, module: nn.Module | None) -> str:
    # One of some samples is no small batch, of which other advice is given.
    said = hint(error, module, least_batch=2) if isinstance(error, Exception) else ""
    return f"{where}: {said}" if said else where
