"""Bring the driver's own data to the workers so that a lost piece can be had again.

Each piece is a task of its own, so the scheduler can run it again when a worker is lost. Between
processes the piece travels inside the task. In one process the task carries only a token and
looks the piece up, so workers and driver share one copy.
"""

from __future__ import annotations

import pickle
import threading
import uuid
import weakref
from typing import Any

import cloudpickle
from distributed import Client, Future

from daskml_exec.executor._capacity import PIECE_BYTES, fits_in_a_graph
from daskml_exec.executor._events import ClusterEvents

_pieces: dict[str, Any] = {}
_lock = threading.Lock()


def ship(
    client: Client, piece: Any, *, name: str, worker: str | None, in_process: bool
) -> Future[Any]:
    """Return a future of `piece`, placed on `worker` if that worker lives."""
    key = f"{name}-{uuid.uuid4().hex}"
    placement: dict[str, Any] = {"key": key, "pure": False}
    if worker is not None:
        placement |= {"workers": [worker], "allow_other_workers": True}
    future: Future[Any]
    if in_process:
        with _lock:
            _pieces[key] = piece
        future = client.submit(_look_up, key, **placement)
        # The recipe lives as long as the future: later tasks that need the piece hold the future.
        weakref.finalize(future, _pieces.pop, key, None)
    else:
        future = client.submit(_itself, piece, **placement)
    if worker is not None:
        ClusterEvents.of(client).place(client, key, worker, owner=future)
    return future


def share(client: Client, message: Any, nbytes: int, *, name: str, in_process: bool) -> Future[Any]:
    """Return a future of a message that all workers will read, of whatever size."""
    if in_process or fits_in_a_graph(nbytes):
        return ship(client, message, name=name, worker=None, in_process=in_process)
    pickled = cloudpickle.dumps(message)
    pieces = [
        ship(
            client,
            pickled[at : at + PIECE_BYTES],
            name=f"{name}-piece",
            worker=None,
            in_process=False,
        )
        for at in range(0, len(pickled), PIECE_BYTES)
    ]
    future: Future[Any]
    future = client.submit(_join, pieces, key=f"{name}-{uuid.uuid4().hex}", pure=False)
    return future


def _itself(piece: Any) -> Any:
    return piece


def _join(pieces: list[bytes]) -> Any:
    return pickle.loads(b"".join(pieces))


def _look_up(key: str) -> Any:
    return _pieces[key]
