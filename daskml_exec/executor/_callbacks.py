"""Done-callbacks run where they may wait for other futures: not in the client's event loop."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

# The standard library's own: who listens for failed callbacks listens there.
_logger = logging.getLogger("concurrent.futures")


class Callbacks:
    """Runs callbacks one after the other, in a thread that lives as long as there are any."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def idle(self) -> bool:
        """Whether none runs or waits."""
        return self._thread is None and not self._waiting

    def put(self, fn: Callable[[Any], object], future: Any) -> None:
        """Call ``fn(future)`` after what was put before."""
        with self._lock:
            self._waiting.append((fn, future))
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="daskml-exec-callbacks")
                with suppress(RuntimeError):  # the interpreter ends: `drain` runs them
                    thread.start()
                    self._thread = thread

    def drain(self) -> None:
        """Return when all callbacks have run; in a callback, return at once."""
        thread = self._thread
        if thread is None:
            self._run()
        elif thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                fn, future = self._waiting.popleft()
            try:
                fn(future)
            except BaseException:  # a later callback must find this thread alive
                _logger.exception("exception calling callback for %r", future)
            del fn, future
