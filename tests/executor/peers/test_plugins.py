"""The scheduler owns the truth about generations; workers do as it says, also when it is late."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from daskml_exec.executor.peers import Entry
from daskml_exec.executor.peers._errors import GenerationEndedError
from daskml_exec.executor.peers._runs import (
    ADMIT,
    CLOSE,
    CLOSED,
    DELIVER,
    INTERRUPT,
    LEAVE,
    NEWS,
    OPEN,
    PLUGIN,
    Run,
)
from daskml_exec.executor.peers._scheduler_plugin import PeersSchedulerPlugin
from daskml_exec.executor.peers._worker_plugin import PeersPlugin


class FakeScheduler:
    """Workers that live, and what the plugin has told them and the drivers."""

    def __init__(self, *workers):
        self.workers = dict.fromkeys(workers)
        self.stream_comms = dict.fromkeys(workers)
        self.handlers = {}
        self.told, self.events = [], []

    def worker_send(self, worker, message):
        assert worker in self.stream_comms
        assert message["op"] == NEWS
        self.told.append((worker, message["run_id"], message["generation"]))

    def log_event(self, topic, message):
        assert topic == PLUGIN
        self.events.append((message["run_id"], message["generation"], message["reason"]))

    def news(self):
        found, self.told = sorted(self.told), []
        return found


class Plugged:
    """The plugin as drivers and the scheduler reach it."""

    def __init__(self, *workers):
        self.scheduler = FakeScheduler(*workers)
        self.plugin = PeersSchedulerPlugin()
        asyncio.run(self.plugin.start(self.scheduler))

    def call(self, handler, **arguments):
        return self.scheduler.handlers[handler](**arguments)

    def open(self, run_id, *workers, client="me"):
        asyncio.run(asyncio.wait_for(self.call(ADMIT, run_id=run_id, client=client), 30))
        generation = self.call(OPEN, run_id=run_id, workers=list(workers))
        self.call(LEAVE, run_id=run_id)
        return generation

    def lose(self, worker):
        del self.scheduler.workers[worker], self.scheduler.stream_comms[worker]
        self.plugin.remove_worker(self.scheduler, worker)

    def come(self, worker):
        self.scheduler.workers[worker] = self.scheduler.stream_comms[worker] = None
        self.plugin.add_worker(self.scheduler, worker)


def test_a_lost_member_ends_the_generation():
    plugged = Plugged("w0", "w1", "w2")
    assert plugged.open("a", "w0", "w1") == 1
    assert plugged.open("b", "w2") == 1
    plugged.lose("w0")
    assert plugged.scheduler.news() == [("w1", "a", 2)], "members hear of it, and nobody else"
    assert plugged.scheduler.events == [("a", 2, "the worker w0 was lost")]
    assert plugged.open("a", "w1", "w2") == 3


def test_a_lost_worker_that_is_no_member_is_no_news():
    plugged = Plugged("w0", "w1")
    plugged.open("a", "w0")
    plugged.lose("w1")
    assert plugged.scheduler.news() == [] and plugged.scheduler.events == []


def test_a_second_loss_before_the_next_generation_is_no_news():
    plugged = Plugged("w0", "w1", "w2")
    plugged.open("a", "w0", "w1")
    plugged.lose("w0")
    plugged.scheduler.news()
    plugged.lose("w1")
    assert plugged.scheduler.news() == []
    assert plugged.open("a", "w2") == 3


def test_members_that_are_gone_are_no_generation():
    plugged = Plugged("w0")
    assert plugged.open("a", "w0", "w1") is None
    assert plugged.open("a", "w0") == 1


def test_the_driver_interrupts_and_closes():
    plugged = Plugged("w0", "w1", "w2")
    plugged.open("a", "w0", "w1")
    plugged.call(INTERRUPT, run_id="a", reason="a task failed")
    assert plugged.scheduler.news() == [("w0", "a", 2), ("w1", "a", 2)]
    plugged.open("a", "w0", "w2")
    plugged.call(CLOSE, run_id="a")
    everybody = [("w0", "a", CLOSED), ("w1", "a", CLOSED), ("w2", "a", CLOSED)]
    assert plugged.scheduler.news() == everybody, "former members may hold something, too"
    for handler, arguments in [(CLOSE, {}), (LEAVE, {}), (INTERRUPT, {"reason": "late"})]:
        plugged.call(handler, run_id="a", **arguments)
    assert plugged.scheduler.news() == []


def test_a_driver_that_goes_away():
    plugged = Plugged("w0", "w1")
    plugged.open("a", "w0", client="gone")
    plugged.open("b", "w0", client="stays")

    async def run():
        await plugged.call(ADMIT, run_id="a", client="gone")
        waiting = asyncio.create_task(plugged.call(ADMIT, run_id="b", client="stays"))
        await asyncio.sleep(0)
        assert not waiting.done()
        plugged.plugin.remove_client(plugged.scheduler, "gone")
        await asyncio.wait_for(waiting, 30)

    asyncio.run(run())
    assert plugged.scheduler.news() == [("w0", "a", CLOSED)]


def test_a_worker_that_comes_back_under_its_address_is_told():
    plugged = Plugged("w0", "w1")
    plugged.open("a", "w0", "w1")
    plugged.open("b", "w1")
    plugged.lose("w0")
    plugged.scheduler.news()
    plugged.come("w0")
    plugged.come("w3")
    assert plugged.scheduler.news() == [("w0", "a", 2)]


@pytest.fixture
def plugin(tmp_path):
    worker = SimpleNamespace(
        local_directory=str(tmp_path),
        rpc=None,
        loop=SimpleNamespace(asyncio_loop=None),
        handlers={},
        stream_handlers={},
    )
    plugin = PeersPlugin()
    plugin.setup(worker)
    return plugin


def deliver(plugin, generation, tag=("tag", 0)):
    plugin.worker.handlers[DELIVER]("a", generation, list(tag), [np.zeros(2)], None)


def tell(plugin, generation):
    plugin.worker.stream_handlers[NEWS](run_id="a", generation=generation, reason="told so")


def write_file(plugin, version=1):
    plugin.files.append("a", version, Entry(0, "name", "<f8", (2,)), np.zeros(2))


def has_nothing(plugin):
    return (len(plugin.mailbox), len(plugin.residents), plugin.files.versions("a")) == (0, 0, [])


def test_a_worker_files_what_comes_and_drops_it_when_told(plugin):
    deliver(plugin, 1)
    plugin.residents.put(Run("a", 1), 0, {})
    write_file(plugin)
    tell(plugin, 2)
    assert (len(plugin.mailbox), len(plugin.residents)) == (0, 0)
    assert plugin.files.versions("a") == [1], "the next generation needs it"
    deliver(plugin, 1)
    deliver(plugin, 3)
    assert len(plugin.mailbox) == 1
    tell(plugin, CLOSED)
    assert has_nothing(plugin)


def test_a_task_that_ends_after_its_run_leaves_nothing(plugin):
    plugin.begin(Run("a", 1))
    tell(plugin, CLOSED)
    plugin.residents.put(Run("a", 1), 1, {})
    write_file(plugin)
    plugin.finish(Run("a", 1))
    assert has_nothing(plugin)


def test_a_task_of_an_older_generation_takes_nothing_from_the_next(plugin):
    plugin.begin(Run("a", 1))
    plugin.begin(Run("a", 3))
    plugin.residents.put(Run("a", 3), 1, {0: "of the next"})
    write_file(plugin)
    plugin.finish(Run("a", 1))
    plugin.finish(Run("a", 3))
    assert plugin.residents.take(Run("a", 3), 1) == {0: "of the next"}
    assert plugin.files.versions("a") == [1]


def test_a_stale_generation_does_not_begin(plugin):
    plugin.begin(Run("a", 3))
    with pytest.raises(GenerationEndedError, match="workers of the run were lost"):
        plugin.begin(Run("a", 1))


def test_a_worker_that_closes_ends_its_tasks_and_takes_nothing_more(plugin):
    plugin.begin(Run("a", 1))
    plugin.teardown(plugin.worker)
    with pytest.raises(GenerationEndedError, match="this worker closes"):
        plugin.mailbox.require_current(Run("a", 1))
    deliver(plugin, 1)
    tell(plugin, 2)
    assert len(plugin.mailbox) == 0
