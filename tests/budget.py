"""A pytest plugin that runs as many tests as fit in a time, in an order that changes with a seed.

    python -m pytest -n 0 -p tests.budget --budget 480 --rotate $(git rev-parse HEAD) -m slow

No test is started once the seconds are over; what was left out is listed at the end. The order
begins with another file for another seed, so that over many runs every test has its turn. All
tests run in one process, whose clock it is.
"""

import hashlib
import time
from collections import Counter

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("budget", "as many tests as fit")
    group.addoption(
        "--budget", type=float, metavar="SECONDS", help="start no test after this many seconds"
    )
    group.addoption(
        "--rotate", metavar="SEED", help="begin with a file that is chosen by this text"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", 0):
        raise pytest.UsageError("a budget wants all tests in one process: add -n 0")
    config.pluginmanager.register(Budget(config.option.budget, config.option.rotate))


def rotated(files: list[str], seed: str) -> list[str]:
    """Return the files in the order in which the seed has them."""
    at = int.from_bytes(hashlib.sha256(seed.encode()).digest()) % max(1, len(files))
    return files[at:] + files[:at]


class Budget:
    """What is left of the time, and what was left out."""

    def __init__(self, seconds: float | None, seed: str | None) -> None:
        self.seconds = seconds
        self.seed = seed
        self.started = time.monotonic()
        self.left_out: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.seed is None:
            return
        files = list(dict.fromkeys(item.nodeid.partition("::")[0] for item in items))
        place = {file: at for at, file in enumerate(rotated(files, self.seed))}
        items.sort(key=lambda item: place[item.nodeid.partition("::")[0]])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        self.started = time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if self.seconds is None or time.monotonic() - self.started < self.seconds:
            return None
        self.left_out.append(item.nodeid)
        return True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.left_out:
            terminalreporter.section(f"{len(self.left_out)} left out: {self.seconds:g} s were over")
            functions = Counter(nodeid.partition("[")[0] for nodeid in self.left_out)
            for function, times in functions.items():
                terminalreporter.line(function + (f" ({times} times)" if times > 1 else ""))
