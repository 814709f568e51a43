"""Partitions for rounds, what to compute on them, and what may be left of it."""

import concurrent.futures
import os
import signal
import time

import numpy as np

from daskml_exec.executor import RoundRunner, ship


def nbytes(value):
    return getattr(value, "nbytes", 8)


def add(left, right):
    return left + right


def parenthesise(left, right):
    return f"({left}{right})"


def arrays(n):
    return [np.full(3, float(i)) for i in range(n)]


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
