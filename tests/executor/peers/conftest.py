"""Runs on clusters of threads."""

import pytest
from distributed import Client, LocalCluster

from daskml_exec import Executor
from daskml_exec.executor.peers import PeerGroup


@pytest.fixture
def group(executor):
    group = PeerGroup(executor, "group")
    yield group
    group.leave()
    group.close()


@pytest.fixture
def short_lived():
    """Three one-thread workers of this process, which the test closes."""
    with (
        LocalCluster(
            n_workers=3, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield cluster, Executor(client)
