"""What Dask complains of when a cluster closes in the midst of something, which is no news then."""

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
    # A message was just being sent.
    "distributed.batched": ("Batched Comm Closed",),
}
_lock = threading.Lock()
_closing = 0


def is_news(record: logging.LogRecord) -> bool:
    """Whether a record says more than that a cluster closes."""
    message = record.getMessage()
    return not any(complaint in message for complaint in _COMPLAINTS.get(record.name, ()))


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
            if _closing == 0:
                for name in _COMPLAINTS:
                    logging.getLogger(name).removeFilter(is_news)
