"""Two users' drivers on one cluster, of which one is stopped while it has the workers."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

from daskml_exec import Executor
from daskml_exec.executor import tuned
from tests.conftest import ROOT
from tests.executor.peers.leftovers import until_nothing_is_left
from tests.neural_network.block_fits import bits, blocks, fit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"),
]

OTHER_DRIVER = """
import hashlib
import sys
import time

import dask

dask.config.set(
    {
        "daskml-exec.lease-timeout": "1s",
        "daskml-exec.segment-duration": "1ms",
        "daskml-exec.commit-interval": "0s",
        "distributed.client.heartbeat": "100ms",
    }
)

from daskml_exec import Executor
from daskml_exec.executor.peers import PeerGroup
from tests.neural_network.block_fits import bits, blocks, fit

admit, turns = PeerGroup.admit, []

def admit_and_tell(group):
    admit(group)
    turns.append(group)
    if len(turns) == 3:
        print("has the workers", flush=True)
        time.sleep(2)  # here it is stopped

PeerGroup.admit = admit_and_tell
with Executor(sys.argv[1]):
    print(hashlib.sha256(bits(fit(blocks()))).hexdigest(), flush=True)
"""


@tuned(admission_look_seconds=0.1)
def test_a_driver_that_is_stopped_and_goes_on(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(OTHER_DRIVER)
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        dask.config.set({"daskml-exec.segment-duration": "1ms"}),
        Executor(client),
        subprocess.Popen(
            [sys.executable, "-W", "ignore", script, cluster.scheduler_address],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        ) as other,
    ):
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "has the workers\n"
            other.send_signal(signal.SIGSTOP)
            mine = bits(fit(blocks()))
            assert other.poll() is None
            other.send_signal(signal.SIGCONT)
            theirs = other.stdout.readline().strip()
            assert theirs == hashlib.sha256(mine).hexdigest()
            assert other.wait(60) == 0
        finally:
            other.kill()
        until_nothing_is_left(client)
