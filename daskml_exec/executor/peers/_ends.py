"""What the scheduler says of runs, for the drivers in this process."""

import threading
import weakref
from collections.abc import Callable
from typing import Any

from distributed import Client

from daskml_exec.executor.peers._runs import PLUGIN

Listener = Callable[[int, str], None]
"""Called with the generation below which all have ended, and why."""


class RunEnds:
    """Tells each run of a client where its generations end.

    Scheduler and client know of one topic for all.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, Listener] = {}

    @classmethod
    def of(cls, client: Client) -> "RunEnds":
        """Return what a client hears."""
        with _creating:
            ends = _by_client.get(client)
            if ends is None:
                ends = _by_client[client] = cls()
                client.subscribe_topic(PLUGIN, ends._hear)
        return ends

    def listen(self, run_id: str, listener: Listener) -> None:
        """Call the listener, in the client's event loop, when a generation of the run ends."""
        self._listeners[run_id] = listener

    def forget(self, run_id: str) -> None:
        """Listen no longer."""
        self._listeners.pop(run_id, None)

    def _hear(self, event: tuple[float, Any]) -> None:
        _, ended = event
        listener = self._listeners.get(ended["run_id"])
        if listener is not None:
            listener(ended["generation"], ended["reason"])


_by_client: "weakref.WeakKeyDictionary[Client, RunEnds]" = weakref.WeakKeyDictionary()
_creating = threading.Lock()
