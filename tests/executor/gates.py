"""Stop tasks of an in-process cluster at an exact moment, and count their attempts.

Both travel by name, so that the copy that a task unpickles is the same gate.
"""

import threading
import uuid
from collections import Counter, defaultdict

_events: defaultdict[str, threading.Event] = defaultdict(threading.Event)
_counts: Counter[str] = Counter()
PATIENCE = 30


class Gate:
    """A task that comes to the gate tells the test, and waits until the test opens it."""

    def __init__(self):
        self.name = uuid.uuid4().hex

    def pass_through(self, value=None):
        _events[self.name, "reached"].set()
        if not _events[self.name, "open"].wait(PATIENCE):
            raise TimeoutError("nobody opened the gate")
        return value

    def wait_until_reached(self):
        assert _events[self.name, "reached"].wait(PATIENCE), "no task came to the gate"

    def open(self):
        _events[self.name, "open"].set()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.open()


class Attempts:
    """Counts how often a task was tried."""

    def __init__(self):
        self.name = uuid.uuid4().hex

    def add(self):
        _counts[self.name] += 1
        return self.count

    @property
    def count(self):
        return _counts[self.name]
