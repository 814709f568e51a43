"""What a fit adds to the memory of the workers, beside the data that they hold."""

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from daskml_exec.linear_model import LogisticRegression
from peers import ours, problems
from peers.options import Options
from peers.sides import timed_fit
from peers.table import Row, spread

T = TypeVar("T")

_POLL_SECONDS = 0.01


def memory(options: Options) -> tuple[list[Row], list[str]]:
    """The most that the worker processes hold at once during a fit, less what they held before."""
    if not Path("/proc/self/statm").exists():
        return [], ["memory: needs /proc, which Linux has"]
    problem = problems.dense(*((200, 3) if options.tiny else (1_000_000, 100)))
    nbytes = problem.nbytes
    with ours.two_workers(options) as executor:
        # The first fit of a worker imports what the others find there.
        timed_fit(LogisticRegression(), *ours.persisted(executor, problems.dense(200, 3)))
        fit = partial(
            timed_fit, LogisticRegression(C=problem.C), *ours.persisted(executor, problem)
        )
        # Workers that are threads are all this process.
        pids = sorted({worker.pid for worker in executor.workers()})
        growths, fits = zip(*(peak_growth(pids, fit) for _ in range(options.pairs)), strict=True)
    result = f"{spread([growth / nbytes for growth in growths])} of the {nbytes / 1e6:.3g} MB held"
    seconds = tuple(fitted.seconds for fitted in fits)
    return [Row("memory", "daskml_exec", "default tol", seconds, result=result)], []


def peak_growth(pids: Sequence[int], call: Callable[[], T]) -> tuple[int, T]:
    """Return by how much these processes together grew at most, and what the call returned."""
    idle = peak = resident(pids)
    over = threading.Event()

    def poll() -> None:
        nonlocal peak
        while not over.wait(_POLL_SECONDS):
            peak = max(peak, resident(pids))

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        value = call()
    finally:
        over.set()
        thread.join()
    return peak - idle, value


def resident(pids: Sequence[int]) -> int:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")
