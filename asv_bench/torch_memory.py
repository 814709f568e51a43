"""The resident memory of worker processes: now, and at most since it was forgotten."""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any


def resident(kind: str) -> int:
    """Return this process's resident bytes: "VmRSS" now, "VmHWM" at most."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(f"{kind}:"))
    return int(line.split()[1]) * 1024


def begin_again() -> int:
    """Give free memory back, let the peak count from now, and return the bytes that are left."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def peak_of(client: Any, call: Callable[[], Any]) -> tuple[Any, int, int]:
    """Return what a call returns, and what the worker with most memory had before and at most.

    Needs /proc, which Linux has.
    """
    before = client.run(begin_again)
    result = call()
    peak = client.run(resident, "VmHWM")
    worker = max(peak, key=lambda each: peak[each])
    return result, before[worker], peak[worker]
