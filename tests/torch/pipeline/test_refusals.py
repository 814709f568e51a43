"""What cannot be trained in stages is refused, in words; what can but looks odd is trained."""

import random
import threading

import dask.array as da
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from daskml_exec import Executor
from daskml_exec.partitions import load_samples as load_in_this_process
from daskml_exec.torch import DivergenceError, TorchEstimator, load_samples
from tests.torch.pipeline.cut_modules import (
    NUMBERS,
    ROWS,
    Called,
    chain,
    distance,
    squares,
    staged,
)


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def refused(message, *, module=chain, loss=squares, error=ValueError, X=ROWS, **arguments):
    """Require that a fit is refused, and leaves nothing behind."""
    given = {"parallel": "pipeline", "stages": 2, "max_epochs": 1, "random_state": 0}
    model = TorchEstimator(module, loss=loss, **{**given, **arguments})
    with pytest.raises(error, match=message):
        model.fit(X, NUMBERS)
    assert not hasattr(model, "module_")


NOT_WITH_DATA = {"stages": 2, "micro_batches": 3, "pipeline_order": "gpipe", "recompute": True}


@pytest.mark.parametrize("name", NOT_WITH_DATA)
def test_what_is_of_pipelines_alone(name):
    message = f"{name}={NOT_WITH_DATA[name]!r} with parallel='data'.* allowed are {name}="
    given = {"parallel": "data", "stages": None} | {name: NOT_WITH_DATA[name]}
    refused(message, **given)


NOT_IN_STAGES = {
    "sync_every": 2,
    "outer": "nesterov",
    "optimizer_state": "local",
    "compression": "fp16",
    "rows_least": 3,
    "accumulate": 2,
    "compile": True,
    "amp": "float16",
}


@pytest.mark.parametrize("name", NOT_IN_STAGES)
def test_what_stages_do_not_go_with(name):
    message = f"{name}={NOT_IN_STAGES[name]!r} with parallel='pipeline': .*; allowed"
    refused(message, **{name: NOT_IN_STAGES[name]})


STAGES = {
    "none": (None, "stages=None with parallel='pipeline'; allowed are a number from 2"),
    "one": (1, "stages=1 with parallel='pipeline'; .*parallel='data' trains a module as a whole"),
    "many": (9, "stages=9, and the module has 7 parts .*: 0, 1, 2, 3, 4, 5.0, 5.1; allowed"),
    "unknown": (["2", "six"], "stages has 'six', which no part is called like; there are 0, 1"),
    "first": (["0"], r"stages=\['0'\] makes one stage, as the first part, '0', begins one"),
    "numbers": ([2, 4], r"stages=\[2, 4\]; allowed are"),
}


@pytest.mark.parametrize(("stages", "message"), STAGES.values(), ids=STAGES)
def test_stages(stages, message):
    refused(message, stages=stages)


def no_list(module):
    return 3


def one_stage(module):
    return [module]


def tensors(module):
    return [module[0], torch.ones(3)]


def without_the_last(module):
    return [module[:2], module[2:5]]


def other_modules(module):
    return [module[:2], nn.Linear(16, 1).double()]


def exchanged(module):
    return [module[:3], module[5], module[3:5]]


class Holding(nn.Module):
    """Has the last children, and something from which the whole module can be reached."""

    def __init__(self, module, held):
        super().__init__()
        self.own, self.held = module[3:], held

    def forward(self, X):
        return self.own(X)


def closing(module):
    return [module[:3], Holding(module, lambda: module)]


def listing(module):
    return [module[:3], Holding(module, [module[0]])]


FUNCTIONS = {
    "no list": (no_list, TypeError, r"stages\(module\) returned a int; allowed is a list of two"),
    "tensors": (tensors, TypeError, "returned a list with Linear, Tensor; allowed"),
    "one": (one_stage, ValueError, "returned 1 of them; allowed is a list of two"),
    "fewer": (without_the_last, ValueError, "returned stages without '5.0.weight', which is"),
    "others": (other_modules, ValueError, "returned a stage 1 with 'weight', which is no"),
    "closing": (closing, ValueError, r"stages\[1\] reaches '0.bias' .* neither as a parameter nor"),
    "listing": (listing, ValueError, "as where a function or a plain list holds .* allowed are"),
    "exchanged": (exchanged, ValueError, "returned stages that give another output than the"),
}


@pytest.mark.parametrize(("stages", "error", "message"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_of_the_module(stages, error, message):
    refused(message, stages=stages, error=error)


class Skips(Called):
    def forward(self, X):
        hidden = self.first(X)
        return self.last(self.between(hidden) + hidden)


class DropsBetween(Called):
    def forward(self, X):
        hidden = nn.functional.dropout(self.first(X), training=self.training)
        return self.last(self.between(hidden))


class CutsOffBetween(Called):
    def forward(self, X):
        return self.last(self.between(nn.functional.relu(self.first(X), inplace=True)))


class ShiftsBetween(Called):
    """Begins with a shift of zero, which no output shows."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(8).double())

    def forward(self, X):
        hidden = self.first(X)
        hidden += self.shift
        return self.last(self.between(hidden))


class CountsBetween(Called):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, X):
        self.seen += 1
        return super().forward(X)


class Draws(nn.Module):
    """Draws, in training, of two generators."""

    def forward(self, X):
        kept = random.random() + np.random.random()
        return nn.functional.dropout(X, 0.5, self.training) * kept


class Follows(nn.Linear):
    """Keeps in a buffer that is not saved, or in a frozen parameter, what it was given."""

    def __init__(self, frozen):
        super().__init__(6, 8)
        mean = torch.zeros(6)
        if frozen:
            self.mean = nn.Parameter(mean, requires_grad=False)
        else:
            self.register_buffer("mean", mean, persistent=False)

    def forward(self, X):
        with torch.no_grad():
            self.mean.lerp_(X.mean(0), 0.1)
        return super().forward(X - self.mean)


def following():
    return nn.Sequential(Follows(False), nn.Linear(8, 1)).double()


def following_frozen():
    return nn.Sequential(Follows(True), nn.Linear(8, 1)).double()


class PassesSets(nn.Linear):
    def forward(self, X):
        return {super().forward(X)}


class TakesSets(nn.Linear):
    def forward(self, X):
        return super().forward(next(iter(X)))


def of_sets():
    return nn.Sequential(PassesSets(6, 4), TakesSets(4, 1)).double()


def normalised():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)).double()


def locked():
    made = chain()
    made[2].lock = threading.Lock()
    return made


MODULES = {
    "no chain": (Skips, "module=Skips cannot be cut .*: 'last' gets something else than 'between'"),
    "drops": (DropsBetween, "=DropsBetween cannot be cut .*: 'between' gets something else than"),
    "cuts off": (
        CutsOffBetween,
        "does something between its children, .* another output.*; allowed",
    ),
    "shifts": (ShiftsBetween, "the module has 'shift', which is trained, and is in no child.*allo"),
    "counts": (CountsBetween, "does something between its .* other values in 'seen' .*; allowed"),
    "not saved": (following, r"its buffer '0.mean' .*micro_batches=4.*allowed are micro_batches=1"),
    "statistics": (normalised, r"its buffer '1.*BatchNorm.*micro_batches=4.*allowed are micro_b"),
}


@pytest.mark.parametrize(("module", "message"), MODULES.values(), ids=MODULES)
def test_modules(module, message):
    refused(message, module=module)


def test_a_frozen_parameter_that_changes_whatever_the_micro_batches():
    message = "changes its parameter '0.mean' in a step, .*allowed are buffers"
    refused(message, module=following_frozen, micro_batches=1)


def test_buffers_that_are_not_saved_may_change_where_batches_are_whole():
    model = staged("chain", stages=2, max_epochs=1, micro_batches=1)
    assert model.set_params(module=following).fit(ROWS, NUMBERS).loss_curve_


def test_children_that_draw_are_a_chain():
    layers = [nn.Linear(6, 8), Draws(), nn.Linear(8, 1)]
    model = staged("chain", stages=2, max_epochs=1)
    model.set_params(module=nn.Sequential(*layers).double())
    assert model.fit(ROWS, NUMBERS).loss_curve_


def test_what_cannot_be_passed_on():
    message = "0 passes on a set; in stages allowed are tensors, tuples"
    refused(message, module=of_sets, error=TypeError)


def test_a_module_that_cannot_travel():
    refused("module.2.lock cannot be sent to Workers", module=locked(), error=TypeError)


def test_statistics_are_no_matter_of_micro_batches_where_forward_ways_are_repeated():
    message = "and twice with recompute=True: micro_batches=1"
    refused(message, module=normalised, micro_batches=1, recompute=True)


def twice(module, batch):
    X, y = batch
    return ((module(X)[:, 0] - module(X + 1)[:, 0] - y) ** 2).mean()


def penalised(module, batch):
    return squares(module, batch) + sum(each.pow(2).sum() for each in module.parameters())


def looks_inside(module, batch):
    return squares(module, batch) + module.first.weight.sum()


def hides(module, batch):
    X, y = batch
    try:
        return ((module(X)[:, 0] - y) ** 2).mean()
    except BaseException:
        return X.sum()


def asks_before(module, batch):
    X, y = batch
    return squares(module, (X * 2 if hasattr(module, "first") else X, y))


def asks_after(module, batch):
    return squares(module, batch) * getattr(module, "scale", 1.0)


def asks_and_catches(module, batch):
    loss = squares(module, batch)
    try:
        return loss + sum(each.pow(2).sum() for each in module.parameters())
    except AttributeError:
        return loss


LOSSES = {
    "twice": (twice, ValueError, "loss calls the module more than once; .*call it once"),
    "penalty": (penalised, AttributeError, "loss asks for module.parameters; .*stand-in"),
    "inside": (looks_inside, AttributeError, "loss asks for module.first; .*stand-in"),
    "asks before": (asks_before, AttributeError, "loss asks for module.first; .*stand-in"),
    "asks after": (asks_after, AttributeError, "loss asks for module.scale; .*stand-in"),
    "catches": (asks_and_catches, AttributeError, "loss asks for module.parameters; .*stand-in"),
    "hides": (hides, ValueError, "loss does not call the module, or hides that it does"),
}


@pytest.mark.parametrize(("loss", "error", "message"), LOSSES.values(), ids=LOSSES)
def test_losses(loss, error, message):
    refused(message, module=Called, loss=loss, error=error)


def fails_later(module, batch):
    X, _ = batch
    if (X[:, 0] > 1.5).any():
        raise KeyError("above")
    return squares(module, batch)


def test_what_a_loss_raises_on_a_worker_comes_home():
    X = np.where(np.arange(50)[:, None] < 30, np.minimum(ROWS, 1), ROWS)
    X[40, 0] = 2
    with pytest.raises(KeyError, match="above") as caught:
        staged("chain", shuffle=False, max_epochs=1).set_params(loss=fails_later).fit(X, NUMBERS)
    assert "in training a pipeline, epoch 0, one of the steps 0 to" in caught.value.__notes__[0]


class Counts(torch.optim.SGD):
    """Keeps in its groups how many steps it has taken."""

    def step(self, closure=None):
        for group in self.param_groups:
            group["k"] = group.get("k", 0) + 1
        return super().step(closure)


def test_an_optimiser_that_remembers_more_than_the_state_of_parameters():
    refused("optimizer Counts remembers 'k' in its groups; .*allowed are", optimizer=Counts)


def infinite(module, batch):
    X, _ = batch
    return squares(module, batch) / (X[:, 0] < 9).all().logical_not()


def test_a_loss_that_is_not_finite_before_any_step():
    with pytest.raises(DivergenceError, match="in step 0 of epoch 0") as caught:
        staged("chain").set_params(loss=infinite).fit(ROWS, NUMBERS)
    assert caught.value.remedy.startswith("No step has been taken yet")


def test_a_loss_that_is_not_finite():
    with pytest.raises(DivergenceError, match=r"the loss is inf|nan in step .*Lower lr, which was"):
        staged("chain", lr=1e200, optimizer="sgd").fit(ROWS, NUMBERS)
    bad = ROWS.copy()
    bad[13, 2] = np.nan
    with pytest.raises(ValueError, match="X has nan in sample 13 of partition 0, sample 13 of all"):
        staged("chain").fit(bad, NUMBERS)


def test_more_micro_batches_than_samples():
    model = staged("chain", micro_batches=20, max_epochs=1)
    with pytest.warns(UserWarning, match="micro_batches=20 is more than the 10 samples of a step"):
        model.fit(ROWS, NUMBERS)
    with pytest.warns(UserWarning, match="batch_size=99 is more than the 50 samples"):
        staged("chain", batch_size=99, max_epochs=1).fit(ROWS, NUMBERS)


def test_partitions_with_fewer_samples_than_a_step():
    chunked = [da.from_array(each, chunks=(20, *each.shape[1:])) for each in (ROWS, NUMBERS)]
    model = staged("chain", batch_size=40, max_epochs=1)
    message = "batch_size=40 is more than the 20 samples of the largest partition"
    with pytest.warns(UserWarning, match=message):
        model.fit(*chunked)
    assert model.explain().batch == 20


def test_more_stages_than_workers():
    model = staged("chain", stages=7, max_epochs=1).fit(ROWS, NUMBERS)
    assert model.history_[-1].workers == 2
    assert model.explain().stages == ("0", "1", "2", "3", "4", "5.0", "5.1")


def test_data_that_was_loaded():
    expected = staged("chain", max_epochs=1).fit(ROWS, NUMBERS)
    with load_samples(ROWS, NUMBERS) as data:
        assert distance(staged("chain", max_epochs=1).fit(data), expected) == 0
    with (
        load_in_this_process(ROWS, NUMBERS) as data,
        pytest.raises(ValueError, match="X is a Data in this process, and parallel='pipeline'"),
    ):
        staged("chain").fit(data)


def steep(module, batch):
    return 1e9 * squares(module, batch)


def test_parameters_that_are_not_finite_after_the_last_step():
    model = staged("chain", max_steps=1, optimizer="sgd", lr=1e307).set_params(loss=steep)
    message = r"parameters of .* are not finite after 1 steps of the epoch.*Lower lr"
    with pytest.raises(DivergenceError, match=message):
        model.fit(ROWS, NUMBERS)


def test_a_buffer_of_a_dtype_that_numpy_has_not():
    def made():
        module = chain()
        module[0].register_buffer("short", torch.ones(2, dtype=torch.bfloat16))
        return module

    refused(r"a buffer '0.short' of torch.bfloat16, .* allowed .*\.float\(\)", module=made)


@pytest.mark.parametrize("cut", [{"stages": 2}, {"output_blocks": 2}])
@pytest.mark.parametrize("row", [0, 100])
def test_an_id_that_is_not_there_is_named(cut, row):
    def words():
        return nn.Sequential(nn.Embedding(20, 4), nn.Linear(4, 4), nn.Linear(4, 20))

    def loss(module, ids):
        return functional.cross_entropy(module(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

    ids = np.random.default_rng(0).integers(0, 20, (120, 5))
    ids[row, 2] = 20
    model = TorchEstimator(
        words, loss=loss, parallel="pipeline", batch_size=20, random_state=0, **cut
    )
    with pytest.raises(IndexError) as caught:
        model.fit(ids)
    (*_, note) = caught.value.__notes__
    assert "has num_embeddings=20 and got the id 20; allowed are 0 to 19" in note


@pytest.mark.parametrize("how", [{}, {"parallel": "pipeline", "stages": 2}], ids=["data", "stages"])
@pytest.mark.parametrize("row", [0, 100])
def test_a_label_that_has_no_output_is_named(how, row):
    def net():
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))

    def loss(module, batch):
        return functional.cross_entropy(module(batch[0]), batch[1])

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 4)).astype(np.float32), rng.integers(0, 3, 120)
    y[row] = 3
    model = TorchEstimator(net, loss=loss, batch_size=20, random_state=0, **how)
    with pytest.raises(IndexError) as caught:
        model.fit(X, y)
    told = "".join(caught.value.__notes__)
    assert "the loss got the label 3 with 3 outputs; allowed are 0 to 2, and ignore_index" in told
