"""Messages that leave sooner than Dask lets them, where both ends are ours.

Dask collects what a Client has to say for ten milliseconds after its last message, and what the
scheduler has to say to a worker for five; in the other directions, for two. A round says several
things one behind the other, and waits for the last of them.
"""

from typing import Any

from distributed import Client, Scheduler, SchedulerPlugin

SECONDS = 0.002
"""For which messages are collected behind the last one, as Dask does on the way back."""


def send_soon(client: Client) -> None:
    """Let a Client that was opened here send soon; from a new connection on, as Dask has it."""
    _hasten(client.scheduler_comm)


class SoonToWorkers(SchedulerPlugin):
    """Lets a scheduler of this process send soon to its workers, also to those that come later."""

    def __init__(self, scheduler: Scheduler) -> None:
        for stream in scheduler.stream_comms.values():
            _hasten(stream)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        _hasten(scheduler.stream_comms.get(worker))


def _hasten(stream: Any) -> None:
    """Shorten the interval of a stream of messages, where there is one still."""
    if stream is not None:
        stream.interval = min(stream.interval, SECONDS)
