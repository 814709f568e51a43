"""What an embedded worker process does as it starts: a preload, see Dask's documentation of these.

It runs also in those that replace a lost one.
"""

import logging
import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the driver, and close without complaints.

    Parameters
    ----------
    worker : distributed.Worker
    """
    # It is blocked already, but for systems without signal masks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A call that was cancelled may still run when the cluster closes. That is no news.
    logging.getLogger("distributed.worker.state_machine").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return "ended with CancelledError" not in record.getMessage()
