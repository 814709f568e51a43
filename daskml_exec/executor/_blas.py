"""Hold BLAS at one thread while work runs, counted so that concurrent tasks do not race.

The number of BLAS threads is a property of the whole process. Two tasks that each save, set and
restore it can restore it in the wrong order; a count of the holders cannot.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# SciPy carries a BLAS of its own: both must be loaded before the controller looks for them.
import numpy as np  # noqa: F401
import scipy.linalg  # noqa: F401
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_holders = 0
_limiter: Any = None


@cache
def blas_controller() -> ThreadpoolController:
    """Return the controller of the BLAS libraries of this process (found once: it is slow)."""
    return ThreadpoolController().select(user_api="blas")


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Run BLAS on one thread until the last concurrent holder leaves.

    Results of BLAS depend on its number of threads; one thread per task makes them a function of
    the data alone.
    """
    global _holders, _limiter
    with _lock:
        if _holders == 0:
            _limiter = blas_controller().limit(limits=1)
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                _limiter.restore_original_limits()
                _limiter = None
