"""What a worker keeps for runs among peers, and how it hears of them."""

import logging
from pathlib import Path
from typing import Any

from distributed import Status, Worker, WorkerPlugin, get_worker

from daskml_exec.executor._capacity import Capacity
from daskml_exec.executor.peers._errors import PeersInterrupted
from daskml_exec.executor.peers._files import BlockFiles
from daskml_exec.executor.peers._mailbox import Announcement, Mailbox
from daskml_exec.executor.peers._outbox import Outbox
from daskml_exec.executor.peers._residents import Residents
from daskml_exec.executor.peers._runs import (
    ANNOUNCE,
    CLOSED,
    DELIVER,
    ENDED,
    PLUGIN,
    STATES,
    Run,
    checked_id,
)
from daskml_exec.executor.peers._shared_memory import SharedSlots

logger = logging.getLogger(__name__)


class PeersPlugin(WorkerPlugin):
    """Mailbox, resident blocks and files of one worker. Its handlers file what comes, no more."""

    name = PLUGIN
    idempotent = True

    mailbox: Mailbox
    residents: Residents
    files: BlockFiles
    outbox: Outbox
    worker: Worker

    def setup(self, worker: Worker) -> None:
        """Start to receive."""
        self.worker = worker
        limit = worker.memory_manager.memory_limit
        self.mailbox = Mailbox(limit=Capacity.smallest([limit]).for_messages)
        self.residents = Residents()
        self.files = BlockFiles(Path(worker.local_directory) / PLUGIN)
        self._slots: dict[str, SharedSlots] = {}
        self._begun: set[Run] = set()
        self._met: set[Run] = set()
        self.outbox = Outbox(worker.rpc, worker.loop.asyncio_loop)  # type: ignore[attr-defined]
        worker.handlers |= {
            DELIVER: self._deliver,
            ANNOUNCE: self._announce,
            STATES: self._state,
        }
        worker.stream_handlers[ENDED] = self._end

    def teardown(self, worker: Worker) -> None:
        """Stop the tasks that wait for something, since the worker waits for them.

        The handlers stay: what is still on its way to them would else end the connection.
        """
        self.mailbox.close()
        for slots in list(self._slots.values()):  # a task may begin meanwhile
            slots.close()

    def begin(self, run: Run) -> Announcement:
        """Enter a generation; return what the scheduler has said of it.

        Raises
        ------
        GenerationEndedError
            The generation has ended already, or has members of which this worker is none.
        """
        announced = self.mailbox.announced(run)
        self._begun.add(run)
        return announced

    def met(self, run: Run) -> None:
        """Note that the run's task has heard from all members."""
        self._met.add(run)

    def slots_of(self, run_id: str) -> SharedSlots:
        """Return the memory that a run shares with other workers of this machine."""
        return self._slots.setdefault(run_id, SharedSlots())

    def finish(self, run: Run) -> None:
        """Remove what a task has left after the end of its generation was heard of."""
        self._begun.discard(run)
        self._met.discard(run)
        floor = self.mailbox.floor(run.id)
        if run.generation < floor:
            self._drop_before(run.id, floor)

    def _deliver(
        self, run_id: str, generation: int, tag: Any, arrays: list[Any], about: Any, token: str
    ) -> None:
        run, tag = Run(run_id, generation), tuple(tag)
        if not self.mailbox.admits(run, tag[-1] if tag else None, token):
            logger.info("a message for %r was refused: nobody has announced its sender", run)
            return
        self.mailbox.file(run, tag, (arrays, about), sum(array.nbytes for array in arrays))

    def _announce(
        self, run_id: str, generation: int, members: list[str], index: int, token: str
    ) -> None:
        """Expect a generation: what older ones have left here goes."""
        self._end_before(checked_id(run_id), generation, "workers of the run were lost")
        announcement = Announcement(tuple(members), index, token)
        self.mailbox.announce(Run(run_id, generation), announcement)

    def _state(self, run_id: str, generation: int) -> dict[str, Any]:
        """Say whether the run's task is under way here, and if not, what is."""
        state = self.worker.state
        return {
            "begun": Run(run_id, generation) in self._begun,
            "met": Run(run_id, generation) in self._met,
            "paused": self.worker.status == Status.paused,
            "tasks": len(state.executing) + len(state.long_running),
            "memory": self.worker.memory_manager.memory_limit or 0,
        }

    def _end(self, run_id: str, generation: int, reason: str) -> None:
        self._end_before(checked_id(run_id), generation, reason)

    def _end_before(self, run_id: str, generation: int, reason: str) -> None:
        self.mailbox.end_before(run_id, generation, reason)
        self._drop_before(run_id, generation)

    def _drop_before(self, run_id: str, generation: int) -> None:
        self.residents.drop_before(run_id, generation)
        if generation == CLOSED:
            self.files.drop(run_id)
            if (slots := self._slots.pop(run_id, None)) is not None:
                slots.close()


def plugin_here() -> PeersPlugin:
    """Return the plugin of the worker that runs this task.

    Raises
    ------
    PeersInterrupted
        There is none: the worker closes.
    """
    worker = get_worker()
    plugin = worker.plugins.get(PLUGIN)
    if plugin is None:
        raise PeersInterrupted(f"the worker {worker.address} closes")
    assert isinstance(plugin, PeersPlugin)
    return plugin
