"""How fast this machine multiplies float32 matrices: ``python -m peers.sgemm`` is one process.

The products have the shape of a network's first layer, and their result has a place already. BLAS
has one thread in each process; the rates of processes that multiply at once are summed.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from peers.network_work import HIDDEN, INPUTS
from peers.serve import respond

BATCH = 128


class Multipliers:
    """Processes that wait to multiply together."""

    def __init__(self, processes: list[Any]) -> None:
        self._processes = processes

    def flops(self, seconds: float) -> float:
        """Return the floating-point operations per second of all processes together."""
        for process in self._processes:
            print(json.dumps({"seconds": seconds}), file=process.stdin, flush=True)
        return sum(json.loads(process.stdout.readline())["flops"] for process in self._processes)


@contextmanager
def multipliers(count: int) -> Iterator[Multipliers]:
    with ExitStack() as stack:
        processes = [stack.enter_context(_process()) for _ in range(count)]
        for process in processes:
            process.stdout.readline()  # it is ready
        yield Multipliers(processes)


def _process() -> Any:
    return subprocess.Popen(
        [sys.executable, "-m", "peers.sgemm"],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def multiply(seconds: float) -> float:
    """Return the rate at which this process multiplied for so long."""
    rng = np.random.default_rng(0)
    left = rng.random((BATCH, INPUTS), dtype=np.float32)
    right = rng.random((INPUTS, HIDDEN), dtype=np.float32)
    product = np.empty((BATCH, HIDDEN), dtype=np.float32)
    done = 0
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds or not done:
        for _ in range(20):
            np.matmul(left, right, out=product)
        done += 20
    return done * 2 * BATCH * INPUTS * HIDDEN / passed


def main() -> None:
    with threadpool_limits(1):
        multiply(0.01)
        respond(lambda request: {"flops": multiply(request["seconds"])})


if __name__ == "__main__":
    main()
