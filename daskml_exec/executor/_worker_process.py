"""What an embedded worker process does as it starts: a preload, see Dask's documentation of these.

It runs also in those that replace a lost one.
"""

import signal
from typing import Any

from daskml_exec.executor._silence import silence_closing


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the driver, and close without complaints.

    Parameters
    ----------
    worker : distributed.Worker
    """
    # It is blocked already, but for systems without signal masks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence_closing()
