"""Steps on one partition are those of a plain loop of PyTorch over the same batches."""

import copy
import functools
import shutil

import dask.array as da
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from daskml_exec import Executor
from daskml_exec.torch import TorchClassifier, TorchEstimator
from tests.torch.modules import Hidden

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 4)).astype(np.float32)
Y = (X @ np.array([1, -1, 2, 0.5], np.float32)).astype(np.float32)
IDS = RNG.integers(0, 6, size=(48, 3))
BATCH, EPOCHS = 12, 3
N_STEPS = EPOCHS * len(X) // BATCH


@pytest.fixture(autouse=True)
def one_thread():
    """The sums of several threads are others."""
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


def squares(module, batch):
    X, y = batch
    return ((module(X).reshape(len(y)) - y) ** 2).mean()


def weighted_squares(module, batch):
    """A mean over some of the samples, with their number."""
    X, y = batch
    chosen = X[:, 0] > 0
    losses = (module(X).reshape(len(y)) - y) ** 2
    return (losses * chosen).sum() / chosen.sum(), chosen.sum()


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


class Tied(nn.Module):
    """One matrix goes in, and is transposed out."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.into = nn.Linear(4, 4, bias=False)
        self.out = nn.Linear(4, 1)
        self.back = nn.Linear(4, 4, bias=False)
        self.back.weight = self.into.weight

    def forward(self, X):
        return self.out(self.back(torch.tanh(self.into(X))))


class Words(nn.Module):
    def __init__(self, sparse):
        super().__init__()
        torch.manual_seed(5)
        self.words = nn.Embedding(6, 4, sparse=sparse)
        self.last = nn.Linear(4, 1)

    def forward(self, X):
        return self.last(self.words(X).mean(dim=1))


def fitted(module, *, loss=squares, data=X, **arguments):
    """Return an estimator that has gone through the samples in their order."""
    defaults = {"batch_size": BATCH, "max_epochs": EPOCHS, "shuffle": False, "random_state": 0}
    return TorchEstimator(module, loss=loss, **{**defaults, **arguments}).fit(data, Y)


def batches(data=X, epochs=EPOCHS):
    for _ in range(epochs):
        for start in range(0, len(data), BATCH):
            rows = slice(start, start + BATCH)
            yield torch.from_numpy(data[rows].copy()), torch.from_numpy(Y[rows].copy())


def plain(
    module, optimiser, *, loss=squares, data=X, clip=None, factor=None, parts=1, epochs=EPOCHS
):
    """Train in place by a loop as users write it, and return the losses."""
    losses = []
    for step, (inputs, y) in enumerate(batches(data, epochs)):
        for group in optimiser.param_groups:
            group["lr"] = group.setdefault("base", group["lr"]) * (factor(step) if factor else 1)
        optimiser.zero_grad()
        pieces = zip(inputs.chunk(parts), y.chunk(parts), strict=True)
        found = [loss(module, piece) for piece in pieces]
        means, weights = zip(
            *(each if isinstance(each, tuple) else (each, BATCH / parts) for each in found),
            strict=True,
        )
        total = means[0]
        if parts > 1:
            total = sum(mean * weight for mean, weight in zip(means, weights, strict=True))
            total = total / sum(weights)
        total.backward()
        if clip:
            nn.utils.clip_grad_norm_(module.parameters(), clip)
        optimiser.step()
        losses.append(float(total.detach()))
    return losses


def require_same(estimator, module, *, exact=False):
    for name, value in module.state_dict().items():
        found = estimator.state_dict_[name]
        if exact:
            assert torch.equal(found, value), name
        else:
            torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-6)


OPTIMISERS = {
    "sgd": ("sgd", torch.optim.SGD, {}),
    "momentum": ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": ("adam", torch.optim.Adam, {"betas": (0.8, 0.9)}),
    "adamw": ("AdamW", torch.optim.AdamW, {"weight_decay": 0.3}),
    "rmsprop": ("rmsprop", torch.optim.RMSprop, {"momentum": 0.5}),
    "adagrad": ("adagrad", torch.optim.Adagrad, {}),
    "class": (torch.optim.Adamax, torch.optim.Adamax, {}),
}


@pytest.mark.parametrize(("name", "make", "options"), OPTIMISERS.values(), ids=OPTIMISERS.keys())
def test_any_optimizer(name, make, options):
    module = network()
    routed = {f"optimizer__{key}": value for key, value in options.items()}
    estimator = fitted(network, optimizer=name, lr=0.02, **routed)
    losses = plain(module, make(module.parameters(), lr=0.02, **options))
    require_same(estimator, module)
    means = np.reshape(losses, (EPOCHS, -1)).mean(axis=1)
    np.testing.assert_allclose(estimator.loss_curve_, means, rtol=1e-5)


def test_a_module_given_is_copied_and_comes_as_near_as_changes_are_rounded():
    module = network()
    estimator = fitted(module, optimizer="sgd", lr=0.05, optimizer__momentum=0.9, max_epochs=1)
    own = copy.deepcopy(module)
    plain(own, torch.optim.SGD(own.parameters(), lr=0.05, momentum=0.9), epochs=1)
    for name, value in own.state_dict().items():
        torch.testing.assert_close(estimator.state_dict_[name], value, rtol=2e-7, atol=1e-7)
    assert torch.equal(module[0].weight, network()[0].weight)


def test_gradients_are_clipped():
    module = network()
    estimator = fitted(network, optimizer="sgd", lr=0.1, clip_norm=0.1)
    plain(module, torch.optim.SGD(module.parameters(), lr=0.1), clip=0.1)
    require_same(estimator, module)


@pytest.mark.parametrize("loss", [squares, weighted_squares])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_batch_in_parts_is_the_batch(loss, parts):
    module = network()
    estimator = fitted(network, loss=loss, optimizer="sgd", lr=0.05, accumulate=parts)
    losses = plain(module, torch.optim.SGD(module.parameters(), lr=0.05), loss=loss, parts=parts)
    require_same(estimator, module)
    whole = fitted(network, loss=loss, optimizer="sgd", lr=0.05)
    require_same(whole, module)
    if loss is squares:
        assert estimator.loss_curve_[-1] == pytest.approx(np.mean(losses[-4:]), rel=1e-5)


def halves(named):
    return [
        {"params": [each for name, each in named.items() if name.startswith("0.")]},
        {
            "params": [each for name, each in named.items() if name.startswith("2.")],
            "lr": 0.2,
            "weight_decay": 0.5,
        },
    ]


def warm(step, total):
    return min(1.0, (step + 1) / 5) * (1 - step / total)


def test_groups_of_parameters_keep_their_rates_under_a_schedule():
    module = network()
    estimator = fitted(network, optimizer="sgd", lr=0.1, param_groups=halves, scheduler=warm)
    optimiser = torch.optim.SGD(halves(dict(module.named_parameters())), lr=0.1)
    plain(module, optimiser, factor=functools.partial(warm, total=N_STEPS))
    require_same(estimator, module)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")
@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_embeddings_with_sparse_gradients(name):
    module = Words(sparse=True)
    make = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad}[name]
    estimator = fitted(functools.partial(Words, True), data=IDS, optimizer=name, lr=0.1)
    plain(module, make(module.parameters(), lr=0.1), data=IDS)
    require_same(estimator, module)


def test_what_is_frozen_stays_to_the_bit():
    module = network()
    estimator = fitted(network, trainable="2.*", lr=0.05)
    for parameter in module[0].parameters():
        parameter.requires_grad_(False)
    plain(module, torch.optim.AdamW(module[2].parameters(), lr=0.05))
    require_same(estimator, module)
    assert torch.equal(estimator.module_[0].weight, network()[0].weight)
    chosen = fitted(network, trainable=lambda name: name.startswith("2."), lr=0.05)
    require_same(chosen, estimator.module_, exact=True)


def test_tied_weights_are_one():
    module = Tied()
    estimator = fitted(Tied, optimizer="sgd", lr=0.05, optimizer__momentum=0.9)
    plain(module, torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9))
    require_same(estimator, module)
    assert estimator.module_.into.weight is estimator.module_.back.weight
    assert estimator._layout.parameters.names == ("into.weight", "out.weight", "out.bias")


def test_amp_computes_in_a_shorter_dtype_and_keeps_the_parameters():
    short = fitted(network, amp="bfloat16", lr=0.02)
    long = fitted(network, lr=0.02)
    assert short.module_[0].weight.dtype == torch.float32
    assert not np.array_equal(short.predict(X), long.predict(X))
    np.testing.assert_allclose(short.predict(X), long.predict(X), atol=0.05)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler: c++")
@pytest.mark.filterwarnings("ignore")  # of torch's compiler
def test_a_compiled_module_is_the_module():
    compiled, module = (fitted(network, compile=each, lr=0.02) for each in (True, False))
    np.testing.assert_allclose(compiled.predict(X), module.predict(X), atol=1e-5)
    assert list(compiled.state_dict_) == list(module.state_dict_)


@pytest.mark.parametrize("max_steps", [1, 4, 6])
def test_training_ends_after_so_many_steps(max_steps):
    seen = []

    def schedule(step, total):
        seen.append((step, total))
        return 1.0

    estimator = fitted(network, optimizer="sgd", max_steps=max_steps, scheduler=schedule)
    module = network()
    optimiser = torch.optim.SGD(module.parameters(), lr=1e-3)
    for _, batch in zip(range(max_steps), batches(), strict=False):
        optimiser.zero_grad()
        squares(module, batch).backward()
        optimiser.step()
    require_same(estimator, module)
    assert estimator.n_epochs_ == -(-max_steps // 4)


def errors(module, batch):
    X, y = batch
    off = (module(X).reshape(len(y)) - y).abs()
    return {"nearness": (-off.sum(), len(y)), "close": ((off < 0.5).sum(), len(y))}


def test_early_stopping_restores_the_best():
    def schedule(step, total):
        return 1.0 if step < 30 else 40.0  # too far: the score falls

    kept = {}

    def keep(event):
        if event.record.score is not None:
            kept[event.record.score] = event.estimator.predict(X)

    estimator = fitted(
        network,
        optimizer="sgd",
        lr=0.02,
        scheduler=schedule,
        clip_norm=1.0,
        max_epochs=60,
        validation_fraction=0.25,
        scores=errors,
        tol=1e-3,
        n_iter_no_change=3,
        callbacks=[keep],
    )
    assert estimator.n_epochs_ < 60
    scores = estimator.validation_scores_
    assert max(scores) > scores[-1]
    assert np.array_equal(estimator.predict(X), kept[max(scores)])
    named = [each.scores for each in estimator.history_ if each.scores]
    assert len(named) == estimator.n_epochs_
    assert all(list(each) == ["nearness", "close"] for each in named)


def test_what_history_has():
    estimator = fitted(network, validation_fraction=0.25)
    records = list(estimator.history_)
    assert [each.score is None for each in records] == [True, False] * EPOCHS
    assert all(np.isfinite(each.loss) for each in records if each.score is None)
    assert estimator.validation_scores_ == [each.score for each in records if each.score]
    assert -records[1].score == pytest.approx(records[1].scores["validation_loss"])


def test_callbacks_are_told_of_each_epoch_and_so_are_those_of_scikit_learn():
    callbacks = pytest.importorskip("sklearn.callback")
    seen, labels, log = [], (Y > 0).astype(int), callbacks.ScoringMonitor(scoring="accuracy")
    estimator = TorchClassifier(
        Hidden, batch_size=BATCH, max_epochs=EPOCHS, callbacks=[seen.append], random_state=0
    )
    estimator.set_callbacks(log).fit(X, labels)
    assert [event.reached.done for event in seen] == [1, 2, 3]
    expected = estimator.predict_proba(X)
    assert np.array_equal(seen[-1].estimator.predict_proba(X), expected)
    assert not np.array_equal(seen[0].estimator.predict_proba(X), expected)
    told = [row["accuracy"] for row in log.get_logs().data if row["task_name"] == "epoch"]
    assert told == [event.estimator.score(X, labels) for event in seen]


def noisy(sample, generator):
    return sample + generator.normal(size=sample.shape).astype(np.float32)


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@settings(max_examples=8)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=3), st.integers(0, 3))
def test_augmented_samples_do_not_depend_on_the_chunks_that_rows_are_in(executor, cuts, seed):
    """Of a step over all rows, which are summed in one order or another."""
    bounds = [0, *sorted(9 * cut for cut in cuts), 48]
    chunks = tuple(np.diff(bounds).tolist())
    arguments = {
        "optimizer": "sgd",
        "lr": 0.1,
        "batch_size": 48,
        "sync_every": 1,
        "outer": "average",
        "augment": noisy,
        "random_state": seed,
        "rows_least": 1,
    }
    whole = fitted(network, **arguments)
    there = da.from_array(X, chunks=(chunks, 4)), da.from_array(Y, chunks=(chunks,))
    cut = TorchEstimator(network, loss=squares, max_epochs=EPOCHS, shuffle=False, **arguments)
    cut.fit(*there)
    np.testing.assert_allclose(cut.predict(X), whole.predict(X), rtol=1e-4, atol=1e-5)
    other = fitted(network, **{**arguments, "augment": None})
    assert not np.allclose(other.predict(X), whole.predict(X), atol=1e-3)
