"""What the driver hears of lost workers, and that hearing it is silent."""

import asyncio
import os
import signal
import time
from types import SimpleNamespace

import pytest
from distributed import Client, Event, LocalCluster

from daskml_exec import Executor
from daskml_exec.executor import tuned
from daskml_exec.executor._events import ClusterEvents
from tests.tiers import slow


def square(x):
    return x * x


def square_behind_gate(x, name):
    Event(name + "-reached").set()
    Event(name).wait(30)
    return x * x


def kill(worker):
    os.kill(worker.pid, signal.SIGKILL)


@tuned(remembered_addresses=2)
def test_workers_that_have_gone_are_not_remembered_for_ever():
    listening = {}
    client = SimpleNamespace(
        subscribe_topic=listening.__setitem__,
        unsubscribe_topic=listening.pop,
        loop=SimpleNamespace(add_callback=lambda *_: None),
        status="closed",
    )
    events = ClusterEvents()
    removed = {"action": "remove-worker", "expected": False}
    removed |= {"processing-tasks": [], "lost-computed-tasks": []}

    def tell(address, message):
        asyncio.run(listening[address]((0.0, message)))

    for number in range(5):
        events.watch(client, [f"w{number}"])
        tell(f"w{number}", removed)
    assert list(events._departed) == list(listening) == ["w3", "w4"] == sorted(events._watched)
    tell("w4", {"action": "add-worker"})
    assert list(events._departed) == ["w3"] and sorted(listening) == ["w3", "w4"]
    events.watch(client, ["w0"])
    assert "w0" in listening
    assert events.workers_lost == [f"w{number}" for number in range(5)]


def test_one_record_per_client(cluster, client):
    assert ClusterEvents.of(client) is ClusterEvents.of(client)
    assert Executor(client).events is ClusterEvents.of(client)
    with Client(cluster, set_as_default=False) as other:
        assert ClusterEvents.of(other) is not ClusterEvents.of(client)


def test_nothing_lost(executor):
    executor.run(square, range(4)).results(10)
    assert executor.events.workers_lost == []
    assert executor.events.interruptions(["square-0"]) == 0


def test_a_killed_worker_and_the_task_it_ran(mortal_executor):
    executor, name = mortal_executor, "gate-of-killed"
    job = executor.run(square_behind_gate, [3], [name])
    assert Event(name + "-reached", client=executor.client).wait(30)
    ran_on = executor.client.call_stack([job.tasks[0]._future])
    victim = next(w for w in executor.workers() if w.address in ran_on)
    lost_before = list(executor.events.workers_lost)
    kill(victim)
    Event(name, client=executor.client).set()
    assert job.results(30) == [9]
    assert executor.events.workers_lost == [*lost_before, victim.address]
    assert executor.events.interruptions([job.tasks[0].key]) == 1
    assert job.tasks[0].retries == 1


def test_a_result_that_died_with_its_worker(mortal_executor):
    executor = mortal_executor
    job = executor.run(square, [3])
    job.tasks[0]._future.result(20)
    victim = next(w for w in executor.workers() if w.address == job.tasks[0].worker)
    kill(victim)
    deadline = time.monotonic() + 30
    while victim.address not in executor.events.workers_lost:
        assert time.monotonic() < deadline
        executor.client.nthreads()
    assert job.results(30) == [9]
    assert executor.events.interruptions([job.tasks[0].key]) == 1


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def short_lived():
    """Two workers in this process, which the test closes."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield cluster, client


def test_a_retired_worker_is_not_lost(short_lived):
    cluster, client = short_lived
    a, b = (worker.address for worker in cluster.workers.values())
    events = ClusterEvents.of(client)
    events.watch(client, [a, b])
    future = client.submit(square, 3, workers=[a], allow_other_workers=True, key="nine")
    assert future.result(10) == 9
    client.retire_workers([a])
    cluster.sync(cluster.workers[1].close)
    until(lambda: events.workers_lost)
    assert events.workers_lost == [b]
    assert events.interruptions(["nine"]) == 1, "it moved to b and was lost there"


def test_a_worker_is_watched_once(short_lived):
    cluster, client = short_lived
    a, b = (worker.address for worker in cluster.workers.values())
    events = ClusterEvents.of(client)
    for _ in range(3):
        events.watch(client, [a, b])
    assert client.submit(square, 2, pure=False).result(10) == 4, "the scheduler heard of it"
    cluster.sync(cluster.workers[0].close)
    until(lambda: events.workers_lost)
    cluster.sync(cluster.workers[1].close)
    until(lambda: len(events.workers_lost) > 1)
    assert events.workers_lost == [a, b]


SILENT = """
import logging
import distributed.scheduler
from distributed import Client, LocalCluster
from daskml_exec import Executor

# Dask complains where a cluster closes while one of its workers says that it lives, and of worker
# processes that take four seconds to end, as on a busy machine. Neither has to do with a Client.
distributed.scheduler.heartbeat_interval = lambda n_workers: 3600
logging.getLogger("distributed.nanny").setLevel("ERROR")

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, processes={processes},
                      dashboard_address="127.0.0.1:0") as cluster:
        with Client(cluster) as client:
            with Executor(client) as executor:
                executor.run(pow, range(5), [2] * 5).results()
                executor.check_workers()
            with Executor(cluster.scheduler_address) as executor:
                executor.run(pow, range(5), [2] * 5).results()
                executor.submit(pow, 2, 2).result()
        with Client(cluster) as client:
            executor = Executor(client)
            executor.submit(pow, 2, 2).result()
        executor.shutdown()
        executor = Executor(cluster)
        executor.check_workers()
    executor.shutdown()
"""


def test_what_is_said_to_the_scheduler_is_sent(short_lived):
    """A cluster may close as soon as `watch` has returned."""
    cluster, client = short_lived
    stream = client.scheduler_comm
    stream.interval = 0.2
    stream.send({"op": "heartbeat-client"})  # what follows waits for the interval to be over
    ClusterEvents.of(client).watch(client, [worker.address for worker in cluster.workers.values()])
    assert stream.buffer == []


@pytest.mark.parametrize("processes", [True, slow(False)])
def test_closing_is_silent(run_script, processes):
    done = run_script(SILENT.format(processes=processes))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
