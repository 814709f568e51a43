"""Who may have work: workers that are like the driver, and not paused."""

import copy
import warnings

import pytest
from distributed import Status

from daskml_exec.executor import _handshake, workers_now
from daskml_exec.executor._able_workers import able_workers
from daskml_exec.executor._environment import PROBE, environment
from daskml_exec.executor._failures import WorkerMismatchError
from daskml_exec.executor._groups import plan_groups
from tests.executor.peers.leftovers import until

A, B, C = "tcp://10.0.0.1:1", "tcp://10.0.0.2:1", "tcp://10.0.0.3:1"
BLAS = "openblas 0.3 (Haswell), CPU one"


class FakeClient:
    """Workers that answer what they have, by address; an exception is one that is not reached."""

    loop = None

    def __init__(self):
        self.environments, self.fingerprints, self.asked = {}, {}, []
        self.workers = {}

    def run(self, function, *arguments, workers=(), on_error):
        if function is eval:
            assert arguments == (PROBE,)
            self.asked += workers
            return {each: self.environments.get(each, environment()) for each in workers}
        return {each: self.fingerprints.get(each, BLAS) for each in workers or [A, B]}


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(_handshake, "is_embedded", lambda client: False)
    monkeypatch.setattr(_handshake, "scheduler_address", lambda client: "tcp://10.0.0.9:8786")
    monkeypatch.setattr(_handshake, "workers_now", lambda client: client.workers)
    monkeypatch.setattr(_handshake, "in_async_call", lambda loop: False)
    monkeypatch.setattr(_handshake, "check_newcomers", lambda client, every: None)
    client = FakeClient()
    _handshake.check_workers(client)
    assert able_workers(client, info(A, B)) == [A, B]
    client.asked.clear()
    return client


def info(*addresses, paused=(), folder=""):
    return {
        each: {"status": "paused" if each in paused else "running", "local_directory": folder}
        for each in addresses
    }


def other_release(**versions):
    found = copy.deepcopy(environment())
    found["versions"] |= versions
    return found


def test_who_was_there_is_not_asked_again(fake):
    assert able_workers(fake, info(A, B)) == [A, B]
    assert fake.asked == []


def test_one_that_comes_later_is_asked_once(fake):
    for _ in range(2):
        assert able_workers(fake, info(A, B, C)) == [A, B, C]
    assert fake.asked == [C]
    able_workers(fake, info(A, B, C) | info(C, folder="of another start"))
    assert fake.asked == [C, C]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (other_release(dask="2020.1.0"), "dask"),
        (environment() | {"found": False}, "cannot import daskml_exec"),
        (environment() | {"python": "3.2.1"}, r"Python 3\.2"),
    ],
)
def test_one_that_is_not_like_the_driver_is_left_out(fake, answer, why):
    fake.environments[C] = answer
    with pytest.warns(RuntimeWarning, match=f"{C}.*{why}.*goes on without it") as caught:
        assert able_workers(fake, info(A, B, C)) == [A, B]
        assert able_workers(fake, info(A, B, C)) == [A, B]
    assert len(caught) == 1 and fake.asked == [C]


def test_one_that_does_not_answer_is_asked_again(fake):
    fake.environments[C] = OSError("Timed out")
    assert able_workers(fake, info(A, B, C)) == [A, B]
    del fake.environments[C]
    assert able_workers(fake, info(A, B, C)) == [A, B, C]


def test_where_none_is_fit_the_error_says_why(fake, monkeypatch):
    fake.environments |= {B: OSError("Timed out"), C: other_release(dask="2020.1.0")}
    with pytest.warns(RuntimeWarning, match=C):
        assert able_workers(fake, info(B, C) | info(B, folder="of another start")) == []
    fake.workers = info(B, C)
    with pytest.raises(WorkerMismatchError, match=rf"{C}.*dask"):
        raise _handshake.no_fit_worker_error(fake, 1)
    fake.workers = info(B)
    with pytest.raises(TimeoutError, match=f"none of the workers {B} answered.*within 1 s"):
        raise _handshake.no_fit_worker_error(fake, 1)


def test_one_with_another_blas_may_work_and_is_warned_of(fake):
    fake.fingerprints[C] = "mkl 2026 (avx512), CPU two"
    with pytest.warns(RuntimeWarning, match=f"last bits: {C}: mkl 2026") as caught:
        for _ in range(2):
            assert able_workers(fake, info(A, B, C)) == [A, B, C]
    assert len(caught) == 1


def test_one_that_is_paused_is_passed_over_and_the_log_says_so_once(fake, caplog):
    paused = info(A, B, paused=[B])
    for _ in range(2):
        assert able_workers(fake, paused) == [A]
    assert caplog.text.count(f"{B} is passed over while it is paused") == 1
    assert able_workers(fake, info(A, B)) == [A, B]
    assert able_workers(fake, paused) == [A]
    assert caplog.text.count(f"{B} is passed over") == 2


def test_one_that_is_paused_is_waited_for_where_it_is_needed(fake, caplog):
    assert able_workers(fake, info(A, B, paused=[B]), needed=[B]) == [A, B]
    assert able_workers(fake, info(A, B, paused=[A, B])) == [A, B]
    assert caplog.text == ""


def test_threads_of_this_process_are_not_asked(executor):
    workers = workers_now(executor.client)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert able_workers(executor.client, workers) == sorted(workers)


def test_rounds_go_round_a_worker_that_is_paused(cluster, executor):
    """It is given no partition that it does not hold."""
    first, second = sorted(cluster.workers.values(), key=lambda worker: worker.address)
    partitions = executor.client.map(abs, range(4), workers=[first.address], pure=False)
    executor.client.gather(partitions)
    memory, fraction = second.memory_manager, second.memory_manager.memory_pause_fraction
    memory.memory_pause_fraction = 1e-6  # so that what it has is too much
    try:
        until(lambda: second.status == Status.paused)
        until(lambda: {g.worker for g in plan(executor, partitions)} == {first.address})
    finally:
        memory.memory_pause_fraction = fraction
    until(lambda: {g.worker for g in plan(executor, partitions)} == {first.address, second.address})


def plan(executor, partitions):
    return plan_groups(executor.client, partitions, [8] * 4).groups
