"""What a step on the driver shows of a module."""

import numpy as np
import pytest
import torch
from torch import nn

from daskml_exec.partitions import load_samples
from daskml_exec.torch import TorchEstimator
from daskml_exec.torch._equip import first_samples
from daskml_exec.torch._purpose import first_batch
from daskml_exec.torch.pipeline._stages import chain_to_cut
from daskml_exec.torch.planning._dry_step import step_seen
from daskml_exec.torch.planning._seen import in_stages

X = np.random.default_rng(0).normal(size=(32, 6)).astype(np.float32)
Y = X.sum(axis=1)


def module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 8), nn.Linear(8, 1))


def loss(module, batch):
    rows, y = batch
    return ((module(rows)[:, 0] - y) ** 2).mean()


def seen(made, *, cut=True, sizes=(8, 16), **options):
    model = TorchEstimator(made, loss=loss, random_state=0, **options)
    with load_samples(X, Y, executor=None) as data:
        head = first_samples(data, max(sizes))
        purpose = model._purpose(data, head, again=False)
        parts = model._parts(head, purpose, 0, "cpu")
        batch = first_batch(head, purpose, parts.module)
        chain = None
        if cut:
            options = {"micro_batches": 4, "recompute": False, "seed": 0}
            chain = chain_to_cut(parts.module, loss, batch, None, **options)
        before = {name: each.clone() for name, each in parts.module.state_dict().items()}
        found = step_seen(parts, chain, batch, sizes)
        for name, each in parts.module.state_dict().items():
            assert torch.equal(each, before[name])
        assert all(each.grad is None for each in parts.module.parameters())
        return found


def kept(part):
    return sum(part.saved.values())


def test_bytes_of_parts():
    found = seen(module)
    assert [each.trained for each in found.parts] == [4 * 16 * 7, 0, 4 * 8 * 17, 4 * 9]
    assert found.parameters == sum(each.trained for each in found.parts)
    assert found.moments == 2 * found.parameters
    assert [each.passed for each in found.parts] == [64, 64, 32, 0]
    assert [each.given for each in found.parts] == [0, 64, 64, 32]
    assert [each.returned for each in found.parts] == [64, 64, 32, 0]


def test_what_is_kept_is_counted_once():
    """A layer keeps what it is given, and tanh what it gives: the next layer's the same."""
    found = seen(module)
    assert [kept(each) for each in found.parts[:3]] == [24, 64, 64]
    first, last = in_stages(found.parts, (0, 3))
    assert kept(first) == 24 + 64
    assert kept(last) >= 32


@pytest.mark.parametrize("cut", [True, False])
def test_seconds_are_of_each_size(cut):
    found = seen(module, cut=cut)
    assert found.sizes == (8, 16) and found.update > 0
    for part in found.parts:
        assert len(part.forth) == len(part.back) == 2
        assert min(part.forth) > 0 and min(part.back) >= 0
    assert kept(found.whole) >= 24 + 64 + 32
    assert len(found.parts) == (4 if cut else 1)


def in_place():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(inplace=True), nn.Linear(16, 1))


@pytest.mark.parametrize("arguments", [{"amp": "bfloat16"}, {"optimizer": "sgd"}, {}])
def test_other_modules_and_arguments(arguments):
    found = seen(in_place, **arguments)
    assert found.moments == (0 if "optimizer" in arguments else 2 * found.parameters)
    # What is changed in place is the same memory.
    assert arguments.get("amp") or kept(in_stages(found.parts, (0, 2))[0]) == 24 + 64


def test_the_generator_is_left_as_it_was():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    seen(lambda: nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.5), nn.Linear(16, 1)))
    assert torch.equal(torch.get_rng_state(), before)
