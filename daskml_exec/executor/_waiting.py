"""Wait for what a client's event loop does, so that Ctrl-C may come at any moment."""

from collections.abc import Awaitable, Callable
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client

# A look at whether the loop still runs; and on Windows nothing shorter lets Ctrl-C through.
_LOOK_SECONDS = 1.0


def wait_for(client: Client, function: Callable[..., Awaitable[Any]], *args: Any, **kw: Any) -> Any:
    """Return what a coroutine function returns in the client's event loop, or raise what it raises.

    `Client.sync` waits for a `threading.Event`. Where Ctrl-C comes just after that has taken its
    lock, in Python's own code, nobody gives it back: the loop waits for it when the coroutine is
    done, and with it all that the client does from then on. A queue that is written in C has no
    such moment.

    Parameters
    ----------
    client : Client
        Of another thread than this one.
    function : callable
    *args, **kw : object
        What it is called with.

    Raises
    ------
    RuntimeError
        The loop is closed.
    BaseException
        What the coroutine raised.
    """
    found: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    async def run() -> None:
        try:
            found.put((await function(*args, **kw), None))
        except BaseException as error:
            found.put((None, error))

    loop: Any = client.loop
    loop.add_callback(run)
    while True:
        try:
            result, error = found.get(timeout=_LOOK_SECONDS)
        except Empty:
            if loop.asyncio_loop.is_closed():
                raise RuntimeError("the client's event loop is closed") from None
            continue
        if error is not None:
            raise error
        return result
