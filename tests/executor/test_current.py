"""Where `Executor.current()` runs: `with`, task, active Client, the one in-process cluster."""

import asyncio
import contextvars
import os
import threading

import numpy as np
import pytest
from distributed import Client, LocalCluster, default_client
from joblib import Parallel, delayed, parallel_config
from sklearn.model_selection import GridSearchCV

from daskml_exec import Executor
from daskml_exec.executor import _current
from daskml_exec.linear_model import LogisticRegression


def nested_squares(n):
    """Run in a task: it needs a free thread for the tasks that it waits for."""
    return Executor.current().run(pow, range(n), [2] * n).results(20)


def nested_twice(n):
    return [nested_squares(n), Executor.current().submit(pow, n, 2).result(20)]


def address_of_current():
    return Executor.current().client.scheduler.address


async def current_in_a_coroutine():
    try:
        Executor.current()
    except TypeError as error:
        return str(error)


def with_inside_a_task(n):
    with Executor.current() as executor:
        assert Executor.current() is executor
        return executor.run(pow, range(n), [2] * n).results(20)


@pytest.fixture
def one_thread():
    """A cluster that closes the Clients that its tasks opened."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


def test_the_innermost_with(cluster, one_thread):
    with Executor(cluster) as outer:
        assert Executor.current() is outer
        with Executor(one_thread) as inner:
            assert Executor.current() is inner
            with outer:
                assert Executor.current() is outer
            assert Executor.current() is inner
        assert Executor.current() is outer


def test_a_with_may_end_in_another_context(executor):
    context = contextvars.copy_context()
    context.run(executor.__enter__)
    assert _current.innermost() is executor, "there is no other"
    context.copy().run(executor.__exit__, None, None, None)
    assert _current.innermost() is None
    assert context.run(_current.innermost) is None, "it has ended"
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(pow, 2, 2)


def test_the_active_client(cluster):
    with Client(cluster) as client:
        assert Executor.current().client is client
        with Executor.current():
            pass
        assert client.status == "running"


@pytest.mark.parametrize("task", [nested_squares, nested_twice, with_inside_a_task])
def test_inside_a_task_of_a_one_thread_worker(one_thread, task):
    with Executor(one_thread) as executor:
        squares = executor.submit(task, 4).result(30)
        assert squares in ([0, 1, 4, 9], [[0, 1, 4, 9], 16])


def test_inside_the_tasks_of_a_job(process_executor):
    results = process_executor.run(nested_squares, [2, 3, 4]).results(30)
    assert results == [[0, 1], [0, 1, 4], [0, 1, 4, 9]]


def test_inside_a_task_of_the_inner_of_two_in_process_clusters(one_thread):
    """The threads of a cluster opened inside a `with` inherit the context of the `with`."""
    with (
        Executor(one_thread) as outer,
        Executor(processes=False, n_workers=1) as inner,
    ):
        addresses = [e.submit(address_of_current).result(20) for e in (outer, inner)]
        assert addresses == [e.client.scheduler.address for e in (outer, inner)]
        assert len(set(addresses)) == 2


def test_inside_a_coroutine(one_thread):
    with Executor(one_thread) as executor:
        future = executor.client.submit(current_in_a_coroutine, pure=False)
        assert "asynchronous" in future.result(20)
        assert executor.submit(nested_squares, 2).result(20) == [0, 1]


def test_a_task_that_asks_for_a_client_does_not_choose_everybodys(one_thread):
    with Client(one_thread, set_as_default=False) as client:
        assert client.submit(nested_squares, 3, pure=False).result(20) == [0, 1, 4]
        with pytest.raises(ValueError, match="No clients found"):
            default_client()


@pytest.fixture
def in_process():
    """The one in-process cluster, closed after the test."""
    assert _current.active_client() is None
    yield
    if opened := _current._in_process.pop(os.getpid(), None):
        opened.close()


def test_one_in_process_cluster(in_process):
    first = Executor.current()
    assert first.in_process
    assert first.submit(pow, 2, 2).result(10) == 4
    assert first.run(pow, [1, 2], [2, 2]).results(10) == [1, 4]
    assert Executor.current().client is first.client
    assert _current.active_client() is None, "it is no default for the rest of Dask"
    with Executor.current() as second:
        assert second.client is first.client
    assert Executor.current().client is first.client, "`with` did not open it, so leaves it open"
    assert Executor.current().submit(pow, 2, 2).result(10) == 4


def test_tasks_of_the_in_process_cluster_share_its_client(in_process):
    executor = Executor.current()
    assert executor.submit(nested_squares, 3).result(20) == [0, 1, 4]
    assert _current.active_client() is None
    assert Executor.current().client is executor.client


def test_a_closed_in_process_cluster_is_opened_anew(in_process):
    first = Executor.current()
    first.client.close()
    assert Executor.current().submit(pow, 2, 2).result(10) == 4
    first.client.cluster.close()


def test_threads_open_one_in_process_cluster(in_process):
    clients, barrier = [], threading.Barrier(4)

    def work():
        barrier.wait(10)
        executor = Executor.current()
        assert executor.run(pow, [2], [2]).results(10) == [4]
        clients.append(executor.client)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(clients) == 4 and len(set(map(id, clients))) == 1


def workers_of_current():
    executor = Executor.current()
    addresses = {worker.address for worker in executor.workers()}
    assert executor.run(pow, [2], [2]).results(20) == [4]
    return executor.in_process, len(addresses)


@pytest.mark.slow
def test_processes_of_joblib_take_their_share_of_the_cores():
    with parallel_config("loky", inner_max_num_threads=1):
        assert Parallel(2)(delayed(workers_of_current)() for _ in range(2)) == [(True, 1)] * 2


@pytest.mark.slow
def test_a_search_in_processes_of_joblib(process_executor):
    """Also within a `with`: the processes are new ones, and know nothing of it."""
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = (X[:, 0] > 0).astype(int)
    grid = {"C": [0.1, 1.0]}
    with process_executor:
        found = [
            GridSearchCV(LogisticRegression(), grid, cv=2, n_jobs=n).fit(X, y) for n in (None, 2)
        ]
    scores = [search.cv_results_["mean_test_score"] for search in found]
    assert scores[0].tobytes() == scores[1].tobytes()
    assert found[0].best_estimator_.coef_.tobytes() == found[1].best_estimator_.coef_.tobytes()


def test_in_a_running_event_loop(in_process):
    """A notebook calls the blocking interface from inside a running event loop."""

    async def cell():
        results = Executor.current().run(pow, [1, 2, 3], [2] * 3).results(10)
        with Executor(processes=False, n_workers=1) as executor:
            return [*results, executor.submit(pow, 2, 2).result(10)]

    assert asyncio.run(cell()) == [1, 4, 9, 4]


def test_a_thread_inside_with(cluster):
    """Threads do not inherit the context; the Client of the `with` is the active one."""
    found = []
    with Executor(cluster) as executor:
        thread = threading.Thread(target=lambda: found.append(Executor.current().client))
        thread.start()
        thread.join(10)
    assert found == [executor.client]


def test_a_script_that_leaves_the_closing_to_the_end(run_script):
    done = run_script(
        """
from daskml_exec import Executor

def nested(n):
    return sum(Executor.current().run(pow, range(n), [2] * n).results())

executor = Executor.current()
print(executor.run(nested, [2, 3]).results())
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[1, 5]\n", "")


def test_an_executor_that_nobody_shuts_down(run_script):
    done = run_script(
        """
from daskml_exec import Executor

if __name__ == "__main__":
    executor = Executor(n_workers=1)
    print(executor.submit(pow, 2, 2).result())
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")


@pytest.mark.slow  # in a `with`, and where a Client is active, test_exit.py has it
def test_a_forked_child_is_told_why_it_cannot(run_script):
    done = run_script(
        """
import os
from daskml_exec import Executor

print(Executor.current().submit(pow, 2, 2).result(), flush=True)
child = os.fork()
if child == 0:
    try:
        Executor.current()
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
else:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, error, code = done.stdout.splitlines()
    assert (first, code) == ("4", "0")
    assert "forked" in error and "'spawn'" in error
