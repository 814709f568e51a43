"""Workers that lack the package: found before a task harms them, and given it."""

import os
import subprocess
import sys
from contextlib import ExitStack
from importlib import metadata

import numpy as np
import pytest
from distributed import Client

from daskml_exec import Executor
from daskml_exec.executor import WorkerMismatchError, _install
from daskml_exec.linear_model import Ridge

# Python imports it at start. It takes off the path what an editable install has put there.
WITHOUT_THE_PACKAGE = """
import os, sys
sys.path[:] = [path for path in sys.path if not os.path.isdir(os.path.join(path, "daskml_exec"))]
"""

# A Nanny starts its worker anew with the package: what Dask imports need not be imported again.
FORKED = {"DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver"}


@pytest.fixture
def bare(tmp_path):
    """Start schedulers and workers as another machine would, without the package; return Popen."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_THE_PACKAGE)
    with ExitStack() as stack:

        def start(kind, *options):
            command = ["-m", f"distributed.cli.dask_{kind}", "--host", "127.0.0.1", *options]
            process = subprocess.Popen(
                [sys.executable, *command, "--dashboard-address", "127.0.0.1:0"],
                env=os.environ | FORKED | {"PYTHONPATH": str(tmp_path)},
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
            return process

        yield start


@pytest.fixture
def client(bare, tmp_path):
    """The Client of a scheduler that lacks the package, too."""
    file = tmp_path / "scheduler.json"
    bare("scheduler", "--port", "0", "--scheduler-file", str(file))
    with Client(scheduler_file=str(file), set_as_default=False, timeout=60) as client:
        yield client


def join(bare, client, *options):
    before = len(client.nthreads())
    bare("worker", client.scheduler.address, "--nthreads", "1", *options)
    client.wait_for_workers(before + 1, timeout=60)


@pytest.mark.parametrize("nanny", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_workers_without_the_package(bare, client, nanny):
    options = () if nanny else ("--no-nanny",)
    join(bare, client, *options)
    workers = set(client.nthreads())
    executor = Executor(client)
    X = np.random.default_rng(0).normal(size=(30, 3))
    with executor:
        for work in (
            lambda: executor.submit(abs, -1),
            lambda: executor.run(abs, [-1]),
            lambda: list(executor.map(abs, [-1])),
            lambda: Ridge().fit(X, X[:, 0]),
        ):
            with pytest.raises(WorkerMismatchError, match=r"cannot import.*install_on_workers"):
                work()
        assert client.submit(abs, -1, pure=False).result(30) == 1
        assert set(client.nthreads()) == workers, "nobody was harmed"

        assert len(executor.install_on_workers()) == 1
        assert executor.submit(abs, -2).result(60) == 2
        join(bare, client, *options)
        assert len(executor.check_workers()) == 2
        assert executor.run(abs, range(-4, 0)).results() == [4, 3, 2, 1]
        assert Ridge().fit(X, X[:, 0]).score(X, X[:, 0]) > 0.9


def test_wrong_arguments(executor):
    with pytest.raises(ValueError, match=r"how='conda'; allowed are 'upload' and 'pip'"):
        executor.install_on_workers("conda")
    with pytest.raises(ValueError, match=r"packages=\['x'\] given with how='upload'"):
        executor.install_on_workers(packages=["x"])


class Recorder:
    """A Client that keeps the plugins that it is to register."""

    def __init__(self, *nannies):
        self.workers = {at: {"nanny": nanny} for at, nanny in enumerate(nannies)}
        self.plugins = []

    def register_plugin(self, plugin):
        self.plugins.append(plugin)


@pytest.mark.parametrize(("nannies", "restart"), [(("a", "b"), True), (("a", None), False)])
def test_pip_on_workers(nannies, restart, monkeypatch):
    monkeypatch.setattr(_install, "workers_now", lambda client: client.workers)
    client = Recorder(*nannies)
    _install.pip_install(client, [])
    _install.pip_install(client, ["https://example.org/daskml_exec.whl"])
    ours, given = client.plugins
    assert ours._install_fn.packages == [f"daskml-exec=={metadata.version('daskml-exec')}"]
    assert given._install_fn.packages == ["https://example.org/daskml_exec.whl"]
    assert ours.restart_workers is given.restart_workers is restart
