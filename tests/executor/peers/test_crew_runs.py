"""Runs beside one another, and how they end: nothing of them is left."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import dask
import pytest
from distributed import Client, LocalCluster, get_worker

from daskml_exec import Executor
from daskml_exec.executor import LostSchedulerError, WorkerMismatchError
from daskml_exec.executor.peers import Crew, PeersInterrupted, _admission, _crew
from daskml_exec.executor.peers._news import RunNews
from daskml_exec.executor.peers._runs import CLOSED, PLUGIN, Run
from tests.executor.gates import Gate
from tests.executor.peers.crews import (
    begin,
    everywhere,
    exchange,
    recall,
    remember,
    wait_for_nobody,
)
from tests.executor.peers.leftovers import until, until_nothing_is_left

pytestmark = pytest.mark.usefixtures("prompt_clients")


def test_the_end_of_the_run_ends_tasks_that_wait(crew, client):
    begin(crew)
    with Gate() as gate, ThreadPoolExecutor(1) as pool:
        running = pool.submit(everywhere, crew, wait_for_nobody, gate)
        gate.wait_until_reached()
        gate.open()
        crew.close()
        with pytest.raises(PeersInterrupted):
            running.result(30)
    until_nothing_is_left(client)


def test_an_interrupted_driver_ends_its_tasks(crew, client, monkeypatch):
    """As by Ctrl-C while the driver waits for answers."""
    begin(crew)
    with Gate() as gate:
        sync = client.sync

        def interrupted(function, *args, **options):
            if function == crew._answers:
                gate.wait_until_reached()
                gate.open()
                raise KeyboardInterrupt
            return sync(function, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(client, "sync", interrupted)
            with pytest.raises(KeyboardInterrupt):
                everywhere(crew, wait_for_nobody, gate)
    crew.leave()
    crew.close()
    until_nothing_is_left(client)
    until(lambda: not client.processing()[crew.members[0]])


def test_two_runs_share_one_thread_workers(cluster, client):
    """Each would wait for ever for members whose only thread the other has."""

    def run_segments(name, n):
        crew = Crew(Executor(client), name)
        try:
            found = []
            for number in range(n):
                crew.admit()
                if not crew.members:
                    assert crew.open(crew.workers())
                found.append([a.value for a in everywhere(crew, exchange, f"{name}{number}")])
                crew.leave()
            return found
        finally:
            crew.close()

    with ThreadPoolExecutor(3) as pool:
        runs = {name: pool.submit(run_segments, name, 5) for name in "abc"}
        for name, running in runs.items():
            expected = [[[f"{name}{n} of 1"], [f"{name}{n} of 0"]] for n in range(5)]
            assert running.result(60) == expected
    until_nothing_is_left(client)


def test_a_driver_that_goes_away_leaves_nothing(cluster, client):
    other = Client(cluster, set_as_default=False)
    crew = Crew(Executor(other), "gone")
    begin(crew)
    everywhere(crew, remember)
    with Gate() as gate, ThreadPoolExecutor(1) as pool:
        running = pool.submit(everywhere, crew, wait_for_nobody, gate)
        gate.wait_until_reached()
        gate.open()
        other.close()
        assert running.exception(30) is not None
    crew.close()
    until_nothing_is_left(client)


def test_another_run_goes_on_when_the_one_before_it_is_gone(cluster, client):
    other = Client(cluster, set_as_default=False)
    Crew(Executor(other), "gone").admit()
    crew = Crew(Executor(client), "stays")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(crew.admit)
        other.close()
        waiting.result(30)
    crew.leave()
    crew.close()


def test_a_driver_that_is_stopped_lets_others_go_on(cluster, client, monkeypatch):
    """Its connection stays, and its heartbeats do not come: as by SIGSTOP, in one process."""
    monkeypatch.setattr(_admission, "_LOOK_EVERY", 0.05)
    with (
        dask.config.set({"daskml-exec.lease-timeout": "0.3s"}),
        Client(cluster, set_as_default=False, heartbeat_interval="50ms") as other,
        ThreadPoolExecutor(1) as pool,
    ):
        stopped = Crew(Executor(other), "stopped")
        begin(stopped)
        everywhere(stopped, remember)
        heartbeat = other._periodic_callbacks["heartbeat"]
        waiting_for_it = Crew(Executor(client), "goes on")
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
        for crew in (stopped, waiting_for_it):
            crew.leave()
            crew.close()
    until_nothing_is_left(client)


def test_a_closed_run_is_not_admitted(executor):
    crew = Crew(executor, "crew")
    crew.close()
    with pytest.raises(ConnectionError, match="crew: the scheduler has closed this run"):
        crew.admit()


def test_tasks_of_an_older_generation_are_refused(crew):
    begin(crew)
    assert crew.open(crew.workers())
    everywhere(crew, exchange, "of the second")
    crew._generation -= 1
    with pytest.raises(PeersInterrupted):
        everywhere(crew, exchange, "of the first, late")


def test_letters_of_a_closed_run_are_refused(crew, client):
    begin(crew)
    members = crew.members
    crew.leave()
    crew.close()

    def is_closed(run_id):
        return get_worker().plugins[PLUGIN].mailbox.floor(run_id) == CLOSED

    for member in members:
        until(lambda m=member: client.submit(is_closed, crew._id, workers=[m], pure=False).result())
    for member in members:
        client.submit(
            lambda run: (
                get_worker().plugins[PLUGIN].post.send(get_worker().address, run, ("late",), [])
            ),
            Run(crew._id, 1),
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
        Crew(executor, "crew")


def test_no_worker_comes(monkeypatch):
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
        dask.config.set({"daskml-exec.workers-timeout": "0.05s"}),
    ):
        crew = Crew(Executor(client), "crew")
        with pytest.raises(TimeoutError, match=r"no worker.*daskml-exec\.workers-timeout"):
            crew.workers()
        crew.close()


def test_workers_that_are_not_fit_are_asked_less_and_less_often(crew, monkeypatch):
    clock, asked = [0.0], []

    def sleep(seconds):
        clock[0] += seconds

    def none_is_fit(client, workers, needed):
        asked.append(clock[0])
        return []

    monkeypatch.setattr(_crew, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))
    monkeypatch.setattr(_crew, "able_workers", none_is_fit)
    with (
        dask.config.set({"daskml-exec.workers-timeout": "100s"}),
        pytest.raises(TimeoutError, match=r"none of the workers .* answered"),
    ):
        crew.workers()
    assert len(asked) < 120


def test_a_run_that_is_not_known_is_not_listened_for(executor, monkeypatch):
    monkeypatch.setattr(Crew, "_call", lambda *arguments, **options: False)
    before = dict(RunNews.of(executor.client)._listeners)
    with pytest.raises(LostSchedulerError):
        Crew(executor, "crew")
    assert RunNews.of(executor.client)._listeners == before


def test_threads_end(cluster, client):
    """A run starts no thread of its own."""
    crew = Crew(Executor(client), "crew")
    begin(crew)
    everywhere(crew, exchange, "a first time")
    before = threading.active_count()
    everywhere(crew, exchange, "a second time")
    assert threading.active_count() <= before
    crew.leave()
    crew.close()
