"""Keep memory while steps run that Dask has its workers give back at once.

A worker process begins with ``MALLOC_TRIM_THRESHOLD_=65536``, so that glibc returns free memory to
the system from 64 kB on. A training step frees its gradients and its batch, and asks for the same
again: each time the system has to find and clear the pages, which takes a third of a step of small
networks.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_VARIABLE = "MALLOC_TRIM_THRESHOLD_"
# Names and values of <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MMAP_DEFAULT, _MMAP_LARGEST = 128 << 10, 32 << 20
_KEPT = 512 << 20
# After the last steps for so long, in seconds: those of the next round come sooner.
_LINGERS = 2.0
_lock = threading.Lock()
_holders = 0
_giving_back: threading.Timer | None = None


@contextmanager
def heap_kept() -> Iterator[None]:
    """Let this process keep what it frees until the last thread has left; then it is as before."""
    global _holders, _giving_back
    before = _trim_threshold()
    if before is None:
        yield
        return
    with _lock:
        if _giving_back is not None:
            _giving_back.cancel()
            _giving_back = None
        elif _holders == 0:
            _set(_KEPT, _MMAP_LARGEST)
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                _giving_back = threading.Timer(_LINGERS, _give_back, [before])
                _giving_back.daemon = True
                _giving_back.start()


def _give_back(before: int) -> None:
    global _giving_back
    with _lock:
        if _giving_back is threading.current_thread():  # nobody has come meanwhile
            _set(before, _MMAP_DEFAULT)
            _giving_back = None


@cache
def _trim_threshold() -> int | None:
    """Return what this process began with; None where glibc chooses by itself, or is not there."""
    text = os.environ.get(_VARIABLE, "")
    return int(text) if text.isdecimal() and _mallopt() is not None else None


@cache
def _mallopt() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "mallopt", None)


def _set(trim: int, mmap: int) -> None:
    mallopt = _mallopt()
    mallopt(_TRIM_THRESHOLD, trim)
    mallopt(_MMAP_THRESHOLD, mmap)
