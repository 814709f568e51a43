"""Runs beside one another, and how they end: nothing of them is left."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import dask
import pytest
from distributed import Client, LocalCluster, get_worker

from daskml_exec import Executor
from daskml_exec.executor import LostSchedulerError, WorkerMismatchError, tuned
from daskml_exec.executor._waiting import wait_for
from daskml_exec.executor.peers import PeerGroup, PeersInterrupted, _peer_group
from daskml_exec.executor.peers._ends import RunEnds
from daskml_exec.executor.peers._runs import CLOSED, PLUGIN, Run
from tests.executor.gates import Gate
from tests.executor.peers.groups import (
    begin,
    everywhere,
    exchange,
    recall,
    remember,
    wait_for_nobody,
)
from tests.executor.peers.leftovers import until, until_nothing_is_left


def test_the_end_of_the_run_ends_tasks_that_wait(group, client):
    begin(group)
    with Gate() as gate, ThreadPoolExecutor(1) as pool:
        running = pool.submit(everywhere, group, wait_for_nobody, gate)
        gate.wait_until_reached()
        gate.open()
        group.close()
        with pytest.raises(PeersInterrupted):
            running.result(30)
    until_nothing_is_left(client)


def test_an_interrupted_driver_ends_its_tasks(group, client, monkeypatch):
    """As by Ctrl-C while the driver waits for answers."""
    begin(group)
    with Gate() as gate:

        def interrupted(client, function, *args, **options):
            if function == group._answers:
                gate.wait_until_reached()
                gate.open()
                raise KeyboardInterrupt
            return wait_for(client, function, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(_peer_group, "wait_for", interrupted)
            with pytest.raises(KeyboardInterrupt):
                everywhere(group, wait_for_nobody, gate)
    group.leave()
    group.close()
    until_nothing_is_left(client)
    until(lambda: not client.processing()[group.members[0]])


def test_two_runs_share_one_thread_workers(cluster, client):
    """Each would wait for ever for members whose only thread the other has."""

    def run_segments(name, n):
        group = PeerGroup(Executor(client), name)
        try:
            found = []
            for number in range(n):
                group.admit()
                if not group.members:
                    assert group.open(group.workers())
                found.append([a.value for a in everywhere(group, exchange, f"{name}{number}")])
                group.leave()
            return found
        finally:
            group.close()

    with ThreadPoolExecutor(3) as pool:
        runs = {name: pool.submit(run_segments, name, 5) for name in "abc"}
        for name, running in runs.items():
            expected = [[[f"{name}{n} of 1"], [f"{name}{n} of 0"]] for n in range(5)]
            assert running.result(60) == expected
    until_nothing_is_left(client)


def test_a_driver_that_goes_away_leaves_nothing(cluster, client):
    other = Client(cluster, set_as_default=False)
    group = PeerGroup(Executor(other), "gone")
    begin(group)
    everywhere(group, remember)
    with Gate() as gate, ThreadPoolExecutor(1) as pool:
        running = pool.submit(everywhere, group, wait_for_nobody, gate)
        gate.wait_until_reached()
        gate.open()
        other.close()
        assert running.exception(30) is not None
    group.close()
    until_nothing_is_left(client)


def test_another_run_goes_on_when_the_one_before_it_is_gone(cluster, client):
    other = Client(cluster, set_as_default=False)
    PeerGroup(Executor(other), "gone").admit()
    group = PeerGroup(Executor(client), "stays")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(group.admit)
        other.close()
        waiting.result(30)
    group.leave()
    group.close()


@tuned(admission_look_seconds=0.05)
def test_a_driver_that_is_stopped_lets_others_go_on(cluster, client):
    """Its connection stays, and its heartbeats do not come: as by SIGSTOP, in one process."""
    with (
        dask.config.set({"daskml-exec.lease-timeout": "0.3s"}),
        Client(cluster, set_as_default=False, heartbeat_interval="50ms") as other,
        ThreadPoolExecutor(1) as pool,
    ):
        stopped = PeerGroup(Executor(other), "stopped")
        begin(stopped)
        everywhere(stopped, remember)
        heartbeat = other._periodic_callbacks["heartbeat"]
        waiting_for_it = PeerGroup(Executor(client), "goes on")
        waiting = pool.submit(waiting_for_it.admit)
        other.loop.add_callback(heartbeat.stop)
        waiting.result(30)
        assert waiting_for_it.open(waiting_for_it.workers())
        assert len(everywhere(waiting_for_it, exchange, "at last")) == 2
        until(lambda: stopped._has_ended)  # and now it is back
        other.loop.add_callback(heartbeat.start)
        with pytest.raises(PeersInterrupted):
            everywhere(stopped, recall)
        with pytest.raises(PeersInterrupted, match="not this fit's turn"):
            stopped.open(stopped.workers())
        waiting_for_it.leave()
        begin(stopped)
        assert len(everywhere(stopped, exchange, "here again")) == 2
        for group in (stopped, waiting_for_it):
            group.leave()
            group.close()
    until_nothing_is_left(client)


def test_a_closed_run_is_not_admitted(executor):
    group = PeerGroup(executor, "group")
    group.close()
    with pytest.raises(ConnectionError, match="group: the scheduler has closed this run"):
        group.admit()


def test_tasks_of_an_older_generation_are_refused(group):
    begin(group)
    assert group.open(group.workers())
    everywhere(group, exchange, "of the second")
    group._generation -= 1
    with pytest.raises(PeersInterrupted):
        everywhere(group, exchange, "of the first, late")


def test_messages_of_a_closed_run_are_refused(group, client):
    begin(group)
    members = group.members
    group.leave()
    group.close()

    def is_closed(run_id):
        return get_worker().plugins[PLUGIN].mailbox.floor(run_id) == CLOSED

    for member in members:
        until(
            lambda m=member: client.submit(is_closed, group._id, workers=[m], pure=False).result()
        )
    for member in members:
        client.submit(
            lambda run: (
                get_worker().plugins[PLUGIN].outbox.send(get_worker().address, run, ("late",), [])
            ),
            Run(group._id, 1),
            workers=[member],
        ).result(30)
    until_nothing_is_left(client)


def test_a_scheduler_that_lacks_the_package(executor, monkeypatch):
    register = executor.client.register_plugin

    def refused(plugin, **options):
        if plugin.name == PLUGIN and not hasattr(plugin, "setup"):
            raise ModuleNotFoundError("No module named 'daskml_exec'")
        return register(plugin, **options)

    monkeypatch.setattr(executor.client, "register_plugin", refused)
    with pytest.raises(WorkerMismatchError, match=r"scheduler.*No module named 'daskml_exec'"):
        PeerGroup(executor, "group")


def test_no_worker_comes(monkeypatch):
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
        dask.config.set({"daskml-exec.workers-timeout": "0.05s"}),
    ):
        group = PeerGroup(Executor(client), "group")
        with pytest.raises(TimeoutError, match=r"no worker.*daskml-exec\.workers-timeout"):
            group.workers()
        group.close()


def test_workers_that_are_not_fit_are_asked_less_and_less_often(group, monkeypatch):
    clock, asked = [0.0], []

    def sleep(seconds):
        clock[0] += seconds

    def none_is_fit(client, workers, needed):
        asked.append(clock[0])
        return []

    monkeypatch.setattr(
        _peer_group, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep)
    )
    monkeypatch.setattr(_peer_group, "able_workers", none_is_fit)
    with (
        dask.config.set({"daskml-exec.workers-timeout": "100s"}),
        pytest.raises(TimeoutError, match=r"none of the workers .* answered"),
    ):
        group.workers()
    assert len(asked) < 120


def test_a_run_that_is_not_known_is_not_listened_for(executor, monkeypatch):
    monkeypatch.setattr(PeerGroup, "_call", lambda *arguments, **options: False)
    before = dict(RunEnds.of(executor.client)._listeners)
    with pytest.raises(LostSchedulerError):
        PeerGroup(executor, "group")
    assert RunEnds.of(executor.client)._listeners == before


def test_threads_end(cluster, client):
    """A run starts no thread of its own."""
    group = PeerGroup(Executor(client), "group")
    begin(group)
    everywhere(group, exchange, "a first time")
    before = threading.active_count()
    everywhere(group, exchange, "a second time")
    assert threading.active_count() <= before
    group.leave()
    group.close()
