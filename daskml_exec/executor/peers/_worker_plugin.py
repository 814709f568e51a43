"""What a worker keeps for runs among peers, and how it hears of them."""

from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from daskml_exec.executor.peers._files import BlockFiles
from daskml_exec.executor.peers._mailbox import Mailbox
from daskml_exec.executor.peers._post import Post
from daskml_exec.executor.peers._residents import Residents
from daskml_exec.executor.peers._runs import CLOSED, DELIVER, NEWS, PLUGIN, Run


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
        self.post = Post(worker.rpc, worker.loop.asyncio_loop)  # type: ignore[attr-defined]
        worker.handlers[DELIVER] = self._deliver
        worker.stream_handlers[NEWS] = self._news

    def teardown(self, worker: Worker) -> None:
        """Stop receiving."""
        worker.handlers.pop(DELIVER, None)
        worker.stream_handlers.pop(NEWS, None)

    def begin(self, run: Run) -> None:
        """Enter a generation: what older ones have left here goes.

        Raises
        ------
        GenerationEndedError
            The generation has ended already.
        """
        self._end_before(run.id, run.generation, "workers of the run were lost")
        self.mailbox.require_current(run)

    def _deliver(
        self, run_id: str, generation: int, tag: Any, arrays: list[Any], about: Any
    ) -> None:
        self.mailbox.file(Run(run_id, generation), tuple(tag), (arrays, about))

    def _news(self, run_id: str, generation: int, reason: str) -> None:
        self._end_before(run_id, generation, reason)

    def _end_before(self, run_id: str, generation: int, reason: str) -> None:
        self.mailbox.end_before(run_id, generation, reason)
        self.residents.drop_before(run_id, generation)
        if generation == CLOSED:
            self.files.drop(run_id)


def plugin_here() -> PeersPlugin:
    """Return the plugin of the worker that runs this task."""
    plugin = get_worker().plugins[PLUGIN]
    assert isinstance(plugin, PeersPlugin)
    return plugin
