"""What a task sees of its run: who takes part, and how to send, receive and read partitions."""

import asyncio
import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from distributed import Worker
from distributed.utils_comm import gather_from_workers

from daskml_exec.executor.peers._errors import PeersInterrupted, PeerTimeoutError
from daskml_exec.executor.peers._files import BlockFiles
from daskml_exec.executor.peers._mailbox import Mailbox
from daskml_exec.executor.peers._post import Post
from daskml_exec.executor.peers._residents import Residents
from daskml_exec.executor.peers._runs import Run

Array = np.ndarray[Any, np.dtype[Any]]
Tag = tuple[Any, ...]


@dataclass(frozen=True)
class Source:
    """Where a partition is: its key, and the addresses of the workers that hold it."""

    key: str
    holders: tuple[str, ...]


Fetch = Callable[[Source], "concurrent.futures.Future[Any]"]


@dataclass
class Peer:
    """One worker's task among those of a run.

    Attributes
    ----------
    run : Run
    index : int
        Of this worker among the members.
    members : sequence of str
        Addresses, the same on all of them.
    timeout : float
        Seconds that a peer has to answer.
    bytes_sent : int
        Of arrays.
    """

    run: Run
    index: int
    members: Sequence[str]
    timeout: float
    mailbox: Mailbox
    post: Post
    residents: Residents
    files: BlockFiles
    fetch: Fetch
    bytes_sent: int = field(default=0, init=False)

    @property
    def others(self) -> list[int]:
        """The indices of the other members."""
        return [index for index in range(len(self.members)) if index != self.index]

    def send(self, to: int, tag: Tag, arrays: Sequence[Array], about: Any = None) -> None:
        """Send arrays, which must not change before the receiver has answered."""
        self.bytes_sent += sum(array.nbytes for array in arrays)
        self.post.send(self.members[to], self.run, (*tag, self.index), arrays, about)

    def take(self, sender: int, tag: Tag, *, timeout: float | None = None) -> tuple[list[Any], Any]:
        """Return what a member has sent under a tag, arrays and description; wait for it.

        Raises
        ------
        GenerationEndedError
            The generation has ended.
        PeerTimeoutError
            Nothing came in time.
        """
        letter: tuple[list[Any], Any] = self.mailbox.take(
            self.run,
            (*tag, sender),
            timeout=self.timeout if timeout is None else timeout,
            sender=self.members[sender],
        )
        return letter

    def require_current(self) -> None:
        """Raise GenerationEndedError if the generation has ended."""
        self.mailbox.require_current(self.run)

    def meet(self, tag: Tag, *, timeout: float) -> None:
        """Wait until all members have come to this point."""
        for other in self.others:
            self.send(other, tag, ())
        for other in self.others:
            self.take(other, tag, timeout=timeout)

    def partitions(self, sources: Sequence[Source]) -> Iterator[Any]:
        """Yield partitions one after the other; the next one comes while the last is in use."""
        coming = self.fetch(sources[0]) if sources else None
        for following in (*sources[1:], None):
            assert coming is not None
            partition = self._wait(coming)
            coming = None if following is None else self.fetch(following)
            yield partition
            del partition  # or it would be held while the next one is waited for

    def _wait(self, coming: "concurrent.futures.Future[Any]") -> Any:
        waited = 0.0
        while True:
            self.require_current()
            try:
                return coming.result(timeout=0.5)
            except concurrent.futures.TimeoutError:
                waited += 0.5
                if waited >= self.timeout:
                    coming.cancel()
                    raise PeerTimeoutError(
                        f"a partition did not come within {self.timeout:g} s (the limit is the "
                        "dask config value 'daskml-exec.peer-timeout')"
                    ) from None


def fetch_on(worker: Worker) -> Fetch:
    """Return a function that brings partitions to a worker, in its event loop."""
    loop = worker.loop.asyncio_loop  # type: ignore[attr-defined]

    async def fetch(source: Source) -> Any:
        if source.key in worker.data:
            return worker.data[source.key]
        data, missing, failed, lost = await gather_from_workers(
            {source.key: source.holders}, rpc=worker.rpc, who=worker.address
        )
        if source.key not in data:
            raise PeersInterrupted(
                f"the partition {source.key} is not to be had from {', '.join(source.holders)} "
                f"(missing: {missing}, failed: {failed}, lost: {lost})"
            )
        return data[source.key]

    return lambda source: asyncio.run_coroutine_threadsafe(fetch(source), loop)
