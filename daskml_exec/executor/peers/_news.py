"""What the scheduler says of runs, for the drivers in this process."""

import threading
import weakref
from collections.abc import Callable
from typing import Any

from distributed import Client

from daskml_exec.executor.peers._runs import PLUGIN

Listener = Callable[[int, str], None]
"""Called with the generation below which all have ended, and why."""


class RunNews:
    """Gives each run of a client its own news. Scheduler and client know of one topic for all."""

    def __init__(self) -> None:
        self._listeners: dict[str, Listener] = {}

    @classmethod
    def of(cls, client: Client) -> "RunNews":
        """Return the news of a client."""
        with _creating:
            news = _by_client.get(client)
            if news is None:
                news = _by_client[client] = cls()
                client.subscribe_topic(PLUGIN, news._hear)
        return news

    def listen(self, run_id: str, listener: Listener) -> None:
        """Call the listener, in the client's event loop, when a generation of the run ends."""
        self._listeners[run_id] = listener

    def forget(self, run_id: str) -> None:
        """Listen no longer."""
        self._listeners.pop(run_id, None)

    def _hear(self, event: tuple[float, Any]) -> None:
        _, news = event
        listener = self._listeners.get(news["run_id"])
        if listener is not None:
            listener(news["generation"], news["reason"])


_by_client: "weakref.WeakKeyDictionary[Client, RunNews]" = weakref.WeakKeyDictionary()
_creating = threading.Lock()
