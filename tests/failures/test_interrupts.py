"""Ctrl-C in a terminal, and a notebook's stop button: SIGINT to all processes of the group."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs process groups")

SCRIPT = """
import sys, warnings
import dask
import dask.array as da
import numpy as np
from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.neural_network import MLPClassifier

warnings.simplefilter("ignore")

def tell(event):
    if event.record.round == 1:
        print("running", flush=True)

def network(**arguments):
    return MLPClassifier((8, 8), batch_size=16, max_iter=10**6, n_iter_no_change=np.inf,
                         random_state=0, callbacks=[tell], **arguments)

def linear(**arguments):
    return LogisticRegression(tol=0, max_iter=10**6, callbacks=[tell], **arguments)

def sleep(seconds):
    import os, time
    os.write(1, b"running\\n")  # in one piece: several do at the same time
    time.sleep(seconds)

FITS = {
    "linear": lambda executor, X, y: linear(solver="averaging").fit(X, y),
    "grid": lambda executor, X, y: linear(parallel="model").fit(X, y),
    "network": lambda executor, X, y: network().fit(X, y),
    "blocks": lambda executor, X, y: network(parallel="model", n_blocks=2).fit(X, y),
    "hybrid": lambda executor, X, y: network(parallel="hybrid", n_blocks=2).fit(X, y),
    "job": lambda executor, X, y: executor.run(sleep, [3.0] * 4).results(),
    "future": lambda executor, X, y: executor.submit(sleep, 3.0).result(),
    "lazy": lambda executor, X, y: da.map_blocks(lambda x: sleep(3.0), X, dtype=float).compute(),
}

if __name__ == "__main__":
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 20))
    y = (X[:, 0] + rng.logistic(size=len(X)) > 0).astype(int)
    X, y = da.from_array(X, chunks=(1000, 20)), da.from_array(y, chunks=1000)
    with Executor(n_workers=2, threads_per_worker=2) as executor:
        pids = [worker.pid for worker in executor.workers()]
        for name in sys.argv[1:]:
            with executor:
                try:
                    FITS[name](executor, X, y)
                except KeyboardInterrupt:
                    print("stopped", flush=True)
            LogisticRegression(max_iter=1).fit(X, y)
            same = [worker.pid for worker in executor.workers()] == pids
            print("went on with", "the same" if same else "other", "workers", flush=True)
"""


@pytest.fixture
def interrupted(tmp_path):
    """Run the script in a process group of its own, and interrupt each of its fits."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def run(*fits: str) -> tuple[int, list[str], str]:
        with subprocess.Popen(
            [sys.executable, script, *fits],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            told: list[str] = []
            try:
                for line in running(process):
                    first = line == "running" and len(told) % 3 == 0
                    if first:
                        os.killpg(process.pid, signal.SIGINT)
                    if first or line != "running":  # each task says that it runs
                        told.append(line)
                return process.wait(), told, process.stderr.read()
            except BaseException:  # the test's time is over
                os.killpg(process.pid, signal.SIGKILL)
                raise

    return run


def running(process: "subprocess.Popen[str]") -> Iterator[str]:
    for line in process.stdout:
        yield line.strip()


def check(interrupted, *fits: str) -> None:
    code, told, errors = interrupted(*fits)
    assert errors == "", "no worker complains, while the fits are stopped or when all is closed"
    assert code == 0
    assert told == ["running", "stopped", "went on with the same workers"] * len(fits)


def test_fits_are_stopped_and_the_next_one_runs(interrupted):
    check(interrupted, "linear", "network")


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["grid", "blocks", "hybrid", "job", "future", "lazy"])
def test_other_fits_and_calls_are_stopped(interrupted, fit):
    check(interrupted, fit)
