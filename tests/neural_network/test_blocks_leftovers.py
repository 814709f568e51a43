"""What fits leave behind on their workers, however they end: nothing."""

import threading

import dask
import numpy as np
import pytest
from distributed import get_worker

from daskml_exec import Executor
from daskml_exec.executor.peers import PeerTimeoutError
from daskml_exec.neural_network import DivergenceError, _block_steps
from tests.executor.peers.leftovers import until, until_nothing_is_left
from tests.neural_network.block_fits import (
    CHUNKS,
    TARGETS,
    X,
    bits,
    blocks,
    distance,
    fit,
    in_chunks,
    model_parallel,
    replicas,
    threads,
)

pytestmark = [
    pytest.mark.usefixtures("short_segments"),
    pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"),
]


def keys_left(executor):
    return executor.client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))


def until_all_is_gone(executor):
    until_nothing_is_left(executor.client)
    until(lambda: keys_left(executor) == [])


@pytest.mark.parametrize("kind", [blocks, replicas])
def test_nothing_is_left_of_a_fit(two_workers, kind):
    with two_workers:
        fit(kind())
    until_all_is_gone(two_workers)


@pytest.mark.parametrize("kind", [blocks, replicas])
def test_data_that_is_not_finite(two_workers, kind):
    bad = X.copy()
    bad[115, 3] = np.nan
    with two_workers, pytest.raises(ValueError, match=r"NaN in partition 2, column 3"):
        kind().fit(in_chunks(bad, *CHUNKS), TARGETS["classes"])
    until_all_is_gone(two_workers)


@pytest.mark.parametrize("kind", [blocks, replicas])
@pytest.mark.filterwarnings("error")
def test_divergence(two_workers, kind):
    model = kind(solver="sgd", learning_rate_init=1e150, activation="identity")
    with two_workers, pytest.raises(DivergenceError, match="learning_rate_init") as caught:
        fit(model)
    assert caught.value.coefs == [] and caught.value.learning_rate == 1e150
    del caught
    until_all_is_gone(two_workers)


@pytest.mark.parametrize("error", [KeyboardInterrupt, LookupError])
def test_a_callback_that_raises(two_workers, error):
    events = []

    def refuse(event):
        events.append(event)
        if event.record.round == 1:
            raise error

    with two_workers, pytest.raises(error):
        fit(blocks(callbacks=[refuse]))
    until_nothing_is_left(two_workers.client)
    with pytest.raises(RuntimeError, match="after its callback had returned"):
        _ = events[-1].estimator
    until_all_is_gone(two_workers)


@pytest.mark.parametrize("kind", [blocks, replicas])
def test_a_callback_that_stops(two_workers, kind):
    seen = []

    def stop(event):
        seen.append(event.estimator)
        return event.record.round == 1

    with two_workers:
        model = fit(kind(callbacks=[stop]))
    assert len(model.history_) == 2 and bits(seen[-1]) == bits(model)
    assert bits(seen[0]) != bits(model)
    until_all_is_gone(two_workers)


def test_an_events_estimator(two_workers):
    events, scores = [], []

    def watch(event):
        events.append(event)
        scores.append(event.estimator.score(X, TARGETS["classes"]))
        assert not hasattr(event.estimator, "history_")

    with two_workers:
        model = fit(blocks(callbacks=[watch]))
    assert scores[-1] == model.score(X, TARGETS["classes"])
    with pytest.raises(RuntimeError, match="the weights live on the workers"):
        _ = events[-1].estimator


def test_an_error_of_a_worker(two_workers, monkeypatch):
    def broken(*args, **options):
        raise LookupError("of a kernel")
        yield

    monkeypatch.setattr(_block_steps, "train_blocks", broken)
    with two_workers, pytest.raises(LookupError, match="of a kernel"):
        fit(blocks())
    until_all_is_gone(two_workers)


def test_a_worker_that_hangs(two_workers, monkeypatch):
    """In a kernel, say; its peer says so after a while."""
    hanging, woken = [], threading.Event()
    train = _block_steps.train_blocks

    def hang(group, *args, **options):
        if 0 in group.blocks:
            hanging.append(get_worker().address)
            woken.wait(30)
        return train(group, *args, **options)

    monkeypatch.setattr(_block_steps, "train_blocks", hang)
    with (
        two_workers,
        dask.config.set({"daskml-exec.peer-timeout": "0.3s"}),
        pytest.raises(PeerTimeoutError, match="did not send") as caught,
    ):
        fit(blocks())
    assert hanging[0] in str(caught.value)
    woken.set()
    del caught
    until_all_is_gone(two_workers)


def test_two_fits_at_once(two_workers, undisturbed_blocks):
    """On workers of one thread each, where one that waited for another would wait for ever."""
    found = {}

    def one(kind):
        with Executor(two_workers.client):
            found[kind] = bits(fit(kind()))

    fits = [threading.Thread(target=one, args=(kind,)) for kind in (blocks, replicas)]
    for thread in fits:
        thread.start()
    for thread in fits:
        thread.join(60)
    assert found == undisturbed_blocks
    until_all_is_gone(two_workers)


def test_one_fit_within_the_callback_of_another(two_workers, undisturbed_blocks):
    inner = []

    def fit_another(event):
        if event.record.round == 1:
            inner.append(bits(fit(replicas())))

    with two_workers:
        assert bits(fit(blocks(callbacks=[fit_another]))) == undisturbed_blocks[blocks]
    assert inner == [undisturbed_blocks[replicas]]


def test_more_workers_than_units(two_workers):
    with threads(4):
        model = fit(model_parallel(n_blocks=2))
    assert {record.workers for record in model.history_} == {2}
    with two_workers:
        assert distance(model, fit(model_parallel(n_blocks=2))) == 0
