"""The scheduler owns the truth about generations, and about who has the workers."""

import asyncio
from types import SimpleNamespace

import pytest
from distributed.metrics import time

from daskml_exec.executor import tuned
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
)
from daskml_exec.executor.peers._scheduler_plugin import PeersSchedulerPlugin

A, B = "a" * 32, "b" * 32


class FakeScheduler:
    """Workers and clients, and what the plugin has told them and the drivers."""

    def __init__(self, *workers):
        self.workers, self.stream_comms, self.clients = {}, {}, {}
        self.handlers = {}
        self.told, self.events, self.asked = [], [], []
        self.broken, self.starts = {}, 0
        for worker in workers:
            self.start(worker)
        for client in ("me", "other"):
            self.clients[client] = SimpleNamespace(last_seen=time())

    def start(self, worker):
        self.starts += 1
        self.workers[worker] = SimpleNamespace(server_id=f"start {self.starts}")
        self.stream_comms[worker] = None

    def worker_send(self, worker, message):
        assert worker in self.stream_comms
        assert message["op"] == ENDED
        self.told.append((worker, message["run_id"], message["generation"]))

    def log_event(self, topic, message):
        assert topic == PLUGIN
        self.events.append((message["run_id"], message["generation"], message["reason"]))

    def told_of_ends(self):
        found, self.told = sorted(self.told), []
        return found

    def rpc(self, worker):
        return FakeConnection(self, worker)


class FakeConnection:
    """Notes what a worker is asked; one that is broken raises, or waits for ever."""

    def __init__(self, scheduler, worker):
        self.scheduler, self.worker = scheduler, worker

    def __getattr__(self, handler):
        async def call(**message):
            error = self.scheduler.broken.get(self.worker)
            if error == "silent":
                await asyncio.Event().wait()
            if error is not None:
                raise error
            self.scheduler.asked.append((self.worker, handler, message))
            return {"begun": True}

        return call


class Plugged:
    """The plugin as drivers and the scheduler reach it."""

    def __init__(self, *workers):
        self.scheduler = FakeScheduler(*workers)
        self.plugin = PeersSchedulerPlugin()
        asyncio.run(self.plugin.start(self.scheduler))

    def call(self, handler, run_id=A, client="me", **arguments):
        return self.scheduler.handlers[handler](run_id=run_id, client=client, **arguments)

    def wait(self, handler, *who, **arguments):
        return asyncio.run(asyncio.wait_for(self.call(handler, *who, **arguments), 30))

    def open(self, run_id, *workers, client="me", timeout=30):
        who = (run_id, client)
        assert self.call(REGISTER, *who, lease=30.0)
        assert self.wait(ADMIT, *who)
        answer = self.wait(OPEN, *who, workers=list(workers), timeout=timeout)
        self.call(LEAVE, *who)
        return answer.get("generation", answer)

    def lose(self, worker):
        del self.scheduler.workers[worker], self.scheduler.stream_comms[worker]
        self.plugin.remove_worker(self.scheduler, worker)

    def come(self, worker):
        self.scheduler.start(worker)
        self.plugin.add_worker(self.scheduler, worker)

    def go(self, client):
        del self.scheduler.clients[client]
        self.plugin.remove_client(self.scheduler, client)


def test_a_lost_member_ends_the_generation():
    plugged = Plugged("w0", "w1", "w2")
    assert plugged.open(A, "w0", "w1") == 1
    assert plugged.open(B, "w2") == 1
    plugged.lose("w0")
    assert plugged.scheduler.told_of_ends() == [("w1", A, 2)], "members hear of it, and nobody else"
    assert plugged.scheduler.events == [(A, 2, "the worker w0 was lost")]
    assert plugged.call(STANDING) == {"generation": 2, "lost": ["w0"]}
    assert plugged.open(A, "w1", "w2") == 3
    assert plugged.call(STANDING) == {"generation": 3, "lost": []}


def test_a_lost_worker_that_is_no_member_is_no_end():
    plugged = Plugged("w0", "w1")
    plugged.open(A, "w0")
    plugged.lose("w1")
    assert plugged.scheduler.told_of_ends() == [] and plugged.scheduler.events == []


def test_a_second_loss_before_the_next_generation_is_no_end():
    plugged = Plugged("w0", "w1", "w2")
    plugged.open(A, "w0", "w1")
    plugged.lose("w0")
    plugged.scheduler.told_of_ends()
    plugged.lose("w1")
    assert plugged.scheduler.told_of_ends() == []
    assert plugged.open(A, "w2") == 3


def test_members_that_are_gone_are_no_generation():
    plugged = Plugged("w0")
    assert plugged.open(A, "w0", "w1") == {"gone": True}
    assert plugged.open(A, "w0") == 1


def test_members_hear_of_one_another_before_the_driver_does():
    plugged = Plugged("w0", "w1")
    plugged.open(A, "w1", "w0")
    (first, second) = sorted(plugged.scheduler.asked, key=lambda asked: asked[0])
    token = first[2].pop("token")
    assert second[2].pop("token") == token and len(token) == 32
    about = {"run_id": A, "generation": 1, "members": ["w1", "w0"]}
    assert first == ("w0", ANNOUNCE, about | {"index": 1})
    assert second == ("w1", ANNOUNCE, about | {"index": 0})
    plugged.open(A, "w1", "w0")
    assert plugged.scheduler.asked[-1][2]["token"] != token


@pytest.mark.parametrize(
    ("trouble", "answer"), [("silent", {"silent": ["w1"]}), (OSError("reset"), {"gone": True})]
)
def test_a_worker_that_does_not_hear_is_no_member(trouble, answer):
    plugged = Plugged("w0", "w1")
    plugged.scheduler.broken["w1"] = trouble
    assert plugged.open(A, "w0", "w1", timeout=0.05) == answer


def test_a_worker_that_is_silent_because_it_is_lost():
    """As where its cable was cut, and the scheduler has noticed meanwhile."""
    plugged = Plugged("w0", "w1")
    plugged.scheduler.broken["w1"] = "silent"
    plugged.call(REGISTER, lease=30.0)

    async def run():
        await plugged.call(ADMIT)
        opening = asyncio.ensure_future(plugged.call(OPEN, workers=["w0", "w1"], timeout=0.05))
        await asyncio.sleep(0)
        plugged.lose("w1")
        return await opening

    assert asyncio.run(run()) == {"gone": True}


def test_a_member_that_goes_while_the_others_are_told():
    plugged = Plugged("w0", "w1")
    plugged.call(REGISTER, lease=30.0)

    async def run():
        await plugged.call(ADMIT)
        opening = asyncio.ensure_future(plugged.call(OPEN, workers=["w0", "w1"], timeout=30))
        await asyncio.sleep(0)
        plugged.lose("w1")
        return await opening

    assert asyncio.run(run()) == {"gone": True}


def test_a_member_that_comes_back_to_its_address_is_not_the_same():
    plugged = Plugged("w0", "w1")
    plugged.open(A, "w0", "w1")
    plugged.lose("w1")
    plugged.come("w1")
    assert plugged.call(STANDING) == {"generation": 2, "lost": ["w1"]}
    plugged.wait(ADMIT)
    answer = plugged.wait(OPEN, workers=["w0", "w1"], timeout=30)
    assert answer == {"generation": 3, "ids": ["start 1", "start 3"]}


def test_the_driver_interrupts_and_closes():
    plugged = Plugged("w0", "w1", "w2")
    plugged.open(A, "w0", "w1")
    plugged.call(INTERRUPT, reason="a task failed")
    assert plugged.scheduler.told_of_ends() == [("w0", A, 2), ("w1", A, 2)]
    plugged.open(A, "w0", "w2")
    plugged.call(CLOSE)
    everybody = [("w0", A, CLOSED), ("w1", A, CLOSED), ("w2", A, CLOSED)]
    assert plugged.scheduler.told_of_ends() == everybody, "former members may hold something, too"
    for handler, arguments in [(CLOSE, {}), (LEAVE, {}), (INTERRUPT, {"reason": "late"})]:
        plugged.call(handler, **arguments)
    assert plugged.scheduler.told_of_ends() == []
    assert plugged.call(STANDING)["generation"] == CLOSED


def test_nothing_is_kept_of_workers_that_have_gone():
    plugged = Plugged("w0", *(f"x{number}" for number in range(50)))
    for number in range(50):
        plugged.open(A, "w0", f"x{number}")
        plugged.lose(f"x{number}")
    (run,) = plugged.plugin._runs.values()
    assert run.seen == {"w0"} and len(run.members) == 2


def test_a_driver_that_goes_away():
    plugged = Plugged("w0", "w1")
    plugged.open(A, "w0", client="other")
    plugged.open(B, "w0", client="me")

    async def run():
        await plugged.call(ADMIT, A, "other")
        waiting = asyncio.create_task(plugged.call(ADMIT, B))
        await asyncio.sleep(0)
        assert not waiting.done()
        plugged.go("other")
        assert await asyncio.wait_for(waiting, 30)

    asyncio.run(run())
    assert plugged.scheduler.told_of_ends() == [("w0", A, CLOSED)]


def test_a_request_that_is_late_blocks_nobody():
    """Its driver has gone, or has closed the run, before the request was looked at."""
    plugged = Plugged("w0")
    assert plugged.call(REGISTER, A, "other", lease=30.0)
    plugged.go("other")
    assert not plugged.wait(ADMIT, A, "other")
    assert not plugged.call(REGISTER, A, "other", lease=30.0)
    plugged.open(B, "w0")
    plugged.call(CLOSE, B)
    assert not plugged.wait(ADMIT, B)
    assert plugged.open(A, "w0") == 1


def test_nobody_acts_for_another_client():
    plugged = Plugged("w0")
    plugged.open(A, "w0", client="other")
    plugged.wait(ADMIT, A, "other")
    assert not plugged.wait(ADMIT, A)
    assert plugged.wait(OPEN, A, workers=["w0"], timeout=30) == {"lapsed": True}
    for handler, arguments in [(CLOSE, {}), (LEAVE, {}), (INTERRUPT, {"reason": "mine"})]:
        plugged.call(handler, A, **arguments)
    assert plugged.scheduler.told_of_ends() == []
    assert plugged.wait(OPEN, A, "other", workers=["w0"], timeout=30)["generation"] == 2


@pytest.mark.parametrize("run_id", ["../../../x", "", "A" * 32, 7])
def test_an_id_that_is_none_is_refused(run_id):
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        Plugged("w0").call(REGISTER, run_id, lease=30.0)


@pytest.mark.usefixtures("look_often")
@pytest.mark.parametrize("silent", [True, False])
def test_a_driver_that_is_silent_while_others_wait(silent):
    """As one whose process is stopped: its connection stays, and its heartbeats do not come."""
    plugged = Plugged("w0", "w1")
    plugged.open(A, "w0", client="other")
    plugged.call(REGISTER, B, lease=30.0)

    async def run():
        await plugged.call(ADMIT, A, "other")
        if silent:
            plugged.scheduler.clients["other"].last_seen -= 31
        waiting = asyncio.create_task(plugged.call(ADMIT, B))
        await asyncio.wait({waiting}, timeout=5 if silent else 0.05)
        if not silent:
            assert not waiting.done()
            waiting.cancel()
            return
        assert waiting.result()
        assert plugged.scheduler.told_of_ends() == [("w0", A, 2)], "its files stay"
        # It is back, and has not heard of it yet.
        late = await plugged.call(OPEN, A, "other", workers=["w0"], timeout=30)
        assert late == {"lapsed": True}
        plugged.scheduler.clients["other"].last_seen = time()
        back = asyncio.create_task(plugged.call(ADMIT, A, "other"))
        await asyncio.sleep(0.05)
        assert not back.done()
        plugged.call(LEAVE, B)
        assert await asyncio.wait_for(back, 30)
        answer = await plugged.call(OPEN, A, "other", workers=["w0"], timeout=30)
        assert answer["generation"] == 3

    asyncio.run(run())


@pytest.fixture
def look_often():
    with tuned(admission_look_seconds=0.01):
        yield


def test_a_worker_that_comes_is_told_what_has_ended():
    """It may be at an address for which tasks of an older generation are still under way."""
    plugged = Plugged("w0", "w1")
    plugged.open(A, "w0", "w1")
    plugged.call(REGISTER, B, lease=30.0)
    plugged.lose("w0")
    plugged.scheduler.told_of_ends()
    plugged.come("w0")
    plugged.come("w3")
    assert plugged.scheduler.told_of_ends() == [("w0", A, 2), ("w3", A, 2)]


def test_what_members_do():
    plugged = Plugged("w0", "w1")
    plugged.open(A, "w0", "w1")
    plugged.scheduler.broken["w1"] = "silent"
    assert plugged.wait(STATES, timeout=0.05) == {"w0": {"begun": True}, "w1": None}
    assert plugged.wait(STATES, B, timeout=0.05) == {}
