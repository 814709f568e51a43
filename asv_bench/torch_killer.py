"""A Worker's death in the middle of a fit."""

import os
import signal
import threading
from typing import Any


class Killer:
    """A callback that kills a Worker once, half a round after the end of round `at`."""

    def __init__(self, pid: int, at: int = 1) -> None:
        self._pid, self._at = pid, at
        self.timer: threading.Timer | None = None

    def __call__(self, event: Any) -> None:
        if event.record.round >= self._at and self.timer is None:
            self.timer = threading.Timer(event.record.seconds / 2, self._kill)
            self.timer.start()

    def _kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
