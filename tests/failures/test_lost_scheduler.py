"""A scheduler that is lost in mid-fit is named, and the error carries where the fit had come to."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Scheduler, Worker
from distributed.utils import get_mp_context

from daskml_exec import Executor
from daskml_exec.executor import LostSchedulerError
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.neural_network import MLPClassifier
from daskml_exec.training import RoundEvent

NETWORK: dict[str, Any] = {
    "hidden_layer_sizes": (6,),
    "batch_size": 16,
    "max_iter": 10**6,
    "n_iter_no_change": np.inf,
    "random_state": 0,
}
FITS = {
    "rows": LogisticRegression(solver="lbfgs", tol=0),
    "grid": LogisticRegression(parallel="model", tol=0),
    "local steps": MLPClassifier(**NETWORK),
    "with carries": MLPClassifier(compression="topk:0.1", **NETWORK),
    "segments": MLPClassifier(parallel="model", n_blocks=2, **NETWORK),
}


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 5))
    y = (X[:, 0] + rng.logistic(size=len(X)) > 0).astype(int)
    return da.from_array(X, chunks=(150, 5)), da.from_array(y, chunks=150)


def weights(model: Any) -> Any:
    return model.coefs_[0] if hasattr(model, "coefs_") else model.coef_


def fit_until(model: Any, end: Any) -> None:
    """Fit, let the scheduler end after a few rounds, and check the error."""
    seen: list[Any] = []

    def after_round(event: RoundEvent) -> None:
        if event.record.round == 3:
            seen.append(weights(event.estimator).copy())
            end()

    short = {"daskml-exec.commit-interval": "0s", "daskml-exec.segment-duration": "5ms"}
    model.set_params(callbacks=[after_round])
    with (
        dask.config.set(short),
        pytest.raises(LostSchedulerError, match="the scheduler is lost") as error,
    ):
        model.fit(*data())
    kept = weights(error.value.model)
    if getattr(model, "parallel", "data") == "model" and isinstance(model, MLPClassifier):
        assert kept.shape == seen[0].shape  # of an earlier round
    else:
        np.testing.assert_array_equal(kept, seen[0])
    assert error.value.state is not None
    assert not hasattr(model, "n_features_in_")


def refuses_what_comes_later(executor: Executor) -> None:
    for call in (
        lambda: LogisticRegression().fit(*data()),
        lambda: executor.submit(pow, 2, 2),
        lambda: executor.run(pow, [2], [2]),
        executor.workers,
    ):
        with pytest.raises((LostSchedulerError, RuntimeError), match=r"[oO]pen another Executor"):
            call()


@pytest.mark.parametrize("fit", FITS)
def test_a_cluster_that_somebody_closes(fit: str) -> None:
    with Executor(processes=False, n_workers=2) as executor:
        fit_until(FITS[fit], executor.client.cluster.close)
        refuses_what_comes_later(executor)


def test_a_job_is_told_so_too() -> None:
    with Executor(processes=False, n_workers=1) as executor:
        job = executor.run(lambda i: threading.Event().wait(2), [0, 1], name="waits")
        threading.Thread(target=executor.client.cluster.close).start()
        with pytest.raises(LostSchedulerError, match="job 'waits'"):
            job.results()


def test_a_client_that_somebody_closes() -> None:
    with Executor(processes=False, n_workers=2) as executor:
        fit_until(FITS["rows"], executor.client.close)
        refuses_what_comes_later(executor)


def silence() -> None:
    """What another process says of the loss is not what the driver says."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def serve(pipe: Any) -> None:
    """Be a scheduler, and say where."""
    silence()

    async def run() -> None:
        async with Scheduler(host="127.0.0.1", dashboard=False) as scheduler:
            pipe.send(scheduler.address)
            await scheduler.finished()

    asyncio.run(run())


def work(address: str) -> None:
    """Be a worker of that scheduler, also when it has gone."""
    silence()

    async def run() -> None:
        async with Worker(address, nthreads=1) as worker:
            await worker.finished()

    asyncio.run(run())


@pytest.fixture
def scheduler() -> Iterator[tuple[Any, str]]:
    """A scheduler process of its own, with a worker: the process and its address."""
    context = get_mp_context()  # they are forked from what has imported everything
    ours, theirs = context.Pipe()
    with ExitStack() as ends:

        def started(target: Any, argument: Any) -> Any:
            process = context.Process(target=target, args=[argument], daemon=True)
            process.start()
            ends.callback(process.join, 20)
            ends.callback(process.kill)
            return process

        process = started(serve, theirs)
        assert ours.poll(60)
        address = ours.recv()
        started(work, address)
        yield process, address


# The other strategies wait for their results in the same way.
@pytest.mark.parametrize(
    "fit", ["rows", *(pytest.param(f, marks=pytest.mark.slow) for f in FITS if f != "rows")]
)
def test_a_process_that_is_killed(scheduler: Any, fit: str, capfd: Any) -> None:
    process, address = scheduler
    with Executor(address) as executor:
        executor.client.wait_for_workers(1)
        fit_until(FITS[fit], process.kill)
        refuses_what_comes_later(executor)
    assert "Traceback" not in capfd.readouterr().err
