"""The scheduler's part: it owns the truth about which generation of a run is current."""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from distributed import Scheduler, SchedulerPlugin
from distributed.metrics import time

from daskml_exec.executor.peers._admission import Admission
from daskml_exec.executor.peers._runs import (
    ADMIT,
    ANNOUNCE,
    CLOSE,
    CLOSED,
    ENDED,
    INTERRUPT,
    LEAVE,
    OPEN,
    PLUGIN,
    REGISTER,
    STANDING,
    STATES,
    checked_id,
)


@dataclass
class _Run:
    """A run as its driver has registered it.

    Attributes
    ----------
    client : str
        Whose it is: it ends with that client.
    lease : float
        Seconds that the client may be silent for while it has the workers and others wait for them.
    generation : int
    current : bool
        Whether a generation is under way.
    members : dict of str to str
        Addresses of the workers of the last generation, with the ids of these starts of them.
    seen : set of str
        All that were ever members, and have not gone since: they may hold something.
    """

    client: str
    lease: float
    generation: int = 0
    current: bool = False
    members: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)


class PeersSchedulerPlugin(SchedulerPlugin):
    """Raises the generation of a run when a worker is lost, and tells all whom it concerns."""

    name = PLUGIN
    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        """Begin to listen to drivers."""
        self._scheduler = scheduler
        self._runs: dict[str, _Run] = {}
        self._admission = Admission(self._has_lapsed)
        scheduler.handlers.update(
            {
                REGISTER: self._register,
                ADMIT: self._admit,
                LEAVE: self._leave,
                OPEN: self._open,
                STANDING: self._standing,
                STATES: self._states,
                INTERRUPT: self._interrupt,
                CLOSE: self._close,
            }
        )

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Tell a worker, which may be at the address of one that was lost, what has ended.

        Tasks that were meant for the one before would else wait for peers that have gone on.
        """
        for run_id, run in self._runs.items():
            if run.generation:
                self._tell(run_id, [worker], run.generation, "the worker was lost")

    def remove_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None:
        """End the generations that the worker was a member of."""
        for run_id, run in list(self._runs.items()):
            run.seen.discard(worker)
            if worker in run.members:
                self._end(run_id, f"the worker {worker} was lost")

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Close the runs of a driver that has gone."""
        for run_id, run in list(self._runs.items()):
            if run.client == client:
                self._close(run_id, client)

    def _register(self, run_id: str, client: str, lease: float) -> bool:
        """Make a run known; return False where its client is none, or is gone already."""
        if client not in self._scheduler.clients:
            return False
        self._runs.setdefault(checked_id(run_id), _Run(client, lease))
        return True

    async def _admit(self, run_id: str, client: str) -> bool:
        """Return True when it is this run's turn; it has the workers until it leaves.

        False says that there is no such run, or no longer: a request that is late must not be
        waited for by others.
        """
        return self._of(run_id, client) is not None and await self._admission.enter(run_id)

    def _leave(self, run_id: str, client: str) -> None:
        if self._of(run_id, client) is not None:
            self._admission.leave(run_id)

    async def _open(
        self, run_id: str, client: str, workers: Sequence[str], timeout: float
    ) -> dict[str, Any]:
        """Begin a generation with these workers.

        Returns
        -------
        answer : dict
            Its ``generation`` and the ``ids`` of the workers; or with ``gone`` that one of them is
            not here, with ``lapsed`` that it is not this run's turn, or with ``silent`` who did not
            answer in time.
        """
        run = self._of(run_id, client)
        if run is None or self._admission.first != run_id:
            return {"lapsed": True}
        here = self._scheduler.workers
        if not here.keys() >= set(workers):
            return {"gone": True}
        run.generation += 1
        run.current = True
        run.members = {worker: here[worker].server_id for worker in workers}
        run.seen.update(workers)
        generation, token = run.generation, secrets.token_hex(16)
        answers = await asyncio.gather(
            *(
                self._ask(
                    worker,
                    ANNOUNCE,
                    timeout,
                    run_id=run_id,
                    generation=generation,
                    members=list(workers),
                    index=index,
                    token=token,
                )
                for index, worker in enumerate(workers)
            ),
            return_exceptions=True,
        )
        errors = {w: a for w, a in zip(workers, answers, strict=True) if isinstance(a, Exception)}
        lost = self._lost(run)
        silent = [
            worker
            for worker, error in errors.items()
            if isinstance(error, asyncio.TimeoutError) and worker not in lost
        ]
        if errors or run.generation != generation:
            return {"silent": silent} if silent else {"gone": True}
        return {"generation": generation, "ids": list(run.members.values())}

    def _standing(self, run_id: str, client: str) -> dict[str, Any]:
        """Return the current generation, and which members of the last one are gone."""
        run = self._of(run_id, client)
        if run is None:
            return {"generation": CLOSED, "lost": []}
        return {"generation": run.generation, "lost": self._lost(run)}

    def _lost(self, run: _Run) -> list[str]:
        """Return the members of the last generation that are gone, whoever is there now."""
        here = self._scheduler.workers
        return [
            w for w, start in run.members.items() if w not in here or here[w].server_id != start
        ]

    async def _states(self, run_id: str, client: str, timeout: float) -> dict[str, Any]:
        """Return what each member says that it does; None for one that does not answer."""
        run = self._of(run_id, client)
        if run is None:
            return {}
        answers = await asyncio.gather(
            *(
                self._ask(worker, STATES, timeout, run_id=run_id, generation=run.generation)
                for worker in run.members
            ),
            return_exceptions=True,
        )
        return {
            worker: None if isinstance(answer, Exception) else answer
            for worker, answer in zip(run.members, answers, strict=True)
        }

    def _interrupt(self, run_id: str, client: str, reason: str) -> None:
        """End the current generation because the driver says so."""
        if self._of(run_id, client) is not None:
            self._end(run_id, reason)

    def _close(self, run_id: str, client: str) -> None:
        """End the run."""
        run = self._of(run_id, client)
        if run is not None:
            del self._runs[run_id]
            self._admission.leave(run_id)
            self._tell(run_id, run.seen, CLOSED, "the run was closed")

    def _of(self, run_id: str, client: str) -> _Run | None:
        """Return a client's run; None if it has none of this name."""
        run = self._runs.get(run_id)
        return run if run is not None and run.client == client else None

    def _has_lapsed(self, run_id: str) -> bool:
        """End the generation of a run whose driver is silent; return whether it is.

        Its process may have been stopped, or its machine be cut off. What is on disk stays, so that
        it can go on when it is back.
        """
        run = self._runs[run_id]
        client = self._scheduler.clients.get(run.client)
        silent = time() - client.last_seen if client is not None else float("inf")
        if silent <= run.lease:
            return False
        if run.current:
            self._end(run_id, f"its driver was silent for {silent:.0f} s while others waited")
        return True

    def _end(self, run_id: str, reason: str) -> None:
        run = self._runs[run_id]
        if not run.current:
            return
        run.current = False
        run.generation += 1
        self._tell(run_id, run.seen, run.generation, reason)
        ended = {"run_id": run_id, "generation": run.generation, "reason": reason}
        self._scheduler.log_event(PLUGIN, ended)

    async def _ask(self, worker: str, handler: str, timeout: float, **message: Any) -> Any:
        connection = self._scheduler.rpc(worker)
        return await asyncio.wait_for(getattr(connection, handler)(**message), timeout)

    def _tell(self, run_id: str, workers: Iterable[str], generation: int, reason: str) -> None:
        for worker in self._scheduler.stream_comms.keys() & set(workers):
            self._scheduler.worker_send(
                worker,
                {"op": ENDED, "run_id": run_id, "generation": generation, "reason": reason},
            )
