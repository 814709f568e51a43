"""Bring the driver's own data to the workers so that a lost piece can be had again.

Each piece is a task of its own, so the scheduler can run it again when a worker is lost. Between
processes the piece travels inside the task. In one process the task carries only a token and
looks the piece up, so workers and driver share one copy.
"""

import threading
import uuid
import weakref
from typing import Any

from distributed import Client, Future

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
    if not in_process:
        return client.submit(_itself, piece, **placement)
    with _lock:
        _pieces[key] = piece
    future = client.submit(_look_up, key, **placement)
    # The recipe lives as long as the future: later tasks that need the piece hold the future.
    weakref.finalize(future, _pieces.pop, key, None)
    return future


def _itself(piece: Any) -> Any:
    return piece


def _look_up(key: str) -> Any:
    return _pieces[key]
