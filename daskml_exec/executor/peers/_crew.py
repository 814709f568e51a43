"""The driver's side: bring the members of a run together, and run one task on each."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distributed import Client, Future, get_worker

from daskml_exec.executor import _config
from daskml_exec.executor._blas import single_threaded_blas
from daskml_exec.executor._failures import (
    WorkerMismatchError,
    explained_losses,
    no_worker_error,
)
from daskml_exec.executor._groups import is_of_this_machine
from daskml_exec.executor.peers._errors import (
    GenerationEndedError,
    PeersInterrupted,
    PeerTimeoutError,
)
from daskml_exec.executor.peers._peer import Peer, Source, fetch_on
from daskml_exec.executor.peers._runs import ADMIT, CLOSE, INTERRUPT, LEAVE, OPEN, Run, topic_of
from daskml_exec.executor.peers._scheduler_plugin import PeersSchedulerPlugin
from daskml_exec.executor.peers._worker_plugin import PeersPlugin, plugin_here

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor

# How often to look for workers while results do not come, in seconds.
_LOOK_EVERY = 5.0
# How often to ask whether partitions have been computed, in seconds.
_LOOK_FOR_PARTITIONS = 0.02


@dataclass(frozen=True)
class Answer:
    """What one member's task returned, and what it took."""

    value: Any
    worker: str
    seconds: float
    bytes_sent: int


@dataclass(frozen=True)
class _Stopped:
    """What a member's task returns that its generation's end has stopped: no error of its own."""


class Crew:
    """The workers that a run's blocks live on, as its driver sees them.

    Parameters
    ----------
    executor : Executor
    name : str
        What the tasks are called.

    Raises
    ------
    WorkerMismatchError
        The scheduler cannot import this package.
    """

    def __init__(self, executor: "Executor", name: str) -> None:
        self._client: Client = executor.client
        self._executor = executor
        self._name = name
        self._id = f"{name}-{uuid.uuid4().hex[:12]}"
        self._generation = 0
        self._tasks = 0
        self._interrupted: asyncio.Event | None = None
        self._why = ""
        self.members: tuple[str, ...] = ()
        self.segment_seconds = _config.seconds("segment-duration")
        self.commit_interval = _config.seconds("commit-interval")
        _install(self._client)
        self._topic = topic_of(self._id)
        self._client.subscribe_topic(self._topic, self._hear)

    def workers(self) -> list[str]:
        """Return the addresses of the workers that live; wait for one if there is none.

        Raises
        ------
        TimeoutError
            None came within the dask config value ``daskml-exec.workers-timeout``.
        """
        limit = _config.seconds("workers-timeout")
        deadline = time.monotonic() + limit
        while not (found := sorted(self._client.scheduler_info(n_workers=-1)["workers"])):
            if time.monotonic() >= deadline:
                raise no_worker_error(self._client, limit)
            with suppress(TimeoutError):
                self._client.wait_for_workers(1, timeout=1)
        return found

    def admit(self) -> None:
        """Wait until no other run has the workers; `leave` lets the next one have them."""
        self._call(ADMIT, client=self._client.id)

    def leave(self) -> None:
        """Let other runs have the workers, if this one has them."""
        self._call(LEAVE)

    def open(self, members: Sequence[str]) -> bool:
        """Begin a generation with these members; return False if one of them is gone."""
        generation = self._call(OPEN, workers=list(members))
        if generation is None:
            return False
        self.members, self._generation = tuple(members), generation
        self._executor.events.watch(self._client, members)
        return True

    def run(self, function: Callable[..., Any], arguments: Iterable[Sequence[Any]]) -> list[Answer]:
        """Call ``function(peer, *arguments)`` on every member at the same time.

        Parameters
        ----------
        function : callable
        arguments : iterable of sequences
            Per member.

        Raises
        ------
        PeersInterrupted
            A member was lost. The others have stopped; `open` must come before the next run.
        PeerTimeoutError
            A member did not answer another one in time.
        """
        run = Run(self._id, self._generation)
        self._tasks += 1
        futures = [
            self._client.submit(
                _member_task,
                function,
                run,
                index,
                self.members,
                _config.seconds("peer-timeout"),
                _config.seconds("segment-start-timeout"),
                tuple(given),
                key=f"{self._name}-{self._id}-{run.generation}-{self._tasks}-{index}",
                workers=[member],
                pure=False,
            )
            for index, (member, given) in enumerate(zip(self.members, arguments, strict=True))
        ]
        try:
            answers: list[Answer] = self._client.sync(self._answers, futures)
            return answers
        except BaseException:
            self._client.cancel(futures)
            raise

    def sources(self, futures: Sequence[Future[Any]], *, data: str = "the data") -> list[Source]:
        """Return where these partitions are, when all of them are somewhere.

        Raises
        ------
        LostPartitionError
            One is gone, and the cluster cannot rebuild it.
        """
        while True:
            held = self._client.who_has(list(futures))
            found = [tuple(held.get(future.key, ())) for future in futures]
            if all(found):
                return [Source(str(f.key), at) for f, at in zip(futures, found, strict=True)]
            with explained_losses(self._name, {data: futures}):
                missing = [f for f, at in zip(futures, found, strict=True) if not at]
                for future in missing:
                    if future.status == "cancelled":  # one that is lost is being computed again
                        raise CancelledError
                    if future.status == "error":
                        raise future.exception()
            self.workers()
            time.sleep(_LOOK_FOR_PARTITIONS)

    def close(self) -> None:
        """End the run: what it has on the workers goes, and so do tasks of it that still run."""
        with suppress(OSError):  # where the scheduler is gone, so are its workers
            self._call(CLOSE)
            self._client.unsubscribe_topic(self._topic)

    def _call(self, handler: str, **arguments: Any) -> Any:
        return self._client.sync(self._call_async, handler, **arguments)

    async def _call_async(self, handler: str, **arguments: Any) -> Any:
        return await getattr(self._client.scheduler, handler)(run_id=self._id, **arguments)

    async def _hear(self, event: tuple[float, Any]) -> None:
        self._why = event[1]["reason"]
        if self._interrupted is not None:
            self._interrupted.set()

    async def _answers(self, futures: list[Future[Any]]) -> list[Answer]:
        if await self._all_finished(futures):
            direct = all(map(is_of_this_machine, self.members))
            results = await self._client.gather(futures, asynchronous=True, direct=direct)
            answers = [each for each in results if isinstance(each, Answer)]
            if len(answers) == len(futures):
                return answers
        else:
            await self._call_async(INTERRUPT, reason="another worker's task failed")
        raise await self._reason(futures)

    async def _all_finished(self, futures: list[Future[Any]]) -> bool:
        """Return whether all tasks have returned, as soon as it is certain."""
        self._interrupted = asyncio.Event()
        interrupted = asyncio.ensure_future(self._interrupted.wait())
        running = {asyncio.ensure_future(f.exception(asynchronous=True)) for f in futures}
        try:
            while running:
                done, _ = await asyncio.wait(
                    {*running, interrupted}, return_when=asyncio.FIRST_COMPLETED
                )
                if interrupted in done or any(waiting.result() is not None for waiting in done):
                    return False
                running -= done
            return True
        finally:
            self._interrupted = None
            for waiting in (*running, interrupted):
                waiting.cancel()

    async def _reason(self, futures: list[Future[Any]]) -> BaseException:
        """Wait until the members that live have stopped; return why the first one did."""
        deadline = time.monotonic() + _config.seconds("peer-timeout")
        errors: list[BaseException] = []
        hung: list[str] = []
        for member, future in zip(self.members, futures, strict=True):
            while future.status == "pending" and time.monotonic() < deadline:
                if member not in await self._client.nthreads(asynchronous=True):
                    break  # lost: its task waits for it in vain
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(future.exception(asynchronous=True), _LOOK_EVERY)
            else:
                if future.status == "pending":
                    hung.append(member)
            if future.status == "error":
                errors.append(await future.exception(asynchronous=True))
        # One that failed by itself interrupts the others, who have no more to say than that.
        own = [error for error in errors if not isinstance(error, PeersInterrupted)]
        if own:
            return own[0]
        if hung:
            return PeerTimeoutError(
                f"{', '.join(hung)} did not stop within the dask config value "
                "'daskml-exec.peer-timeout' after another worker was lost"
            )
        return errors[0] if errors else PeersInterrupted(self._why)


def _member_task(
    function: Callable[..., Any],
    run: Run,
    index: int,
    members: tuple[str, ...],
    timeout: float,
    start_timeout: float,
    arguments: tuple[Any, ...],
) -> Answer | _Stopped:
    """Run a member's part in its own thread, when all members have come."""
    plugin = plugin_here()
    peer = Peer(
        run=run,
        index=index,
        members=members,
        timeout=timeout,
        mailbox=plugin.mailbox,
        post=plugin.post,
        residents=plugin.residents,
        files=plugin.files,
        fetch=fetch_on(plugin.worker),
    )
    try:
        plugin.begin(run)
        peer.meet(("start",), timeout=start_timeout)
        started = time.perf_counter()
        with single_threaded_blas():
            value = function(peer, *arguments)
    except GenerationEndedError:
        return _Stopped()
    return Answer(value, get_worker().address, time.perf_counter() - started, peer.bytes_sent)


def _install(client: Client) -> None:
    """Register the plugins, once for each cluster; workers that come later have theirs, too."""
    try:
        client.register_plugin(PeersSchedulerPlugin())
    except Exception as error:
        raise WorkerMismatchError(
            f"the scheduler cannot load this package's plugin ({error!r}); blocks on workers need "
            "it there: install daskml_exec of the same version on the scheduler, too, and allow "
            "plugins (dask config 'distributed.scheduler.pickle')"
        ) from error
    client.register_plugin(PeersPlugin())
