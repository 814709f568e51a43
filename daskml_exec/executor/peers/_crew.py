"""The driver's side: bring the members of a run together, and run one task on each."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distributed import Client, Future, get_worker
from distributed.scheduler import KilledWorker

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
from daskml_exec.executor.peers._news import RunNews
from daskml_exec.executor.peers._peer import Peer, Source, fetch_on
from daskml_exec.executor.peers._runs import ADMIT, CLOSE, INTERRUPT, LEAVE, OPEN, Run
from daskml_exec.executor.peers._scheduler_plugin import PeersSchedulerPlugin
from daskml_exec.executor.peers._worker_plugin import PeersPlugin, plugin_here

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor

# How often to look for workers while results do not come, in seconds.
_LOOK_EVERY = 5.0
# How long the others have to stop where one task has failed by an error of its own, in seconds.
_GRACE = 2.0
# How soon to ask again whether partitions have been computed, in seconds; later less often.
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

    def __init__(self, executor: Executor, name: str) -> None:
        self._client: Client = executor.client
        self._executor = executor
        self._name = name
        self._id = f"{name}-{uuid.uuid4().hex[:12]}"
        self._generation = 0
        self._tasks = 0
        self._ended_before = 0
        self._why = "a worker has stopped"
        self._news = asyncio.Event()
        self.members: tuple[str, ...] = ()
        self.segment_seconds = _config.seconds("segment-duration")
        self.commit_interval = _config.seconds("commit-interval")
        self.workers_timeout = _config.seconds("workers-timeout")
        _install(self._client)
        RunNews.of(self._client).listen(self._id, self._hear)

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

    def memory_limit(self, members: Collection[str]) -> int:
        """Return the bytes that the smallest of these workers may use; 0 where none has a limit."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        limits = (workers[m].get("memory_limit") or 0 for m in members if m in workers)
        return min((limit for limit in limits if limit), default=0)

    def admit(self) -> None:
        """Wait until no other run has the workers; `leave` lets the next one have them."""
        self._call(ADMIT, client=self._client.id)

    def leave(self) -> None:
        """Let other runs have the workers, if this one has them."""
        with suppress(OSError):  # the scheduler is gone, or has seen this client go
            self._call(LEAVE)

    def open(self, members: Sequence[str]) -> bool:
        """Begin a generation with these members; return False if one of them is gone."""
        generation = self._call(OPEN, workers=list(members))
        if generation is None:
            return False
        self.members, self._generation = tuple(members), generation
        self._executor.events.watch(self._client, members)
        return True

    def departed(self) -> frozenset[str]:
        """Return the addresses of workers that have gone: what comes there later has nothing."""
        return self._executor.events.departed()

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
                _config.flag("shared-memory"),
                tuple(given),
                key=f"{self._id}-{run.generation}-{self._tasks}-{index}",
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
        pause = _LOOK_FOR_PARTITIONS
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
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def close(self) -> None:
        """End the run: what it has on the workers goes, and so do tasks of it that still run."""
        with suppress(OSError):  # as above; the workers hear of it from the scheduler
            self._call(CLOSE)
        RunNews.of(self._client).forget(self._id)

    def _call(self, handler: str, **arguments: Any) -> Any:
        if self._client.scheduler is None:
            raise ConnectionError("the Client that this fit runs on was closed")
        return self._client.sync(self._call_async, handler, **arguments)

    async def _call_async(self, handler: str, **arguments: Any) -> Any:
        return await getattr(self._client.scheduler, handler)(run_id=self._id, **arguments)

    def _hear(self, generation: int, reason: str) -> None:
        self._ended_before, self._why = generation, reason
        self._news.set()

    async def _answers(self, futures: list[Future[Any]]) -> list[Answer]:
        answers = asyncio.ensure_future(self._all_answers(futures))
        ended = asyncio.ensure_future(self._end_of_generation())
        try:
            await asyncio.wait({answers, ended}, return_when=asyncio.FIRST_COMPLETED)
            if answers.done() and (found := answers.result()) is not None:
                return found
        finally:
            answers.cancel()
            ended.cancel()
        if not self._has_ended:
            await self._call_async(INTERRUPT, reason="another worker's task failed")
        raise await self._reason(futures)

    async def _all_answers(self, futures: list[Future[Any]]) -> list[Answer] | None:
        """Return what all tasks have returned; None as soon as one of them has failed."""
        waiting = [asyncio.ensure_future(f.exception(asynchronous=True)) for f in futures]
        try:
            for earliest in asyncio.as_completed(waiting):
                if await earliest is not None:
                    return None
        finally:
            _cancel(waiting)
        direct = all(map(is_of_this_machine, self.members))
        results = await self._client.gather(futures, asynchronous=True, direct=direct)
        answers = [each for each in results if isinstance(each, Answer)]
        return answers if len(answers) == len(futures) else None

    async def _end_of_generation(self) -> None:
        """Return when the scheduler has said so, or when a member is found to be gone."""
        while not self._has_ended:
            self._news.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), _LOOK_EVERY)
                continue
            if not await self._living() >= set(self.members):
                return

    @property
    def _has_ended(self) -> bool:
        return self._generation < self._ended_before

    async def _living(self) -> set[str]:
        return set(await self._client.nthreads(asynchronous=True))

    async def _reason(self, futures: list[Future[Any]]) -> BaseException:
        """Wait until the members that live have stopped; return why the first one did."""
        waiting = {
            member: asyncio.ensure_future(future.exception(asynchronous=True))
            for member, future in zip(self.members, futures, strict=True)
        }
        deadline = time.monotonic() + _config.seconds("peer-timeout")
        own: list[BaseException] = []
        try:
            while True:
                living = await self._living()  # the task of one that is lost waits for it in vain
                running = {m: w for m, w in waiting.items() if m in living and not w.done()}
                if not own and (own := _own_errors(waiting.values())):
                    deadline = min(deadline, time.monotonic() + _GRACE)
                left = deadline - time.monotonic()
                if not running or left <= 0:
                    break
                await asyncio.wait(
                    running.values(),
                    timeout=min(left, _LOOK_EVERY),
                    return_when=asyncio.FIRST_COMPLETED,
                )
            own = _own_errors(waiting.values())
            errors = _errors(waiting.values())
        finally:
            _cancel(waiting.values())
        if own:  # one that waited for another in vain knows less than that one
            return min(own, key=lambda error: isinstance(error, PeerTimeoutError))
        if running:
            return PeerTimeoutError(
                f"{', '.join(running)} did not stop within the dask config value "
                f"'daskml-exec.peer-timeout' after the segment was interrupted: {self._why}"
            )
        interruptions = [error for error in errors if isinstance(error, PeersInterrupted)]
        return interruptions[0] if interruptions else PeersInterrupted(self._why)


def _cancel(waiting: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel what still waits, and look at what does not, or asyncio would complain of it."""
    for task in waiting:
        if not task.cancel() and not task.cancelled():
            task.exception()


def _errors(waiting: Iterable[asyncio.Task[Any]]) -> list[BaseException]:
    """Return the exceptions of the members' tasks that have ended."""
    found = [task.result() for task in waiting if task.done()]
    return [error for error in found if error is not None]


def _own_errors(waiting: Iterable[asyncio.Task[Any]]) -> list[BaseException]:
    """Return those that are not the loss of a worker, or of what it held."""
    return [e for e in _errors(waiting) if not isinstance(e, PeersInterrupted | KilledWorker)]


def _member_task(
    function: Callable[..., Any],
    run: Run,
    index: int,
    members: tuple[str, ...],
    timeout: float,
    start_timeout: float,
    share_memory: bool,
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
        slots=plugin.slots_of(run.id) if share_memory else None,
        start_timeout=start_timeout,
    )
    try:
        plugin.begin(run)
        peer.meet(("start",), timeout=start_timeout)
        started = time.perf_counter()
        with single_threaded_blas():
            value = function(peer, *arguments)
    except GenerationEndedError:
        return _Stopped()
    finally:
        plugin.finish(run)
    return Answer(value, get_worker().address, time.perf_counter() - started, peer.bytes_sent)


def _install(client: Client) -> None:
    """Register the plugins, once for each cluster; workers that come later have theirs, too."""
    try:
        client.register_plugin(PeersSchedulerPlugin())
    except OSError:
        raise  # the scheduler is not to be reached
    except Exception as error:
        raise WorkerMismatchError(
            f"the scheduler cannot load this package's plugin ({error!r}); blocks on workers need "
            "it there: install daskml_exec of the same version on the scheduler, too, and allow "
            "plugins (dask config 'distributed.scheduler.pickle')"
        ) from error
    client.register_plugin(PeersPlugin())
