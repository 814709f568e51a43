"""What makes torch's arithmetic a function of the data alone: one thread, and no denormals."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from daskml_exec.executor import heap_kept

_lock = threading.Lock()
_holders = 0
_threads_before = 1
_deterministic_holders = 0
_deterministic_before = (False, False)
_left = threading.local()


@contextmanager
def steady(device: torch.device) -> Iterator[None]:
    """Run this thread's work on one thread, with denormals as zeros, by deterministic algorithms.

    Sums over several threads depend on how many there are. Numbers next to zero cost a hundred
    times as much as others on some processors; and as the setting belongs to the thread, a fit
    would depend on which thread it falls to.

    Parameters
    ----------
    device : torch.device
        Algorithms are chosen only where there is a choice, on a GPU.
    """
    with _one_thread(), _no_denormals(), _deterministic(device), heap_kept():
        yield


@contextmanager
def _one_thread() -> Iterator[None]:
    global _holders, _threads_before
    with _lock:
        if _holders == 0:
            _threads_before = _threads_of_this()
        _holders += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        # What one thread sets holds for some libraries in all of them: the last to leave sets it.
        with _lock:
            _holders -= 1
            if _holders == 0:
                torch.set_num_threads(_threads_before)
            _left.before = _threads_before if _holders else None


def _threads_of_this() -> int:
    """Return how many threads this one may use, or might if it had been the last to leave."""
    n = torch.get_num_threads()
    before: int | None = getattr(_left, "before", None)
    return before if n == 1 and before is not None else n


@contextmanager
def _no_denormals() -> Iterator[None]:
    flushed = _flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """Choose for the whole process, as torch does, until the last thread leaves."""
    global _deterministic_holders, _deterministic_before
    if device.type == "cpu":
        yield
        return
    if device.type == "cuda":
        # Without it torch refuses to multiply matrices; it is read at the first multiplication.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with _lock:
        if _deterministic_holders == 0:
            _deterministic_before = (
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
            )
        _deterministic_holders += 1
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        with _lock:
            _deterministic_holders -= 1
            if _deterministic_holders == 0:
                enabled, warn_only = _deterministic_before
                torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


def _flushes_denormals() -> bool:
    """Whether this thread takes denormals for zeros; torch can set it, and not say it."""
    smallest = torch.tensor([torch.finfo(torch.float64).smallest_normal], dtype=torch.float64)
    return float((smallest * 0.5).item()) == 0.0
