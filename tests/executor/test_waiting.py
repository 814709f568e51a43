"""Ctrl-C while the driver waits leaves the client as it was."""

import asyncio
import gc
import signal
import sys
import threading
import weakref
from typing import Any

import pytest

from daskml_exec import Executor
from daskml_exec.executor import _waiting
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


def test_the_coroutine_ends_with_a_wait_that_is_interrupted(executor):
    ended = threading.Event()

    async def endless() -> None:
        try:
            await interrupted()
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        wait_for(executor.client, endless)
    assert ended.wait(30)


def test_a_coroutine_that_was_given_is_awaited_also_where_the_interrupt_comes_first(
    executor, monkeypatch
):
    """Or Python would warn of it."""
    busy, ended = threading.Event(), threading.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    def interrupted_at_once(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    executor.client.loop.add_callback(busy.wait, 30)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_waiting, "_taken", interrupted_at_once)
        wait_for(executor.client, asyncio.wait_for, endless(), 30)
    busy.set()
    assert ended.wait(30)


def test_the_loop_does_not_wait_for_itself(executor):
    client = executor.client

    async def asks_itself() -> int:
        return wait_for(client, doubled, 3)

    with pytest.raises(RuntimeError, match="cannot wait for what it is to do itself"):
        wait_for(client, asks_itself)
    assert wait_for(client, doubled, 3) == 6


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_what_would_end_the_loop_comes_here_and_the_loop_goes_on(executor, kind):
    raised = kind("as it was")

    async def ends() -> None:
        raise raised

    with pytest.raises(kind) as caught:
        wait_for(executor.client, ends)
    assert caught.value is raised
    assert wait_for(executor.client, doubled, 3) == 6


def test_an_error_does_not_keep_what_was_waited_for(executor):
    """Its traceback has the frame that raised it, which must not have the error in turn."""

    class Refused(Exception):  # as no ValueError, it can be referred to weakly
        pass

    async def refuses() -> None:
        raise Refused

    gc.disable()
    try:
        with pytest.raises(Refused) as caught:
            wait_for(executor.client, refuses)
        gone = weakref.ref(caught.value)
        del caught
        wait_for(executor.client, doubled, 1)  # the loop has let go of it, too
        assert gone() is None
    finally:
        gc.enable()


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
