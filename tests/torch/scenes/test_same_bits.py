"""A detector and a U-Net, in partitions and in stages: the same bits on any Workers."""

from functools import partial

import dask
import dask.array as da
import numpy as np
import pytest
import torch
from torch import nn

import detection_with_pytorch as detection
import segmentation_with_pytorch as segmentation
from daskml_exec import Executor
from daskml_exec.kernels.networks.batches import RowOrder
from daskml_exec.torch import TorchEstimator
from daskml_exec.torch._steady import steady
from scenes.compose import compose, mirrored
from scenes.items import digits
from tests.failures.test_lost_workers import kill
from tests.torch.networks import bits
from tests.torch.pipeline.plain_loop import SEED

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
    given = {"module": task.module, "module__channels": 4, **WAYS[way], **arguments}
    X = {key: da.from_array(each, chunks=(10, *each.shape[1:])) for key, each in SCENES.items()}
    estimator = TorchEstimator(
        loss=task.loss, batch_size=BATCH, max_epochs=EPOCHS, random_state=0, **given
    )
    return estimator.fit(X)


@pytest.fixture(scope="module")
def on_one_worker(prompt_clients):
    with Executor(processes=False, n_workers=1):
        return {(name, way): bits(fitted(name, way)) for name in TASKS for way in WAYS}


@pytest.mark.parametrize("n_workers", [2, 3])
def test_on_more_workers(on_one_worker, n_workers, prompt_clients):
    with Executor(processes=False, n_workers=n_workers) as executor:
        executor.client.wait_for_workers(n_workers)
        for (name, way), expected in on_one_worker.items():
            model = fitted(name, way)
            assert bits(model) == expected, (name, way)
            assert model.history_[-1].workers == n_workers


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", TASKS)
def test_with_a_worker_killed(on_one_worker, name, way):
    """At the first record that there is: of a round, or of a segment that is committed."""
    told = []

    def kill_one(event):
        if not told:
            told.append(event.record.round)
            kill(executor, executor.workers()[0].address)

    # Segments are of few steps, so that some are left when a Worker goes.
    short = {"daskml-exec.commit-interval": "0s", "daskml-exec.segment-duration": "1ms"}
    with dask.config.set(short), Executor(n_workers=2) as executor:
        model = fitted(name, way, callbacks=[kill_one])
    assert told and model.history_.workers_lost == 1
    assert bits(model) == on_one_worker[name, way]


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
    trained = usual_loop(module, task.loss, RowOrder(SEED, 0))
    for key, each in trained.state_dict().items():
        assert torch.equal(each, model.state_dict_[key]), key


def usual_loop(module, loss, order):
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)  # as an estimator's
    with steady(torch.device("cpu")):
        module.train()
        for epoch in range(EPOCHS):
            for rows in np.split(order.of_epoch(np.arange(N), epoch), N // BATCH):
                batch = {key: torch.from_numpy(each[rows]) for key, each in SCENES.items()}
                optimiser.zero_grad()
                loss(module, batch)[0].backward()
                optimiser.step()
    return module
