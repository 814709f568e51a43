"""Where long work can be stopped: between blocks of rows, rounds and optimiser steps.

Kernels do not know who runs them, or how one tells that nobody waits for their result any more.
Whoever runs them says so here.
"""

from collections.abc import Callable

_look: Callable[[], None] | None = None


def stop_point() -> None:
    """Look whether this work is still wanted; what was passed to `look_with` raises if not.

    It takes a microsecond or two, and has no effect on results.
    """
    if _look is not None:
        _look()


def look_with(look: Callable[[], None] | None) -> None:
    """Let `stop_point` call this function, in all threads of this process."""
    global _look
    _look = look
