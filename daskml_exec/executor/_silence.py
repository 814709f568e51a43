"""What Dask complains of and is no news: a cluster that closes, or Ctrl-C, amidst something."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_COMPLAINTS = {
    # A call that was cancelled may still run.
    "distributed.worker.state_machine": ("ended with CancelledError",),
    # A worker was just telling the scheduler that it lives; or Python 3.12.1 starts no more threads
    # as it ends, and Dask does without.
    "distributed.worker": (
        "Failed to communicate with scheduler during heartbeat",
        "Could not close executor",
    ),
    # A worker on a busy machine takes longer to end than it is given.
    "distributed.nanny": ("Worker process still alive after",),
    # A message was just being sent.
    "distributed.batched": ("Batched Comm Closed",),
    # A worker left before the scheduler had read that nobody wants its results any more.
    "distributed.scheduler": ("caused the cluster to lose",),
    # A connection whose event loop stopped before it could be closed is closed as garbage.
    "distributed.comm.inproc": ("Closing dangling queue",),
    "distributed.comm.tcp": ("Closing dangling stream",),
}
# An event loop may find only after the close that nobody takes its last message, and garbage is
# collected later still.
_ALSO_LATER = ("distributed.batched", "distributed.comm.inproc", "distributed.comm.tcp")
_lock = threading.Lock()
_closing = 0


def is_news(record: logging.LogRecord) -> bool:
    """Whether a record says more than that a cluster closes."""
    message = record.getMessage()
    return not any(complaint in message for complaint in _COMPLAINTS.get(record.name, ()))


def _is_failure(record: logging.LogRecord) -> bool:
    """Whether a callback failed in another way than Dask's own, by which it cancels a call.

    Ctrl-C may come before the event loop has begun with the call, so that there is nothing yet to
    cancel: a name without a value.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not (
        isinstance(error, NameError) and "<function sync.<locals>.cancel at" in record.getMessage()
    )


def silence_interrupts() -> None:
    """Pass over what Dask logs of a Ctrl-C that comes early, in this process, from now on."""
    logging.getLogger("tornado.application").addFilter(_is_failure)


def silence_closing() -> None:
    """Pass over complaints of closing in this process, from now on."""
    for name in _COMPLAINTS:
        logging.getLogger(name).addFilter(is_news)


@contextmanager
def closing_is_no_news() -> Iterator[None]:
    """Pass over complaints of closing in this process, while a cluster in it closes."""
    global _closing
    with _lock:
        _closing += 1
        silence_closing()
    try:
        yield
    finally:
        with _lock:
            _closing -= 1
            # Python stops the main thread first as it ends, and nothing is news after that.
            if _closing == 0 and threading.main_thread().is_alive():
                for name in _COMPLAINTS.keys() - set(_ALSO_LATER):
                    logging.getLogger(name).removeFilter(is_news)
