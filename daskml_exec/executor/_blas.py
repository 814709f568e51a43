"""Hold BLAS at one thread while work runs, counted so that concurrent tasks do not race.

The number of BLAS threads is, in most builds, a property of the whole process. Two tasks that
each save, set and restore it can restore it in the wrong order; a count of the holders cannot.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

# SciPy carries a BLAS of its own: both must be loaded before the controller looks for them.
import numpy as np  # noqa: F401
import scipy.linalg  # noqa: F401
from dask.system import CPU_COUNT
from threadpoolctl import OpenBLASController, ThreadpoolController

T = TypeVar("T")
U = TypeVar("U")

_lock = threading.Lock()
_holders = 0
_counts_before: list[int] = []


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
    per_thread, per_process = _libraries()
    mine_before = _thread_counts(per_thread)
    _set_thread_counts(per_thread, [1] * len(per_thread))
    _acquire(per_process)
    try:
        yield
    finally:
        _release(per_process)
        _set_thread_counts(per_thread, mine_before)


def in_threads(function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """Call the function for each item, on all cores, and yield what it returned, in order.

    BLAS runs on one thread in each call, so that results do not depend on the number of cores.
    """

    def call(item: T) -> U:
        with single_threaded_blas():
            return function(item)

    with ThreadPoolExecutor(CPU_COUNT, thread_name_prefix="daskml-exec-blas") as pool:
        yield from pool.map(call, items)


def _acquire(libraries: Sequence[Any]) -> None:
    global _holders, _counts_before
    with _lock:
        if _holders == 0:
            _counts_before = _thread_counts(libraries)
            _take_control()
            _set_thread_counts(libraries, [1] * len(libraries))
        _holders += 1


def _release(libraries: Sequence[Any]) -> None:
    global _holders
    with _lock:
        _holders -= 1
        if _holders == 0:
            _take_control()
            _set_thread_counts(libraries, _counts_before)
            _take_control()


def _take_control() -> None:
    """Let this thread, and whichever comes next, set the number of threads of OpenBLAS.

    Once a thread has set it, threadpoolctl ignores all others, to keep them from racing. Here the
    count does that, and the last holder is seldom in the thread of the first. Below 3.8 it ignores
    nobody, and has no such method.
    """
    if clear := getattr(OpenBLASController, "clear_controlling_thread", None):
        clear(force=True)


@cache
def _libraries() -> tuple[list[Any], list[Any]]:
    """Return the libraries whose setting belongs to the calling thread, and the others."""
    per_thread: list[Any] = []
    per_process: list[Any] = []
    for library in blas_controller().lib_controllers:
        openmp = getattr(library, "threading_layer", None) == "openmp"
        own = openmp and library.internal_api == "openblas"
        (per_thread if own else per_process).append(library)
    return per_thread, per_process


def _thread_counts(libraries: Sequence[Any]) -> list[int]:
    return [library.num_threads for library in libraries]


def _set_thread_counts(libraries: Sequence[Any], counts: Sequence[int]) -> None:
    for library, count in zip(libraries, counts, strict=True):
        library.set_num_threads(count)
