"""Keep the cluster's own log from burying what the command has to say.

A task that fails is logged by its worker, with a traceback, and raised in the driver, which says
it in a line; a worker that is lost is logged several times, and counted in the history. Only
warnings about memory are said nowhere else, and stay.

This module is also a preload of the embedded workers (see Dask's documentation of preloads): it
runs in each of them as it starts, also in those that replace a lost one.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LEVELS = {
    "distributed": logging.CRITICAL,
    "distributed.client": logging.CRITICAL,  # Dask's configuration gives it a level of its own
    # Both log what an interrupt leaves half done in the client.
    "asyncio": logging.CRITICAL,
    "tornado.application": logging.CRITICAL,
    "distributed.worker.memory": logging.WARNING,
    "distributed.nanny.memory": logging.WARNING,
}


@contextmanager
def quiet_cluster_logs() -> Iterator[None]:
    """Silence, in this process and for a while, what the command says itself."""
    before = {name: logging.getLogger(name).level for name in _LEVELS}
    _set(_LEVELS)
    try:
        yield
    finally:
        _set(before)


def dask_setup(worker: Any) -> None:
    """Silence a worker process.

    Parameters
    ----------
    worker : distributed.Worker
    """
    _set(_LEVELS)


def _set(levels: dict[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
