"""Rounds over partitions: grouping, bits, bytes, and everything that can go wrong."""

import concurrent.futures
import gc
import os
import signal
import time

import numpy as np
import pytest
from distributed import Event

from daskml_exec import Executor
from daskml_exec.executor import LostPartitionError, _submission, fold, tuned
from daskml_exec.executor._events import ClusterEvents
from daskml_exec.executor._groups import group_by_worker
from tests.executor.gates import Gate
from tests.executor.rounds import (
    Ask,
    add,
    arrays,
    kill_holder,
    parenthesise,
    placed,
    runner,
    until_released,
)


def scaled_sum(partition, message):
    return float(partition.sum()) * message


def sum_of_both(partition, message):
    return float(partition.sum() + message.sum())


def kind_of_message(partition, message):
    return [type(message).__name__]


def name_of(partition, message):
    return f"{int(partition[0])}{message}"


def refuse(partition, message):
    raise LookupError(f"no {message}")


def die(partition, message):
    os.kill(os.getpid(), signal.SIGKILL)


def pass_gate(partition, gate):
    return gate.pass_through(1)


def wait_for_event(partition, name):
    Event(name + "-reached").set()
    Event(name).wait(30)
    return float(partition.sum())


@pytest.mark.parametrize("n", [1, 2, 5, 8, 13])
@pytest.mark.parametrize("place", [lambda i: 0, lambda i: i % 2, lambda i: int(i >= 2)])
def test_the_tree_does_not_depend_on_the_grouping(executor, n, place):
    rounds = runner(executor, placed(executor, arrays(n), place))
    for name in "ab":
        outcome = rounds.run(Ask(name_of, name, parenthesise), name="r")
        assert outcome.total == fold([f"{i}{name}" for i in range(n)], parenthesise)


def test_the_bits_do_not_depend_on_the_grouping(executor):
    pieces = [np.array([x]) for x in np.random.default_rng(1).standard_normal(17) * 1e3]
    totals = {
        runner(executor, placed(executor, pieces, place)).run(Ask(scaled_sum, 0.1), name="r").total
        for place in (lambda i: 0, lambda i: i % 2, lambda i: (i // 3) % 2)
    }
    assert totals == {fold([float(p.sum()) * 0.1 for p in pieces], add)}


@pytest.mark.parametrize(
    ("place", "chosen"), [(lambda i: i % 2, [0, 1]), (lambda i: int(i >= 4), [0, 4])]
)
def test_some_partitions_stand_for_each_worker(executor, place, chosen):
    assert runner(executor, placed(executor, arrays(6), place)).some_of_each_worker() == chosen


def test_one_task_per_worker(executor):
    rounds = runner(executor, placed(executor, arrays(6), lambda i: i % 2))
    outcome = rounds.run(Ask(scaled_sum, 2), name="r")
    assert [len(group.indices) for group in rounds._submission.groups] == [3, 3]
    assert outcome.total == 2 * 3 * 15
    assert (outcome.bytes_out, outcome.bytes_back) == (6 * 8, 6 * 8)
    assert set(outcome.seconds_by_worker) <= {w.address for w in executor.workers()}
    assert (outcome.workers_lost, outcome.tasks_recomputed, outcome.retries) == (0, 0, 0)


@pytest.mark.parametrize(
    ("holders", "groups"),
    [
        ([["a"], ["b"], ["a"], ["b"]], {"a": [0, 2], "b": [1, 3]}),
        ([["a", "b"]] * 4, {"a": [0, 2], "b": [1, 3]}),  # copied everywhere
        ([["a"]] * 5, {"a": [0, 1, 2], "b": [3, 4]}),  # b came late
        ([["a"]], {"a": [0]}),  # nothing to give away
        ([["gone"], ["a"]], {"a": [1], None: [0]}),
        ([[], []], {None: [0, 1]}),
    ],
)
def test_no_worker_idles_while_another_has_several(holders, groups):
    found = {}
    for group in group_by_worker(holders, ["a", "b"]):
        found.setdefault(group.worker, []).extend(group.indices)
    assert found == groups


def test_a_worker_that_comes_late_gets_work():
    with Executor(processes=False, n_workers=1) as executor:
        cluster = executor.client.cluster
        rounds = runner(executor, placed(executor, arrays(4), lambda i: 0))
        assert len(rounds.run(Ask(scaled_sum, 2), name="r").seconds_by_worker) == 1
        cluster.scale(2)
        executor.client.wait_for_workers(2)
        rounds._submission._planned_at = -np.inf  # as after a while
        outcome = rounds.run(Ask(scaled_sum, 2), name="r")
        assert [len(group.indices) for group in rounds._submission.groups] == [2, 2]
        assert len(outcome.seconds_by_worker) == 2


def test_partitions_that_nobody_holds_yet_are_computed(executor):
    lazy = [executor.client.submit(np.full, 3, float(i), pure=False) for i in range(5)]
    rounds = runner(executor, lazy)
    assert rounds.run(Ask(scaled_sum, 1), name="r").total == 30
    assert rounds.run(Ask(scaled_sum, 2), name="r").total == 60


@pytest.mark.parametrize("size", [10, 20_000, 2_500_000])
def test_messages_of_any_size(executor, process_executor, size):
    message = np.ones(size)
    for ex in (executor, process_executor):
        rounds = runner(ex, placed(ex, arrays(4), lambda i: i % 2))
        for _ in range(2):
            outcome = rounds.run(Ask(sum_of_both, message), name="r")
            assert outcome.total == 18 + 4 * size


@tuned(literal_bytes=100_000)
def test_a_large_message_is_sent_once(executor, monkeypatch):
    sent = []
    share = _submission.share
    monkeypatch.setattr(
        _submission, "share", lambda *args, **kwargs: sent.append(args) or share(*args, **kwargs)
    )
    rounds = runner(executor, placed(executor, arrays(4), lambda i: i % 2))
    rounds.run(Ask(sum_of_both, np.ones(20_000)), name="r")
    assert len(sent) == 1
    rounds.run(Ask(sum_of_both, np.ones(20)), name="r")
    assert len(sent) == 1
    with tuned(literals_bytes=2 * 20 * 8 - 1):  # of both workers' tasks
        rounds.run(Ask(sum_of_both, np.ones(20)), name="r")
    assert len(sent) == 2
    assert rounds.run(Ask(kind_of_message, [1]), name="r").total == ["list"] * 4


def test_the_users_exception(executor):
    rounds = runner(executor, placed(executor, arrays(4), lambda i: i % 2))
    with pytest.raises(LookupError, match="no luck") as info:
        rounds.run(Ask(refuse, "luck"), name="r")
    assert type(info.value) is LookupError
    assert info.traceback[-1].name == "refuse"
    assert rounds.run(Ask(scaled_sum, 1), name="r").total == 18


def test_an_interrupted_driver_leaves_nothing_behind(executor, client, monkeypatch):
    futures = placed(executor, arrays(4), lambda i: i % 2)
    rounds = runner(executor, futures)
    with Gate() as gate:

        def interrupted(futures, asynchronous, direct):
            gate.wait_until_reached()
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(client, "gather", interrupted)
            with pytest.raises(KeyboardInterrupt):
                rounds.run(Ask(pass_gate, gate), name="interrupted")
        until_released(client, "interrupted")
    assert rounds.run(Ask(scaled_sum, 1), name="r").total == 18
    del futures, rounds
    gc.collect()
    until_released(client, "piece")


def test_rounds_leave_nothing_behind(executor, client):
    rounds = runner(executor, placed(executor, arrays(4), lambda i: i % 2))
    for _ in range(3):
        rounds.run(Ask(sum_of_both, np.ones(20_000)), name="leftover")
    rounds.close()
    until_released(client, "leftover")


def test_a_cancelled_partition(executor, client):
    futures = placed(executor, arrays(3), lambda i: i % 2)
    client.cancel(futures[1])
    with pytest.raises(LostPartitionError, match=r"partition 1 of the data"):
        runner(executor, futures).run(Ask(scaled_sum, 1), name="r")


def test_a_cancelled_round_is_sent_again(executor, client, monkeypatch):
    futures = placed(executor, arrays(3), lambda i: i % 2)
    gather, calls = client.gather, []

    def cancelled_once(futures, asynchronous, direct):
        calls.append(futures)
        if len(calls) == 1:
            client.cancel(futures)
        return gather(futures, asynchronous=asynchronous, direct=direct)

    monkeypatch.setattr(client, "gather", cancelled_once)
    outcome = runner(executor, futures).run(Ask(scaled_sum, 1), name="r")
    assert (outcome.total, outcome.retries, len(calls)) == (9, 1, 2)


def test_a_round_that_is_always_cancelled(executor, client, monkeypatch):
    futures = placed(executor, arrays(3), lambda i: i % 2)
    calls = []

    def cancelled(futures, asynchronous, direct):
        calls.append(futures)
        raise concurrent.futures.CancelledError

    monkeypatch.setattr(client, "gather", cancelled)
    with pytest.raises(concurrent.futures.CancelledError):
        runner(executor, futures).run(Ask(scaled_sum, 1), name="r")
    assert len(calls) == 4


# Real deaths


@pytest.mark.parametrize("size", [0, 20_000, 2_500_000])
def test_a_worker_dies_in_a_round(mortal_executor, size):
    """Its partitions are had again, and the losses are told."""
    executor, name = mortal_executor, f"dies-in-a-round-{size}"
    executor.check_workers()
    futures = placed(executor, arrays(5), lambda i: i % 2)
    rounds = runner(executor, futures)
    before = rounds.run(Ask(sum_of_both, np.ones(size)), name="r").total
    job = executor.client.submit(wait_for_event, futures[0], name, pure=False)
    assert Event(name + "-reached", client=executor.client).wait(30)
    holders = executor.client.who_has(futures)
    victim = min(holders[futures[0].key])
    only_there = sum(set(where) == {victim} for where in holders.values())
    kill_holder(executor, victim)
    Event(name, client=executor.client).set()
    assert job.result(30) == 0
    outcome = rounds.run(Ask(sum_of_both, np.ones(size)), name="r")
    assert outcome.total == before
    assert outcome.workers_lost == 1
    assert outcome.tasks_recomputed >= only_there
    again = rounds.run(Ask(sum_of_both, np.ones(size)), name="r")
    assert (again.workers_lost, again.tasks_recomputed) == (0, 0)


def test_scattered_partitions_die_with_their_worker(mortal_executor):
    executor = mortal_executor
    first, second = sorted(worker.address for worker in executor.workers())
    kept, *lost = arrays(3)
    futures = [
        *executor.client.scatter([kept], workers=[first], hash=False),
        *executor.client.scatter(lost, workers=[second], hash=False),
    ]
    executor.check_workers()
    rounds = runner(executor, futures)
    assert rounds.run(Ask(scaled_sum, 1), name="r").total == 9
    events = ClusterEvents.of(executor.client)
    kill_holder(executor, second)
    deadline = time.monotonic() + 30
    while second not in events.workers_lost:
        assert time.monotonic() < deadline
        executor.client.nthreads()
    with pytest.raises(LostPartitionError, match=r"partitions 1, 2 of the data were lost.*scatt"):
        rounds.run(Ask(scaled_sum, 1), name="r")


def test_a_large_message_meets_a_worker_that_dies(mortal_executor):
    """The round begins while nobody knows of the death yet."""
    executor, message = mortal_executor, np.ones(2_500_000)
    executor.check_workers()
    rounds = runner(executor, placed(executor, arrays(4), lambda i: i % 2))
    before = rounds.run(Ask(sum_of_both, message), name="r").total
    kill_holder(executor, executor.workers()[0].address)
    assert rounds.run(Ask(sum_of_both, message), name="r").total == before


def test_a_task_that_kills_its_workers(mortal_executor):
    rounds = runner(mortal_executor, placed(mortal_executor, arrays(1), lambda i: 0))
    with pytest.raises(RuntimeError, match=r"deadly: the task .* times as its worker died.*memory"):
        rounds.run(Ask(die, None), name="deadly")
