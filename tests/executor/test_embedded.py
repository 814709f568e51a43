"""An embedded cluster keeps its number of workers, whatever ended them."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import dask
import pytest

from daskml_exec import Executor
from daskml_exec.executor._embedded import started
from tests.executor.peers.leftovers import until


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with Executor(n_workers=1) as executor:
        yield executor


def pid_of(executor: Executor) -> int:
    executor.client.wait_for_workers(1)
    (worker,) = executor.workers()
    return worker.pid


def wait_for_another(executor: Executor, before: int) -> None:
    assert executor.submit(os.getpid).result(timeout=120) != before


def cluster_of(executor: Executor):
    return executor.client.cluster


def test_a_nanny_that_takes_long_for_a_new_process_is_not_closed(processes):
    """As on a slow machine, where Dask's limit of 15 seconds is over before the process is up."""
    before, (nanny,) = pid_of(processes), cluster_of(processes).workers.values()
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}):
        os.kill(before, signal.SIGKILL)
        wait_for_another(processes, before)
    assert list(cluster_of(processes).workers.values()) == [nanny]


def test_a_nanny_that_has_ended_is_followed_by_another(processes):
    before, cluster = pid_of(processes), cluster_of(processes)
    (nanny,) = cluster.workers.values()
    cluster.sync(nanny.close)
    wait_for_another(processes, before)
    assert list(cluster.workers.values()) != [nanny]


def test_a_worker_that_leaves_the_scheduler_is_followed_by_another(processes):
    """As one that was stopped for so long that its connection broke: it takes its Nanny along."""
    before = pid_of(processes)
    processes.client.run(lambda dask_worker: dask_worker.batched_stream.abort(), on_error="ignore")
    wait_for_another(processes, before)


def test_threads_that_are_lost_come_back():
    with Executor(processes=False, n_workers=1) as executor:
        cluster = cluster_of(executor)
        (worker,) = cluster.workers.values()
        cluster.sync(worker.close)
        assert executor.submit(pow, 2, 3).result(timeout=60) == 8


def test_a_worker_that_was_retired_stays_away():
    with Executor(processes=False, n_workers=2) as executor:
        cluster = cluster_of(executor)
        executor.client.retire_workers(names=[0])
        cluster.sync(cluster.workers[1].close)  # this one was not
        executor.client.wait_for_workers(1)
        assert executor.submit(pow, 2, 3).result(timeout=60) == 8
        until(lambda: list(cluster.worker_spec) == [1])
        assert len(executor.workers()) == 1


def test_news_of_a_worker_that_is_not_known():
    with Executor(processes=False, n_workers=1) as executor:
        cluster = cluster_of(executor)
        cluster._update_worker_status("remove", "inproc://192.0.2.1/1/1")
        assert len(executor.workers()) == 1


def test_closing_while_a_worker_is_started_anew(monkeypatch):
    with Executor(processes=False, n_workers=1) as executor:
        cluster = cluster_of(executor)
        starting, go_on = threading.Event(), threading.Event()
        correct_state = type(cluster)._correct_state_internal

        async def slowly(self):
            starting.set()
            while not go_on.is_set():
                await asyncio.sleep(0.01)
            await correct_state(self)

        monkeypatch.setattr(type(cluster), "_correct_state_internal", slowly)
        cluster.sync(cluster.workers[0].close)
        assert starting.wait(60)
        threading.Timer(0.1, go_on.set).start()
    assert cluster.status.name == "closed"


def test_an_interrupt_while_a_cluster_starts_closes_it():
    """The signal comes while the other thread is in the middle of it."""
    closed, go_on = threading.Event(), threading.Event()

    class Cluster:
        def close(self):
            closed.set()

    def start():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        go_on.wait(60)
        return Cluster()

    with pytest.raises(KeyboardInterrupt):
        started(start)
    assert not closed.is_set(), "the call does not wait for it"
    go_on.set()
    assert closed.wait(60)


def looks(server) -> tuple[float, float]:
    """Return how often a server looks at its threads and its event loop, in milliseconds."""
    calls = server.periodic_callbacks
    profile = calls["profile"].callback_time if "profile" in calls else 0.0
    return profile, calls["tick"].callback_time


def looks_of_worker(executor: Executor) -> list[tuple[float, float]]:
    def of(dask_worker):
        calls = dask_worker.periodic_callbacks
        return calls["profile"].callback_time, calls["tick"].callback_time

    return list(executor.client.run(of).values())


def test_a_cluster_looks_at_itself_less_often_than_distributed_s(processes):
    executor = processes
    assert looks_of_worker(executor) == [(100.0, 200.0)]
    assert looks(cluster_of(executor).scheduler)[1] == 200.0
    # Of the user's own clusters nothing is changed.
    assert dask.config.get("distributed.worker.profile.interval") == "10ms"
    before = pid_of(executor)
    os.kill(before, signal.SIGKILL)
    wait_for_another(executor, before)
    assert looks_of_worker(executor) == [(100.0, 200.0)]


def test_what_the_user_has_set_of_looking_stays():
    with (
        dask.config.set({"distributed.worker.profile.interval": "30ms"}),
        Executor(n_workers=1, processes=False) as executor,
    ):
        assert looks_of_worker(executor) == [(30.0, 200.0)]


def intervals_of(executor: Executor) -> set[float]:
    streams = cluster_of(executor).scheduler.stream_comms.values()
    return {stream.interval for stream in (executor.client.scheduler_comm, *streams)}


def test_messages_leave_soon_also_to_workers_that_come_later():
    with Executor(processes=False, n_workers=1) as executor:
        assert intervals_of(executor) == {0.002}
        cluster_of(executor).scale(2)
        executor.client.wait_for_workers(2)
        assert intervals_of(executor) == {0.002}


def test_a_client_of_the_user_sends_as_it_did(client):
    before = client.scheduler_comm.interval
    with Executor(client):
        assert client.scheduler_comm.interval == before
