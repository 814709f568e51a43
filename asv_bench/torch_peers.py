"""PyTorch's sides of the comparisons, in a process that holds the samples."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peers.other_interpreter import TORCH, PeerUnavailableError, Server, running
from torch_data import Samples
from torch_measure import Cost
from torch_tasks import Task

LOOP = "own loop, one thread"
DDP = "DDP, gloo, 2 processes"
PROCESSES = {LOOP: 1, DDP: 2}


@contextmanager
def pytorch(samples: Samples) -> Iterator[Server]:
    """Start it, by `PEERS_TORCH_PYTHON` or this interpreter; exit where there is no PyTorch."""
    try:
        with running(TORCH, samples) as server:
            yield server
    except PeerUnavailableError as missing:
        sys.exit(str(missing))


def cost(
    server: Server,
    who: str,
    task: Task,
    samples: Samples,
    epochs: int,
    *,
    shared: bool = False,
    **asked: Any,
) -> Cost:
    """Return what the epochs after the first cost.

    Each process takes the task's batch, or they share one.
    """
    processes = PROCESSES[who]
    batch = task.batch if shared else task.batch * processes
    answer = ask(server, task, epochs=epochs, batch=batch, processes=processes, **asked)
    n = len(samples) - len(samples) % processes
    seconds, cpu = (sum(answer[of][1:]) for of in ("seconds", "cpu"))
    return Cost((epochs - 1) * n * task.units, seconds, cpu)


def ask(server: Server, task: Task, **asked: Any) -> Any:
    return server.ask({"task": task.name, "rate": task.rate, "seed": 0, **asked})
