"""What an Executor attaches to or opens, and what it says when it cannot."""

import asyncio
import re
import threading
import time

import dask
import psutil
import pytest
from distributed import Client, LocalCluster, Nanny, Scheduler, SpecCluster, Worker

from daskml_exec import Executor
from daskml_exec.executor import _current

NO_GUARD = """
from daskml_exec import Executor

with Executor(n_workers=1) as executor:
    print(executor.submit(pow, 2, 2).result())
"""
GUARD = """
from daskml_exec import Executor

if __name__ == "__main__":
    with Executor(n_workers=1) as executor:
        print(executor.submit(pow, 2, 2).result())
"""


def square(executor):
    return executor.submit(pow, 3, 2).result(10)


def test_attaches_to_a_client(client):
    assert square(Executor(client)) == 9


def test_attaches_to_a_cluster(cluster):
    with Executor(cluster) as executor:
        assert square(executor) == 9
        assert executor.in_process


def test_attaches_to_an_address(process_cluster):
    with Executor(process_cluster.scheduler_address) as executor:
        assert square(executor) == 9
        assert not executor.in_process
    assert executor.client.status == "closed"


def test_attaches_to_a_spec_cluster():
    spec = {"cls": Worker, "options": {"nthreads": 1, "dashboard": False}}
    address = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    scheduler = {"cls": Scheduler, "options": {"dashboard": False, **address}}
    with (
        SpecCluster(workers={"only": spec}, scheduler=scheduler) as cluster,
        Executor(cluster) as executor,
    ):
        assert square(executor) == 9


def test_takes_the_active_client(cluster):
    with Client(cluster) as client, Executor() as executor:
        assert executor.client is client
    assert _current.active_client() is None


def test_opens_its_own_cluster_when_options_are_given(cluster):
    with (
        Client(cluster) as client,
        Executor(n_workers=1, processes=False) as executor,
    ):
        assert executor.client is not client
        assert [worker.threads for worker in executor.workers()] == [1]
    assert client.status == "closed"
    assert executor.client.cluster.status.name == "closed"


def listening(process):
    return {c.laddr for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}


def test_embedded_processes_listen_on_loopback_only():
    this = psutil.Process()
    before = listening(this)
    with Executor(n_workers=2, threads_per_worker=2) as executor:
        assert square(executor) == 9
        assert [worker.threads for worker in executor.workers()] == [2, 2]
        assert executor.client.dashboard_link.startswith("http://127.0.0.1:")
        workers = [psutil.Process(worker.pid) for worker in executor.workers()]
        assert set(workers) <= set(this.children(recursive=True))
        opened = listening(this) - before
        assert len(opened) >= 2, "scheduler and dashboard"
        for process in workers:
            opened |= listening(process)
        assert {address.ip for address in opened} == {"127.0.0.1"}
    assert not any(worker.is_running() for worker in workers)


def test_embedded_threads_listen_on_loopback_only():
    before = listening(psutil.Process())
    with Executor(n_workers=1, processes=False) as executor:
        assert executor.in_process
        opened = listening(psutil.Process()) - before
        assert {address.ip for address in opened} == {"127.0.0.1"}


@pytest.mark.parametrize(("options", "limit"), [({}, 0), ({"memory_limit": "1GiB"}, 1.07)])
def test_embedded_threads_have_no_memory_limit_unless_asked(options, limit):
    with Executor(n_workers=1, processes=False, **options) as executor:
        assert [worker.memory_gb for worker in executor.workers()] == [limit]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"n_workers": 0}, ValueError, "n_workers=0; allowed are integers from 1"),
        ({"n_workers": 2.0}, TypeError, "n_workers=2.0 is a float"),
        ({"threads_per_worker": True}, TypeError, "threads_per_worker=True is a bool"),
        ({"threads_per_worker": -1}, ValueError, "threads_per_worker=-1"),
        ({"cluster": 7}, TypeError, "cluster=7 is a int; allowed are None"),
        ({"cluster": "tcp://127.0.0.1:9", "n_workers": 2}, ValueError, "n_workers given together"),
        (
            {"cluster": "tcp://127.0.0.1:9", "silence_logs": 1, "processes": False},
            ValueError,
            "processes, silence_logs given together with cluster='tcp://127.0.0.1:9'",
        ),
        ({"cluster": "no address"}, ValueError, "cluster='no address'.*tcp://127.0.0.1:8786"),
        ({"cluster": ""}, ValueError, "cluster=''"),
        ({"cluster": "127.0.0.1"}, ValueError, "cluster='127.0.0.1'"),
        ({"cluster": "foo://127.0.0.1:1"}, ValueError, "cluster='foo://127.0.0.1:1'"),
    ],
)
def test_wrong_arguments(options, error, words):
    with pytest.raises(error, match=words):
        Executor(**options)
    assert _current.active_client() is None


def test_no_scheduler_at_the_address():
    started = time.monotonic()
    with (
        dask.config.set({"daskml-exec.connect-timeout": "200ms"}),
        pytest.raises(TimeoutError, match=r"'tcp://127.0.0.1:9' within 0.2 s.*connect-timeout"),
    ):
        Executor("tcp://127.0.0.1:9")
    assert time.monotonic() - started < 5
    assert _current.active_client() is None
    assert dask.config.get("scheduler", None) is None


def test_a_failed_attempt_leaves_the_active_client(cluster):
    with Client(cluster) as client:
        with pytest.raises(ValueError, match="no address"):
            Executor("no address")
        assert _current.active_client() is client


def asynchronous_cluster(n_workers):
    return LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        asynchronous=True,
    )


def test_an_asynchronous_client():
    async def main():
        async with (
            asynchronous_cluster(0) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            with pytest.raises(TypeError, match=r"asynchronous.*Executor\(client.scheduler.addr"):
                Executor(client)
            with pytest.raises(TypeError, match="asynchronous"):
                Executor()
            with pytest.raises(TypeError, match="asynchronous"):
                Executor.current()

    asyncio.run(main())


def test_the_remedy_for_an_asynchronous_client():
    def work(address):
        with Executor(address) as executor:
            return square(executor)

    async def main():
        async with (
            asynchronous_cluster(1) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            return await asyncio.to_thread(work, client.scheduler.address)

    assert asyncio.run(main()) == 9


def test_an_asynchronous_cluster():
    async def main():
        async with asynchronous_cluster(0) as cluster:
            with pytest.raises(TypeError, match="the cluster is asynchronous"):
                Executor(cluster)

    asyncio.run(main())


def test_a_script_without_main_guard(run_script):
    done = run_script(NO_GUARD, timeout=30)
    assert done.returncode == 1
    parent, child = "the embedded cluster did not start", "opened without a main guard"
    assert parent in done.stderr and done.stderr.count(child) >= 2
    assert re.search(r'if __name__ == "__main__":', done.stderr)
    assert "processes=False" in done.stderr
    assert done.stdout == ""


@pytest.mark.slow  # so are those that close nothing, in test_current.py and test_exit.py
def test_a_script_with_main_guard_is_silent(run_script):
    done = run_script(GUARD, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")


def test_a_cluster_that_does_not_start(monkeypatch):
    async def fail(self):
        raise RuntimeError("no more processes")

    monkeypatch.setattr(Nanny, "start_unsafe", fail)
    with pytest.raises(RuntimeError, match="the embedded cluster did not start"):
        Executor(n_workers=1)


def test_no_cluster_stays_behind_a_client_that_cannot_connect(monkeypatch):
    clusters = []

    def fail(cluster, **options):
        clusters.append(cluster)
        raise OSError("cut off")

    monkeypatch.setattr("daskml_exec.executor._connection._connect", fail)
    with pytest.raises(OSError, match="cut off"):
        Executor(processes=False, n_workers=1)
    assert clusters[0].status.name == "closed"


def test_repr(executor, process_executor):
    assert repr(executor) == "<Executor: 2 workers, 2 threads, in this process>"
    assert re.fullmatch(
        r"<Executor: 2 workers, 2 threads, tcp://127.0.0.1:\d+>", repr(process_executor)
    )
    html = process_executor._repr_html_()
    assert html.startswith("<b>Executor: 2 workers")
    assert html.count("<tr>") == 3


def test_the_table_of_workers(process_executor):
    table = process_executor.workers()
    assert len(table) == 2
    for worker in table:
        assert psutil.pid_exists(worker.pid)
        assert worker.address.startswith("tcp://127.0.0.1:")
        assert worker.threads == 1 and worker.gpu == "" and worker.memory_gb >= 0
    header, *rows = repr(table).splitlines()
    assert header.split() == ["address", "threads", "memory_gb", "gpu", "pid"]
    assert [row.split()[0] for row in rows] == [worker.address for worker in table]
    assert table._repr_html_().count("<td>") == 10
    assert table.to_frame().index.tolist() == [worker.address for worker in table]


def test_shutdown_from_several_threads(cluster):
    executor = Executor(cluster)
    threads = [threading.Thread(target=executor.shutdown) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert executor.client.status == "closed"


@pytest.mark.parametrize("processes", [True, False])
def test_an_option_that_nothing_takes_is_named(processes):
    with pytest.raises(TypeError, match=r"'max_workers' is not an option .* allowed are n_workers"):
        Executor(processes=processes, max_workers=2)


def test_later_arrays_do_not_ask_for_a_client_that_was_closed(cluster):
    assert dask.config.get("scheduler", None) is None
    first, second = Executor(cluster.scheduler_address), Executor(cluster.scheduler_address)
    first.shutdown()
    assert dask.delayed(pow)(2, 3).compute() == 8  # by the second's Client
    second.shutdown()
    assert dask.config.get("scheduler", None) is None
    assert dask.delayed(pow)(2, 3).compute() == 8
