"""Workers that cannot run our tasks, or would round otherwise, are found before work starts."""

import functools
import os
import platform
import signal
import warnings

import dask
import pytest
from distributed import LocalCluster

from daskml_exec import Executor
from daskml_exec.executor import WorkerMismatchError, _handshake
from daskml_exec.executor._environment import compare_environments, environment
from daskml_exec.executor._handshake import compare, fingerprint

MINE = environment()
ARITHMETIC = "openblas 0.3 (Haswell), CPU one"
A, B, C = "tcp://10.0.0.1:1", "tcp://10.0.0.2:2", "tcp://10.0.0.3:3"


def like_mine(**versions):
    return {**MINE, "versions": {**MINE["versions"], **versions}}


def newer(version, part):
    """The version with this part, counted from 0, raised by one."""
    parts = [*version.split("."), "0"][:3]
    parts[part] = str(int(parts[part]) + 1)
    return ".".join(parts)


def test_workers_that_agree():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare_environments(MINE, {A: MINE, B: like_mine()})
        compare({A: ARITHMETIC, B: ARITHMETIC})
        compare({A: "other", B: "other"})


@pytest.mark.parametrize("name", ["daskml-exec", "dask", "distributed"])
def test_another_version(name):
    here = MINE["versions"][name]
    with pytest.raises(WorkerMismatchError) as info:
        compare_environments(
            MINE, {f"worker {A}": MINE, f"worker {B}": like_mine(**{name: "0.0.9"})}
        )
    assert str(info.value).startswith(
        f"worker {B} has 0.0.9 of {name}, the driver has {here}. Install the same there: "
        f"pip install {name}=={here}"
    )


@pytest.mark.parametrize("name", ["numpy", "scipy", "scikit-learn", "cloudpickle"])
def test_what_the_package_builds_on(name):
    here = MINE["versions"][name]
    for part in (0, 1):
        with pytest.raises(WorkerMismatchError, match=f"pip install {name}=={here}"):
            compare_environments(MINE, {A: like_mine(**{name: newer(here, part)})})
    with pytest.raises(WorkerMismatchError, match=f"{A} lacks {name}, the driver has {here}"):
        compare_environments(MINE, {A: like_mine(**{name: None})})
    patched = like_mine(**{name: newer(here, 2)})
    with pytest.warns(RuntimeWarning, match="last bits") as caught:
        compare_environments(MINE, {A: patched, B: MINE, C: patched})
    assert len(caught) == 1 and f"(here {here}) on {A}, {C}" in str(caught[0].message)


def test_another_python():
    with pytest.raises(WorkerMismatchError, match=r"runs Python 3\.7, the driver 3\.\d+.*Start it"):
        compare_environments(MINE, {A: {**MINE, "python": "3.7.9"}})
    compare_environments(MINE, {A: {**MINE, "python": f"{MINE['python']}9"}})


def test_a_source_tree_has_no_version():
    compare_environments(MINE, {A: like_mine(**{"daskml-exec": None})})


def test_a_worker_without_the_package():
    with pytest.raises(WorkerMismatchError, match="cannot import daskml_exec") as info:
        compare_environments(MINE, {A: {**MINE, "found": False}})
    assert f"pip install daskml-exec=={MINE['versions']['daskml-exec']}" in str(info.value)
    assert A in str(info.value) and "executor.install_on_workers()" in str(info.value)


@pytest.mark.parametrize(
    "missing",
    [
        ModuleNotFoundError("No module named 'daskml_exec'"),
        Exception("ModuleNotFoundError(\"No module named 'daskml_exec'\")"),
    ],
)
def test_a_worker_where_something_cannot_be_imported(missing):
    with pytest.raises(WorkerMismatchError, match="cannot import daskml_exec") as info:
        compare({A: ARITHMETIC, B: missing})
    assert B in str(info.value) and info.value.__cause__ is missing


def test_a_worker_that_answers_with_another_error():
    broken = AttributeError("module 'daskml_exec.executor' has no attribute '_handshake'")
    with pytest.raises(WorkerMismatchError, match="probably another version") as info:
        compare({A: broken})
    assert A in str(info.value) and "_handshake" in str(info.value)
    with pytest.raises(WorkerMismatchError, match=f"{A} did not answer"):
        compare_environments(MINE, {A: broken})


def test_workers_that_round_otherwise_give_one_warning():
    other = "mkl 2026 (avx512), CPU two"
    with pytest.warns(RuntimeWarning, match="last bits") as caught:
        compare({A: ARITHMETIC, B: other, C: ARITHMETIC})
    assert len(caught) == 1
    text = str(caught[0].message)
    assert f"{A}, {C}: {ARITHMETIC}" in text and f"{B}: {other}" in text


def test_this_process():
    assert MINE["versions"]["dask"] == dask.__version__
    assert MINE["python"] == platform.python_version() and MINE["found"]
    assert "(" in fingerprint()


def test_the_addresses_of_the_workers(executor, process_executor):
    for ex in (executor, process_executor):
        assert set(ex.check_workers()) == {worker.address for worker in ex.workers()}


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


def test_a_worker_that_never_answers(monkeypatch):
    monkeypatch.setattr(_handshake, "check_newcomers", lambda client, every: None)
    unreachable = OSError("Timed out trying to connect")
    client = Answers(*[{A: fingerprint(), B: unreachable}] * 5)
    with pytest.raises(ConnectionError, match=f"worker {B} did not answer.*Timed out") as info:
        _handshake.check_workers(client)
    assert info.value.__cause__ is unreachable
    assert not client.rounds
