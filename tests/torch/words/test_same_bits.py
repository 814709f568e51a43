"""A Transformer that translates, in partitions and in stages: the same bits on any Workers."""

from functools import partial

import pytest
import torch

from daskml_exec import Executor
from daskml_exec.kernels.networks.batches import RowOrder
from daskml_exec.torch import TorchEstimator
from tests.torch.networks import bits
from tests.torch.pipeline.plain_loop import SEED
from tests.torch.placed_fits import (
    require_bits_with_a_worker_killed,
    require_weights,
    usual_loop,
)
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


@pytest.fixture(scope="module")
def on_one_worker():
    with Executor(processes=False, n_workers=1):
        return {way: bits(fitted(way)) for way in WAYS}


@pytest.mark.parametrize("n_workers", [2, 3])
def test_on_more_workers(on_one_worker, n_workers):
    with Executor(processes=False, n_workers=n_workers) as executor:
        executor.client.wait_for_workers(n_workers)
        for way, expected in on_one_worker.items():
            model = fitted(way)
            assert bits(model) == expected, way
            assert model.history_[-1].workers == n_workers


@pytest.mark.parametrize("way", WAYS)
def test_with_a_worker_killed(on_one_worker, way):
    require_bits_with_a_worker_killed(partial(fitted, way), on_one_worker[way])


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
    order = RowOrder(SEED, 0)
    trained = usual_loop(module, translation_loss, PAIRS, order, batch=BATCH, epochs=EPOCHS)
    require_weights(model, trained)
