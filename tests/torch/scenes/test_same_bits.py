"""A detector and a U-Net, in partitions and in stages: the same bits on any Workers."""

from functools import partial

import dask.array as da
import pytest
import torch
from torch import nn

import detection_with_pytorch as detection
import segmentation_with_pytorch as segmentation
from daskml_exec import Executor
from daskml_exec.kernels.networks.batches import RowOrder
from daskml_exec.torch import TorchEstimator
from scenes.compose import compose, mirrored
from scenes.items import digits
from tests.torch.networks import bits
from tests.torch.pipeline.plain_loop import SEED
from tests.torch.placed_fits import (
    require_bits_with_a_worker_killed,
    require_weights,
    usual_loop,
)

pytestmark = pytest.mark.slow

TASKS = {"detector": detection.TASK, "unet": segmentation.TASK}
N, BATCH, EPOCHS = 40, 10, 2
SCENES = compose(digits("train"), range(N))
GROUPS = partial(nn.GroupNorm, 4)
WAYS = {
    "partitions": {"augment": mirrored, "rows_least": 4, "sync_every": 2},
    "stages": {"parallel": "pipeline", "stages": 3, "micro_batches": 1, "augment": mirrored},
    "micro-batches": {
        "parallel": "pipeline",
        "stages": 4,
        "micro_batches": 3,
        "module__norm": GROUPS,
    },
}


def fitted(name, way, **arguments):
    task = TASKS[name]
    given = {"module": task.module, "module__channels": 8, **WAYS[way], **arguments}
    X = {key: da.from_array(each, chunks=(10, *each.shape[1:])) for key, each in SCENES.items()}
    estimator = TorchEstimator(
        loss=task.loss, batch_size=BATCH, max_epochs=EPOCHS, random_state=0, **given
    )
    return estimator.fit(X)


@pytest.fixture(scope="module")
def on_one_worker():
    with Executor(processes=False, n_workers=1):
        return {(name, way): bits(fitted(name, way)) for name in TASKS for way in WAYS}


@pytest.mark.parametrize("n_workers", [2, 3])
def test_on_more_workers(on_one_worker, n_workers):
    with Executor(processes=False, n_workers=n_workers) as executor:
        executor.client.wait_for_workers(n_workers)
        for (name, way), expected in on_one_worker.items():
            model = fitted(name, way)
            assert bits(model) == expected, (name, way)
            assert model.history_[-1].workers == n_workers


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", TASKS)
def test_with_a_worker_killed(on_one_worker, name, way):
    require_bits_with_a_worker_killed(partial(fitted, name, way), on_one_worker[name, way])


@pytest.mark.parametrize("name", TASKS)
def test_stages_are_the_usual_loop(name):
    """In one partition, without mirror images: the bits of PyTorch's own steps."""
    task = TASKS[name]
    torch.manual_seed(7)
    module = task.module(channels=4)
    stages = {"parallel": "pipeline", "stages": 3, "micro_batches": 1}
    with Executor(processes=False, n_workers=2):
        model = TorchEstimator(
            module, loss=task.loss, batch_size=BATCH, max_epochs=EPOCHS, random_state=0, **stages
        ).fit(SCENES)
    order = RowOrder(SEED, 0)
    trained = usual_loop(module, task.loss, SCENES, order, batch=BATCH, epochs=EPOCHS)
    require_weights(model, trained)
