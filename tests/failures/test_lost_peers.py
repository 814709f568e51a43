"""Worker processes that are killed, or hang, while they hold blocks of a network.

Moments are reached by events, as in `test_lost_workers`; workers end by SIGKILL, under a Nanny.
"""

import importlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import dask
import numpy as np
import pytest
from distributed import Event, get_worker

from daskml_exec import Executor
from daskml_exec.executor.peers import PeerTimeoutError
from daskml_exec.neural_network import MLPClassifier
from daskml_exec.training import RoundEvent
from tests.executor.peers.leftovers import until_nothing_is_left
from tests.failures.test_lost_workers import kill, lazy_data
from tests.tiers import slow

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"
)
KINDS = {
    "model": {"n_blocks": 3},
    "hybrid": {"n_blocks": 2, "n_replicas": 2, "sync_every": 3},
}


def network(parallel: str, **arguments: Any) -> MLPClassifier:
    return MLPClassifier(
        hidden_layer_sizes=(6, 5),
        max_iter=3,
        batch_size=100,
        random_state=0,
        parallel=parallel,
        **KINDS[parallel] | arguments,
    )


def bits(model: MLPClassifier) -> bytes:
    return b"".join(part.tobytes() for part in (*model.coefs_, *model.intercepts_))


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    """Two worker processes; the Nanny starts a new one for each that is killed."""
    with Executor(n_workers=2) as executor:
        yield executor


@pytest.fixture
def executor(processes: Executor) -> Iterator[Executor]:
    processes.client.wait_for_workers(2)
    short = {"daskml-exec.commit-interval": "0s", "daskml-exec.segment-duration": "5ms"}
    with processes, dask.config.set(short):
        yield processes
    until_nothing_is_left(processes.client)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, bytes]:
    with Executor(processes=False, n_workers=1):
        return {kind: bits(network(kind).fit(*lazy_data())) for kind in KINDS}


@pytest.mark.parametrize("kind", [slow("model"), "hybrid"])  # one without replicas is killed below
def test_killed_between_two_segments(
    executor: Executor, undisturbed: dict[str, bytes], kind: str
) -> None:
    def kill_after_segment(event: RoundEvent) -> None:
        if event.record.round == 2:
            kill(executor, executor.workers()[0].address)

    model = network(kind, callbacks=[kill_after_segment]).fit(*lazy_data())
    assert bits(model) == undisturbed[kind]
    assert model.history_.workers_lost == 1
    assert sum(record.retries for record in model.history_) >= 1


def gate(module: str, name: str, dask_worker: Any) -> None:
    """Replace a function in this worker process by one that waits inside, once on the cluster."""
    found = importlib.import_module(module)
    function = getattr(found, name)

    def waiting(*args: Any, **options: Any) -> Any:
        if not Event(f"go on with {name}").is_set():
            get_worker().log_event(f"waiting in {name}", get_worker().address)
            Event(f"go on with {name}").wait()
        return function(*args, **options)

    setattr(found, name, waiting)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("daskml_exec.kernels.networks.blocks.training", "backward"),
        ("daskml_exec.executor.peers._commits", "_take_last"),
    ],
)
def test_killed_within_a_segment(
    executor: Executor, undisturbed: dict[str, bytes], module: str, name: str
) -> None:
    """Inside a step, and inside a commit, where all others wait for the one that is killed."""
    victims: list[str] = []

    def kill_first(event: tuple[float, str]) -> None:
        if not victims:
            victims.append(event[1])
            threading.Thread(target=kill_and_go_on).start()  # this is the client's event loop

    def kill_and_go_on() -> None:
        kill(executor, victims[0])
        Event(f"go on with {name}", client=executor.client).set()

    executor.client.run(gate, module, name)
    executor.client.subscribe_topic(f"waiting in {name}", kill_first)
    model = network("model").fit(*lazy_data())
    assert len(victims) == 1
    assert bits(model) == undisturbed["model"]
    assert model.history_.workers_lost == 1


def gate_shared_memory(dask_worker: Any) -> None:
    """Share small arrays too, and wait before the first look into memory of another process."""
    peer = importlib.import_module("daskml_exec.executor.peers._peer")
    shared_memory = importlib.import_module("daskml_exec.executor.peers._shared_memory")
    peer.LEAST_BYTES = 0  # type: ignore[attr-defined]
    mapped = shared_memory._mapped

    def waiting(shared: Any) -> Any:
        if not Event("look").is_set():
            get_worker().log_event("waiting to look", shared.process)
            Event("look").wait()
        return mapped(shared)

    shared_memory._mapped = waiting  # type: ignore[attr-defined]


def test_a_sender_killed_before_its_memory_was_looked_into(
    executor: Executor, undisturbed: dict[str, bytes]
) -> None:
    victims: list[int] = []

    def kill_sender(event: tuple[float, int]) -> None:
        if not victims:
            victims.append(event[1])
            threading.Thread(target=kill_and_go_on).start()  # this is the client's event loop

    def kill_and_go_on() -> None:
        os.kill(victims[0], signal.SIGKILL)
        Event("look", client=executor.client).set()

    executor.client.run(gate_shared_memory)
    executor.client.subscribe_topic("waiting to look", kill_sender)
    model = network("model").fit(*lazy_data())
    assert len(victims) == 1
    assert bits(model) == undisturbed["model"]
    assert model.history_.workers_lost == 1


def test_a_process_that_hangs_is_named(executor: Executor) -> None:
    """It is stopped, but not gone: its connections stay."""
    pids = executor.client.run(os.getpid)
    victim = min(pids)
    limits = {"daskml-exec.peer-timeout": "0.5s", "daskml-exec.segment-start-timeout": "0.5s"}
    with ExitStack() as after:

        def stop_after_segment(event: RoundEvent) -> None:
            if event.record.round == 1:
                os.kill(pids[victim], signal.SIGSTOP)
                after.callback(os.kill, pids[victim], signal.SIGCONT)
                after.enter_context(dask.config.set(limits))

        with pytest.raises(PeerTimeoutError, match=victim):
            network("model", callbacks=[stop_after_segment]).fit(*lazy_data())
    assert np.isfinite(network("model").fit(*lazy_data()).loss_), "and all goes on"
