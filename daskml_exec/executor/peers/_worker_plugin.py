"""What a worker keeps for runs among peers, and how it hears of them."""

from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from daskml_exec.executor.peers._errors import PeersInterrupted
from daskml_exec.executor.peers._files import BlockFiles
from daskml_exec.executor.peers._mailbox import Mailbox
from daskml_exec.executor.peers._post import Post
from daskml_exec.executor.peers._residents import Residents
from daskml_exec.executor.peers._runs import CLOSED, DELIVER, NEWS, PLUGIN, Run
from daskml_exec.executor.peers._shared_memory import SharedSlots


class PeersPlugin(WorkerPlugin):
    """Mailbox, resident blocks and files of one worker. Its handlers file what comes, no more."""

    name = PLUGIN
    idempotent = True

    mailbox: Mailbox
    residents: Residents
    files: BlockFiles
    post: Post
    worker: Worker

    def setup(self, worker: Worker) -> None:
        """Start to receive."""
        self.worker = worker
        self.mailbox = Mailbox()
        self.residents = Residents()
        self.files = BlockFiles(Path(worker.local_directory) / PLUGIN)
        self._slots: dict[str, SharedSlots] = {}
        self.post = Post(worker.rpc, worker.loop.asyncio_loop)  # type: ignore[attr-defined]
        worker.handlers[DELIVER] = self._deliver
        worker.stream_handlers[NEWS] = self._news

    def teardown(self, worker: Worker) -> None:
        """Stop the tasks that wait for something, since the worker waits for them.

        The handlers stay: what is still on its way to them would else end the connection.
        """
        self.mailbox.close()
        for slots in self._slots.values():
            slots.clear()

    def begin(self, run: Run) -> None:
        """Enter a generation: what older ones have left here goes.

        Raises
        ------
        GenerationEndedError
            The generation has ended already.
        """
        self._end_before(run.id, run.generation, "workers of the run were lost")
        self.mailbox.require_current(run)

    def slots_of(self, run_id: str) -> SharedSlots:
        """Return the memory that a run shares with other workers of this machine."""
        return self._slots.setdefault(run_id, SharedSlots())

    def finish(self, run: Run) -> None:
        """Remove what a task has left after the end of its generation was heard of."""
        floor = self.mailbox.floor(run.id)
        if run.generation < floor:
            self._drop_before(run.id, floor)

    def _deliver(
        self, run_id: str, generation: int, tag: Any, arrays: list[Any], about: Any
    ) -> None:
        self.mailbox.file(Run(run_id, generation), tuple(tag), (arrays, about))

    def _news(self, run_id: str, generation: int, reason: str) -> None:
        self._end_before(run_id, generation, reason)

    def _end_before(self, run_id: str, generation: int, reason: str) -> None:
        self.mailbox.end_before(run_id, generation, reason)
        self._drop_before(run_id, generation)

    def _drop_before(self, run_id: str, generation: int) -> None:
        self.residents.drop_before(run_id, generation)
        if generation == CLOSED:
            self.files.drop(run_id)
            if (slots := self._slots.pop(run_id, None)) is not None:
                slots.clear()


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
