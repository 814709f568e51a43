"""A batch in which nothing counts changes nothing, however many parts it is gone through in."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn import functional

from daskml_exec import Executor
from daskml_exec.torch import TorchEstimator

X = np.random.default_rng(0).normal(size=(96, 8))
Y = np.where(np.arange(96) % 24 < 8, np.arange(96) % 3, -1)  # of three batches two have no label


def network():
    return nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def loss(module, batch):
    X, y = batch
    counts = y >= 0
    each = functional.cross_entropy(module(X), y.clamp(min=0), reduction="none")
    return (each * counts).sum() / counts.sum().clamp(min=1), counts.sum()


def mean_loss(module, batch):
    X, y = batch
    return functional.cross_entropy(module(X), y, ignore_index=-1), (y >= 0).sum()


PARTS = {
    "parts": {"accumulate": 4},
    "micro-batches": {"parallel": "pipeline", "stages": 2, "micro_batches": 4},
    "blocks": {"parallel": "pipeline", "stages": ["2"], "output_blocks": 2, "micro_batches": 4},
}


@pytest.mark.parametrize("how", PARTS.values(), ids=PARTS)
def test_the_mean_of_nothing_is_named(how):
    settings = {"batch_size": 24, "random_state": 0, "shuffle": False}
    with Executor(processes=False, n_workers=2) as executor:
        X_, y_ = ([executor.client.scatter(each)] for each in (X, Y))
        TorchEstimator(network, loss=mean_loss, **settings).fit(X_, y_)
        with pytest.raises(ValueError, match="nan with the weight 0 for a part of a batch"):
            TorchEstimator(network, loss=mean_loss, **settings | how).fit(X_, y_)


@pytest.mark.parametrize(
    "how",
    [*PARTS.values(), PARTS["micro-batches"] | {"micro_batches": 1}],
    ids=[*PARTS, "one micro-batch"],
)
def test_a_step_without_weight(how):
    settings = {"batch_size": 8, "max_epochs": 2, "random_state": 0, "shuffle": False, "lr": 0.1}
    settings |= {"optimizer": torch.optim.SGD}
    with Executor(processes=False, n_workers=2) as executor:
        X_, y_ = ([executor.client.scatter(each)] for each in (X, Y))
        whole = TorchEstimator(network, loss=loss, **settings).fit(X_, y_)
        parts = TorchEstimator(network, loss=loss, **settings | how).fit(X_, y_)
    for mine, theirs in zip(parts.module_.parameters(), whole.module_.parameters(), strict=True):
        assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-12)
