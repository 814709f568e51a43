"""Wait for what a client's event loop does, so that Ctrl-C may come at any moment."""

import asyncio
from collections.abc import Awaitable, Callable
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client
from distributed.utils import in_async_call

# A look at whether the loop still runs; and on Windows nothing shorter lets Ctrl-C through.
_LOOK_SECONDS = 1.0


def wait_for(client: Client, function: Callable[..., Awaitable[Any]], *args: Any, **kw: Any) -> Any:
    """Return what a coroutine function returns in the client's event loop, or raise what it raises.

    `Client.sync` waits for a `threading.Event`. Where Ctrl-C comes just after that has taken its
    lock, in Python's own code, nobody gives it back: the loop waits for it when the coroutine is
    done, and with it all that the client does from then on. A queue that is written in C has no
    such moment.

    What ends the wait, as Ctrl-C does, cancels the coroutine.

    Parameters
    ----------
    client : Client
    function : callable
        It is called in the loop, too.
    *args, **kw : object
        What it is called with.

    Raises
    ------
    RuntimeError
        The loop is closed, or this is called in it, where it would wait for itself.
    BaseException
        What the coroutine raised.
    """
    loop: Any = client.loop
    if in_async_call(loop):
        raise RuntimeError("the client's event loop cannot wait for what it is to do itself")
    found: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
    running: list[asyncio.Future[None]] = []

    async def run() -> None:
        try:
            found.put((await function(*args, **kw), None))
        except BaseException as error:  # a SystemExit that is left to the loop ends the loop
            found.put((None, error))

    def start() -> None:
        running.append(asyncio.ensure_future(run()))

    def cancel() -> None:
        for task in running:
            loop.add_callback(task.cancel)  # once it has begun, and awaits what it was given

    try:
        loop.add_callback(start)
        result, error = _taken(loop, found)
    except BaseException:
        loop.add_callback(cancel)
        raise
    if error is None:
        return result
    try:
        raise error
    finally:
        del error  # whose traceback has this frame, and with it all that was waited for


def seen(ended: asyncio.Future[Any]) -> None:
    """Look at what nobody waits for any more, or asyncio would complain of its error."""
    if not ended.cancelled():
        ended.exception()


def _taken(loop: Any, found: "SimpleQueue[tuple[Any, Any]]") -> tuple[Any, Any]:
    while True:
        try:
            return found.get(timeout=_LOOK_SECONDS)
        except Empty:
            if loop.asyncio_loop.is_closed():
                raise RuntimeError("the client's event loop is closed") from None
