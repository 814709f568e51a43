"""What a fit in stages leaves, and how it goes on from there."""

import functools

import numpy as np
import pytest
import torch

from daskml_exec import Executor, open_model, save
from daskml_exec.torch import TorchEstimator
from tests.torch.networks import bits
from tests.torch.pipeline.cut_modules import (
    NUMBERS,
    ROWS,
    TOKENS,
    chain,
    distance,
    squares,
    staged,
)
from tests.torch.pipeline.plain_loop import looped


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.fixture(scope="module")
def fitted(executor):
    return staged("chain").fit(ROWS, NUMBERS)


def test_attributes(fitted):
    assert fitted.n_epochs_ == 3 and len(fitted.loss_curve_) == 3
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    assert fitted.validation_scores_ is None and not fitted.module_.training
    assert {record.step for record in fitted.history_} == {"train"}
    assert all(np.isfinite(record.loss) for record in fitted.history_)
    assert fitted.predict(ROWS).shape == (50, 1)
    loss = squares(fitted.module_, (torch.from_numpy(ROWS), torch.from_numpy(NUMBERS)))
    assert fitted.score(ROWS, NUMBERS) == pytest.approx(-float(loss.detach()))
    text = str(fitted.explain())
    assert "3 stages, 4 micro-batches, 1f1b" in text and "50 samples" in text
    assert fitted.explain()._repr_html_()


ADAMW = functools.partial(torch.optim.AdamW, lr=0.01, fused=True)


@pytest.mark.parametrize("arguments", [{}, {"optimizer": "sgd", "optimizer__momentum": 0.9}])
def test_partial_fit_goes_on_with_what_the_optimiser_remembers(arguments):
    model = staged("chain", **arguments)
    for _ in range(3):
        model.partial_fit(ROWS, NUMBERS)
    whole = staged("chain", **arguments).fit(ROWS, NUMBERS)
    assert bits(model) == bits(whole) and model.n_epochs_ == 3
    if not arguments:
        assert distance(model, looped("chain", ADAMW)) == 0


def test_partial_fit_goes_on_from_another_cut_and_from_no_cut():
    model = staged("chain").partial_fit(ROWS, NUMBERS)
    model.set_params(stages=["2"], pipeline_order="gpipe").partial_fit(ROWS, NUMBERS)
    assert bits(model) == bits(staged("chain", max_epochs=2).fit(ROWS, NUMBERS))
    model.set_params(parallel="data", stages=None, pipeline_order="1f1b", accumulate=4)
    model.partial_fit(ROWS, NUMBERS)
    assert distance(model, looped("chain", ADAMW)) < 1e-12


def test_another_optimiser_is_refused(fitted):
    other = staged("chain").partial_fit(ROWS, NUMBERS)
    with pytest.raises(ValueError, match="optimizer='sgd' remembers other things"):
        other.set_params(optimizer="sgd").partial_fit(ROWS, NUMBERS)


def test_tied_weights_go_on():
    model = staged("words").partial_fit(TOKENS).partial_fit(TOKENS)
    assert bits(model) == bits(staged("words", max_epochs=2).fit(TOKENS))


def test_warm_start_begins_with_the_weights_alone():
    model = staged("chain", warm_start=True, max_epochs=1).fit(ROWS, NUMBERS)
    before = {name: each.clone() for name, each in model.state_dict_.items()}
    model.set_params(max_steps=1, optimizer="sgd", lr=0.0).fit(ROWS, NUMBERS)
    assert all(torch.equal(before[name], each) for name, each in model.state_dict_.items())


@pytest.mark.parametrize("max_steps", [3, 7])
def test_max_steps(max_steps):
    model = staged("chain", max_steps=max_steps).fit(ROWS, NUMBERS)
    assert len(model.loss_curve_) == model.n_epochs_ == -(-max_steps // 5)
    assert model._remembered.model.buffers.largest.max() == max_steps


def test_early_stopping_by_the_loss():
    model = staged("chain", tol=1e9, n_iter_no_change=2, max_epochs=50).fit(ROWS, NUMBERS)
    assert model.n_epochs_ == 4  # the first is an improvement on nothing


def test_callbacks():
    seen = []

    def stop(event):
        seen.append((event.record.loss, event.estimator))
        return len(seen) == 2

    model = staged("chain", callbacks=[stop], max_epochs=50).fit(ROWS, NUMBERS)
    assert len(model.history_) == len(seen) == 2
    assert [loss for loss, _ in seen] == [record.loss for record in model.history_]
    assert distance(seen[-1][1], model) == 0 and distance(seen[0][1], model) > 0
    with pytest.raises(RuntimeError, match="the weights live on the workers"):
        events = []
        staged("chain", callbacks=[events.append]).fit(ROWS, NUMBERS)
        events[0].estimator  # noqa: B018


def test_saved_and_opened(fitted, tmp_path):
    url = str(tmp_path / "model.safetensors")
    save(fitted, url)
    opened = open_model(url, module=chain, loss=squares)
    assert isinstance(opened, TorchEstimator) and bits(opened) == bits(fitted)
    assert str(opened.explain()) == str(fitted.explain())
    more = staged("chain", max_epochs=4).fit(ROWS, NUMBERS)
    assert bits(opened.partial_fit(ROWS, NUMBERS)) == bits(more)


def shaken(sample, generator):
    return sample + generator.normal(size=sample.shape) / 10


def test_augmented_samples_are_the_same_for_the_first_stage_and_the_last():
    one = staged("chain", augment=shaken).fit(ROWS, NUMBERS)
    assert distance(one, staged("chain", augment=shaken, stages=2).fit(ROWS, NUMBERS)) == 0
    assert distance(one, staged("chain").fit(ROWS, NUMBERS)) > 1e-4


def masked(module, batch):
    """Draw before the module is called, and after."""
    X, y = batch
    keep = (torch.rand(X.shape) > 0.3).double()
    return ((module(X * keep)[:, 0] - y) ** 2 * torch.rand(len(y))).mean() + keep.mean()


def test_what_the_loss_draws_is_the_same_for_the_first_stage_and_the_last():
    found = [
        staged("chain", stages=stages, recompute=recompute).set_params(loss=masked)
        for stages, recompute in ((2, False), (4, True))
    ]
    one, other = [each.fit(ROWS, NUMBERS) for each in found]
    assert bits(one) == bits(other)
