"""Scripts that end, or fork, without a word to their Executor."""

import pytest

from daskml_exec.executor import _accepted

OPEN = {
    "threads": "Executor(processes=False, n_workers=2)",
    "processes": "Executor(n_workers=1)",
}
# In one script: starting processes takes longer than all the rest.
ENDS = """
import time
from pathlib import Path
from daskml_exec import Executor

def work(name):
    time.sleep(0.3)
    Path(name).touch()
    return name

def follow(future):
    Path(future.result() + "-called").touch()

if __name__ == "__main__":
    executor = {opened}
    executor.submit(work, "submitted").add_done_callback(follow)
    executor.map(work, ["mapped"])
    executor.run(work, ["run"])
    executor.reduce(executor.run(len, ["one", "two"]), lambda a, b: work("reduced"))
    {end}
"""
FILES = ["mapped", "reduced", "run", "submitted", "submitted-called"]


@pytest.mark.parametrize(
    ("opened", "end"),
    [
        ("threads", "del executor"),
        pytest.param("threads", "executor.shutdown(wait=False)", marks=pytest.mark.slow),
        pytest.param("threads", "raise SystemExit(0)", marks=pytest.mark.slow),
        # That worker processes end with a script that shuts nothing down, `test_current` has.
        pytest.param("processes", "executor.shutdown(wait=False)", marks=pytest.mark.slow),
        pytest.param("processes", "del executor", marks=pytest.mark.slow),
    ],
)
def test_accepted_work_is_done_when_a_script_ends(run_script, tmp_path, opened, end):
    if opened == "threads" and _accepted._STUCK:
        pytest.skip("this Python release starts no threads as it ends, which a warning says")
    done = run_script(ENDS.format(opened=OPEN[opened], end=end))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir() if not path.suffix) == FILES


def test_a_shutdown_that_cancels_is_silent(run_script):
    done = run_script("""
import threading
from daskml_exec import Executor

started, go_on = threading.Event(), threading.Event()

def started_and_waiting(x):
    from __main__ import go_on, started
    started.set()
    assert go_on.wait(20)
    return x

executor = Executor(processes=False, n_workers=1)
running = executor.submit(started_and_waiting, 3)
waiting = [executor.submit(pow, 2, 2) for _ in range(3)]
assert started.wait(20)
waiting[-1].add_done_callback(lambda future: go_on.set())
executor.shutdown(cancel_futures=True)
print(running.result(), [future.cancelled() for future in waiting])
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 [True, True, True]\n", "")


def test_work_that_comes_too_late_is_refused(run_script):
    done = run_script("""
import atexit
from daskml_exec import Executor

def late():
    try:
        executor.submit(pow, 2, 2)
    except RuntimeError as error:
        print(error)

atexit.register(late)
executor = Executor(processes=False, n_workers=1)
print(executor.submit(pow, 2, 2).result())
""")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "4\ncannot schedule new futures after interpreter shutdown\n"


FORKS = """
import multiprocessing
from distributed import Client, LocalCluster
from daskml_exec import Executor

def told(call):
    try:
        call()
    except RuntimeError as error:
        print("forked" in str(error) and "'spawn'" in str(error), flush=True)

def child(calls):
    for call in calls:
        told(call)

def fork(*calls):
    process = multiprocessing.get_context("fork").Process(target=child, args=[calls])
    process.start()
    process.join(30)
    print(process.exitcode, flush=True)

with Executor(processes=False, n_workers=1) as executor:
    pending = executor.submit(pow, 2, 3)
    fork(Executor.current, lambda: executor.submit(pow, 2, 2), lambda: executor.run(pow, [2], [2]),
         executor.shutdown)
    print(Executor.current().submit(pow, 2, 2).result(), flush=True)
with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
    with Client(cluster):
        fork(Executor.current)
        print(Executor.current().submit(pow, 2, 2).result(), flush=True)
"""


def test_a_forked_child_is_told_why_it_cannot(run_script):
    """In a `with`, and where a Client is active; the parent's Executor lives on."""
    done = run_script(FORKS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [*["True"] * 3, "0", "4", "True", "0", "4"]
