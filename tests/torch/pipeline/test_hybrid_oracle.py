"""Replicas of stages are copies of the whole module in one process, averaged now and then."""

import functools

import dask.array as da
import numpy as np
import pytest
import torch
from torch import nn

from daskml_exec import Executor
from daskml_exec.torch import TorchEstimator
from tests.torch.networks import bits
from tests.torch.pipeline.cut_modules import (
    BATCH,
    CASES,
    NUMBERS,
    ROWS,
    N,
    distance,
    hybrid,
    lazy,
    squares,
    staged,
    weighted_squares,
)
from tests.torch.pipeline.plain_hybrid import Hybrid
from tests.torch.pipeline.plain_loop import Looped

SGD = functools.partial(torch.optim.SGD, lr=0.01)
MOMENTUM = functools.partial(torch.optim.SGD, lr=0.01, momentum=0.9)
ADAMW = functools.partial(torch.optim.AdamW, lr=0.01)
NAMED = {
    SGD: {"optimizer": "sgd"},
    MOMENTUM: {"optimizer": "sgd", "optimizer__momentum": 0.9},
    ADAMW: {"optimizer": "adamw"},
}
CHUNKS, REPLICAS = (20, 13, 17), ((0,), (1, 2))


@pytest.fixture(scope="module", autouse=True)
def executor():
    """Where all of this trains: there are fewer Workers than stages."""
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def require_near(model: TorchEstimator, other: Hybrid | Looped) -> None:
    for name, tensor in other.state_dict_.items():
        assert (model.state_dict_[name].double() - tensor.double()).abs().max() < 1e-12, name
    np.testing.assert_allclose(model.loss_curve_, other.loss_curve_, rtol=1e-12)


def fitted(case, chunks=CHUNKS, **arguments):
    return hybrid(case, **arguments).fit(*lazy(case, chunks))


@pytest.mark.parametrize("optimiser", [SGD, MOMENTUM, ADAMW], ids=["sgd", "momentum", "adamw"])
@pytest.mark.parametrize("every", [1, 2, "epoch"])
def test_copies_in_one_process(optimiser, every):
    """The first has fewer steps in an epoch than the second."""
    steps = 6 if every == "epoch" else every
    model = fitted("chain", sync_every=every, micro_batches=3, **NAMED[optimiser])
    loop = Hybrid("chain", optimiser, CHUNKS, REPLICAS, batch=6, every=steps, parts=3)
    require_near(model, loop)


@pytest.mark.parametrize("keeps", ["local", "reset"])
def test_what_becomes_of_moments(keeps):
    arguments = {"sync_every": 2, "optimizer_state": keeps}
    model = fitted("chain", **arguments, **NAMED[ADAMW])
    loop = Hybrid("chain", ADAMW, CHUNKS, REPLICAS, batch=6, every=2, keeps=keeps)
    require_near(model, loop)
    averaged = fitted("chain", sync_every=2, **NAMED[ADAMW])
    assert distance(model, averaged) > 1e-4


def test_moments_that_are_left():
    """Replicas are averaged last at the end, with what their optimisers remember."""
    model = fitted("chain", sync_every=2, **NAMED[ADAMW])
    loop = Hybrid("chain", ADAMW, CHUNKS, REPLICAS, batch=6, every=2)
    found = model._remembered.model.optimiser.moments
    for key in ("exp_avg", "exp_avg_sq"):
        slots = model._layout.moments
        views = dict(zip(slots.owned, slots.views(found), strict=True))
        names = [name for name, _ in model.module_.named_parameters()]
        for name, state in zip(names, loop.remembered, strict=True):
            np.testing.assert_allclose(views[name, key], state[key], atol=1e-14)
    steps = {int(state["step"]) for state in loop.remembered}
    assert steps == {int(model._remembered.model.buffers.largest.max())} != {0}


def factor(step, total):
    return 1 - step / (total + 1)


def test_clipped_and_scheduled():
    arguments = {"sync_every": 3, "clip_norm": 0.05, "scheduler": factor}
    model = fitted("chain", **arguments, **NAMED[MOMENTUM])
    loop = functools.partial(Hybrid, "chain", MOMENTUM, CHUNKS, REPLICAS, batch=6, every=3)
    require_near(model, loop(clip=0.05, factor=factor))
    assert distance(model, loop()) > 1e-3


def test_three_replicas_of_weights_tied_over_stages():
    arguments = {"n_replicas": 3, "sync_every": 2, "micro_batches": 2, "clip_norm": 0.5}
    model = fitted("words", **arguments, **NAMED[ADAMW])
    replicas = ((0,), (1,), (2,))
    loop = Hybrid("words", ADAMW, CHUNKS, replicas, batch=4, every=2, parts=2, clip=0.5)
    for name, tensor in loop.state_dict_.items():  # tied gradients are added in another order
        assert (model.state_dict_[name] - tensor).abs().max() < 1e-10, name
    assert torch.equal(model.module_.into.weight, model.module_.out.weight)


def test_weights_of_samples():
    weight = np.arange(N) % 3 * 1.5 + 0.5
    given = {"batch_size": BATCH, "max_epochs": 2, "random_state": 0, "lr": 0.01}
    model = TorchEstimator(
        CASES["chain"][0],
        loss=weighted_squares,
        parallel="hybrid",
        stages=2,
        sync_every=2,
        **given,
        **NAMED[MOMENTUM],
    ).fit(*lazy("chain", CHUNKS), da.from_array(weight, chunks=(CHUNKS,)))
    loop = Hybrid(
        "chain",
        MOMENTUM,
        CHUNKS,
        REPLICAS,
        batch=6,
        every=2,
        epochs=2,
        loss=weighted_squares,
        arrays=(ROWS, NUMBERS, weight),
    )
    require_near(model, loop)


def normed():
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1), nn.Identity()
    ).double()


def test_statistics_are_averaged_and_batches_counted():
    model = hybrid("chain", sync_every=2, micro_batches=1, stages=2, **NAMED[MOMENTUM])
    model.set_params(module=normed).fit(*lazy("chain", CHUNKS))
    loop = Hybrid("chain", MOMENTUM, CHUNKS, REPLICAS, batch=6, every=2, parts=1, module=normed())
    require_near(model, loop)
    counted = loop.state_dict_["1.num_batches_tracked"]
    assert model.state_dict_["1.num_batches_tracked"] == counted


class Plus(nn.Module):
    """Has numbers of float32 that no step changes, and of which thirds are not exact."""

    def __init__(self):
        super().__init__()
        self.register_buffer("shift", torch.linspace(0, 1, 4) / 3)

    def forward(self, X):
        return X + self.shift


def shifted():
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(6, 4).double(), Plus(), nn.Linear(4, 1).double())


def test_buffers_that_nothing_changes_keep_their_bits():
    model = hybrid("chain", sync_every=1, n_replicas=3, stages=3, **NAMED[SGD])
    model.set_params(module=shifted).fit(*lazy("chain", CHUNKS))
    assert torch.equal(model.module_[1].shift, Plus().shift)


def test_one_step_each_is_a_step_on_the_union():
    """Of plain gradients, and of partitions that are alike in size, so are the pipeline's."""
    chunks = (24, 24)
    arrays = tuple(array[:48] for array in CASES["chain"][2])
    arguments = {"sync_every": 1, "shuffle": False, "batch_size": 12, **NAMED[SGD]}
    model = hybrid("chain", **arguments).fit(*[each[:48] for each in lazy("chain", (*chunks, 2))])
    # The same samples in each step: six of the first half, and six of the second.
    order = np.arange(48).reshape(2, 4, 6).transpose(1, 0, 2).reshape(-1)
    whole = staged("chain", shuffle=False, batch_size=12, **NAMED[SGD])
    whole.fit(*(array[order] for array in arrays))
    assert distance(model, whole) < 1e-12
    np.testing.assert_allclose(model.loss_curve_, whole.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("optimiser", [MOMENTUM, ADAMW], ids=["momentum", "adamw"])
def test_a_replica_whose_samples_do_not_count_leaves_the_bits_of_a_pipeline(optimiser):
    weight = np.repeat([1.0, 0.0], 25)
    given = {"max_epochs": 3, "random_state": 0, "lr": 0.01, "stages": 3, **NAMED[optimiser]}
    arrays = [array[:50] for array in lazy("chain", (25, 25))]
    model = TorchEstimator(
        CASES["chain"][0],
        loss=weighted_squares,
        parallel="hybrid",
        sync_every=2,
        batch_size=12,
        **given,
    ).fit(*arrays, da.from_array(weight, chunks=25))
    alone = TorchEstimator(
        CASES["chain"][0], loss=weighted_squares, parallel="pipeline", batch_size=6, **given
    ).fit(ROWS[:25], NUMBERS[:25], weight[:25])
    assert bits(model) == bits(alone)


@pytest.mark.parametrize("max_steps", [3, 4, 8])
def test_training_that_ends_in_mid_epoch_ends_with_an_average(max_steps):
    model = fitted("chain", sync_every=2, max_steps=max_steps, **NAMED[MOMENTUM])
    loop = Hybrid("chain", MOMENTUM, CHUNKS, REPLICAS, batch=6, every=2, max_steps=max_steps)
    require_near(model, loop)


def test_it_learns():
    model = fitted("chain", max_epochs=30, **NAMED[ADAMW])
    assert model.loss_curve_[-1] < model.loss_curve_[0] / 3
    loss = squares(model.module_, (torch.from_numpy(ROWS), torch.from_numpy(NUMBERS)))
    assert float(loss.detach()) < model.loss_curve_[0]
