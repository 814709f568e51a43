"""Threads use the Executor of the `with` that is open in their process, and never another one."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from distributed import Client, LocalCluster
from joblib import Parallel, delayed

from daskml_exec import Executor
from daskml_exec.executor import _current


def current():
    return Executor.current()


@pytest.fixture
def everybodys_default(other):
    """An active Client of another cluster, to which nothing should fall back."""
    with Client(other) as client:
        yield client


@pytest.fixture(scope="module")
def other():
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


def in_thread(call):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(20)


def test_each_way_into_a_thread(executor, everybodys_default):
    async def in_executor():
        return await asyncio.get_running_loop().run_in_executor(None, current)

    with executor:
        assert in_thread(current) is executor
        assert Parallel(2, backend="threading")(delayed(current)() for _ in range(2)) == [
            executor,
            executor,
        ]
        assert asyncio.run(in_executor()) is executor
    assert in_thread(current).client is everybodys_default


def test_the_inner_one_of_two(cluster, other):
    with Executor(cluster) as outer:
        with Executor(other) as inner:
            assert in_thread(current) is inner
            with outer:
                assert in_thread(current) is outer
        assert in_thread(current) is outer
        with outer:
            assert in_thread(current) is outer
        assert in_thread(current) is outer
    assert in_thread(_current.innermost) is None


class Opened:
    """A thread that holds a `with` open."""

    def __init__(self, cluster):
        self._ready, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=[cluster])
        self._thread.start()
        assert self._ready.wait(20)

    def _run(self, cluster):
        with Executor(cluster) as self.executor:
            self.found = Executor.current()
            self._ready.set()
            assert self._end.wait(60)

    def close(self):
        self._end.set()
        self._thread.join(20)


def test_several_threads_with_an_executor_each(cluster, other):
    one = Opened(cluster)
    assert Executor.current() is one.executor, "there is no other"
    two = Opened(other)
    assert (one.found, two.found) == (one.executor, two.executor)
    for look in (current, lambda: in_thread(current)):
        with pytest.raises(RuntimeError, match="2 Executors are open in other threads") as info:
            look()
        assert cluster.scheduler_address in str(info.value)
    with two.executor:
        assert Executor.current() is two.executor
    one.close()
    assert Executor.current() is two.executor
    two.close()


def test_several_executors_of_one_cluster(cluster):
    one, two = Opened(cluster), Opened(cluster)
    assert Executor.current() in (one.executor, two.executor)
    one.close(), two.close()


def address_in_a_task():
    return Executor.current().client.scheduler.address


def test_tasks_of_workers_in_this_process_run_on_their_own_cluster(cluster, other):
    """Their threads are threads of this process, too."""
    with Executor(cluster), Client(other, set_as_default=False) as client:
        address = client.submit(address_in_a_task, pure=False).result(20)
        assert address == other.scheduler_address
