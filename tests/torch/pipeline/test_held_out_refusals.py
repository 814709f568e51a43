"""Scores that stages cannot have are refused, in words; what scores raise comes home."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from daskml_exec import Executor
from daskml_exec.kernels.networks.batches import held_out
from daskml_exec.torch import DivergenceError, TorchEstimator
from tests.torch.pipeline.cut_modules import NUMBERS, ROWS, Called, chain, squares, staged
from tests.torch.pipeline.plain_loop import SEED


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def refused(message, *, module=Called, loss=squares, error=ValueError, X=ROWS, **arguments):
    """Require that a fit is refused, and leaves nothing behind."""
    given = {"parallel": "pipeline", "stages": 2, "max_epochs": 1, "random_state": 0}
    given["validation_fraction"] = 0.2
    model = TorchEstimator(module, loss=loss, **{**given, **arguments})
    with pytest.raises(error, match=message) as caught:
        model.fit(X, NUMBERS)
    assert not hasattr(model, "module_")
    return caught.value


def squared(module, batch):
    return {"loss": (squares(module, batch), 1)}


def twice(module, batch):
    X, y = batch
    away = module(X)[:, 0] - module(X + 1)[:, 0] - y
    return {"loss": ((away**2).sum(), len(y))}


def penalised(module, batch):
    penalty = sum(each.pow(2).sum() for each in module.parameters())
    return {**squared(module, batch), "penalty": (penalty, 1)}


def looks_inside(module, batch):
    return {**squared(module, batch), "bias": (module.first.bias.sum(), 1)}


def asks_and_catches(module, batch):
    scale = 2.0 if hasattr(module, "first") else 1.0
    return {"loss": (squares(module, batch) * scale, 1)}


def not_at_all(module, batch):
    return {"samples": (len(batch[0]), 1)}


def asks_later(module, batch):
    found = squared(module, batch)
    found["bias"] = (getattr(module, "bias", 1.0), 1)
    return found


SCORES = {
    "twice": (twice, ValueError, "scores calls the module more than once; .*call it once"),
    "penalty": (penalised, AttributeError, "scores asks for module.parameters; .*stand-in"),
    "inside": (looks_inside, AttributeError, "scores asks for module.first; .*stand-in"),
    "catches": (asks_and_catches, AttributeError, "scores asks for module.first; .*stand-in"),
    "not at all": (not_at_all, ValueError, "scores does not call the module, or hides that it"),
    "later": (asks_later, AttributeError, "scores asks for module.bias; .*stand-in"),
}


@pytest.mark.parametrize(("scores", "error", "message"), SCORES.values(), ids=SCORES)
def test_scores(scores, error, message):
    refused(message, scores=scores, error=error)


def test_what_scores_may_do_where_nothing_is_held_out():
    model = TorchEstimator(
        Called, loss=squares, scores=penalised, parallel="pipeline", stages=2, max_epochs=1
    )
    assert model.fit(ROWS, NUMBERS).loss_curve_


class Doubled(nn.Module):
    """Gives twice as much in eval mode, between its children."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 8).double()
        self.last = nn.Linear(8, 1).double()

    def forward(self, X):
        hidden = self.first(X)
        return self.last(hidden if self.training else hidden * 2)


def test_a_module_that_does_more_in_eval_mode_than_its_children():
    message = "the children of the module give another output in eval mode .*; allowed are"
    refused(message, module=Doubled)


def halves(module):
    return [module.first, module.last]


def test_stages_that_do_something_else_in_eval_mode():
    refused(r"the stages of stages\(module\) give another output in", module=Doubled, stages=halves)


LATER = ROWS.copy()
LATER[:, 0] = 0.0
LATER[held_out(0, len(ROWS), 0.2, seed=SEED, partition=0)[1][-1], 0] = 1.0
"""Of which one sample that is held out has a mark, and none of the first."""


def fails_later(module, batch):
    if batch[0][:, 0].any():
        raise KeyError("a mark")
    return squared(module, batch)


def test_what_scores_raise_on_a_worker_comes_home():
    error = refused("a mark", module=chain, scores=fails_later, error=KeyError, X=LATER)
    assert "in scoring what is held out of a pipeline, epoch 0" in error.__notes__[-1]


def no_dict(module, batch):
    found = squared(module, batch)
    return 0.5 if batch[0][:, 0].any() else found


def test_scores_that_return_no_sums_later():
    message = r"scores returned 0\.5; allowed is a dict of \(sum, weight\)"
    refused(message, module=chain, scores=no_dict, X=LATER)


def infinite(module, batch):
    squares(module, batch)
    return {"loss": (torch.tensor(np.inf), 1)}


def test_a_score_that_is_not_finite():
    message = "the score of the samples held out is -inf after epoch 0.*Lower lr, which was 0.001"
    error = refused(message, module=chain, scores=infinite, error=DivergenceError)
    assert set(error.state_dict) == set(chain().state_dict())


def test_scores_that_cannot_travel():
    lock = threading.Lock()

    def scores(module, batch):
        return squared(module, batch) if lock else {}

    refused("scores cannot be sent to Workers", module=chain, scores=scores, error=TypeError)
    assert staged("chain", scores=scores, max_epochs=1).fit(ROWS, NUMBERS).loss_curve_
