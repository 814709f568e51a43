"""Jobs and Tasks: states, progress, results, cancel, retries, failures, and what is printed."""

import concurrent.futures
import functools
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from daskml_exec import Executor, Job, Task
from tests.executor.gates import Attempts, Gate


def pass_gate(gate, value=None):
    return gate.pass_through(value)


def fail_until(attempts, needed):
    if attempts.add() < needed:
        raise OSError(f"attempt {attempts.count}")
    return attempts.count


def reciprocal(x):
    return 1 / x


def total(array, factor=1):
    return float(array.sum()) * factor


def die_at_first(folder, name):
    """Kill the worker at the first attempt, which leaves a file behind."""
    first = Path(folder) / name
    if not first.exists():
        first.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def test_results_are_in_the_order_of_the_inputs(executor):
    job = executor.run(pow, [5, 4, 3], [2, 2, 2, 2], name="squares")
    assert isinstance(job, Job) and all(isinstance(task, Task) for task in job)
    assert job.results(10) == [25, 16, 9]
    assert job.results() == [25, 16, 9]
    assert (job.name, len(job), job.status) == ("squares", 3, "finished")
    assert [task.result() for task in job] == [25, 16, 9]


def test_tasks_tell_where_and_how_long(executor):
    job = executor.run(pow, [5, 4], [2, 2])
    job.results(10)
    addresses = {worker.address for worker in executor.workers()}
    for task in job.tasks:
        assert task.worker in addresses
        assert 0 <= task.seconds < 10
        assert task.retries == 0
        assert task.exception() is None
        assert task.status == "finished"
        assert task.key.startswith("pow-")


def test_place_and_time_are_had_without_the_value(executor):
    job = executor.run(np.zeros, [10, 20])
    concurrent.futures.wait([executor.submit(len, "")])
    job.tasks[0]._future.result(10)
    assert job.tasks[0].worker is not None and job.tasks[0].seconds is not None
    job.tasks[1]._future.result(10)
    assert "finished" in job.report() and job.tasks[1]._info is not None


def test_a_job_without_inputs(executor):
    for job in (executor.run(pow, [], []), executor.run(pow)):
        assert job.results(1) == []
        assert job.status == "finished" and job.progress().fraction == 1
        assert repr(job) == "<Job 'pow': 0/0 done>"
        assert job.exception() is None
        job.cancel()
        with pytest.raises(ValueError, match="'pow' has no tasks"):
            executor.reduce(job, max)


def test_progress_and_states(executor):
    with Gate() as gate:
        opened = Gate()
        opened.open()
        job = executor.run(pass_gate, [opened, gate, gate], [1, 2, 3], name="three")
        assert job.tasks[0].result(10) == 1
        assert job.status == "pending"
        progress = job.progress()
        assert (progress.done, progress.total, progress.fraction) == (1, 3, 1 / 3)
        assert str(progress) == "1/3 done (1 finished, 2 pending)"
        assert repr(job) == "<Job 'three': 1/3 done (1 finished, 2 pending)>"
        assert job.tasks[1].worker is None and job.tasks[1].seconds is None
        with pytest.raises(TimeoutError):
            job.results(0.05)
        with pytest.raises(TimeoutError):
            job.tasks[1].result(0.05)
        gate.open()
        assert job.results(10) == [1, 2, 3]


def test_large_arrays_as_inputs(executor, process_executor):
    arrays = [np.full(20_000 * (i + 1), 1.0) for i in range(3)]
    for ex in (executor, process_executor):
        assert ex.run(total, arrays).results(20) == [20_000, 40_000, 60_000]
        assert ex.run(total, arrays, [1, 2, 3]).results(20) == [20_000, 80_000, 180_000]
        assert ex.submit(total, arrays[2], factor=2).result(20) == 120_000


def test_the_first_failure_is_raised_with_its_task(executor):
    job = executor.run(reciprocal, [1, 0, 2, 0], name="reciprocals")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError) as info:
            job.results(10)
        worker, place = info.value.__notes__
        assert job.tasks[1].key in worker or job.tasks[3].key in worker
        assert "on worker inproc://" in worker
        assert place in (
            "task 1 of 4 of job 'reciprocals'",
            "task 3 of 4 of job 'reciprocals'",
        )
        assert [entry.name for entry in info.traceback].count("results") == 1
        assert info.traceback[-1].name == "reciprocal"
    concurrent.futures.wait([executor.submit(len, "") for _ in range(4)])
    assert job.status == "error"
    assert isinstance(job.exception(), ZeroDivisionError)
    assert job.tasks[0].result(10) == 1 and job.tasks[2].result(10) == 0.5
    assert isinstance(job.tasks[1].exception(10), ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        job.tasks[1].result(10)
    assert job.tasks[1].worker is None


def test_one_failure_does_not_stop_the_others(executor):
    with Gate() as gate:
        job = executor.run(
            lambda gate, x: gate.pass_through(1 / x) if x else 1 / x, [gate] * 2, [0, 2]
        )
        with pytest.raises(ZeroDivisionError):
            job.results(10)
        assert job.tasks[1].status == "pending"
        gate.open()
        assert job.tasks[1].result(10) == 0.5


def test_retries_are_counted(executor):
    attempts = [Attempts(), Attempts(), Attempts()]
    job = executor.run(fail_until, attempts, [1, 2, 4], retries=3)
    assert job.results(10) == [1, 2, 4]
    assert [task.retries for task in job] == [0, 1, 3]
    assert [line.split()[3] for line in job.report().splitlines()[2:]] == ["0", "1", "3"]


def test_retries_that_do_not_suffice(executor):
    attempts = Attempts()
    job = executor.run(fail_until, [attempts], [5], retries=2)
    with pytest.raises(OSError, match="attempt 3"):
        job.results(10)
    assert job.tasks[0].retries == 2


def test_without_retries(executor):
    job = executor.run(fail_until, [Attempts()], [2])
    with pytest.raises(OSError, match="attempt 1"):
        job.results(10)
    assert job.tasks[0].retries == 0


@pytest.mark.parametrize(
    ("retries", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_retries_are_checked(executor, retries, error):
    with pytest.raises(error, match=f"retries={retries}"):
        executor.run(pow, [1], [1], retries=retries)


def test_cancel(executor):
    with Gate() as gate:
        opened = Gate()
        opened.open()
        job = executor.run(pass_gate, [opened, gate, gate, gate], name="stopped")
        job.tasks[0].result(10)
        job.cancel()
        assert job.status == "cancelled"
        assert [task.status for task in job] == ["finished"] + ["cancelled"] * 3
        with pytest.raises(concurrent.futures.CancelledError) as info:
            job.results(10)
        assert info.value.__notes__ == ["task 1 of 4 of job 'stopped'"]
        assert "cancelled" in job.report()
        assert job.exception() is None


def test_what_was_fetched_is_known_after_the_end(cluster):
    with Executor(cluster) as executor:
        job = executor.run(pow, [1, 2], [2, 2])
        job.results(10)
    assert job.status == "finished"
    assert job.tasks[0].worker in job.report()
    assert repr(job) == "<Job 'pow': 2/2 done (2 finished)>"


def test_names(executor):
    class Callable:
        def __call__(self):
            return 1

    names = [
        executor.run(fn).name for fn in (pow, lambda: 1, functools.partial(pow, 2), Callable())
    ]
    assert names == ["pow", "lambda", "pow", "Callable"]


def test_report_and_html(executor):
    job = executor.run(pow, [5, 4], [2, 2], name="<squares>")
    job.results(10)
    title, header, *rows = job.report().splitlines()
    assert title == "Job '<squares>': 2/2 done (2 finished)"
    assert header.split() == ["task", "state", "seconds", "retries", "worker"]
    assert [row.split()[0] for row in rows] == ["0", "1"]
    assert rows[0].split()[-1] == job.tasks[0].worker
    html = job._repr_html_()
    assert "&lt;squares&gt;" in html and "<squares>" not in html
    assert '<progress value="2" max="2">' in html
    task = job.tasks[0]
    assert repr(task) == f"<Task {task.key}: finished>"
    assert "&lt;squares&gt;" in task._repr_html_() and "<squares>" not in task._repr_html_()


def test_html_of_many_tasks_is_short(executor):
    job = executor.run(abs, range(250))
    html = job._repr_html_()
    assert html.count("<tr>") == 102 and "and 150 more" in html
    job.results(20)


def test_a_killed_worker_is_a_retry(mortal_executor, tmp_path):
    names = ["one", "two", "three"]
    job = mortal_executor.run(die_at_first, [str(tmp_path)] * 3, names)
    assert job.results(60) == names
    assert sum(task.retries for task in job) >= 3
    assert all(task.retries >= 1 for task in job)


def test_values_of_a_closed_cluster_are_refused_at_once():
    with Executor(processes=False, n_workers=1) as executor:
        job = executor.run(abs, [-1, 2])
        assert job.results() == [1, 2]
    for fetch in (job.results, job.tasks[0].result, job.tasks[0].exception):
        with pytest.raises(RuntimeError, match="cluster that is closed now: fetch them before"):
            fetch()
