"""The scheduler's part: it owns the truth about which generation of a run is current."""

from dataclasses import dataclass, field
from typing import Any

from distributed import Scheduler, SchedulerPlugin

from daskml_exec.executor.peers._admission import Admission
from daskml_exec.executor.peers._runs import (
    ADMIT,
    CLOSE,
    CLOSED,
    INTERRUPT,
    LEAVE,
    NEWS,
    OPEN,
    PLUGIN,
)


@dataclass
class _Members:
    """The workers of a run's current generation, and the client whose run it is."""

    client: str
    generation: int = 0
    workers: frozenset[str] = frozenset()
    seen: set[str] = field(default_factory=set)
    """All that were ever members: they may hold something."""


class PeersSchedulerPlugin(SchedulerPlugin):
    """Raises the generation of a run when a worker is lost, and tells all whom it concerns."""

    name = PLUGIN
    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        """Begin to listen to drivers."""
        self._scheduler = scheduler
        self._runs: dict[str, _Members] = {}
        self._admission = Admission()
        scheduler.handlers.update(
            {
                ADMIT: self._admit,
                LEAVE: self._admission.leave,
                OPEN: self._open,
                INTERRUPT: self._interrupt,
                CLOSE: self._close,
            }
        )

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Tell a worker that comes back under its old address what has ended meanwhile.

        Tasks that were meant for the one before would else wait for peers that have gone on.
        """
        for run_id, members in self._runs.items():
            if worker in members.seen:
                self._tell(run_id, {worker}, members.generation, "the worker was lost")

    def remove_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None:
        """End the generations that the worker was a member of."""
        for run_id, members in list(self._runs.items()):
            if worker in members.workers:
                self._end(run_id, f"the worker {worker} was lost")

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Close the runs of a driver that has gone."""
        for run_id, members in list(self._runs.items()):
            if members.client == client:
                self._close(run_id)

    async def _admit(self, run_id: str, client: str) -> None:
        """Return when it is this run's turn; it has the workers until it leaves."""
        self._runs.setdefault(run_id, _Members(client))
        await self._admission.enter(run_id)

    def _open(self, run_id: str, workers: list[str]) -> int | None:
        """Begin a generation with these workers, if all of them are here; return its number."""
        if not self._scheduler.workers.keys() >= set(workers):
            return None
        members = self._runs[run_id]
        members.generation += 1
        members.workers = frozenset(workers)
        members.seen.update(workers)
        return members.generation

    def _interrupt(self, run_id: str, reason: str) -> None:
        """End the current generation because the driver says so."""
        if run_id in self._runs:
            self._end(run_id, reason)

    def _close(self, run_id: str) -> None:
        """End the run."""
        members = self._runs.pop(run_id, None)
        self._admission.leave(run_id)
        if members is not None:
            self._tell(run_id, members.seen, CLOSED, "the run was closed")

    def _end(self, run_id: str, reason: str) -> None:
        members = self._runs[run_id]
        members.generation += 1
        members.workers = frozenset()
        self._tell(run_id, members.seen, members.generation, reason)
        news = {"run_id": run_id, "generation": members.generation, "reason": reason}
        self._scheduler.log_event(PLUGIN, news)

    def _tell(self, run_id: str, workers: set[str], generation: int, reason: str) -> None:
        for worker in workers & self._scheduler.stream_comms.keys():
            self._scheduler.worker_send(
                worker,
                {"op": NEWS, "run_id": run_id, "generation": generation, "reason": reason},
            )
