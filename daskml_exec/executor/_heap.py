"""Keep memory while tasks run that Dask has its workers give back at once.

A worker process begins with ``MALLOC_TRIM_THRESHOLD_=65536``, so that glibc returns free memory to
the system from 64 kB on. What goes through rows block by block frees a block's numbers and asks for
as many again: each time the system has to find and clear the pages, which takes longer than most
arithmetic on them. A pass for means and spreads is three times as fast without, and a step of a
small network a third.
"""

import ctypes
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_VARIABLE = "MALLOC_TRIM_THRESHOLD_"
# Names and values of <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MMAP_DEFAULT, _MMAP_LARGEST = 128 << 10, 32 << 20
_KEPT = 512 << 20
# After the last task for so long, in seconds: those of the next round come sooner.
_LINGERS = 2.0
_lock = threading.Lock()
_holders, _last_left = 0, 0.0
_giving_back: threading.Timer | None = None
_is_kept = False


@contextmanager
def heap_kept() -> Iterator[None]:
    """Let this process keep what it frees until the last thread has left; then it is as before."""
    global _holders, _is_kept, _last_left
    before = _trim_threshold()
    if before is None:
        yield
        return
    with _lock:
        _holders += 1
        if not _is_kept:
            _set(_KEPT, _MMAP_LARGEST)
            _is_kept = True
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            _last_left = time.monotonic()
            if _holders == 0 and _giving_back is None:
                _look_in(_LINGERS, before)


def _look_in(seconds: float, before: int) -> None:
    global _giving_back
    _giving_back = threading.Timer(seconds, _give_back, [before])
    _giving_back.daemon = True
    _giving_back.start()


def _give_back(before: int) -> None:
    """Set what was before, or look again later: rounds do not start a thread each."""
    global _giving_back, _is_kept
    with _lock:
        _giving_back = None
        if _holders:
            return  # the last to leave looks again
        left = _last_left + _LINGERS - time.monotonic()
        if left > 0:
            _look_in(left, before)
            return
        _set(before, _MMAP_DEFAULT)
        _is_kept = False


@cache
def _trim_threshold() -> int | None:
    """Return what this process began with; None where glibc chooses by itself, or is not there."""
    text = os.environ.get(_VARIABLE, "")
    return int(text) if text.isdecimal() and _glibc() is not None else None


@cache
def _glibc() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def _set(trim: int, mmap: int) -> None:
    glibc = _glibc()
    glibc.mallopt(_TRIM_THRESHOLD, trim)
    glibc.mallopt(_MMAP_THRESHOLD, mmap)
    if trim < _KEPT:
        glibc.malloc_trim(0)  # what was kept; glibc would only look when something else is freed
