"""Send to peers over the worker's own connections, so that their TLS and their transport apply."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from distributed.protocol import to_serialize

from daskml_exec.executor.peers._runs import DELIVER, Run
from daskml_exec.kernels.arrays import Array

Tag = tuple[Any, ...]

logger = logging.getLogger(__name__)


class Loop(Protocol):
    """The part of an event loop that a task's thread may call."""

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any) -> Any:
        """Run the callback in the loop's thread."""


class Outbox:
    """Sends messages in the background, in the event loop of a worker.

    Parameters
    ----------
    rpc : callable
        Returns, for an address, what calls the handlers there: the worker's connection pool.
    loop : Loop
    """

    def __init__(self, rpc: Callable[[str], Any], loop: Loop) -> None:
        self._rpc = rpc
        self._loop = loop
        self._under_way: set[asyncio.Task[None]] = set()

    def send(
        self,
        address: str,
        run: Run,
        tag: Tag,
        arrays: Sequence[Array],
        about: Any = None,
        *,
        token: str = "",
    ) -> None:
        """Send arrays, which must not change before the receiver has answered, and a description.

        The token is that of the generation, which the scheduler has given to its members.

        What does not get there is not reported: the receiver's deadline and the scheduler's word
        of a lost worker are.
        """
        self._loop.call_soon_threadsafe(self._start, address, run, tag, arrays, about, token)

    def _start(self, address: str, *message: Any) -> None:
        task = asyncio.ensure_future(self._deliver(address, *message))
        self._under_way.add(task)
        task.add_done_callback(self._done)

    async def _deliver(
        self, address: str, run: Run, tag: Tag, arrays: Sequence[Array], about: Any, token: str
    ) -> None:
        await getattr(self._rpc(address), DELIVER)(
            run_id=run.id,
            generation=run.generation,
            tag=tag,
            arrays=[to_serialize(array) for array in arrays],
            about=about,
            token=token,
            reply=False,
        )

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.info("a message to a peer was not delivered: %r", error)
