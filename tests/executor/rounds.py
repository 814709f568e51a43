"""Partitions for rounds, what to compute on them, and what may be left of it."""

import concurrent.futures
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.executor import Carrying, Query, RoundRunner, ship


def nbytes(value):
    return getattr(value, "nbytes", 8)


def add(left, right):
    return left + right


def parenthesise(left, right):
    return f"({left}{right})"


def arrays(n):
    return [np.full(3, float(i)) for i in range(n)]


@dataclass(frozen=True)
class Ask(Query):
    """What ``function(partition, message)`` returns, combined by another function."""

    function: Any
    message: Any
    combined: Any = add

    @property
    def nbytes(self):
        return nbytes(self.message)

    def partial(self, partition):
        return self.function(partition, self.message)

    def combine(self, left, right):
        return self.combined(left, right)


@dataclass(frozen=True)
class AskCarrying(Carrying):
    """What ``function(partition, message, carry)`` returns, and what it keeps."""

    function: Any
    message: Any
    ends: bool
    combined: Any = add

    @property
    def last(self):
        return self.ends

    @property
    def nbytes(self):
        return nbytes(self.message)

    def partial(self, partition, carry):
        return self.function(partition, self.message, carry)

    def combine(self, left, right):
        return self.combined(left, right)


def placed(executor, pieces, place):
    """Ship each piece to the worker whose index `place` tells."""
    workers = sorted(worker.address for worker in executor.workers())
    futures = [
        ship(
            executor.client,
            piece,
            name="piece",
            worker=workers[place(i)],
            in_process=executor.in_process,
        )
        for i, piece in enumerate(pieces)
    ]
    concurrent.futures.wait([executor.submit(len, future) for future in futures])
    return futures


def runner(executor, futures):
    return RoundRunner(executor, futures, nbytes, len(executor.events.workers_lost))


def task_prefixes(dask_scheduler=None):
    return [str(key) for key in dask_scheduler.tasks]


def until_released(client, word):
    deadline = time.monotonic() + 20
    while any(word in key for key in client.run_on_scheduler(task_prefixes)):
        assert time.monotonic() < deadline, "tasks remain on the scheduler"


def kill_holder(executor, address):
    worker = next(worker for worker in executor.workers() if worker.address == address)
    os.kill(worker.pid, signal.SIGKILL)
