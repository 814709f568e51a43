"""Results that do not come: no worker to compute them, data that is gone, deadly tasks."""

import concurrent.futures

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.scheduler import KilledWorker

from daskml_exec import Executor
from daskml_exec.executor import (
    LostPartitionError,
    RoundRunner,
    _late,
    explained_losses,
    gather,
    tuned,
)
from tests.executor.gates import Gate
from tests.executor.rounds import Ask


@pytest.fixture
def deserted():
    """A cluster without workers."""
    with LocalCluster(
        n_workers=0,
        processes=False,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster


def test_results_in_order(client):
    assert gather(client, client.map(abs, [-2, 1, -3], pure=False)) == [2, 1, 3]


def test_a_round_without_workers(deserted):
    with Client(deserted, set_as_default=False) as client:
        executor = Executor(client)
        futures = [client.submit(np.ones, 3, pure=False)]
        rounds = RoundRunner(executor, futures, np.size, 0)
        with (
            dask.config.set({"daskml-exec.workers-timeout": "50ms"}),
            pytest.raises(TimeoutError, match=r"has no worker.*within 0.05 s") as info,
        ):
            rounds.run(Ask(np.multiply, 1), name="r")
        assert deserted.scheduler_address in str(info.value)


@tuned(look_seconds=0.01)
def test_a_worker_that_comes_later(deserted, monkeypatch):
    with Client(deserted, set_as_default=False) as client:
        looks = []

        def nthreads(asynchronous, look=client.nthreads):
            if len(looks) == 2:
                deserted.scale(1)
            looks.append(None)
            return look(asynchronous=asynchronous)

        monkeypatch.setattr(client, "nthreads", nthreads)
        assert gather(client, [client.submit(abs, -1, pure=False)]) == [1]
        assert len(looks) > 2


def test_a_task_longer_than_the_limit_is_waited_for(client, monkeypatch):
    looks = []

    def nthreads(asynchronous, look=client.nthreads):
        looks.append(None)
        if len(looks) == 5:
            gate.open()
        return look(asynchronous=asynchronous)

    monkeypatch.setattr(client, "nthreads", nthreads)
    with Gate() as gate, dask.config.set({"daskml-exec.workers-timeout": "1ms"}):
        assert gather(client, [client.submit(gate.pass_through, 7, pure=False)]) == [7]
    assert len(looks) >= 5


def test_the_names_of_what_was_lost(client):
    X = client.map(abs, [1, 2, 3], pure=False)
    y = client.map(abs, [4, 5, 6], pure=False)
    gather(client, X + y)
    client.cancel([X[2], y[0], y[1]])
    total = client.submit(sum, X, pure=False)
    with (
        pytest.raises(LostPartitionError) as info,
        explained_losses("loading", {"X": X, "y": y, "sample_weight": []}),
    ):
        gather(client, [total])
    assert str(info.value).startswith("partition 2 of X and partitions 0, 1 of y were lost")


def test_the_only_partition_that_was_lost(client):
    X = client.map(abs, [1, 2], pure=False)
    client.cancel(X[1])
    with (
        pytest.raises(LostPartitionError, match=r"^partition 1 of X was lost and cannot"),
        explained_losses("loading", {"X": X}),
    ):
        raise concurrent.futures.CancelledError


@pytest.mark.parametrize("error", [concurrent.futures.CancelledError(), LookupError("theirs")])
def test_other_exceptions_pass(client, error):
    X = client.map(abs, [1, 2], pure=False)
    with pytest.raises(type(error)) as info, explained_losses("loading", {"X": X}):
        raise error
    assert info.value is error


def test_a_deadly_task():
    killed = KilledWorker("load-3", None, 3)
    with (
        pytest.raises(RuntimeError, match=r"^loading: the task 'load-3' was running 4") as info,
        explained_losses("loading", {}),
    ):
        raise killed
    assert info.value.__cause__ is killed


@tuned(look_seconds=0.01, listen_seconds=0.01)
def test_a_worker_that_is_busy_with_other_work_is_waited_for_and_named(client, monkeypatch):
    worker = min(client.nthreads())
    said = []
    with Gate() as gate:

        def hear(text, *arguments):
            said.append(text % arguments)
            gate.open()

        monkeypatch.setattr(_late.logger, "warning", hear)
        other = client.submit(gate.pass_through, 1, workers=[worker], pure=False)
        gate.wait_until_reached()
        mine = client.map(abs, [-1, -2], workers=[worker], key=["round-0", "round-1"], pure=False)
        assert gather(client, mine) == [1, 2]
    assert said[0] == f"round waits for the worker {worker}, which has other tasks to do first"
    assert other.result() == 1


def test_why_a_worker_is_late():
    running = {"nthreads": 2, "status": "running"}
    paused = {"nthreads": 2, "status": "paused"}
    mine = ["round-0", "round-1"]
    assert _late.reasons(mine, "round", {"a": ["round-0", "x"]}, {"a": running}) == {}, (
        "it has a thread"
    )
    assert _late.reasons(mine, "round", {"a": ["x", "y", "z"]}, {"a": running}) == {}, (
        "nothing of mine"
    )
    assert _late.reasons(mine, "round", {"a": mine, "b": mine}, {"a": running, "b": paused}) == {
        "b": "is paused, because its memory is nearly full"
    }
