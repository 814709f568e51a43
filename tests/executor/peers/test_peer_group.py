"""Tasks that run at the same time on all members, and errors that end them."""

from concurrent.futures import ThreadPoolExecutor

import dask
import pytest
from distributed import Status

from daskml_exec.executor import tuned
from daskml_exec.executor.peers import PeerGroup, PeersInterrupted, PeerTimeoutError
from daskml_exec.executor.peers._runs import PLUGIN, STATES
from tests.executor.gates import Gate
from tests.executor.peers.groups import (
    begin,
    everywhere,
    exchange,
    recall,
    remember,
)
from tests.executor.peers.leftovers import until, until_nothing_is_left


def fail(peer, who):
    if peer.index in who:
        raise LookupError(f"member {peer.index}")
    peer.take(who[0], ("never",), timeout=30)


def test_all_members_run_at_the_same_time(group, client):
    begin(group)
    answers = everywhere(group, exchange, "greetings")
    assert [answer.value for answer in answers] == [["greetings of 1"], ["greetings of 0"]]
    assert tuple(answer.worker for answer in answers) == group.members
    assert group.members == tuple(sorted(client.nthreads()))
    group.leave()
    group.close()
    until_nothing_is_left(client)


def test_each_member_has_its_own_arguments(group):
    begin(group)
    answers = group.run(lambda peer, *own: (peer.index, own), [("a",), ("b", 2)])
    assert [answer.value for answer in answers] == [(0, ("a",)), (1, ("b", 2))]


def test_what_is_resident_stays_and_goes_with_the_run(group, client):
    begin(group)
    everywhere(group, remember)
    assert [answer.value for answer in everywhere(group, recall)] == [{0: "unit"}, {1: "unit"}]
    everywhere(group, remember)
    group.leave()
    group.close()
    until_nothing_is_left(client)


def test_a_generation_takes_nothing_from_the_one_before(group):
    begin(group)
    everywhere(group, remember)
    assert group.open(group.workers())
    with pytest.raises(PeersInterrupted, match="were expected here"):
        everywhere(group, recall)


def test_members_that_are_gone_cannot_open(group):
    group.admit()
    assert not group.open(["inproc://nowhere/1/2", *group.workers()])
    assert group.members == ()


@pytest.mark.parametrize("who", [[0], [1], [0, 1]])
def test_an_error_of_a_task_ends_the_others_and_reaches_the_driver(group, who):
    begin(group)
    with pytest.raises(LookupError, match=f"member {who[0]}|member {who[-1]}"):
        everywhere(group, fail, who)
    with pytest.raises(PeersInterrupted):
        everywhere(group, exchange, "of a generation that has ended")
    assert group.open(group.workers())
    assert len(everywhere(group, exchange, "on we go")) == 2


@tuned(grace_seconds=0.1)
def test_an_error_is_not_kept_back_by_a_member_that_hangs(group):
    """The limit of a peer's answer is a minute here."""
    begin(group)
    with Gate() as gate:

        def hang_or_fail(peer, gate):
            if peer.index == 0:
                gate.pass_through()
            else:
                gate.wait_until_reached()
                raise LookupError("of the other")

        with pytest.raises(LookupError, match="of the other"):
            everywhere(group, hang_or_fail, gate)


def test_a_member_that_does_not_stop_is_named(group):
    begin(group)
    with Gate() as gate, dask.config.set({"daskml-exec.peer-timeout": "0.2s"}):

        def interrupt_or_hang(peer, gate):
            if peer.index == 0:
                gate.pass_through()
            else:
                gate.wait_until_reached()
                raise PeersInterrupted("a partition is gone")

        with pytest.raises(PeerTimeoutError) as caught:
            everywhere(group, interrupt_or_hang, gate)
    assert group.members[0] in str(caught.value) and group.members[1] not in str(caught.value)


def test_who_waited_in_vain_knows_less_than_who_failed(group):
    begin(group)
    with Gate() as gate:

        def time_out_or_fail(peer, gate):
            if peer.index == 0:
                gate.wait_until_reached()
                gate.open()
                raise PeerTimeoutError("the other did not answer")
            gate.pass_through()
            raise LookupError("of the other")

        with pytest.raises(LookupError, match="of the other"):
            everywhere(group, time_out_or_fail, gate)


def test_a_member_that_does_not_answer_is_named(group):
    begin(group)
    with dask.config.set({"daskml-exec.peer-timeout": "0.2s"}):

        def be_silent(peer):
            if peer.index == 0:
                peer.take(1, ("never",))

        with pytest.raises(PeerTimeoutError, match="did not send") as caught:
            everywhere(group, be_silent)
    assert group.members[1] in str(caught.value)


def test_a_member_that_is_busy_is_waited_for(group, client, caplog):
    """Its only thread has something else to do: it does not hang."""
    begin(group)
    with (
        Gate() as gate,
        ThreadPoolExecutor(1) as pool,
        dask.config.set({"daskml-exec.segment-start-timeout": "0.1s"}),
    ):
        busy = client.submit(gate.pass_through, workers=[group.members[1]], pure=False)
        gate.wait_until_reached()
        running = pool.submit(everywhere, group, exchange, "late")
        until(lambda: "group waits for" in caplog.text)
        assert f"the worker {group.members[1]}, which is busy with 1 other task" in caplog.text
        assert not running.done()
        gate.open()
        busy.result(20)
        assert len(running.result(20)) == 2
    assert caplog.text.count("group waits for") == 1
    assert len(everywhere(group, exchange, "nothing was repeated")) == 2


def test_a_member_that_is_busy_is_not_waited_for_where_the_others_suffice(executor, client, caplog):
    asked = []

    def suffices(limits):
        asked.append(limits)
        return True

    group = PeerGroup(executor, "group", suffices)
    begin(group)
    with Gate() as gate, dask.config.set({"daskml-exec.segment-start-timeout": "0.1s"}):
        busy = client.submit(gate.pass_through, workers=[group.members[1]], pure=False)
        gate.wait_until_reached()
        with pytest.raises(PeersInterrupted, match="not waited for"):
            everywhere(group, exchange, "without the late one")
        assert group.late == {group.members[1]} and len(asked[0]) == 1
        assert f"goes on without the worker {group.members[1]}, which is busy" in caplog.text
        assert group.open(group.members[:1])
        assert [answer.value for answer in everywhere(group, exchange, "alone")] == [[]]
        gate.open()
        busy.result(20)
    group.leave()
    group.close()
    until_nothing_is_left(client)


def test_a_member_that_is_paused_is_waited_for(group, cluster, caplog):
    begin(group)
    (worker,) = (w for w in cluster.workers.values() if w.address == group.members[1])

    memory, fraction = worker.memory_manager, worker.memory_manager.memory_pause_fraction
    memory.memory_pause_fraction = 1e-6  # so that what it has is too much
    until(lambda: worker.status == Status.paused)
    with (
        ThreadPoolExecutor(1) as pool,
        dask.config.set({"daskml-exec.segment-start-timeout": "0.1s"}),
    ):
        running = pool.submit(everywhere, group, exchange, "late")
        until(lambda: "is paused because its memory is nearly full" in caplog.text)
        assert not running.done()
        memory.memory_pause_fraction = fraction
        assert len(running.result(20)) == 2


@tuned(grace_seconds=0.1)
def test_a_member_that_does_not_say_what_it_does_is_named(group, client, monkeypatch):
    begin(group)
    with Gate() as gate:
        busy = client.submit(gate.pass_through, workers=[group.members[1]], pure=False)
        gate.wait_until_reached()
        call = group._call_async

        async def one_is_silent(handler, **arguments):
            answer = await call(handler, **arguments)
            return answer | {group.members[1]: None} if handler == STATES else answer

        monkeypatch.setattr(group, "_call_async", one_is_silent)
        limits = {"daskml-exec.segment-start-timeout": "0.1s", "daskml-exec.peer-timeout": "0.2s"}
        with dask.config.set(limits), pytest.raises(PeerTimeoutError) as caught:
            everywhere(group, exchange, "nobody hears it")
        assert group.members[1] in str(caught.value) and group.members[0] not in str(caught.value)
        gate.open()
        busy.result(20)
    assert group.open(group.workers())
    assert len(everywhere(group, exchange, "here again")) == 2


def test_a_start_whose_message_is_lost_is_given_up(group, cluster, monkeypatch):
    begin(group)
    (worker,) = (w for w in cluster.workers.values() if w.address == group.members[0])
    limits = {"daskml-exec.segment-start-timeout": "0.1s", "daskml-exec.peer-timeout": "0.2s"}
    with monkeypatch.context() as losing, dask.config.set(limits):
        losing.setattr(worker.plugins[PLUGIN].outbox, "send", lambda *message, **options: None)

        def wait_for_others(peer):
            peer.take(peer.others[0], ("never",), timeout=30)

        with pytest.raises(PeersInterrupted, match="a message was lost") as caught:
            everywhere(group, wait_for_others)
    assert group.members[1] in str(caught.value) and group.members[0] not in str(caught.value)
    assert group.open(group.workers())
    assert len(everywhere(group, exchange, "again")) == 2
