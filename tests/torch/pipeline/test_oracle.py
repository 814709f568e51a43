"""In stages or as a whole: the bits of the usual loop, wherever the module is cut."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from daskml_exec import Executor
from daskml_exec.torch import TorchClassifier, TorchEstimator, TorchRegressor
from daskml_exec.torch.pipeline import _seeds
from tests.torch.pipeline.cut_modules import (
    BATCH,
    CASES,
    NUMBERS,
    ROWS,
    TOKENS,
    Words,
    chain,
    distance,
    estimator,
    staged,
    weighted_squares,
)
from tests.torch.pipeline.plain_loop import Looped, looped


@pytest.fixture(scope="module", autouse=True)
def executor():
    """Where all of this trains: there are fewer Workers than stages."""
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def require_same(model: TorchEstimator, other: Looped) -> None:
    for name, tensor in other.state_dict_.items():
        assert torch.equal(model.state_dict_[name], tensor), name
    assert model.loss_curve_ == other.loss_curve_


SGD = functools.partial(torch.optim.SGD, lr=0.01, momentum=0.9)
ADAMW = functools.partial(torch.optim.AdamW, lr=0.01, fused=True)
MOMENTUM = {"optimizer": "sgd", "optimizer__momentum": 0.9}


def fitted(case, **arguments):
    return staged(case, **arguments).fit(*CASES[case][2])


@pytest.mark.parametrize("parts", [1, 3, 4])
@pytest.mark.parametrize("case", ["chain", "called"])
def test_micro_batches(case, parts):
    require_same(fitted(case, micro_batches=parts), looped(case, ADAMW, parts=parts))


@pytest.mark.parametrize("order", ["1f1b", "gpipe"])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("stages", [2, 4, 7, ["3"], ["1", "2", "5.1"]])
def test_cuts_and_orders(stages, order, recompute):
    model = fitted("chain", stages=stages, pipeline_order=order, recompute=recompute, **MOMENTUM)
    require_same(model, looped("chain", SGD))


def test_clipped():
    model = fitted("chain", clip_norm=0.05, **MOMENTUM)
    require_same(model, looped("chain", SGD, clip=0.05))
    assert distance(model, looped("chain", SGD)) > 1e-3


def test_clipped_in_the_order_in_which_parameters_stand_and_not_in_which_they_are_called():
    require_same(
        fitted("called", stages=["between", "last"], clip_norm=0.05, **MOMENTUM),
        looped("called", SGD, clip=0.05),
    )


def factor(step, total):
    return 1 - step / (total + 1)


def test_scheduler():
    model = fitted("chain", scheduler=factor, **MOMENTUM)
    require_same(model, looped("chain", SGD, factor=factor))


def groups(named):
    """Of all parameters of the module, whichever stage has them."""
    return [
        {"params": [named["0.bias"], named["5.1.weight"]], "lr": 0.02},
        {"params": [v for k, v in named.items() if k not in ("0.bias", "5.1.weight")]},
    ]


def test_parameter_groups():
    def made(parameters):
        names = dict(zip([name for name, _ in chain().named_parameters()], parameters, strict=True))
        return torch.optim.SGD(groups(names), lr=0.01, momentum=0.9)

    model = fitted("chain", stages=7, param_groups=groups, **MOMENTUM)
    require_same(model, looped("chain", made))


def test_weights_tied_over_stages_ids_that_pass_and_outputs_that_nobody_uses():
    for arguments in ({}, {"clip_norm": 0.05}):
        model = fitted("words", micro_batches=3, **arguments)
        other = looped("words", ADAMW, parts=3, clip=arguments.get("clip_norm"))
        assert distance(model, other) < 1e-10
        np.testing.assert_allclose(model.loss_curve_, other.loss_curve_, rtol=1e-10)
        assert torch.equal(model.module_.into.weight, model.module_.out.weight)


def untied():
    words = Words()
    words.out.weight = nn.Parameter(words.out.weight.detach().clone())
    return words


def test_trees_that_pass_between_stages():
    """With the bits of the loop, where nothing is tied."""
    model = staged("words", micro_batches=3).set_params(module=untied).fit(TOKENS)
    require_same(model, looped("words", ADAMW, parts=3, module=untied()))


def test_weights_of_samples():
    weight = np.arange(len(ROWS)) % 3 * 1.5 + 0.5
    model = TorchEstimator(
        chain,
        loss=weighted_squares,
        batch_size=BATCH,
        max_epochs=2,
        random_state=0,
        lr=0.01,
        parallel="pipeline",
        stages=2,
        **MOMENTUM,
    ).fit(ROWS, NUMBERS, weight)
    arrays = (ROWS, NUMBERS, weight)
    require_same(model, looped("chain", SGD, epochs=2, loss=weighted_squares, arrays=arrays))


def test_samples_without_weight_are_left_out():
    weight = np.arange(len(ROWS)) % 3 * 1.5
    given = {"batch_size": BATCH, "max_epochs": 2, "random_state": 0, "lr": 0.01}
    whole = TorchEstimator(chain, loss=weighted_squares, accumulate=4, **given)
    model = TorchEstimator(
        chain, loss=weighted_squares, parallel="pipeline", stages=2, **given
    ).fit(ROWS, NUMBERS, weight)
    assert distance(model, whole.fit(ROWS, NUMBERS, weight)) < 1e-12
    np.testing.assert_allclose(model.loss_curve_, whole.loss_curve_, rtol=1e-12)


def test_shorter_numbers():
    short = (ROWS.astype(np.float32), NUMBERS.astype(np.float32))
    model = staged("chain", stages=4, amp="bfloat16", **MOMENTUM)
    model.set_params(module=chain().float()).fit(*short)
    require_same(model, looped("chain", SGD, module=chain().float(), arrays=short, amp="bfloat16"))


def normalised():
    torch.manual_seed(5)
    layers = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)
    return nn.Sequential(*layers).double()


def test_statistics_of_whole_batches():
    model = staged("chain", stages=["3"], micro_batches=1, **MOMENTUM)
    model.set_params(module=normalised).fit(ROWS, NUMBERS)
    require_same(model, looped("chain", SGD, parts=1, module=normalised()))
    assert model.module_[1].num_batches_tracked == 15


def test_statistics_are_taken_once_where_others_draw_meanwhile(monkeypatch):
    """A generator that somebody has drawn from tells nothing of a stage."""
    enter = _seeds.Draws.enter

    def drawing(draws, part):
        enter(draws, part)
        torch.rand(1)

    monkeypatch.setattr(_seeds.Draws, "enter", drawing)
    model = staged("chain", stages=["3"], micro_batches=1, **MOMENTUM)
    model.set_params(module=normalised).fit(ROWS, NUMBERS)
    assert model.module_[1].num_batches_tracked == 15


def test_a_stage_without_parameters_and_a_frozen_one():
    model = staged("chain", stages=["1", "2", "5"], trainable="5.*", **MOMENTUM)
    model.fit(ROWS, NUMBERS)
    first = chain()
    assert torch.equal(model.module_[0].weight, first[0].weight)
    assert not torch.equal(model.module_[5][0].weight, first[5][0].weight)


@pytest.mark.parametrize("kind", [TorchClassifier, TorchRegressor])
def test_criteria(kind):
    n = 3 if kind is TorchClassifier else 1
    y = np.digitize(NUMBERS, [-1, 1]) * 10 if kind is TorchClassifier else NUMBERS
    module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, n)).double()
    given = {"batch_size": BATCH, "max_epochs": 5, "random_state": 0, "lr": 0.05}
    weight = np.arange(len(ROWS)) % 2 + 1.0
    for w in (None, weight):
        whole = kind(module, accumulate=4, **given).fit(ROWS, y, w)
        model = kind(module, parallel="pipeline", stages=2, **given).fit(ROWS, y, w)
        assert distance(model, whole) < 1e-12
        assert model.score(ROWS, y) == pytest.approx(whole.score(ROWS, y), rel=1e-12)
        assert (model.predict(ROWS) == whole.predict(ROWS)).all() or kind is TorchRegressor


def test_it_is_what_the_estimator_trains_in_one_partition():
    whole = estimator("chain", accumulate=4).fit(ROWS, NUMBERS)
    assert distance(fitted("chain"), whole) < 1e-12


def masking(module, batch):
    """A loss that hides from the module, in place, what it is to tell."""
    X, y = batch
    told = y * X[:, 0].clone()
    X[:, 0] = 0.0
    return ((module(X)[:, 0] - told) ** 2).mean()


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_loss_that_changes_its_batch(n_workers, recompute):
    expected = looped("chain", SGD, loss=masking)
    arguments = {"parallel": "pipeline", "stages": 2, "recompute": recompute, **MOMENTUM}
    with Executor(processes=False, n_workers=n_workers):
        model = estimator("chain", **arguments).set_params(loss=masking)
        require_same(model.fit(*CASES["chain"][2]), expected)


def by_dimensions(parameters, lr):
    parameters = list(parameters)
    kinds = [[each for each in parameters if (each.dim() > 1) == large] for large in (True, False)]
    groups = [{"params": kind, "lr": lr / (1 + i)} for i, kind in enumerate(kinds) if kind]
    return torch.optim.SGD(groups, lr=lr, momentum=0.9)


def test_a_function_that_makes_groups_of_parameters():
    expected = looped("chain", functools.partial(by_dimensions, lr=0.01))
    require_same(fitted("chain", optimizer=by_dimensions), expected)
