"""Ctrl-C belongs to this process alone, and never falls into the start of its workers."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context


@contextmanager
def interrupts_deferred() -> Iterator[list[int]]:
    """Collect interrupts instead of raising, and keep them from processes started meanwhile.

    A terminal sends Ctrl-C to all processes of the command, and a Python process that still
    imports its modules answers with a traceback. SIGINT is therefore blocked, which threads and
    processes inherit from the thread that starts them.

    Yields
    ------
    list of int
        The signals that came.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        with _sigint_blocked():
            yield came
    finally:
        signal.signal(signal.SIGINT, handler)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The first lock starts multiprocessing's resource tracker, which ends with SIGINT unblocked
    # in its thread. Later locks leave the signal mask alone.
    get_context("spawn").Lock()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # calls the handler if one is pending
