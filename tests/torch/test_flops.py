"""What a step computes is counted as PyTorch counts it, where weights are multiplied."""

from contextlib import nullcontext

import dask
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from daskml_exec.torch import TorchEstimator, _module
from daskml_exec.torch._flops import Products, products_counted


def flops_of_sample(module, loss, batch, n):
    with products_counted(module) as products:
        loss(module, batch)
    assert not any(child._forward_hooks for child in module.modules())
    return products.flops / n


def square(module, X):
    return (module(X) ** 2).mean()


CASES = {
    "linear": (nn.Linear(5, 3), (7, 5)),
    "deep": (nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2)), (7, 5)),
    "at each place": (nn.Linear(5, 3), (7, 4, 5)),
    "convolution": (nn.Conv2d(3, 8, 3, stride=2), (7, 3, 9, 9)),
    "groups": (nn.Conv1d(4, 8, 3, groups=2, padding=1), (7, 4, 9)),
}


@pytest.mark.filterwarnings("ignore")  # of torch's own counter, as it is imported
@pytest.mark.parametrize(("module", "shape"), CASES.values(), ids=CASES)
def test_products_with_weights(module, shape):
    X = torch.randn(shape)
    with FlopCounterMode(display=False) as counter:
        module(X)
    forwards = counter.get_total_flops()
    assert flops_of_sample(module, square, X, shape[0]) == 3 * forwards / shape[0] > 0


def test_embeddings_and_norms_compute_nothing_that_counts():
    class Ids(nn.Module):
        def __init__(self):
            super().__init__()
            self.into, self.norm = nn.Embedding(50, 4), nn.LayerNorm(4)

        def forward(self, ids):
            return self.norm(self.into(ids))

    assert flops_of_sample(Ids(), square, torch.zeros(2, 3, dtype=torch.int64), 2) == 0


def test_of_a_recurrent_layer_each_weight_meets_each_place():
    layer = nn.GRU(3, 4, batch_first=True)

    def loss(module, X):
        return module(X)[0].sum()

    found = flops_of_sample(layer, loss, torch.randn(2, 6, 3), 2)
    assert found == 6 * 6 * sum(each.numel() for each in layer.parameters() if each.dim() > 1)


def test_a_loss_may_take_gradients_itself():
    def loss(module, X):
        X = X.requires_grad_()
        out = module(X).sum()
        (gradient,) = torch.autograd.grad(out, X, create_graph=True)
        return out + gradient.square().sum()

    assert flops_of_sample(nn.Linear(5, 3), loss, torch.randn(4, 5), 4) == 6 * 15


@pytest.mark.parametrize(("flops", "steps"), [(1e6, 16), (5e7, 8), (1e9, 4)])
def test_long_steps_are_averaged_more_often(monkeypatch, flops, steps):
    products = Products(2 * flops)  # of the two samples that are tried
    monkeypatch.setattr(_module, "products_counted", lambda module: nullcontext(products))
    X = np.zeros((2_000, 20), np.float32)
    model = TorchEstimator(
        nn.Linear,
        module__in_features=20,
        module__out_features=1,
        loss=square,
        batch_size=32,
        max_steps=17,
        random_state=0,
        callbacks=[lambda event: True],  # after the first round
    )
    with dask.config.set({"daskml-exec.partition-bytes": 100_000}):
        model.fit(X)
    assert model._remembered.progress.epochs == 0 and model.history_.n_partitions == 2
    assert f"every {steps} steps, " in str(model.explain())
