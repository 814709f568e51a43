"""A worker process killed at an exact moment of a fit leaves the bits of the result as they were.

Moments are reached by events: the code that is to be interrupted says that it is there and waits,
the test kills, and the code goes on. Worker processes are real, under a Nanny, and end by SIGKILL.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Event, get_worker

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.training import RoundEvent
from tests.tiers import slow

ROWS, COLUMNS, CHUNK = 1_000, 6, 130


def make_rows(start: int, stop: int) -> np.ndarray[Any, Any]:
    """Return rows of X with the label as last column; the same for the same range, anywhere."""
    rng = np.random.default_rng((start, stop))
    X = rng.normal(size=(stop - start, COLUMNS))
    y = (X[:, 0] - X[:, 1] + rng.logistic(size=len(X)) > 0).astype(float)
    return np.column_stack([X, y])


def lazy_data(load: Callable[..., Any] = make_rows) -> tuple[Any, Any]:
    """Return X and y as Dask arrays whose chunks are made by `load` on the workers."""
    chunks = (tuple(min(CHUNK, ROWS - at) for at in range(0, ROWS, CHUNK)),)

    def load_chunk(_: Any, block_info: Any) -> Any:
        ((start, stop),) = block_info[None]["array-location"][:1]
        return load(start, stop)

    rows = da.map_blocks(
        load_chunk,
        da.zeros(ROWS, chunks=chunks, dtype=float),
        new_axis=1,
        chunks=(*chunks, (COLUMNS + 1,)),
        dtype=float,
        meta=np.empty((0, 0)),
    )
    return rows[:, :COLUMNS], rows[:, COLUMNS]


def bits(model: LogisticRegression) -> bytes:
    return model.coef_.tobytes() + model.intercept_.tobytes()


def kill(executor: Executor, address: str) -> None:
    (worker,) = (w for w in executor.workers() if w.address == address)
    os.kill(worker.pid, signal.SIGKILL)


@pytest.fixture
def executor() -> Iterator[Executor]:
    """Two worker processes in which something may be replaced."""
    with Executor(n_workers=2) as executor:
        yield executor


@pytest.fixture(scope="module")
def plain_processes() -> Iterator[Executor]:
    with Executor(n_workers=2) as executor:
        yield executor


@pytest.fixture
def shared(plain_processes: Executor) -> Iterator[Executor]:
    """Two worker processes that may be killed; the Nanny starts a new one for each."""
    plain_processes.client.wait_for_workers(2)
    with plain_processes:
        yield plain_processes


# Both go the same way through the cluster.
@pytest.fixture(scope="module", params=["lbfgs", pytest.param("averaging", marks=pytest.mark.slow)])
def solver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def undisturbed(solver: str) -> bytes:
    """The result on one worker that lives."""
    with Executor(processes=False, n_workers=1):
        return bits(LogisticRegression(solver=solver).fit(*lazy_data()))


@pytest.mark.parametrize("n_workers", [slow(1), 2, slow(4)])
def test_same_bits_on_any_number_of_worker_processes(
    n_workers: int, solver: str, undisturbed: bytes
) -> None:
    with Executor(n_workers=n_workers):
        model = LogisticRegression(solver=solver).fit(*lazy_data())
    assert bits(model) == undisturbed
    assert model.history_.workers_lost == 0


def test_killed_a_moment_before_a_fit(shared: Executor, solver: str, undisturbed: bytes) -> None:
    for _ in range(2):
        kill(shared, shared.workers()[0].address)
        assert bits(LogisticRegression(solver=solver).fit(*lazy_data())) == undisturbed


@pytest.mark.parametrize("moment", [0, 1, 4])
def test_killed_between_two_rounds(
    shared: Executor, moment: int, solver: str, undisturbed: bytes
) -> None:
    victims: list[str] = []

    def kill_after_round(event: RoundEvent) -> None:
        if event.record.round == moment:
            victims.append(shared.workers()[0].address)
            kill(shared, victims[0])

    model = LogisticRegression(solver=solver, callbacks=[kill_after_round])
    model.fit(*lazy_data())
    assert bits(model) == undisturbed
    assert model.history_.workers_lost == 1
    assert model.history_.tasks_recomputed >= 1
    assert sum(record.workers_lost for record in model.history_[moment + 1 :]) == 1


def wait_inside(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Say where this call is, once on the cluster, and wait to be killed."""

    def waiting(*args: Any, **options: Any) -> Any:
        if not Event("go on").is_set():
            get_worker().log_event("waiting", get_worker().address)
            Event("go on").wait()
        return kernel(*args, **options)

    return waiting


def gate_kernel(name: str, dask_worker: Any) -> None:
    """Replace a kernel in this worker process by one that waits inside."""
    from daskml_exec.linear_model import _problem, _queries

    (module,) = (module for module in (_queries, _problem) if hasattr(module, name))
    setattr(module, name, wait_inside(getattr(module, name)))


class Victim:
    """Kills the first worker that says it waits, then lets everybody go on."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.address: str | None = None
        executor.client.subscribe_topic("waiting", self._on_waiting)

    def _on_waiting(self, event: tuple[float, str]) -> None:
        if self.address is None:
            self.address = event[1]
            threading.Thread(target=self._kill).start()  # this is the client's event loop

    def _kill(self) -> None:
        kill(self._executor, self.address or "")
        Event("go on", client=self._executor.client).set()


@pytest.mark.parametrize("kernel", ["column_moments", "loss_sums"])
def test_killed_inside_a_round(
    executor: Executor, kernel: str, solver: str, undisturbed: bytes
) -> None:
    executor.client.run(gate_kernel, kernel)
    victim = Victim(executor)
    model = LogisticRegression(solver=solver).fit(*lazy_data())
    assert victim.address is not None
    assert bits(model) == undisturbed
    assert model.history_.workers_lost == 1
    assert model.history_.tasks_recomputed >= 1


def test_newton_killed_inside_the_round_of_a_hessian(executor: Executor) -> None:
    with Executor(processes=False, n_workers=1):
        expected = bits(LogisticRegression(solver="newton").fit(*lazy_data()))
    executor.client.run(gate_kernel, "hessian_sums")
    victim = Victim(executor)
    model = LogisticRegression(solver="newton").fit(*lazy_data())
    assert victim.address is not None
    assert [record.step for record in model.history_][:2] == ["moments", "hessian"]
    assert bits(model) == expected
    assert model.history_.workers_lost == 1
    assert model.history_.tasks_recomputed >= 1


def test_killed_while_data_is_loaded(executor: Executor, solver: str, undisturbed: bytes) -> None:
    victim = Victim(executor)
    model = LogisticRegression(solver=solver).fit(*lazy_data(wait_inside(make_rows)))
    assert victim.address is not None
    assert bits(model) == undisturbed
    assert model.history_.workers_lost == 1


def test_killed_with_data_that_the_driver_owns(shared: Executor, solver: str) -> None:
    rows = make_rows(0, ROWS)
    X, y = np.ascontiguousarray(rows[:, :COLUMNS]), rows[:, COLUMNS]

    def fit(*callbacks: Any) -> LogisticRegression:
        with dask.config.set({"daskml-exec.partition-bytes": X.nbytes // 5}):
            return LogisticRegression(solver=solver, callbacks=callbacks).fit(X, y)

    def kill_after_moments(event: RoundEvent) -> None:
        if event.record.step == "moments":
            kill(shared, shared.workers()[0].address)

    expected = fit()
    model = fit(kill_after_moments)
    assert model.history_.n_partitions > 3
    assert bits(model) == bits(expected)
    assert model.history_.workers_lost == 1


def test_one_partition_that_trains_inside_a_task(executor: Executor, solver: str) -> None:
    rows = make_rows(0, ROWS)
    X, y = rows[:, :COLUMNS], rows[:, COLUMNS]
    expected = LogisticRegression(solver=solver).fit(X, y)
    executor.client.run(gate_kernel, "loss_sums")
    victim = Victim(executor)
    model = LogisticRegression(solver=solver).fit(X, y)
    assert victim.address is not None
    assert bits(model) == bits(expected)
    assert model.history_.workers_lost == 1
