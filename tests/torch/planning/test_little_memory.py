"""A module that no Worker has room for as a whole is trained in stages by itself."""

import dask.array as da
import numpy as np
import pytest
from torch import nn

from daskml_exec import Executor
from daskml_exec.torch import TorchEstimator

WIDTH, LAYERS = 2800, 8


def wide():
    layers = [each for _ in range(LAYERS) for each in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
    return nn.Sequential(*layers)


def itself(module, X):
    return nn.functional.mse_loss(module(X), X)


@pytest.mark.slow
def test_weights_gradients_and_moments_of_a_gigabyte_in_workers_of_less():
    X = np.random.default_rng(0).normal(size=(128, WIDTH)).astype(np.float32)
    model = TorchEstimator(wide, loss=itself, parallel="auto", batch_size=64, random_state=0)
    with Executor(n_workers=4, threads_per_worker=1, memory_limit="1.6GB") as executor:
        executor.client.wait_for_workers(4)
        before = set(executor.client.scheduler_info(n_workers=-1)["workers"])
        model.fit(da.from_array(X, chunks=(64, -1)))
        after = set(executor.client.scheduler_info(n_workers=-1)["workers"])
    assert model.parallel_ == "pipeline"
    assert "not data, which needs" in model.explain().choice.reason
    assert model.history_.workers_lost == 0 and before == after
    assert np.isfinite(model.loss_curve_).all()
