"""What a task sees of its run: who takes part, and how to send, receive and read partitions."""

import asyncio
import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from distributed import Worker
from distributed.utils_comm import gather_from_workers

from daskml_exec.executor._memory_file import this_place
from daskml_exec.executor.peers._errors import PeersInterrupted, PeerTimeoutError
from daskml_exec.executor.peers._files import BlockFiles
from daskml_exec.executor.peers._mailbox import Mailbox
from daskml_exec.executor.peers._outbox import Outbox
from daskml_exec.executor.peers._residents import Residents
from daskml_exec.executor.peers._runs import Run
from daskml_exec.executor.peers._shared_memory import LEAST_BYTES, Shared, SharedSlots
from daskml_exec.kernels.arrays import Array

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
    ids : sequence of str
        Of these starts of the members' workers: one that comes back to its address has another.
    timeout : float
        Seconds that a peer has to answer.
    start_timeout : float
        Seconds that it has where it may have much to do before, such as to read from a disk.
    bytes_sent : int
        Of arrays, also of those that members of the same machine read in memory.
    """

    run: Run
    index: int
    members: Sequence[str]
    ids: Sequence[str]
    timeout: float
    mailbox: Mailbox
    outbox: Outbox
    residents: Residents
    files: BlockFiles
    fetch: Fetch
    slots: SharedSlots | None = None
    start_timeout: float = 300.0
    token: str = ""
    bytes_sent: int = field(default=0, init=False)
    _near: set[int] = field(default_factory=set, init=False)
    """Members with whom memory can be shared."""

    @property
    def others(self) -> list[int]:
        """The indices of the other members."""
        return [index for index in range(len(self.members)) if index != self.index]

    def send(
        self,
        to: int,
        tag: Tag,
        arrays: Sequence[Array],
        about: Any = None,
        *,
        slot: Tag | None = None,
    ) -> None:
        """Send arrays, which must not change before the receiver has answered.

        Parameters
        ----------
        to : int
        tag : tuple
        arrays : sequence of ndarray
        about : object, optional
            A description to send beside them.
        slot : tuple, optional
            A name for the memory in which they may be handed to a member of the same machine. It
            may be used again when the receiver has answered.
        """
        nbytes = sum(array.nbytes for array in arrays)
        self.bytes_sent += nbytes
        worthwhile = to in self._near and nbytes >= LEAST_BYTES
        if worthwhile and slot is not None and self.slots is not None:
            arrays, about = (), self.slots.write((to, *slot), arrays, about)
        whole_tag = (*tag, self.index)
        self.outbox.send(self.members[to], self.run, whole_tag, arrays, about, token=self.token)

    def take(self, sender: int, tag: Tag, *, timeout: float | None = None) -> tuple[list[Any], Any]:
        """Return what a member has sent under a tag, arrays and description; wait for it.

        Raises
        ------
        GenerationEndedError
            The generation has ended.
        PeerTimeoutError
            Nothing came in time.
        """
        arrays, about = self.mailbox.take(
            self.run,
            (*tag, sender),
            timeout=self.timeout if timeout is None else timeout,
            sender=self.members[sender],
        )
        if isinstance(about, Shared):
            assert self.slots is not None
            return self.slots.read(about), about.about
        return arrays, about

    def require_current(self) -> None:
        """Raise GenerationEndedError if the generation has ended."""
        self.mailbox.require_current(self.run)

    def meet(self, tag: Tag, *, timeout: float) -> None:
        """Wait until all members have come to this point, and find out who is on this machine."""
        here = None if self.slots is None else this_place()
        for other in self.others:
            self.send(other, tag, (), here)
        for other in self.others:
            _, there = self.take(other, tag, timeout=timeout)
            if here is not None and there is not None and here.sees(there):
                self._near.add(other)

    def partitions(self, sources: Sequence[Source]) -> Iterator[Any]:
        """Yield partitions one after the other; the next one comes while the last is in use."""
        coming = [self.fetch(source) for source in sources[:1]]
        for following in range(1, len(sources) + 1):
            partition = self._wait(coming.pop(), sources[following - 1])
            coming += [self.fetch(source) for source in sources[following : following + 1]]
            yield partition
            del partition  # or it would be held while the next one is waited for

    def _wait(self, coming: "concurrent.futures.Future[Any]", source: Source) -> Any:
        waited = 0.0
        while True:
            self.require_current()
            try:
                return coming.result(timeout=0.5)
            except concurrent.futures.TimeoutError:
                if coming.done():
                    return coming.result()  # or raise what the fetch has raised
                waited += 0.5
                if waited >= self.timeout:
                    coming.cancel()
                    error = PeerTimeoutError(
                        f"a partition did not come from {', '.join(source.holders)} within "
                        f"{self.timeout:g} s (the limit is the dask config value "
                        "'daskml-exec.peer-timeout')"
                    )
                    error.missed = source.holders
                    raise error from None


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
