"""A Transformer that translates, in partitions and in stages: the same bits on any Workers."""

import dask
import numpy as np
import pytest
import torch

from daskml_exec import Executor
from daskml_exec.kernels.networks.batches import RowOrder
from daskml_exec.torch import TorchEstimator
from daskml_exec.torch._steady import steady
from tests.failures.test_lost_workers import kill
from words.pairs import as_samples, french_numbers
from words.sides import in_partitions
from words.translator import translation_loss, translator

pytestmark = pytest.mark.slow

N, BATCH, EPOCHS = 48, 12, 2
PAIRS = as_samples(dict(list(french_numbers(1000).items())[:: 1000 // N][:N]))
SMALL = {"module__layers": 1, "module__width": 16, "module__heads": 2}
WAYS = {
    "partitions": {"rows_least": 3, "sync_every": 2},
    "stages": {"parallel": "pipeline", "stages": 3, "micro_batches": 1},
    "micro-batches": {"parallel": "pipeline", "stages": 4, "micro_batches": 3},
}


def fitted(way, **arguments):
    estimator = TorchEstimator(
        translator,
        loss=translation_loss,
        batch_size=BATCH,
        max_epochs=EPOCHS,
        random_state=0,
        **SMALL,
        **WAYS[way],
        **arguments,
    )
    return estimator.fit(in_partitions(PAIRS, 4))


def bits(model):
    found = {name: each.numpy().tobytes() for name, each in model.state_dict_.items()}
    return {**found, "losses": np.array(model.loss_curve_).tobytes()}


@pytest.fixture(scope="module")
def on_one_worker(prompt_clients):
    with Executor(processes=False, n_workers=1):
        return {way: bits(fitted(way)) for way in WAYS}


@pytest.mark.parametrize("n_workers", [2, 3])
def test_on_more_workers(on_one_worker, n_workers, prompt_clients):
    with Executor(processes=False, n_workers=n_workers) as executor:
        executor.client.wait_for_workers(n_workers)
        for way, expected in on_one_worker.items():
            model = fitted(way)
            assert bits(model) == expected, way
            assert model.history_[-1].workers == n_workers


@pytest.mark.parametrize("way", WAYS)
def test_with_a_worker_killed(on_one_worker, way):
    """At the first record that there is: of a round, or of a segment that is committed."""
    told = []

    def kill_one(event):
        if not told:
            told.append(event.record.round)
            kill(executor, executor.workers()[0].address)

    # Segments are of few steps, so that some are left when a Worker goes.
    short = {"daskml-exec.commit-interval": "0s", "daskml-exec.segment-duration": "1ms"}
    with dask.config.set(short), Executor(n_workers=2) as executor:
        model = fitted(way, callbacks=[kill_one])
    assert told and model.history_.workers_lost == 1
    assert bits(model) == on_one_worker[way]


def test_stages_are_the_usual_loop():
    """In one partition, without dropout: the bits of PyTorch's own steps."""
    torch.manual_seed(7)
    module = translator(layers=1, width=16, heads=2, dropout=0.0)
    with Executor(processes=False, n_workers=2):
        model = TorchEstimator(
            module,
            loss=translation_loss,
            batch_size=BATCH,
            max_epochs=EPOCHS,
            random_state=0,
            **WAYS["stages"],
        ).fit(PAIRS)
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))  # as an estimator draws it
    trained = usual_loop(module, RowOrder(seed, 0))
    for key, each in trained.state_dict().items():
        assert torch.equal(each, model.state_dict_[key]), key


def usual_loop(module, order):
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)  # as an estimator's
    with steady(torch.device("cpu")):
        module.train()
        for epoch in range(EPOCHS):
            for rows in np.split(order.of_epoch(np.arange(N), epoch), N // BATCH):
                batch = {name: torch.from_numpy(each[rows]) for name, each in PAIRS.items()}
                optimiser.zero_grad()
                translation_loss(module, batch)[0].backward()
                optimiser.step()
    return module
