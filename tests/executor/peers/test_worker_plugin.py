"""Workers do as the scheduler says, also when it is late, and refuse what strangers send."""

from types import SimpleNamespace

import numpy as np
import pytest
from distributed import Status

from daskml_exec.executor.peers._errors import GenerationEndedError, MailboxFullError
from daskml_exec.executor.peers._files import Entry
from daskml_exec.executor.peers._runs import ANNOUNCE, CLOSED, DELIVER, ENDED, STATES, Run
from daskml_exec.executor.peers._worker_plugin import PeersPlugin

A, B = "a" * 32, "b" * 32


def worker_plugin(folder, limit=None):
    worker = SimpleNamespace(
        local_directory=str(folder),
        rpc=None,
        loop=SimpleNamespace(asyncio_loop=None),
        handlers={},
        stream_handlers={},
        memory_manager=SimpleNamespace(memory_limit=limit),
        state=SimpleNamespace(executing={"x"}, long_running=set()),
        status=Status.running,
    )
    plugin = PeersPlugin()
    plugin.setup(worker)
    return plugin


@pytest.fixture
def plugin(tmp_path):
    return worker_plugin(tmp_path)


def announce(plugin, generation, token="secret"):
    plugin.worker.handlers[ANNOUNCE](A, generation, ["w0", "w1"], 1, token)


def deliver(plugin, generation, tag=("tag", 0), *, token="secret", run_id=A, value=0.0):
    message = [np.full(2, value)]
    plugin.worker.handlers[DELIVER](run_id, generation, list(tag), message, None, token)


def tell(plugin, generation):
    plugin.worker.stream_handlers[ENDED](run_id=A, generation=generation, reason="told so")


def write_file(plugin, version=1):
    with plugin.files.copy(A, version) as copy:
        copy.add(Entry(0, "name", "<f8", (2,)), np.zeros(2))


def has_nothing(plugin):
    return (len(plugin.mailbox), len(plugin.residents), plugin.files.versions(A)) == (0, 0, [])


def test_a_worker_files_what_comes_and_drops_it_when_told(plugin):
    announce(plugin, 1)
    deliver(plugin, 1)
    plugin.residents.put(Run(A, 1), 0, {})
    write_file(plugin)
    tell(plugin, 2)
    assert (len(plugin.mailbox), len(plugin.residents)) == (0, 0)
    assert plugin.files.versions(A) == [1], "the next generation needs it"
    announce(plugin, 3)
    deliver(plugin, 1)
    deliver(plugin, 3)
    assert len(plugin.mailbox) == 1
    tell(plugin, CLOSED)
    assert has_nothing(plugin)


def test_a_task_that_ends_after_its_run_leaves_nothing(plugin):
    announce(plugin, 1)
    plugin.begin(Run(A, 1))
    tell(plugin, CLOSED)
    plugin.residents.put(Run(A, 1), 1, {})
    write_file(plugin)
    plugin.finish(Run(A, 1))
    assert has_nothing(plugin)


def test_a_task_of_an_older_generation_takes_nothing_from_the_next(plugin):
    announce(plugin, 1)
    plugin.begin(Run(A, 1))
    announce(plugin, 3)
    plugin.begin(Run(A, 3))
    plugin.residents.put(Run(A, 3), 1, {0: "of the next"})
    write_file(plugin)
    plugin.finish(Run(A, 1))
    plugin.finish(Run(A, 3))
    assert plugin.residents.take(Run(A, 3), 1) == {0: "of the next"}
    assert plugin.files.versions(A) == [1]


def test_a_stale_generation_does_not_begin(plugin):
    announce(plugin, 3)
    plugin.begin(Run(A, 3))
    with pytest.raises(GenerationEndedError, match="workers of the run were lost"):
        announce(plugin, 1)
        plugin.begin(Run(A, 1))


def test_a_worker_that_closes_ends_its_tasks_and_takes_nothing_more(plugin):
    announce(plugin, 1)
    plugin.begin(Run(A, 1))
    plugin.teardown(plugin.worker)
    with pytest.raises(GenerationEndedError, match="this worker closes"):
        plugin.mailbox.require_current(Run(A, 1))
    deliver(plugin, 1)
    tell(plugin, 2)
    assert len(plugin.mailbox) == 0


def test_a_generation_that_nobody_has_announced_does_not_begin(plugin):
    with pytest.raises(GenerationEndedError, match="no member"):
        plugin.begin(Run(A, 1))
    announce(plugin, 1)
    assert plugin.begin(Run(A, 1)).token == "secret"


@pytest.mark.parametrize(
    "message",
    [
        {"token": "secrex"},
        {"token": ""},
        {"token": None},
        {"token": "s\u00e9cret"},
        {"run_id": B},
        {"run_id": "../../../x"},
        {"tag": ("tag", 2)},
        {"tag": ("tag", -1)},
        {"tag": ("tag",)},
        {"tag": ()},
    ],
)
def test_messages_of_strangers_are_refused(plugin, message):
    announce(plugin, 1)
    deliver(plugin, **{"generation": 1} | message)
    deliver(plugin, 2)
    assert len(plugin.mailbox) == 0
    deliver(plugin, 1)
    assert len(plugin.mailbox) == 1


def test_the_first_message_wins(plugin):
    announce(plugin, 1)
    deliver(plugin, 1, value=1.0)
    deliver(plugin, 1, value=2.0)
    (array,), _ = plugin.mailbox.take(Run(A, 1), ("tag", 0), timeout=0, sender="w0")
    assert array[0] == 1.0 and len(plugin.mailbox) == 0


def test_messages_take_no_more_than_a_share_of_the_memory(tmp_path):
    plugin = worker_plugin(tmp_path, limit=100)
    announce(plugin, 1)
    for number in range(5):
        deliver(plugin, 1, (number, 0))
    assert len(plugin.mailbox) == 3, "of 16 bytes each"
    for number in range(3):
        plugin.mailbox.take(Run(A, 1), (number, 0), timeout=0, sender="w0")
    with pytest.raises(MailboxFullError, match="no room"):
        plugin.mailbox.take(Run(A, 1), (4, 0), timeout=30, sender="w0")


def test_what_a_worker_says_that_it_does(plugin):
    def state():
        return plugin.worker.handlers[STATES](A, 1)

    announce(plugin, 1)
    other = {"tasks": 1, "memory": 0}
    assert state() == {"begun": False, "met": False, "paused": False} | other
    plugin.begin(Run(A, 1))
    plugin.worker.status = Status.paused
    assert state() == {"begun": True, "met": False, "paused": True} | other
    plugin.met(Run(A, 1))
    assert state() == {"begun": True, "met": True, "paused": True} | other
    plugin.finish(Run(A, 1))
    assert not state()["begun"] and not state()["met"]


@pytest.mark.parametrize("run_id", ["../../../x", ".", "", None])
def test_what_comes_is_never_a_path(plugin, tmp_path, run_id):
    (tmp_path / "x").write_text("of somebody else")
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        plugin.worker.stream_handlers[ENDED](run_id=run_id, generation=CLOSED, reason="")
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        plugin.worker.handlers[ANNOUNCE](run_id, 1, ["w0"], 0, "secret")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
