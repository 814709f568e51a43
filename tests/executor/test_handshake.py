"""Workers that cannot run our tasks, or would round otherwise, are found before work starts."""

import functools
import os
import signal
import subprocess
import sys
import warnings
from dataclasses import replace

import dask
import pytest
from distributed import Client, LocalCluster

from daskml_exec import Executor
from daskml_exec.executor import WorkerMismatchError, _handshake
from daskml_exec.executor._handshake import Fingerprint, compare, fingerprint

MINE = Fingerprint("0.1.0", "2026.8.0", "2026.8.0", "openblas 0.3 (Haswell), CPU one")
A, B, C = "tcp://10.0.0.1:1", "tcp://10.0.0.2:2", "tcp://10.0.0.3:3"

# Python imports it at start; the worker then finds everything but this package.
WITHOUT_THE_PACKAGE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "daskml_exec":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


def test_workers_that_agree():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare(MINE, {A: MINE, B: MINE})
        compare(MINE, {A: replace(MINE, arithmetic="other"), B: replace(MINE, arithmetic="other")})


@pytest.mark.parametrize("name", ["package", "dask", "distributed"])
def test_another_version(name):
    distribution = "daskml-exec" if name == "package" else name
    here = getattr(MINE, name)
    with pytest.raises(WorkerMismatchError) as info:
        compare(MINE, {A: MINE, B: replace(MINE, **{name: "0.0.9"})})
    assert str(info.value) == (
        f"worker {B} has {distribution} 0.0.9, the driver has {here}. Install the same version "
        f"there: pip install {distribution}=={here}"
    )


@pytest.mark.parametrize(
    "missing",
    [
        ModuleNotFoundError("No module named 'daskml_exec'"),
        Exception("ModuleNotFoundError(\"No module named 'daskml_exec'\")"),
    ],
)
def test_a_worker_without_the_package(missing):
    with pytest.raises(WorkerMismatchError, match="cannot import daskml_exec") as info:
        compare(MINE, {A: MINE, B: missing})
    assert B in str(info.value) and "pip install daskml-exec==0.1.0" in str(info.value)
    assert info.value.__cause__ is missing


def test_a_worker_that_answers_with_another_error():
    broken = AttributeError("module 'daskml_exec.executor' has no attribute '_handshake'")
    with pytest.raises(WorkerMismatchError, match="probably another version") as info:
        compare(MINE, {A: broken})
    assert A in str(info.value) and "_handshake" in str(info.value)


def test_workers_that_round_otherwise_give_one_warning():
    other = replace(MINE, arithmetic="mkl 2026 (avx512), CPU two")
    with pytest.warns(RuntimeWarning, match="last bits") as caught:
        compare(MINE, {A: MINE, B: other, C: MINE})
    assert len(caught) == 1
    text = str(caught[0].message)
    assert f"{A}, {C}: {MINE.arithmetic}" in text and f"{B}: {other.arithmetic}" in text


def test_fingerprint_of_this_process():
    mine = fingerprint()
    assert mine.dask == dask.__version__
    assert mine.package[0].isdigit()
    assert "(" in mine.arithmetic


def test_the_addresses_of_the_workers(executor, process_executor):
    for ex in (executor, process_executor):
        assert set(ex.check_workers()) == {worker.address for worker in ex.workers()}


def test_a_real_worker_without_the_package(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_THE_PACKAGE)
    with (
        LocalCluster(
            n_workers=1, processes=False, protocol="tcp", host="127.0.0.1",
            dashboard_address="127.0.0.1:0", worker_dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        options = (
            f"{cluster.scheduler_address} --host 127.0.0.1 --no-nanny --no-dashboard --name bare"
        )
        worker = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", *options.split()],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            client.wait_for_workers(2, timeout=30)
            info = client.scheduler_info(n_workers=-1)["workers"]
            bare = next(address for address, worker in info.items() if worker["name"] == "bare")
            with pytest.raises(WorkerMismatchError) as raised:
                Executor(client).check_workers()
            assert f"worker {bare} cannot import daskml_exec" in str(raised.value)
            assert "pip install daskml-exec==" in str(raised.value)
        finally:
            worker.terminate()
            worker.wait(20)


def test_a_cluster_without_workers():
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Executor(cluster) as executor,
        dask.config.set({"daskml-exec.workers-timeout": "100ms"}),
        pytest.raises(TimeoutError, match=r"has no worker.*within 0.1 s.*workers-timeout") as info,
    ):
        executor.check_workers()
    assert cluster.scheduler_address in str(info.value)


def test_waits_for_the_first_worker():
    with (
        LocalCluster(
            n_workers=0, processes=False, dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
        ) as cluster,
        Executor(cluster) as executor,
    ):  # fmt: skip
        cluster.adapt(minimum=0, maximum=1, interval="10ms")
        assert len(executor.check_workers()) == 1


def die_or_answer(doomed):
    if os.getpid() in doomed:
        os.kill(os.getpid(), signal.SIGKILL)
    return fingerprint()


@pytest.mark.parametrize("n_doomed", [1, 2])
def test_workers_that_die_before_they_answer(mortal_executor, monkeypatch, n_doomed):
    doomed = {worker.address: worker.pid for worker in mortal_executor.workers()[:n_doomed]}
    dying = functools.partial(die_or_answer, set(doomed.values()))
    monkeypatch.setattr(_handshake, "fingerprint", dying)
    addresses = mortal_executor.check_workers()
    assert addresses and not doomed.keys() & set(addresses)
    assert set(mortal_executor.events.workers_lost) == doomed.keys()


def test_a_worker_that_was_killed_a_moment_before(mortal_executor):
    for _ in range(3):
        victim, *_ = mortal_executor.workers()
        os.kill(victim.pid, signal.SIGKILL)
        assert victim.address not in mortal_executor.check_workers()


class Answers:
    """A Client whose workers answer as told, one set of answers after the other."""

    def __init__(self, *rounds):
        self.rounds = list(rounds)

    def run(self, function, on_error):
        return self.rounds.pop(0)


def test_a_worker_that_never_answers():
    unreachable = OSError("Timed out trying to connect")
    client = Answers(*[{A: fingerprint(), B: unreachable}] * 5)
    with pytest.raises(ConnectionError, match=f"worker {B} did not answer.*Timed out") as info:
        _handshake.check_workers(client)
    assert info.value.__cause__ is unreachable
    assert not client.rounds
