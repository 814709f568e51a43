"""Workers that go and come while a run is on them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from daskml_exec.executor.peers import Crew, PeersInterrupted, PeerTimeoutError, _crew
from daskml_exec.executor.peers._errors import SharedMemoryError
from daskml_exec.executor.peers._news import RunNews
from tests.executor.gates import Gate
from tests.executor.peers.crews import (
    begin,
    everywhere,
    exchange,
    wait_for_nobody,
)
from tests.executor.peers.leftovers import until_nothing_is_left

pytestmark = pytest.mark.usefixtures("prompt_clients")


@pytest.mark.parametrize("retired", [False, True])
def test_a_worker_closed_within_a_segment(short_lived, retired):
    cluster, executor = short_lived
    crew = Crew(executor, "crew")
    begin(crew)
    with Gate() as gate, ThreadPoolExecutor(1) as pool:
        running = pool.submit(everywhere, crew, wait_for_nobody, gate)
        gate.wait_until_reached()
        gate.open()
        victim = crew.members[1]
        if retired:
            executor.client.retire_workers([victim])
        else:
            (worker,) = (w for w in cluster.workers.values() if w.address == victim)
            cluster.sync(worker.close)
        with pytest.raises(PeersInterrupted, match=victim):
            running.result(30)
    begin(crew)
    assert len(crew.members) == 2 and victim not in crew.members
    assert len(everywhere(crew, exchange, "we that are left")) == 2
    crew.leave()
    crew.close()
    until_nothing_is_left(executor.client)


def test_a_worker_closed_between_two_segments(short_lived):
    cluster, executor = short_lived
    crew = Crew(executor, "crew")
    begin(crew)
    everywhere(crew, exchange, "before")
    cluster.sync(cluster.workers[0].close)
    with pytest.raises(PeersInterrupted):
        everywhere(crew, exchange, "to one who is gone")
    assert crew.open(crew.workers())
    assert len(everywhere(crew, exchange, "after")) == 2
    crew.close()


def test_a_worker_closed_before_the_driver_has_its_answer(short_lived, monkeypatch):
    """All tasks are done, but what one has returned is gone; nobody would compute it again."""
    cluster, executor = short_lived
    crew = Crew(executor, "crew")
    begin(crew)
    gather = executor.client.gather

    closing = []

    async def close_and_gather(futures, **options):
        for worker in list(cluster.workers.values()):
            if worker.address == crew.members[2]:
                closing.append(asyncio.ensure_future(worker.close()))
        await asyncio.shield(closing[0])  # the crew gives up before its end
        return await gather(futures, **options)

    with monkeypatch.context() as patch:
        patch.setattr(executor.client, "gather", close_and_gather)
        with pytest.raises(PeersInterrupted):
            everywhere(crew, exchange, "unheard")
    assert crew.open(crew.workers())
    assert len(everywhere(crew, exchange, "heard")) == 2
    crew.close()


def miss(peer, sign):
    if peer.index == 0:
        raise sign("the other one is not there")
    peer.take(0, ("never",), timeout=30)


@pytest.mark.parametrize("sign", [SharedMemoryError, PeerTimeoutError])
def test_a_sign_of_a_loss_is_looked_into(short_lived, monkeypatch, sign):
    """The scheduler hears of the loss later than the peer that misses the other one."""
    cluster, executor = short_lived
    crew = Crew(executor, "crew")
    begin(crew)
    lost, looks = crew._lost, []

    async def looking():
        looks.append(None)
        if len(looks) == 5:  # all tasks have ended by then
            (worker,) = (w for w in cluster.workers.values() if w.address == crew.members[2])
            await worker.close()
        return await lost()

    monkeypatch.setattr(crew, "_lost", looking)
    with pytest.raises(PeersInterrupted):
        everywhere(crew, miss, sign)
    assert crew.open(crew.workers())
    assert len(everywhere(crew, exchange, "we that are left")) == 2
    crew.close()


@pytest.mark.parametrize("sign", [SharedMemoryError, PeerTimeoutError])
def test_a_sign_of_nothing(short_lived, monkeypatch, sign):
    monkeypatch.setitem(_crew._CONFIRM, sign, 0.2)
    _, executor = short_lived
    crew = Crew(executor, "crew")
    begin(crew)
    with pytest.raises(sign, match="the other one is not there"):
        everywhere(crew, miss, sign)
    crew.close()


def test_a_partition_that_was_missed_where_its_worker_is_gone(short_lived):
    _, executor = short_lived
    crew = Crew(executor, "crew")
    begin(crew)

    def miss_partition(peer):
        error = PeerTimeoutError("a partition did not come")
        error.missed = ("inproc://nowhere/1/2",)
        raise error

    with pytest.raises(PeersInterrupted):
        everywhere(crew, miss_partition)
    crew.close()


def test_news_that_do_not_come_are_looked_for(short_lived, monkeypatch):
    cluster, executor = short_lived
    monkeypatch.setattr(_crew, "_LOOK_EVERY", 0.05)
    crew = Crew(executor, "crew")
    RunNews.of(executor.client).forget(crew._id)
    begin(crew)
    cluster.sync(cluster.workers[0].close)
    with pytest.raises(PeersInterrupted):
        everywhere(crew, exchange, "to one who is gone")
    RunNews.of(executor.client).listen(crew._id, crew._hear)
    crew.close()


def test_a_worker_that_comes_later_takes_part(short_lived):
    cluster, executor = short_lived
    crew = Crew(executor, "crew")
    begin(crew)
    assert len(everywhere(crew, exchange, "three")) == 3
    crew.leave()
    cluster.scale(4)
    executor.client.wait_for_workers(4)
    begin(crew)
    assert [len(a.value) for a in everywhere(crew, exchange, "four")] == [3] * 4
    crew.close()
