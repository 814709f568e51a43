"""Workers that go and come while a run is on them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from daskml_exec.executor import tuned
from daskml_exec.executor._memory_file import SharedMemoryError
from daskml_exec.executor.peers import PeerGroup, PeersInterrupted, PeerTimeoutError
from daskml_exec.executor.peers._ends import RunEnds
from tests.executor.gates import Gate
from tests.executor.peers.groups import (
    begin,
    everywhere,
    exchange,
    wait_for_nobody,
)
from tests.executor.peers.leftovers import until_nothing_is_left


@pytest.mark.parametrize("retired", [False, True])
def test_a_worker_closed_within_a_segment(short_lived, retired):
    cluster, executor = short_lived
    group = PeerGroup(executor, "group")
    begin(group)
    with Gate() as gate, ThreadPoolExecutor(1) as pool:
        running = pool.submit(everywhere, group, wait_for_nobody, gate)
        gate.wait_until_reached()
        gate.open()
        victim = group.members[1]
        if retired:
            executor.client.retire_workers([victim])
        else:
            (worker,) = (w for w in cluster.workers.values() if w.address == victim)
            cluster.sync(worker.close)
        with pytest.raises(PeersInterrupted, match=victim):
            running.result(30)
    begin(group)
    assert len(group.members) == 2 and victim not in group.members
    assert len(everywhere(group, exchange, "we that are left")) == 2
    group.leave()
    group.close()
    until_nothing_is_left(executor.client)


def test_a_worker_closed_between_two_segments(short_lived):
    cluster, executor = short_lived
    group = PeerGroup(executor, "group")
    begin(group)
    everywhere(group, exchange, "before")
    cluster.sync(cluster.workers[0].close)
    with pytest.raises(PeersInterrupted):
        everywhere(group, exchange, "to one who is gone")
    assert group.open(group.workers())
    assert len(everywhere(group, exchange, "after")) == 2
    group.close()


def test_a_worker_closed_before_the_driver_has_its_answer(short_lived, monkeypatch):
    """All tasks are done, but what one has returned is gone; nobody would compute it again."""
    cluster, executor = short_lived
    group = PeerGroup(executor, "group")
    begin(group)
    gather = executor.client.gather

    closing = []

    async def close_and_gather(futures, **options):
        for worker in list(cluster.workers.values()):
            if worker.address == group.members[2]:
                closing.append(asyncio.ensure_future(worker.close()))
        await asyncio.shield(closing[0])  # the group gives up before its end
        return await gather(futures, **options)

    with monkeypatch.context() as patch:
        patch.setattr(executor.client, "gather", close_and_gather)
        with pytest.raises(PeersInterrupted):
            everywhere(group, exchange, "unheard")
    assert group.open(group.workers())
    assert len(everywhere(group, exchange, "heard")) == 2
    group.close()


def miss(peer, sign):
    if peer.index == 0:
        raise sign("the other one is not there")
    peer.take(0, ("never",), timeout=30)


@pytest.mark.parametrize("sign", [SharedMemoryError, PeerTimeoutError])
def test_a_sign_of_a_loss_is_looked_into(short_lived, monkeypatch, sign):
    """The scheduler hears of the loss later than the peer that misses the other one."""
    cluster, executor = short_lived
    group = PeerGroup(executor, "group")
    begin(group)
    lost, looks = group._lost, []

    async def looking():
        looks.append(None)
        if len(looks) == 5:  # all tasks have ended by then
            (worker,) = (w for w in cluster.workers.values() if w.address == group.members[2])
            await worker.close()
        return await lost()

    monkeypatch.setattr(group, "_lost", looking)
    with pytest.raises(PeersInterrupted):
        everywhere(group, miss, sign)
    assert group.open(group.workers())
    assert len(everywhere(group, exchange, "we that are left")) == 2
    group.close()


@pytest.mark.parametrize("sign", [SharedMemoryError, PeerTimeoutError])
@tuned(confirm_memory_seconds=0.2, confirm_silence_seconds=0.2)
def test_a_sign_of_nothing(short_lived, sign):
    _, executor = short_lived
    group = PeerGroup(executor, "group")
    begin(group)
    with pytest.raises(sign, match="the other one is not there"):
        everywhere(group, miss, sign)
    group.close()


def test_a_partition_that_was_missed_where_its_worker_is_gone(short_lived):
    _, executor = short_lived
    group = PeerGroup(executor, "group")
    begin(group)

    def miss_partition(peer):
        error = PeerTimeoutError("a partition did not come")
        error.missed = ("inproc://nowhere/1/2",)
        raise error

    with pytest.raises(PeersInterrupted):
        everywhere(group, miss_partition)
    group.close()


@tuned(look_seconds=0.05)
def test_news_that_do_not_come_are_looked_for(short_lived):
    cluster, executor = short_lived
    group = PeerGroup(executor, "group")
    RunEnds.of(executor.client).forget(group._id)
    begin(group)
    cluster.sync(cluster.workers[0].close)
    with pytest.raises(PeersInterrupted):
        everywhere(group, exchange, "to one who is gone")
    RunEnds.of(executor.client).listen(group._id, group._hear)
    group.close()


def test_a_worker_that_comes_later_takes_part(short_lived):
    cluster, executor = short_lived
    group = PeerGroup(executor, "group")
    begin(group)
    assert len(everywhere(group, exchange, "three")) == 3
    group.leave()
    cluster.scale(4)
    executor.client.wait_for_workers(4)
    begin(group)
    assert [len(a.value) for a in everywhere(group, exchange, "four")] == [3] * 4
    group.close()
