"""Ctrl-C while the driver waits leaves the client as it was."""

import signal
import sys
import threading
from typing import Any

import pytest

from daskml_exec import Executor
from daskml_exec.executor._gather import gather
from daskml_exec.executor._waiting import wait_for


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=1) as executor:
        yield executor


async def interrupted() -> None:
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


async def doubled(number: int, *, plus: int = 0) -> int:
    return 2 * number + plus


async def refused() -> None:
    raise ValueError("as it was")


def test_results_and_errors_come_as_they_are(executor):
    assert wait_for(executor.client, doubled, 3, plus=1) == 7
    with pytest.raises(ValueError, match="as it was"):
        wait_for(executor.client, refused)


def test_an_interrupt_ends_the_wait_and_nothing_else(executor):
    with pytest.raises(KeyboardInterrupt):
        wait_for(executor.client, interrupted)
        wait_for(executor.client, doubled, 1)  # it may come a moment later
    assert wait_for(executor.client, doubled, 3) == 6
    assert executor.client.submit(sum, [1, 2]).result() == 3


def test_no_lock_is_taken_that_an_interrupt_could_leave_taken(executor):
    """Where Python runs code of its own between taking a lock and the block that gives it back."""
    future = executor.client.submit(sum, [1, 2])
    taken: list[str] = []

    def seen(frame: Any, event: str, argument: Any) -> None:
        if frame.f_code is threading.Condition.__enter__.__code__:
            taken.append(frame.f_back.f_code.co_qualname)

    futures = [future]
    client = executor.client
    client.gather(futures)  # what is imported or begun at first is
    sys.setprofile(seen)
    try:
        assert gather(client, futures) == [3]
    finally:
        sys.setprofile(None)
    assert taken == []
