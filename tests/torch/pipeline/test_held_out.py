"""Samples held out of stages: the scores and the best weights of the usual loop."""

import functools

import dask
import dask.array as da
import numpy as np
import pytest
import torch
from torch import nn

from daskml_exec import Executor, open_model, save
from daskml_exec.kernels.networks.batches import held_out
from daskml_exec.torch import TorchClassifier, TorchEstimator, TorchRegressor
from tests.tiers import each_value, slow
from tests.torch.networks import bits
from tests.torch.pipeline.cut_modules import (
    CASES,
    NUMBERS,
    ROWS,
    TOKENS,
    Words,
    chain,
    distance,
    estimator,
    hybrid,
    lazy,
    squares,
    staged,
    weighted_squares,
)
from tests.torch.pipeline.plain_hybrid import Hybrid
from tests.torch.pipeline.plain_loop import SEED, looped

FRACTION = 0.3
NOISE = np.random.default_rng(5).normal(size=len(ROWS)) * 3
"""Nothing of which can be learnt: scores get worse again."""

CHUNKS, REPLICAS = (20, 13, 17), ((0,), (1, 2))


@pytest.fixture(scope="module", autouse=True)
def executor():
    """Where all of this trains: there are fewer Workers than stages."""
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


SGD = functools.partial(torch.optim.SGD, lr=0.01, momentum=0.9)
ADAMW = functools.partial(torch.optim.AdamW, lr=0.01, fused=True)
MOMENTUM = {"optimizer": "sgd", "optimizer__momentum": 0.9}


def fitted(case="chain", **arguments):
    return staged(case, validation_fraction=FRACTION, **arguments).fit(*CASES[case][2])


def require_scores(model, loop):
    """The loop has gone on at least as long."""
    n = model.n_epochs_
    losses = [loss for loss, _ in loop.after[:n]]
    np.testing.assert_allclose(model.loss_curve_, loop.loss_curve_[:n], rtol=1e-12)
    np.testing.assert_allclose(model.validation_scores_, -np.array(losses), rtol=1e-12)


def require_weights(model, state, within=0.0):
    for name, tensor in state.items():
        difference = (model.state_dict_[name].double() - tensor.double()).abs().max()
        assert difference <= within, name


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("case", ["chain", "called"])
def test_the_usual_loop(case, parts):
    """It trains on the others alone, and with the bits that it has without them."""
    model = fitted(case, micro_batches=parts)
    loop = looped(case, ADAMW, parts=parts, fraction=FRACTION)
    assert model.loss_curve_ == loop.loss_curve_
    require_scores(model, loop)
    require_weights(model, loop.state_dict_)


def test_a_loss_with_a_weight_over_stages_that_share_weights():
    model = fitted("words", micro_batches=3)
    loop = looped("words", ADAMW, parts=3, fraction=FRACTION)
    np.testing.assert_allclose(model.validation_scores_, [-each for each, _ in loop.after])


def normalised():
    torch.manual_seed(5)
    layers = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)
    return nn.Sequential(*layers).double()


def test_statistics_are_used_and_left_as_they_are():
    model = staged("chain", stages=["3"], micro_batches=1, validation_fraction=FRACTION, **MOMENTUM)
    model.set_params(module=normalised).fit(ROWS, NUMBERS)
    loop = looped("chain", SGD, parts=1, module=normalised(), fraction=FRACTION)
    require_scores(model, loop)
    require_weights(model, loop.state_dict_)


STOPPING = {"tol": 0.0, "n_iter_no_change": 3, "max_epochs": 60}


@pytest.mark.parametrize("duration", ["1ms", slow("5s")])
def test_the_best_weights_are_kept(duration):
    """Those of an epoch in the middle, wherever segments are cut."""
    arguments = {"lr": 0.005, **STOPPING}
    with dask.config.set({"daskml-exec.segment-duration": duration}):
        model = staged("chain", validation_fraction=FRACTION, **arguments).fit(ROWS, NOISE)
    optimiser = functools.partial(torch.optim.AdamW, lr=0.005, fused=True)
    loop = looped("chain", optimiser, epochs=60, arrays=(ROWS, NOISE), fraction=FRACTION)
    require_scores(model, loop)
    best = int(np.argmax(model.validation_scores_))
    assert 0 < best < model.n_epochs_ - 1 < 59
    require_weights(model, loop.after[best][1])
    whole = estimator("chain", validation_fraction=FRACTION, accumulate=4, **arguments)
    assert whole.fit(ROWS, NOISE).n_epochs_ == model.n_epochs_
    assert distance(model, whole) < 1e-12


def test_the_last_weights_are_the_best():
    model = fitted(tol=0.0, n_iter_no_change=50)
    assert int(np.argmax(model.validation_scores_)) == 2
    assert bits(model) == bits(fitted())


def test_what_training_goes_on_with_are_the_last_weights():
    arguments = {"lr": 0.005, "validation_fraction": FRACTION}
    model = staged("chain", **arguments, **STOPPING).fit(ROWS, NOISE)
    n = model.n_epochs_
    last = staged("chain", max_epochs=n, **arguments).fit(ROWS, NOISE)
    kept = model._remembered.model
    assert kept.parameters.tobytes() == last._remembered.model.parameters.tobytes()
    assert distance(model, last) > 1e-6
    more = staged("chain", max_epochs=n + 1, **arguments).fit(ROWS, NOISE)
    model.set_params(tol=None, n_iter_no_change=10).partial_fit(ROWS, NOISE)
    assert bits(model) == bits(more)


def test_warm_start_begins_with_the_best_weights():
    arguments = {"lr": 0.005, "validation_fraction": FRACTION}
    model = staged("chain", warm_start=True, **arguments, **STOPPING).fit(ROWS, NOISE)
    before = {name: each.clone() for name, each in model.state_dict_.items()}
    still = {"max_epochs": 1, "optimizer": "sgd", "lr": 0.0, "tol": None, "n_iter_no_change": 10}
    model.set_params(**still).fit(ROWS, NOISE)
    require_weights(model, before)


def test_partial_fit_is_a_longer_fit():
    model = staged("chain", validation_fraction=FRACTION)
    for _ in range(3):
        model.partial_fit(ROWS, NUMBERS)
    assert bits(model) == bits(fitted()) and len(model.validation_scores_) == 3


def test_saved_and_opened(tmp_path):
    arguments = {"lr": 0.005, "validation_fraction": FRACTION}
    model = staged("chain", **arguments, **STOPPING).fit(ROWS, NOISE)
    url = str(tmp_path / "model.safetensors")
    save(model, url)
    opened = open_model(url, module=chain, loss=squares)
    assert bits(opened) == bits(model) and str(opened.explain()) == str(model.explain())
    assert bits(opened.partial_fit(ROWS, NOISE)) == bits(model.partial_fit(ROWS, NOISE))


def near(module, batch):
    X, y = batch
    away = (module(X)[:, 0] - y).abs()
    assert not module.training
    return {"near": ((away < 1).sum(), len(y)), "away": (away.sum(), len(y)), "none": (0.0, 0)}


def test_history_is_that_of_data_parallelism():
    arguments = {"scores": near, "validation_fraction": FRACTION}
    model = staged("chain", **arguments).fit(ROWS, NUMBERS)
    whole = estimator("chain", accumulate=4, **arguments).fit(ROWS, NUMBERS)
    ours = [record for record in model.history_ if record.step == "score"]
    theirs = [record for record in whole.history_ if record.step == "score"]
    assert len(ours) == len(theirs) == 3
    for one, other in zip(ours, theirs, strict=True):
        assert list(one.scores) == list(other.scores) == ["near", "away", "none"]
        np.testing.assert_allclose(list(one.scores.values()), list(other.scores.values()))
        assert one.score == other.score == one.scores["near"]
        assert one.loss is None
    assert model.validation_scores_ == [record.score for record in ours]


@pytest.mark.parametrize("kind", [TorchClassifier, TorchRegressor])
def test_criteria(kind):
    n = 3 if kind is TorchClassifier else 1
    y = np.digitize(NUMBERS, [-1, 1]) * 10 if kind is TorchClassifier else NUMBERS
    module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, n)).double()
    given = {"batch_size": 12, "max_epochs": 5, "random_state": 0, "lr": 0.05}
    given["validation_fraction"] = FRACTION
    names = ["accuracy", "validation_loss"] if kind is TorchClassifier else ["validation_loss"]
    for weight in (None, np.arange(len(ROWS)) % 3 * 1.0):
        whole = kind(module, accumulate=4, **given).fit(ROWS, y, weight)
        model = kind(module, parallel="pipeline", stages=2, **given).fit(ROWS, y, weight)
        assert distance(model, whole) < 1e-12
        np.testing.assert_allclose(model.validation_scores_, whole.validation_scores_, rtol=1e-12)
        assert list(model.history_[-1].scores) == list(whole.history_[-1].scores) == names


def test_weights_of_samples():
    weight = np.arange(len(ROWS)) % 3 * 1.5
    given = {"batch_size": 12, "max_epochs": 2, "random_state": 0, "validation_fraction": FRACTION}
    model = TorchEstimator(chain, loss=weighted_squares, parallel="pipeline", stages=2, **given)
    model.fit(ROWS, NUMBERS, weight)
    whole = TorchEstimator(chain, loss=weighted_squares, accumulate=4, **given)
    whole.fit(ROWS, NUMBERS, weight)
    np.testing.assert_allclose(model.validation_scores_, whole.validation_scores_, rtol=1e-12)
    assert distance(model, whole) < 1e-12
    _, out = held_out(0, len(ROWS), FRACTION, seed=SEED, partition=0)
    weight[out] = 0.0
    with pytest.raises(ValueError, match=r"validation_fraction=0\.3 holds out no sample, or none"):
        model.fit(ROWS, NUMBERS, weight)


UNEVEN = (20, 0, 1, 13, 2, 14)


def test_partitions_of_which_nothing_or_all_is_held_out():
    model = staged("chain", validation_fraction=FRACTION).fit(*lazy("chain", UNEVEN))
    whole = estimator("chain", validation_fraction=FRACTION, rows_least=1, max_epochs=1)
    whole.fit(*lazy("chain", UNEVEN))
    rows = whole.explain().batching.rows
    assert model.explain().rows == rows and sum(rows) == 35
    assert model.explain().held_out == 15
    text = "35 samples to train on in 6 partitions; 15 more held out, and scored"
    assert text in str(model.explain())
    X, y = (torch.from_numpy(each) for each in held_out_of(UNEVEN, ROWS, NUMBERS))
    with torch.no_grad():
        loss = float(squares(model.module_, (X, y)))
    assert model.validation_scores_[-1] == pytest.approx(-loss, rel=1e-12)


def held_out_of(chunks, *arrays):
    starts = np.cumsum([0, *chunks])
    rows = [
        start + held_out(start, n, FRACTION, seed=SEED, partition=p)[1]
        for p, (start, n) in enumerate(zip(starts, chunks, strict=False))
    ]
    return [array[np.concatenate(rows)] for array in arrays]


def test_a_fraction_that_comes_to_nothing():
    for parallel in ({}, {"parallel": "pipeline", "stages": 2}):
        model = estimator("chain", validation_fraction=0.01, **parallel)
        message = r"validation_fraction=0\.01 holds out no sample, or none"
        with pytest.raises(ValueError, match=message):
            model.fit(ROWS, NUMBERS)
        assert not hasattr(model, "module_")


def test_callbacks_see_the_weights_that_were_scored():
    X, y = held_out_of((50,), ROWS, NUMBERS)
    seen = []

    def look(event):
        if event.record.step == "score":
            seen.append((event.record.score, event.estimator.score(X, y)))
        return len(seen) == 2

    model = fitted(callbacks=[look], max_epochs=50)
    assert len(seen) == model.n_epochs_ == 2
    np.testing.assert_allclose(*zip(*seen, strict=True), rtol=1e-12)
    assert bits(model) == bits(fitted(max_epochs=2))


@pytest.mark.parametrize("step", ["train", "score"])
def test_a_callback_that_stops_after_the_best_score(step):
    arguments = {"lr": 0.005, "validation_fraction": FRACTION, **STOPPING}

    def stop(event):
        return event.record.step == step and event.estimator.module_ is not None

    model = staged("chain", callbacks=[stop], **arguments).fit(ROWS, NOISE)
    n = int(step == "score")
    assert len(model.validation_scores_) == n
    alone = staged("chain", **{**arguments, "max_epochs": 1}).fit(ROWS, NOISE)
    if n:
        assert bits(model) == bits(alone)


def test_a_callback_that_stops_while_weights_are_kept():
    """In the midst of the epoch after the best one."""
    arguments = {"lr": 0.005, "validation_fraction": FRACTION, **STOPPING}
    few = {"batch_size": 2, "micro_batches": 2}

    def stop(event):
        return event.record.step == "train" and event.reached.done > 1

    with dask.config.set({"daskml-exec.segment-duration": "1ms"}):
        model = staged("chain", callbacks=[stop], **few, **arguments).fit(ROWS, NOISE)
    arguments["max_epochs"] = 1
    best = staged("chain", **few, **arguments).fit(ROWS, NOISE)
    assert distance(model, best) == 0 and len(model.history_) > len(best.history_)


@pytest.mark.parametrize("max_steps", [2, 6])
def test_training_that_ends_in_mid_epoch_is_scored(max_steps):
    model = fitted(max_steps=max_steps)
    assert len(model.validation_scores_) == model.n_epochs_ == -(-max_steps // 3)
    X, y = held_out_of((50,), ROWS, NUMBERS)
    assert model.score(X, y) == pytest.approx(model.validation_scores_[-1], rel=1e-12)


def drawing():
    return chain(p=0.4)


def test_dropout_is_of_training_alone():
    model = staged("chain", validation_fraction=FRACTION).set_params(module=drawing)
    model.fit(ROWS, NUMBERS)
    X, y = held_out_of((50,), ROWS, NUMBERS)
    assert model.score(X, y) == pytest.approx(model.validation_scores_[-1], rel=1e-12)


def shaken(sample, generator):
    return sample + generator.normal(size=sample.shape) / 10


def test_samples_held_out_are_not_augmented():
    model = fitted(augment=shaken)
    X, y = held_out_of((50,), ROWS, NUMBERS)
    assert model.score(X, y) == pytest.approx(model.validation_scores_[-1], rel=1e-12)


class Chances(nn.Module):
    """Draws in eval mode, too."""

    def forward(self, X):
        return X + torch.rand(X.shape, dtype=X.dtype) / 10


def with_chances():
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(6, 8), Chances(), nn.Tanh(), Chances(), nn.Linear(8, 1)).double()


def test_what_scores_draw_depends_on_neither_cut_nor_epoch():
    given = {"validation_fraction": FRACTION, "lr": 0.0, "optimizer": "sgd"}
    found = [
        staged("chain", stages=stages, **given).set_params(module=with_chances).fit(ROWS, NUMBERS)
        for stages in (2, 5)
    ]
    scores = [model.validation_scores_ for model in found]
    assert scores[0] == scores[1] and len(set(scores[0])) == 1


class Counting(nn.Linear):
    """Has a buffer that each way forwards changes, in any mode, and that training depends on."""

    def __init__(self):
        super().__init__(6, 8)
        self.register_buffer("ways", torch.zeros(()))

    def forward(self, X):
        self.ways += 1
        return super().forward(X) * (1 + self.ways / 10)


def counting():
    torch.manual_seed(5)
    return nn.Sequential(Counting(), nn.Tanh(), nn.Linear(8, 1)).double()


class Frozen(nn.Sequential):
    """Has a part that is never in training."""

    def train(self, mode=True):
        super().train(mode)
        self[1].eval()
        return self


def frozen():
    made = normalised()
    return Frozen(*made).double()


@pytest.mark.parametrize("module", [counting, frozen])
def test_scores_change_nothing_of_what_is_trained(module):
    arguments = {"stages": 2, "micro_batches": 1, "max_epochs": 4}
    with_rows = staged("chain", validation_fraction=FRACTION, **arguments)
    with_rows.set_params(module=module).fit(ROWS, NUMBERS)
    trained_on, _ = held_out(0, len(ROWS), FRACTION, seed=SEED, partition=0)
    calls = []

    def loss(model, batch):
        calls.append(model.training)
        return squares(model, batch)

    loop = looped("chain", ADAMW, parts=1, module=module(), loss=loss, epochs=4, fraction=FRACTION)
    assert len(trained_on) == 35 and False in calls
    if module is frozen:
        require_scores(with_rows, loop)
        require_weights(with_rows, loop.state_dict_)
        assert with_rows.module_[1].num_batches_tracked == 0
    else:
        assert with_rows.module_[0].ways == 12  # three steps an epoch


def hybrid_fitted(case="chain", chunks=CHUNKS, **arguments):
    given = {"validation_fraction": FRACTION, "sync_every": 2, **arguments}
    return hybrid(case, **given).fit(*lazy(case, chunks))


def hybrid_loop(optimiser, **options):
    given = {"batch": 6, "every": 2, "fraction": FRACTION, **options}
    return Hybrid("chain", optimiser, CHUNKS, REPLICAS, **given)


@pytest.mark.parametrize("arguments", [{}, MOMENTUM], ids=["adamw", "momentum"])
def test_replicas_are_scored_as_their_average(arguments):
    optimiser = SGD if arguments else functools.partial(torch.optim.AdamW, lr=0.01)
    model = hybrid_fitted(**arguments)
    loop = hybrid_loop(optimiser)
    require_scores(model, loop)
    require_weights(model, loop.state_dict_, within=1e-12)


def test_the_best_average_is_kept():
    arguments = {"validation_fraction": FRACTION, "sync_every": 2, "lr": 0.005, **STOPPING}
    X, _ = lazy("chain", CHUNKS)
    model = hybrid("chain", **arguments).fit(X, da.from_array(NOISE, chunks=(CHUNKS,)))
    optimiser = functools.partial(torch.optim.AdamW, lr=0.005)
    loop = hybrid_loop(optimiser, epochs=60, arrays=(ROWS, NOISE))
    require_scores(model, loop)
    best = int(np.argmax(model.validation_scores_))
    assert 0 < best < model.n_epochs_ - 1 < 59
    require_weights(model, loop.after[best][1], within=1e-12)


def test_a_replica_of_which_nothing_is_held_out():
    model = hybrid("chain", validation_fraction=0.05).fit(*lazy("chain", (20, 10, 20)))
    assert model.explain().held_out == 2 and len(model.validation_scores_) == 3


@each_value(keeps=["average", "local", "reset"], steps=[1, 3, 5])
def test_replicas_that_are_stopped_between_two_averages_become_their_average(keeps, steps):
    """Which is what a fit of so many steps ends with, bit for bit."""
    seen = []

    def stop(event):
        seen.append((round(6 * event.reached.done), event.estimator))
        return seen[-1][0] >= 6 + steps

    given = {"sync_every": 4, "optimizer_state": keeps, "validation_fraction": 0.0}
    with dask.config.set({"daskml-exec.segment-duration": "1ms"}):
        model = hybrid_fitted(callbacks=[stop], **given)
    n, looked_at = seen[-1]
    assert n % 6 % 4
    expected = hybrid_fitted(max_steps=n, **given)
    assert distance(model, expected) == distance(looked_at, expected) == 0
    ours, theirs = model._remembered.model, expected._remembered.model
    assert ours.optimiser.moments.tobytes() == theirs.optimiser.moments.tobytes()
    assert ours.buffers.largest.tobytes() == theirs.buffers.largest.tobytes()


@pytest.mark.parametrize("steps", [1, 4])
def test_the_average_of_statistics_of_three_replicas(steps):
    """Of which the second has no step of its own since the average before the last step."""
    seen = []

    def stop(event):
        seen.append(round(5 * event.reached.done))
        return seen[-1] >= 5 + steps

    given = {"sync_every": 3, "n_replicas": 3, "micro_batches": 1, "stages": 2}
    arrays = lazy("chain", CHUNKS)
    with dask.config.set({"daskml-exec.segment-duration": "1ms"}):
        model = hybrid("chain", callbacks=[stop], **given).set_params(module=normalised)
        model.fit(*arrays)
    assert seen[-1] == 5 + steps
    expected = hybrid("chain", max_steps=5 + steps, **given).set_params(module=normalised)
    expected.fit(*arrays)
    assert distance(model, expected) == 0
    ours, theirs = model._remembered.model, expected._remembered.model
    assert ours.buffers.statistics.tobytes() == theirs.buffers.statistics.tobytes()
    assert ours.buffers.largest.tobytes() == theirs.buffers.largest.tobytes()
    assert model.module_[1].num_batches_tracked == 5 + steps


def untied():
    words = Words()
    words.out.weight = nn.Parameter(words.out.weight.detach().clone())
    return words


def test_scores_of_trees_that_pass_between_stages():
    given = {"validation_fraction": FRACTION, "micro_batches": 3}
    model = staged("words", **given).set_params(module=untied).fit(TOKENS)
    loop = looped("words", ADAMW, parts=3, module=untied(), fraction=FRACTION)
    require_scores(model, loop)
