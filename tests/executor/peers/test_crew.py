"""Tasks that run at the same time on all members, and errors that end them."""

from concurrent.futures import ThreadPoolExecutor

import dask
import pytest
from distributed import Status

from daskml_exec.executor.peers import Crew, PeersInterrupted, PeerTimeoutError, _crew
from daskml_exec.executor.peers._runs import PLUGIN, STATES
from tests.executor.gates import Gate
from tests.executor.peers.crews import (
    begin,
    everywhere,
    exchange,
    recall,
    remember,
)
from tests.executor.peers.leftovers import until, until_nothing_is_left

pytestmark = pytest.mark.usefixtures("prompt_clients")


def fail(peer, who):
    if peer.index in who:
        raise LookupError(f"member {peer.index}")
    peer.take(who[0], ("never",), timeout=30)


def test_all_members_run_at_the_same_time(crew, client):
    begin(crew)
    answers = everywhere(crew, exchange, "greetings")
    assert [answer.value for answer in answers] == [["greetings of 1"], ["greetings of 0"]]
    assert tuple(answer.worker for answer in answers) == crew.members
    assert crew.members == tuple(sorted(client.nthreads()))
    crew.leave()
    crew.close()
    until_nothing_is_left(client)


def test_each_member_has_its_own_arguments(crew):
    begin(crew)
    answers = crew.run(lambda peer, *own: (peer.index, own), [("a",), ("b", 2)])
    assert [answer.value for answer in answers] == [(0, ("a",)), (1, ("b", 2))]


def test_what_is_resident_stays_and_goes_with_the_run(crew, client):
    begin(crew)
    everywhere(crew, remember)
    assert [answer.value for answer in everywhere(crew, recall)] == [{0: "unit"}, {1: "unit"}]
    everywhere(crew, remember)
    crew.leave()
    crew.close()
    until_nothing_is_left(client)


def test_a_generation_takes_nothing_from_the_one_before(crew):
    begin(crew)
    everywhere(crew, remember)
    assert crew.open(crew.workers())
    with pytest.raises(PeersInterrupted, match="were expected here"):
        everywhere(crew, recall)


def test_members_that_are_gone_cannot_open(crew):
    crew.admit()
    assert not crew.open(["inproc://nowhere/1/2", *crew.workers()])
    assert crew.members == ()


@pytest.mark.parametrize("who", [[0], [1], [0, 1]])
def test_an_error_of_a_task_ends_the_others_and_reaches_the_driver(crew, who):
    begin(crew)
    with pytest.raises(LookupError, match=f"member {who[0]}|member {who[-1]}"):
        everywhere(crew, fail, who)
    with pytest.raises(PeersInterrupted):
        everywhere(crew, exchange, "of a generation that has ended")
    assert crew.open(crew.workers())
    assert len(everywhere(crew, exchange, "on we go")) == 2


def test_an_error_is_not_kept_back_by_a_member_that_hangs(crew, monkeypatch):
    """The limit of a peer's answer is a minute here."""
    monkeypatch.setattr(_crew, "_GRACE", 0.1)
    begin(crew)
    with Gate() as gate:

        def hang_or_fail(peer, gate):
            if peer.index == 0:
                gate.pass_through()
            else:
                gate.wait_until_reached()
                raise LookupError("of the other")

        with pytest.raises(LookupError, match="of the other"):
            everywhere(crew, hang_or_fail, gate)


def test_a_member_that_does_not_stop_is_named(crew):
    begin(crew)
    with Gate() as gate, dask.config.set({"daskml-exec.peer-timeout": "0.2s"}):

        def interrupt_or_hang(peer, gate):
            if peer.index == 0:
                gate.pass_through()
            else:
                gate.wait_until_reached()
                raise PeersInterrupted("a partition is gone")

        with pytest.raises(PeerTimeoutError) as caught:
            everywhere(crew, interrupt_or_hang, gate)
    assert crew.members[0] in str(caught.value) and crew.members[1] not in str(caught.value)


def test_who_waited_in_vain_knows_less_than_who_failed(crew):
    begin(crew)
    with Gate() as gate:

        def time_out_or_fail(peer, gate):
            if peer.index == 0:
                gate.wait_until_reached()
                gate.open()
                raise PeerTimeoutError("the other did not answer")
            gate.pass_through()
            raise LookupError("of the other")

        with pytest.raises(LookupError, match="of the other"):
            everywhere(crew, time_out_or_fail, gate)


def test_a_member_that_does_not_answer_is_named(crew):
    begin(crew)
    with dask.config.set({"daskml-exec.peer-timeout": "0.2s"}):

        def be_silent(peer):
            if peer.index == 0:
                peer.take(1, ("never",))

        with pytest.raises(PeerTimeoutError, match="did not send") as caught:
            everywhere(crew, be_silent)
    assert crew.members[1] in str(caught.value)


def test_a_member_that_is_busy_is_waited_for(crew, client, caplog):
    """Its only thread has something else to do: it does not hang."""
    begin(crew)
    with (
        Gate() as gate,
        ThreadPoolExecutor(1) as pool,
        dask.config.set({"daskml-exec.segment-start-timeout": "0.1s"}),
    ):
        busy = client.submit(gate.pass_through, workers=[crew.members[1]], pure=False)
        gate.wait_until_reached()
        running = pool.submit(everywhere, crew, exchange, "late")
        until(lambda: "crew waits for" in caplog.text)
        assert f"the worker {crew.members[1]}, which is busy with 1 other task" in caplog.text
        assert not running.done()
        gate.open()
        busy.result(20)
        assert len(running.result(20)) == 2
    assert caplog.text.count("crew waits for") == 1
    assert len(everywhere(crew, exchange, "nothing was repeated")) == 2


def test_a_member_that_is_busy_is_not_waited_for_where_the_others_suffice(executor, client, caplog):
    asked = []

    def suffices(limits):
        asked.append(limits)
        return True

    crew = Crew(executor, "crew", suffices)
    begin(crew)
    with Gate() as gate, dask.config.set({"daskml-exec.segment-start-timeout": "0.1s"}):
        busy = client.submit(gate.pass_through, workers=[crew.members[1]], pure=False)
        gate.wait_until_reached()
        with pytest.raises(PeersInterrupted, match="not waited for"):
            everywhere(crew, exchange, "without the late one")
        assert crew.late == {crew.members[1]} and len(asked[0]) == 1
        assert f"goes on without the worker {crew.members[1]}, which is busy" in caplog.text
        assert crew.open(crew.members[:1])
        assert [answer.value for answer in everywhere(crew, exchange, "alone")] == [[]]
        gate.open()
        busy.result(20)
    crew.leave()
    crew.close()
    until_nothing_is_left(client)


def test_a_member_that_is_paused_is_waited_for(crew, cluster, caplog):
    begin(crew)
    (worker,) = (w for w in cluster.workers.values() if w.address == crew.members[1])

    memory, fraction = worker.memory_manager, worker.memory_manager.memory_pause_fraction
    memory.memory_pause_fraction = 1e-6  # so that what it has is too much
    until(lambda: worker.status == Status.paused)
    with (
        ThreadPoolExecutor(1) as pool,
        dask.config.set({"daskml-exec.segment-start-timeout": "0.1s"}),
    ):
        running = pool.submit(everywhere, crew, exchange, "late")
        until(lambda: "is paused because its memory is nearly full" in caplog.text)
        assert not running.done()
        memory.memory_pause_fraction = fraction
        assert len(running.result(20)) == 2


def test_a_member_that_does_not_say_what_it_does_is_named(crew, client, monkeypatch):
    begin(crew)
    with Gate() as gate:
        busy = client.submit(gate.pass_through, workers=[crew.members[1]], pure=False)
        gate.wait_until_reached()
        call = crew._call_async

        async def one_is_silent(handler, **arguments):
            answer = await call(handler, **arguments)
            return answer | {crew.members[1]: None} if handler == STATES else answer

        monkeypatch.setattr(crew, "_call_async", one_is_silent)
        monkeypatch.setattr(_crew, "_GRACE", 0.1)
        limits = {"daskml-exec.segment-start-timeout": "0.1s", "daskml-exec.peer-timeout": "0.2s"}
        with dask.config.set(limits), pytest.raises(PeerTimeoutError) as caught:
            everywhere(crew, exchange, "nobody hears it")
        assert crew.members[1] in str(caught.value) and crew.members[0] not in str(caught.value)
        gate.open()
        busy.result(20)
    assert crew.open(crew.workers())
    assert len(everywhere(crew, exchange, "here again")) == 2


def test_a_start_whose_letter_is_lost_is_given_up(crew, cluster, monkeypatch):
    begin(crew)
    (worker,) = (w for w in cluster.workers.values() if w.address == crew.members[0])
    limits = {"daskml-exec.segment-start-timeout": "0.1s", "daskml-exec.peer-timeout": "0.2s"}
    with monkeypatch.context() as losing, dask.config.set(limits):
        losing.setattr(worker.plugins[PLUGIN].post, "send", lambda *letter, **options: None)

        def wait_for_others(peer):
            peer.take(peer.others[0], ("never",), timeout=30)

        with pytest.raises(PeersInterrupted, match="a letter was lost") as caught:
            everywhere(crew, wait_for_others)
    assert crew.members[1] in str(caught.value) and crew.members[0] not in str(caught.value)
    assert crew.open(crew.workers())
    assert len(everywhere(crew, exchange, "again")) == 2
