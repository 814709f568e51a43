"""Rounds whose partitions carry state: numbers, losses at exact moments, and what is left."""

import gc
import itertools
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
from distributed import Event

from daskml_exec import Executor
from daskml_exec.executor import LostPartitionError, fold, tuned
from tests.executor.gates import Gate
from tests.executor.rounds import (
    Ask,
    AskCarrying,
    add,
    arrays,
    kill_holder,
    placed,
    runner,
    until_released,
)
from tests.tiers import slow

FACTORS = [np.full(3, x) for x in np.random.default_rng(0).standard_normal(7)]


def feed_back(partition, factor, carry):
    """Keep a part of what was computed for the next round, as error feedback does."""
    whole = np.cos(partition * factor) + (0 if carry is None else carry)
    return np.round(whole, 1), whole - np.round(whole, 1)


def expected(pieces, chains):
    """The totals of one process."""
    totals = []
    factors = iter(FACTORS)
    for length in chains:
        carries = [None] * len(pieces)
        for factor in itertools.islice(factors, length):
            found = [feed_back(p, factor, c) for p, c in zip(pieces, carries, strict=True)]
            totals.append(fold([value for value, _ in found], add))
            carries = [carry for _, carry in found]
    return np.array(totals)


def message_of(factor):
    """Return it as an array, which may be shared, unless there is more to say."""
    return factor if isinstance(factor, tuple) else np.array(factor)


def run(rounds, factors=FACTORS, last=None, partial=feed_back, name="carrying"):
    """Run a round for each factor; the chain ends with the last of them, or with those told."""
    ends = {len(factors) - 1} if last is None else last
    return np.array(
        [
            rounds.run(AskCarrying(partial, message_of(factor), i in ends), name=name).total
            for i, factor in enumerate(factors)
        ]
    )


WAYS = {
    "shared": {"literal_bytes": 0, "in_memory_bytes": 10**6},
    "literal": {"literal_bytes": 10**6, "in_memory_bytes": 10**6},
    "in memory": {"in_memory_bytes": 0},
}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def messages(request):
    """Messages that are futures of their own, or travel in the tasks, or not at all."""
    with tuned(**request.param):
        yield


@pytest.fixture
def shared_messages():
    """Every message is a future of its own."""
    with tuned(literal_bytes=0):
        yield


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("place", [lambda i: 0, lambda i: i % 2])
def test_the_numbers_of_one_process(executor, n, place):
    rounds = runner(executor, placed(executor, arrays(n), place))
    assert np.array_equal(run(rounds), expected(arrays(n), [7]))


def test_carries_are_none_after_a_last_round(executor):
    rounds = runner(executor, placed(executor, arrays(3), lambda i: i % 2))
    assert np.array_equal(run(rounds, last={0, 3, 6}), expected(arrays(3), [1, 3, 3]))


def test_other_rounds_leave_the_carries_alone(executor):
    rounds = runner(executor, placed(executor, arrays(3), lambda i: i % 2))
    first = run(rounds, FACTORS[:3], last=())
    assert rounds.run(Ask(np.multiply, FACTORS[0]), name="other").total.shape == (3,)
    second = run(rounds, FACTORS[3:])
    assert np.array_equal([*first, *second], expected(arrays(3), [7]))


class StaysAtHome:
    """A carry that refuses to travel."""

    nbytes = 8

    def __reduce__(self):
        raise AssertionError("this was to stay on its worker")


def keep_at_home(partition, message, carry):
    assert (carry is None) == (message == 0)
    return partition, carry or StaysAtHome()


def test_carries_never_leave_their_worker(process_executor):
    rounds = runner(process_executor, placed(process_executor, arrays(4), lambda i: i % 2))
    for message in range(4):
        rounds.run(AskCarrying(keep_at_home, message, message == 3), name="home")


def test_a_worker_joins_in_a_chain():
    with Executor(processes=False, n_workers=1) as executor:
        rounds = runner(executor, placed(executor, arrays(4), lambda i: 0))
        first = run(rounds, FACTORS[:3], last=())
        executor.client.cluster.scale(2)
        executor.client.wait_for_workers(2)
        rounds._submission._planned_at = -np.inf  # as after a while
        second = run(rounds, FACTORS[3:])
        assert [len(group.indices) for group in rounds._submission.groups] == [2, 2]
    assert np.array_equal([*first, *second], expected(arrays(4), [7]))


def test_a_worker_is_closed_in_a_chain(shared_messages):
    """In one process the messages are recomputed from what the driver keeps."""
    with Executor(processes=False, n_workers=2) as executor:
        rounds = runner(executor, placed(executor, arrays(4), lambda i: i % 2))
        first = run(rounds, FACTORS[:4], last=())
        gc.collect()
        cluster = executor.client.cluster
        cluster.sync(cluster.workers[0].close)
        outcome = rounds.run(AskCarrying(feed_back, FACTORS[4], False), name="carrying")
        assert outcome.tasks_recomputed >= 1
        second = run(rounds, FACTORS[5:])
    assert np.array_equal([*first, outcome.total, *second], expected(arrays(4), [7]))


def test_all_workers_are_closed_in_a_chain(shared_messages):
    with Executor(processes=False, n_workers=2) as executor:
        rounds = runner(executor, placed(executor, arrays(4), lambda i: i % 2))
        first = run(rounds, FACTORS[:4], last=())
        cluster = executor.client.cluster
        for worker in list(cluster.workers.values()):
            cluster.sync(worker.close)
        cluster.scale(3)
        second = run(rounds, FACTORS[4:])
    assert np.array_equal([*first, *second], expected(arrays(4), [7]))


def test_a_cancelled_round_is_sent_again_with_the_same_carries(executor, client, monkeypatch):
    rounds = runner(executor, placed(executor, arrays(3), lambda i: i % 2))
    first = run(rounds, FACTORS[:3], last=())
    gather, calls = client.gather, []

    def cancelled_once(futures, asynchronous, direct):
        calls.append(futures)
        results = gather(futures, asynchronous=asynchronous, direct=direct)
        if len(calls) == 1:
            results.close()
            raise CancelledError
        return results

    with monkeypatch.context() as patch:
        patch.setattr(client, "gather", cancelled_once)
        outcome = rounds.run(AskCarrying(feed_back, FACTORS[3], False), name="carrying")
    assert (outcome.retries, len(calls)) == (1, 2)
    second = run(rounds, FACTORS[4:])
    assert np.array_equal([*first, outcome.total, *second], expected(arrays(3), [7]))


def test_carries_that_somebody_cancelled(executor, client):
    rounds = runner(executor, placed(executor, arrays(3), lambda i: 0))
    run(rounds, FACTORS[:2], last=())
    client.cancel(rounds._chain.in_order())
    with pytest.raises(LostPartitionError, match="of the state beside the data were lost"):
        run(rounds, FACTORS[2:])


# What is left


def refuse_second(partition, message, carry):
    if carry is not None:
        raise LookupError("no second round")
    return partition, partition


@pytest.mark.parametrize("size", [3, 20_000])
@tuned(literal_bytes=1000)
def test_nothing_is_left_after_the_last_round_and_close(executor, client, size):
    rounds = runner(executor, placed(executor, [np.ones(size)] * 3, lambda i: i % 2))
    run(rounds, [np.ones(size)] * 3, name="to-an-end")
    rounds.close()
    until_released(client, "to-an-end")
    run(rounds, [np.ones(size)] * 3, last=(), name="closed-early")
    rounds.close()
    until_released(client, "closed-early")


def test_nothing_is_left_of_a_dropped_runner(executor, client):
    rounds = runner(executor, placed(executor, arrays(3), lambda i: i % 2))
    run(rounds, last=(), name="dropped")
    del rounds
    gc.collect()
    until_released(client, "dropped")


@pytest.mark.usefixtures("messages")
def test_nothing_is_left_after_an_exception(executor, client):
    rounds = runner(executor, placed(executor, arrays(3), lambda i: i % 2))
    with pytest.raises(LookupError, match="no second round") as info:
        run(rounds, partial=refuse_second, name="refused")
    until_released(client, "refused")
    assert info.value is not None  # the traceback lives until here
    assert np.array_equal(run(rounds), expected(arrays(3), [7]))


def test_nothing_is_left_after_an_interrupt(executor, client, monkeypatch):
    rounds = runner(executor, placed(executor, arrays(3), lambda i: i % 2))
    run(rounds, FACTORS[:2], last=(), name="interrupted")
    with Gate() as gate:

        def wait(partition, message, carry):
            gate.pass_through()
            return partition, carry

        def interrupted(futures, asynchronous, direct):
            gate.wait_until_reached()
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(client, "gather", interrupted)
            with pytest.raises(KeyboardInterrupt):
                run(rounds, FACTORS[:1], last=(), partial=wait, name="interrupted")
    until_released(client, "interrupted")


# Real deaths


def feed_back_at_gate(partition, message, carry):
    """As `feed_back`, but one partition waits in one round, until it is killed there or let go."""
    name, factor = message
    if name and partition[0] == 0 and not Event(name).is_set():
        Event(name + "-reached").set()
        Event(name).wait(30)
    return feed_back(partition, factor, carry)


# Each wants two processes of its own. In the middle of a chain there is something before and after.


@pytest.mark.parametrize("moment", [slow(0), 1, slow(5)])
@pytest.mark.usefixtures("messages")
def test_killed_between_two_rounds_of_a_chain(mortal_executor, moment):
    mortal_executor.check_workers()
    futures = placed(mortal_executor, arrays(5), lambda i: i % 2)
    rounds = runner(mortal_executor, futures)
    first = run(rounds, FACTORS[: moment + 1], last=())
    kill_holder(mortal_executor, rounds._submission.groups[0].worker)
    second = run(rounds, FACTORS[moment + 1 :])
    assert np.array_equal([*first, *second], expected(arrays(5), [7]))


@pytest.mark.parametrize("moment", [slow(0), 1, slow(6)])
def test_killed_inside_a_round_of_a_chain(mortal_executor, moment):
    executor, name = mortal_executor, f"inside-{moment}"
    executor.check_workers()
    rounds = runner(executor, placed(executor, arrays(5), lambda i: i % 2))
    messages = [(name if i == moment else "", factor) for i, factor in enumerate(FACTORS)]

    def kill():
        assert Event(name + "-reached", client=executor.client).wait(30)
        (worker,) = {group.worker for group in rounds._submission.groups if 0 in group.indices}
        kill_holder(executor, worker)
        Event(name, client=executor.client).set()

    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill)
        totals = run(rounds, messages, partial=feed_back_at_gate)
        killed.result(30)
    assert np.array_equal(totals, expected(arrays(5), [7]))
    assert len(executor.events.workers_lost) == 1
