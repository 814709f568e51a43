"""Clusters: threads for most tests, real processes for the tests that kill them."""

import subprocess
import sys

import pytest
from distributed import Client, LocalCluster

from daskml_exec import Executor
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def cluster():
    """Two one-thread workers in this process."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    with Client(cluster, set_as_default=False) as client:
        yield client


@pytest.fixture
def executor(client):
    """An Executor that the test may shut down: the Client is not its own."""
    executor = Executor(client)
    yield executor
    executor.shutdown(cancel_futures=True)


def process_workers():
    return LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    )


@pytest.fixture(scope="session")
def process_cluster():
    with process_workers() as cluster:
        yield cluster


@pytest.fixture
def process_executor(process_cluster):
    """Two one-thread worker processes that all tests share: do not kill them."""
    with Client(process_cluster, set_as_default=False) as client:
        executor = Executor(client)
        yield executor
        executor.shutdown(cancel_futures=True)


@pytest.fixture
def mortal_executor():
    """Two one-thread worker processes that the test may kill."""
    with process_workers() as cluster, Client(cluster, set_as_default=False) as client:
        executor = Executor(client)
        yield executor
        executor.shutdown(cancel_futures=True)
        # A Nanny that is closed while it starts its worker anew raises, which is Dask's own fault.
        client.wait_for_workers(2, timeout=30)


@pytest.fixture
def run_script(tmp_path):
    """Run the text of a script in an interpreter of its own."""

    def run(text, timeout=60):
        script = tmp_path / "script.py"
        script.write_text(text)
        return subprocess.run(
            [sys.executable, script],
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run
