"""The driver's side: bring the members of a run together, and run one task on each."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed import Client, Future
from distributed.scheduler import KilledWorker

from daskml_exec.executor import _config
from daskml_exec.executor._able_workers import able_workers
from daskml_exec.executor._capacity import Capacity
from daskml_exec.executor._failures import (
    WorkerMismatchError,
    explained_losses,
)
from daskml_exec.executor._groups import is_of_this_machine
from daskml_exec.executor._handshake import no_fit_worker_error
from daskml_exec.executor._memory_file import SharedMemoryError
from daskml_exec.executor._scheduler import LostSchedulerError, require_scheduler
from daskml_exec.executor._tuning import tuning
from daskml_exec.executor._waiting import seen, wait_for
from daskml_exec.executor._workers_now import workers_now
from daskml_exec.executor.peers._ends import RunEnds
from daskml_exec.executor.peers._errors import (
    PeersInterrupted,
    PeerTimeoutError,
)
from daskml_exec.executor.peers._member_task import Answer, member_task
from daskml_exec.executor.peers._peer import Source
from daskml_exec.executor.peers._runs import (
    ADMIT,
    CLOSE,
    INTERRUPT,
    LEAVE,
    OPEN,
    REGISTER,
    STANDING,
    STATES,
    Run,
)
from daskml_exec.executor.peers._scheduler_plugin import PeersSchedulerPlugin
from daskml_exec.executor.peers._worker_plugin import PeersPlugin

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor

logger = logging.getLogger(__name__)

# How often to look whether a worker is gone which its peers miss, in seconds.
_LOOK_WHETHER_LOST = 0.1
_SIGNS_OF_A_LOSS = (SharedMemoryError, PeerTimeoutError)
# How soon to ask again for workers, or whether partitions have been computed, in seconds; later
# less often.
_LOOK_AGAIN = 0.02


class PeerGroup:
    """The workers that a run's blocks live on, as its driver sees them.

    Parameters
    ----------
    executor : Executor
    name : str
        What the tasks are called.
    suffices : callable, optional
        Whether members with these memory limits, in bytes and 0 for none, can go on without others.
        Then those that have not begun for long are not waited for; `late` names them.

    Raises
    ------
    WorkerMismatchError
        The scheduler cannot import this package.
    """

    def __init__(
        self,
        executor: Executor,
        name: str,
        suffices: Callable[[Sequence[int]], bool] = lambda limits: False,
    ) -> None:
        self._client: Client = executor.client
        self._executor = executor
        self._name = name
        self._suffices = suffices
        self._id = uuid.uuid4().hex
        self._generation = 0
        self._tasks = 0
        self._ended_before = 0
        self._why = "a worker has stopped"
        self._ended = asyncio.Event()
        self._said: frozenset[str] = frozenset()
        self.members: tuple[str, ...] = ()
        self.ids: tuple[str, ...] = ()
        self.late: frozenset[str] = frozenset()
        self.segment_seconds = _config.seconds("segment-duration")
        self.commit_interval = _config.seconds("commit-interval")
        self.workers_timeout = _config.seconds("workers-timeout")
        _install(self._client)
        if not self._call(REGISTER, lease=_config.seconds("lease-timeout")):
            raise self._unknown()
        RunEnds.of(self._client).listen(self._id, self._hear)

    def workers(self) -> list[str]:
        """Return the addresses of workers that may have work; wait for one if there is none.

        Members of before are among them, also while they are paused: they may hold something.

        Raises
        ------
        TimeoutError
            None came within the dask config value ``daskml-exec.workers-timeout``, or answered.
        WorkerMismatchError
            Those that came within it are not like the driver.
        """
        limit = _config.seconds("workers-timeout")
        deadline, pause = time.monotonic() + limit, _LOOK_AGAIN
        while not (found := self._able()):
            if time.monotonic() >= deadline:
                raise no_fit_worker_error(self._client, limit)
            with suppress(TimeoutError):
                self._client.wait_for_workers(1, timeout=1)
            time.sleep(pause)  # those that are there may be unfit
            pause = min(2 * pause, 1.0)
        return found

    def _able(self) -> list[str]:
        workers = workers_now(self._client)
        return able_workers(self._client, workers, needed=self.members)

    def capacity(self, members: Collection[str]) -> Capacity:
        """Return the memory of the smallest of these workers."""
        workers = workers_now(self._client)
        return Capacity.of_workers(workers[m] for m in members if m in workers)

    def admit(self) -> None:
        """Wait until no other run has the workers; `leave` lets the next one have them.

        Raises
        ------
        LostSchedulerError
            The scheduler has closed the run: it has seen this client go.
        """
        if not self._call(ADMIT):
            raise self._unknown()

    def leave(self) -> None:
        """Let other runs have the workers, if this one has them."""
        with suppress(OSError):  # the scheduler is gone, or has seen this client go
            self._call(LEAVE)

    def open(self, members: Sequence[str]) -> bool:
        """Begin a generation with these members; return False if one of them is gone.

        Raises
        ------
        PeersInterrupted
            Others have the workers: this driver was silent for longer than its lease.
        PeerTimeoutError
            A worker did not answer.
        """
        limit = _config.seconds("peer-timeout")
        answer = self._call(OPEN, workers=list(members), timeout=limit)
        if "lapsed" in answer:
            raise PeersInterrupted("it was not this fit's turn any more")
        if "silent" in answer:
            raise PeerTimeoutError(_not_answering(answer["silent"], limit))
        if "gone" in answer:
            return False
        self.members, self.ids = tuple(members), tuple(answer["ids"])
        self._generation = answer["generation"]
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
            A member was lost, or is late. The others have stopped; `open` must come before the next
            run.
        PeerTimeoutError
            A member did not answer another one in time.
        """
        run = Run(self._id, self._generation)
        self._tasks += 1
        futures = [
            self._client.submit(
                member_task,
                function,
                run,
                index,
                self.members,
                self.ids,
                _config.seconds("peer-timeout"),
                _config.seconds("segment-start-timeout"),
                _config.flag("shared-memory"),
                tuple(given),
                key=f"{self._name}-{self._id}-{run.generation}-{self._tasks}-{index}",
                workers=[member],
                pure=False,
            )
            for index, (member, given) in enumerate(zip(self.members, arguments, strict=True))
        ]
        try:
            answers: list[Answer] = wait_for(self._client, self._answers, futures)
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
        pause = _LOOK_AGAIN
        while True:
            with explained_losses(self._name, {data: futures}):
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
        RunEnds.of(self._client).forget(self._id)

    def _call(self, handler: str, **arguments: Any) -> Any:
        require_scheduler(self._client, self._name)
        return wait_for(self._client, self._call_async, handler, **arguments)

    async def _call_async(self, handler: str, **arguments: Any) -> Any:
        call = getattr(self._client.scheduler, handler)
        return await call(run_id=self._id, client=self._client.id, **arguments)

    def _unknown(self) -> LostSchedulerError:
        return LostSchedulerError(
            f"{self._name}: the scheduler has closed this run, since it has seen this client go: "
            "the connection between them was broken for a while"
        )

    def _hear(self, generation: int, reason: str) -> None:
        self._ended_before, self._why = generation, reason
        self._ended.set()

    async def _answers(self, futures: list[Future[Any]]) -> list[Answer]:
        answers = asyncio.ensure_future(self._all_answers(futures))
        ended = asyncio.ensure_future(self._end_of_generation(futures))
        try:
            await asyncio.wait({answers, ended}, return_when=asyncio.FIRST_COMPLETED)
            if answers.done() and (found := answers.result()) is not None:
                return found
            silent = ended.result() if ended.done() else None
        finally:
            _cancel([answers, ended])
        require_scheduler(self._client, self._name)
        if not self._has_ended:
            await self._call_async(INTERRUPT, reason="another worker's task failed")
        raise await self._reason(futures, silent)

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

    async def _end_of_generation(self, futures: Sequence[Future[Any]]) -> BaseException | None:
        """Return when the scheduler has said so, or where a member does not answer or is late."""
        limit = _config.seconds("segment-start-timeout")
        all_met = False
        started = time.monotonic()
        all_begun: float | None = None  # since when, as far as is known
        while not self._has_ended:
            self._ended.clear()
            with suppress(asyncio.TimeoutError):
                look = tuning().look_seconds
                wait = look if all_met else min(look, limit)
                await asyncio.wait_for(self._ended.wait(), wait)
                continue
            require_scheduler(self._client, self._name)
            standing = await self._call_async(STANDING)
            if standing["generation"] > self._generation:
                return None
            if not all_met and time.monotonic() - started >= limit:
                patience = _config.seconds("peer-timeout")
                states = await self._call_async(STATES, timeout=patience)
                if silent := [worker for worker, state in states.items() if state is None]:
                    return PeerTimeoutError(_not_answering(silent, patience))
                waiting = {m for m, f in zip(self.members, futures, strict=True) if not f.done()}
                late = {w: s for w, s in states.items() if w in waiting and not s["begun"]}
                deaf = [w for w, s in states.items() if w in waiting and not s["met"]]
                all_met = not deaf
                now = time.monotonic()
                all_begun = None if late else now if all_begun is None else all_begun
                if deaf and all_begun is not None and now - all_begun >= patience:
                    return PeersInterrupted(
                        f"{', '.join(deaf)} did not hear within {patience:g} s that all members "
                        "had begun: a message was lost"
                    )
                others = [state["memory"] for w, state in states.items() if w not in late]
                if late and others and self._suffices(others):
                    self.late = frozenset(late)
                    logger.warning("%s goes on without %s", self._name, _who_does_what(late))
                    return PeersInterrupted(f"it was not waited for {', '.join(late)} any longer")
                self._say_that_it_waits(late)
        return None

    def _say_that_it_waits(self, late: Mapping[str, Mapping[str, Any]]) -> None:
        """Say once for whom a segment waits: a worker that has other work to do does not hang."""
        if new := {worker: late[worker] for worker in sorted(late.keys() - self._said)}:
            logger.warning("%s waits for %s", self._name, _who_does_what(new))
        self._said = frozenset(late)

    async def _is_a_loss(self, sign: BaseException) -> bool:
        """Return whether the scheduler says, now or soon, that one that is missed is gone."""
        missed = set(getattr(sign, "missed", ()))
        in_memory = isinstance(sign, SharedMemoryError)
        t = tuning()
        limit = t.confirm_memory_seconds if in_memory else t.confirm_silence_seconds
        limit = min(limit, _config.seconds("peer-timeout"))
        deadline = time.monotonic() + limit
        while not await self._lost():
            if missed and not missed <= set(await self._client.nthreads(asynchronous=True)):
                return True
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_LOOK_WHETHER_LOST)
        return True

    @property
    def _has_ended(self) -> bool:
        return self._generation < self._ended_before

    async def _lost(self) -> list[str]:
        """Return the members that are gone; others may have come to their addresses."""
        standing = await self._call_async(STANDING)
        lost: list[str] = standing["lost"]
        return lost

    async def _reason(
        self, futures: list[Future[Any]], silent: BaseException | None
    ) -> BaseException:
        """Wait until the members that live have stopped; return why the first one did."""
        waiting = {
            member: asyncio.ensure_future(future.exception(asynchronous=True))
            for member, future in zip(self.members, futures, strict=True)
        }
        deadline = time.monotonic() + _config.seconds("peer-timeout")
        known = [] if silent is None else [silent]
        own = list(known)
        if known:
            deadline = min(deadline, time.monotonic() + tuning().grace_seconds)
        try:
            while True:
                lost = await self._lost()  # the task of one that is lost waits for it in vain
                running = {m: w for m, w in waiting.items() if m not in lost and not w.done()}
                if not own and (own := _own_errors(waiting.values())):
                    deadline = min(deadline, time.monotonic() + tuning().grace_seconds)
                left = deadline - time.monotonic()
                if not running or left <= 0:
                    break
                await asyncio.wait(
                    running.values(),
                    timeout=min(left, tuning().look_seconds),
                    return_when=asyncio.FIRST_COMPLETED,
                )
            own = known + _own_errors(waiting.values())
            errors = _errors(waiting.values())
        finally:
            _cancel(waiting.values())
        if own:  # one that waited for another in vain knows less than that one
            told = min(own, key=lambda error: isinstance(error, _SIGNS_OF_A_LOSS))
            if not isinstance(told, _SIGNS_OF_A_LOSS) or not await self._is_a_loss(told):
                return told
        elif running:
            return PeerTimeoutError(
                f"{', '.join(running)} did not stop within the dask config value "
                f"'daskml-exec.peer-timeout' after the segment was interrupted: {self._why}"
            )
        interruptions = [error for error in errors if isinstance(error, PeersInterrupted)]
        return interruptions[0] if interruptions else PeersInterrupted(self._why)


def _cancel(waiting: Iterable[asyncio.Task[Any]]) -> None:
    for task in waiting:
        task.cancel()
        task.add_done_callback(seen)


def _not_answering(workers: Sequence[str], limit: float) -> str:
    many = len(workers) > 1
    return (
        f"the worker{'s' * many} {', '.join(workers)} did not answer within {limit:g} s: "
        f"{'they hang' if many else 'it hangs'}, or cannot be reached (the limits are the dask "
        "config values 'daskml-exec.peer-timeout' and 'daskml-exec.segment-start-timeout')"
    )


def _who_does_what(states: Mapping[str, Mapping[str, Any]]) -> str:
    return "; ".join(f"the worker {w}, which {_doing(state)}" for w, state in states.items())


def _doing(state: Mapping[str, Any]) -> str:
    """Say why a worker that lives has not begun."""
    if state["paused"]:
        return "is paused because its memory is nearly full"
    n = state["tasks"]
    if n:
        return f"is busy with {n} other task{'s' * (n > 1)}"
    return "has not had its task yet"


def _errors(waiting: Iterable[asyncio.Task[Any]]) -> list[BaseException]:
    """Return the exceptions of the members' tasks that have ended."""
    found = [task.result() for task in waiting if task.done()]
    return [error for error in found if error is not None]


def _own_errors(waiting: Iterable[asyncio.Task[Any]]) -> list[BaseException]:
    """Return those that are not the loss of a worker, or of what it held."""
    return [e for e in _errors(waiting) if not isinstance(e, PeersInterrupted | KilledWorker)]


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
