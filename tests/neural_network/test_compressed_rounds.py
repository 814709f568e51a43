"""Compressed rounds lose nothing for good, and all copies of the parameters stay equal."""

import pickle
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskml_exec.executor import fold, tuned
from daskml_exec.kernels.networks.optimisers import SGD, Adam
from daskml_exec.neural_network._divergence import DivergenceError
from daskml_exec.training._payload import payload_nbytes
from daskml_exec.training.averaging import Changes, Model, _compressed_steps
from daskml_exec.training.averaging._compressed_steps import Continuation, EncodedChanges
from daskml_exec.training.compression import codec_named
from tests.neural_network.without_dask import cut, plain

N, D = 120, 4
RNG = np.random.default_rng(7)
X = RNG.standard_normal((N, D))
Y = X @ RNG.standard_normal(D) + 0.1 * RNG.standard_normal(N)
WEIGHT = RNG.exponential(size=N)
EVEN, UNEVEN = [0, 30, 60, 90, N], [0, 50, 100, 110, 110, N]
PLAIN_SGD, ADAM = SGD(0.0, False), Adam(0.9, 0.999, 1e-8)
CODECS = ["fp16", "topk:0.1"]

with_cuts = pytest.mark.parametrize("bounds", [EVEN, UNEVEN], ids=["even", "uneven"])
with_codecs = pytest.mark.parametrize("codec", CODECS)


@dataclass(frozen=True)
class Whole:
    """A change as it is."""

    values: Any


class Lossless:
    """A codec that loses nothing."""

    name = "lossless"

    def relative_error(self, length):
        return 0.0

    def encode(self, change):
        return Whole(change.copy())

    def decode(self, encoded):
        return encoded.values.copy()


class Mute(Lossless):
    """A codec that loses everything."""

    def encode(self, change):
        return Whole(np.zeros_like(change))


@pytest.fixture
def exact_every():
    with ExitStack() as until_the_end:
        yield lambda rounds: until_the_end.enter_context(tuned(exact_every=rounds))


def compressed_fit(bounds, codec, *, dtype=float, **options):
    options = {"batch_size": 40, "sync_every": 1, "learning_rate": 0.02, "max_iter": 4, **options}
    partitions = cut(X.astype(dtype), Y.astype(dtype), WEIGHT, bounds=bounds)
    return plain(partitions, compression=codec, **options)


@with_cuts
@pytest.mark.parametrize("outer", ["average", "nesterov"])
@pytest.mark.parametrize("sync_every", [1, 2, "epoch"])
@pytest.mark.parametrize("every", [1, 3, 64])
def test_without_loss_they_are_uncompressed_rounds(bounds, outer, sync_every, every, exact_every):
    exact_every(every)
    options = {"optimiser": PLAIN_SGD, "outer": outer, "sync_every": sync_every}
    expected = compressed_fit(bounds, None, **options).run()
    found = compressed_fit(bounds, Lossless(), **options).run()
    assert_allclose(found.model.parameters, expected.model.parameters, rtol=1e-12, atol=1e-13)
    assert found.progress.loss_curve == pytest.approx(expected.progress.loss_curve, rel=1e-12)
    assert found.rounds == expected.rounds


@pytest.mark.parametrize("optimiser", [ADAM, SGD(0.9, True)])
@with_cuts
def test_moments_stay_where_they_are_between_exact_rounds(bounds, optimiser):
    fit = compressed_fit(bounds, Lossless(), optimiser=optimiser)
    problem = fit.algorithm.steps.problem
    theta = fit.state.model.parameters
    states = [fit.state.model.optimiser] * len(fit.partitions)
    while not fit.state.done:
        work = fit.algorithm.ask(fit.state).work
        total, weights = np.zeros_like(theta), 0.0
        for k, partition in enumerate(fit.partitions):
            start = Model(theta, states[k])
            _, local, weight = problem.train(partition, start, work)
            total += weight * (local.parameters - theta)
            weights, states[k] = weights + weight, local.optimiser
        theta = theta + total / weights
        fit.round()
        assert_allclose(fit.state.model.parameters, theta, rtol=1e-11, atol=1e-12)


@with_codecs
@with_cuts
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("outer", ["average", "nesterov"])
def test_copies_are_the_drivers_parameters_to_the_bit(codec, bounds, dtype, outer, exact_every):
    exact_every(7)
    fit = compressed_fit(bounds, codec, dtype=dtype, outer=outer, max_iter=8)
    compared = exact = 0
    while not fit.state.done:
        before = fit.state.model.parameters
        exact += fit.algorithm.ask(fit.state).last
        fit.round()
        assert fit.state.model.parameters.dtype == dtype
        for carry in fit.carries:
            if carry is not None:
                assert np.array_equal(carry.model.parameters, before)
                compared += 1
    assert compared == len(fit.partitions) * (fit.state.rounds - exact)


@with_codecs
def test_chains_begin_whole_and_end_exact(codec, exact_every):
    exact_every(5)
    fit = compressed_fit(EVEN, codec, max_iter=10)
    kinds, ends = [], []
    while not fit.state.done:
        message = fit.algorithm.ask(fit.state)
        result, carry = message.partial(fit.partitions[0], fit.carries[0])
        kinds.append((type(message.begin), type(result), carry is None))
        ends.append(fit.algorithm.ask(fit.state).last)
        fit.round()
        assert (fit.state.link is None) == ends[-1]
    first, inner, last = (
        (_compressed_steps.Whole, EncodedChanges, False),
        (Continuation, EncodedChanges, False),
        (Continuation, Changes, True),
    )
    assert kinds[:10] == [first, inner, inner, inner, last] * 2
    assert ends == [kind == last for kind in kinds]


@with_codecs
@pytest.mark.parametrize("sync_every", [1, 2])
def test_the_last_round_is_exact(codec, sync_every):
    """Nothing is left unsaid, and another fit may go on from there."""
    fit = compressed_fit(UNEVEN, codec, sync_every=sync_every, max_iter=3)
    while not fit.state.done:
        exact = fit.algorithm.ask(fit.state).last
        fit.round()
        assert exact == fit.state.done
    assert fit.state.link is None and fit.carries == [None] * 5


def test_what_was_never_sent_comes_with_the_exact_round(exact_every):
    """With nothing sent, each partition trains on by itself, and all that it learnt comes then."""
    exact_every(4)
    fit = compressed_fit(EVEN, Mute(), optimiser=PLAIN_SGD, sync_every="epoch", max_iter=9)
    problem, start = fit.algorithm.steps.problem, fit.state.model
    alone = [start] * len(fit.partitions)
    for number in range(4):
        work = fit.algorithm.ask(fit.state).work
        assert work.exact == (number == 3)
        trained = [
            problem.train(partition, model, work)
            for partition, model in zip(fit.partitions, alone, strict=True)
        ]
        alone = [local for _, local, _ in trained]
        assert np.array_equal(fit.state.model.parameters, start.parameters)
        fit.round()
    average = sum(weight * local.parameters for _, local, weight in trained) / WEIGHT.sum()
    assert_allclose(fit.state.model.parameters, average, rtol=1e-11)


@with_codecs
def test_exact_rounds_bring_what_partitions_owe_and_drop_what_the_driver_does(codec, exact_every):
    exact_every(3)
    fit = compressed_fit(EVEN, codec, optimiser=PLAIN_SGD, sync_every=2, max_iter=6)
    problem, ended = fit.algorithm.steps.problem, 0
    while not fit.state.done:
        before, exact = fit.state, fit.algorithm.ask(fit.state).last
        work = fit.algorithm.ask(before).work
        carries = list(fit.carries)
        fit.round()
        if not exact:
            continue
        assert before.link.residual.any()
        total, weights = np.zeros_like(before.model.parameters), 0.0
        for partition, carry in zip(fit.partitions, carries, strict=True):
            assert carry.residual.any()
            here = replace(carry.model, parameters=before.model.parameters + carry.residual)
            _, local, weight = problem.train(partition, here, work)
            total += weight * local.parameters
            weights += weight
        assert_allclose(fit.state.model.parameters, total / weights, rtol=1e-11, atol=1e-13)
        ended += 1
    assert ended == 2


@with_codecs
@with_cuts
def test_what_a_partition_sent_and_keeps_is_what_it_changed(codec, bounds):
    fit = compressed_fit(bounds, codec, optimiser=PLAIN_SGD, max_iter=3)
    problem, codec = fit.algorithm.steps.problem, codec_named(codec)
    theta = fit.state.model.parameters
    sent = [np.zeros_like(theta) for _ in fit.partitions]
    changed = [np.zeros_like(theta) for _ in fit.partitions]
    while not fit.algorithm.ask(fit.state).last:
        message = fit.algorithm.ask(fit.state)
        for k, partition in enumerate(fit.partitions):
            here = fit.state.model.parameters
            if fit.carries[k] is not None and fit.carries[k].residual is not None:
                here = here + fit.carries[k].residual
            start = Model(here, fit.state.model.optimiser)
            result, _ = message.partial(partition, fit.carries[k])
            sent[k] += sum((codec.decode(piece) for _, piece in result.pieces), np.zeros(1))
            _, local, _ = problem.train(partition, start, message.work)
            changed[k] += local.parameters - start.parameters
        fit.round()
        for k, carry in enumerate(fit.carries):
            kept = 0.0 if carry.residual is None else carry.residual
            assert_allclose(sent[k] + kept, changed[k], rtol=1e-9, atol=1e-12)


@with_codecs
def test_partitions_out_of_rows_keep_what_they_have_not_sent(codec):
    fit = compressed_fit(UNEVEN, codec)
    assert fit.algorithm.steps.problem.batching.steps == [3, 3, 1, 0, 1]
    fit.round()
    small, none = fit.carries[2], fit.carries[3]
    assert small.residual.any() and none.residual is None
    for _ in range(2):
        fit.round()
        assert np.array_equal(fit.carries[2].residual, small.residual)
        assert np.array_equal(fit.carries[2].model.optimiser.moments, small.model.optimiser.moments)
        assert fit.carries[3].residual is None
    fit.round()
    assert not np.array_equal(fit.carries[2].residual, small.residual)


def test_partitions_out_of_rows_in_the_exact_round_lose_nothing(exact_every):
    exact_every(2)
    fit = compressed_fit(UNEVEN, Mute(), optimiser=PLAIN_SGD)
    start = fit.state.model.parameters
    fit.round()
    kept = fit.carries[2].residual
    assert kept.any()
    fit.round()
    exact = fit.state.model.parameters
    # The same fit without what this partition has kept.
    other = compressed_fit(UNEVEN, Mute(), optimiser=PLAIN_SGD)
    other.round()
    other.carries[2] = replace(other.carries[2], residual=None)
    other.round()
    assert not np.array_equal(exact, start)
    assert not np.array_equal(exact, other.state.model.parameters)


@with_codecs
def test_a_chain_that_is_replayed_gives_the_same_carry(codec):
    fit = compressed_fit(UNEVEN, codec, max_iter=3)
    messages = []
    while not fit.algorithm.ask(fit.state).last:
        messages.append(pickle.loads(pickle.dumps(fit.algorithm.ask(fit.state))))
        fit.round()
    for k, partition in enumerate(fit.partitions):
        carry = None
        for message in messages:
            _, carry = message.partial(partition, carry)
        assert np.array_equal(carry.model.parameters, fit.carries[k].model.parameters)
        assert np.array_equal(carry.model.optimiser.moments, fit.carries[k].model.optimiser.moments)
        if carry.residual is not None:
            assert np.array_equal(carry.residual, fit.carries[k].residual)


def test_sums_of_encoded_changes_do_not_depend_on_the_grouping():
    fit = compressed_fit(EVEN, "topk:0.1")
    message = fit.algorithm.ask(fit.state)
    a, b, c, d = (message.partial(p, None)[0] for p in fit.partitions)
    combine = message.combine
    for total in (combine(a, combine(b, combine(c, d))), combine(combine(combine(a, b), c), d)):
        state, _ = fit.algorithm.tell(fit.state, message, total)
        expected, _ = fit.algorithm.tell(fit.state, message, fold([a, b, c, d], combine))
        assert np.array_equal(state.model.parameters, expected.model.parameters)


@with_codecs
def test_messages_are_far_smaller_than_models(codec):
    share = {"fp16": 0.55, "topk:0.1": 0.25}[codec]
    fit = compressed_fit(EVEN, codec, hidden=(64, 32), dtype=np.float32)
    model = payload_nbytes(fit.state.model.parameters)
    fit.round()
    message = fit.algorithm.ask(fit.state)
    result, _ = message.partial(fit.partitions[0], fit.carries[0])
    assert payload_nbytes(message) < share * model
    assert payload_nbytes(result) < share * model
    assert payload_nbytes(fit.algorithm.ask(replace(fit.state, link=None))) > 3 * model


@with_codecs
@pytest.mark.parametrize("optimiser", [PLAIN_SGD, SGD(0.9, True)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [1, 5, 20, 34, 37])
def test_parameters_that_diverge_never_reach_the_state(codec, optimiser, dtype, exponent):
    fit = compressed_fit(
        EVEN,
        codec,
        dtype=dtype,
        optimiser=optimiser,
        learning_rate=10.0**exponent,
        max_iter=40,
    )
    while not fit.state.done and fit.failure is None:
        with np.errstate(over="ignore", invalid="ignore"):
            fit.round()
        assert np.isfinite(fit.state.model.parameters).all()
    assert isinstance(fit.failure, DivergenceError)


@with_codecs
def test_what_is_not_finite_is_named_before_any_training(codec):
    fit = compressed_fit(EVEN, codec)
    bad = fit.partitions[2].X.copy()
    bad[5, 3] = np.nan
    fit.partitions[2] = replace(fit.partitions[2], X=bad)
    fit.round()
    assert "NaN in partition 2, column 3" in str(fit.failure)


@with_codecs
def test_scores_are_taken_between_compressed_rounds(codec):
    fit = compressed_fit(EVEN, codec, validation_fraction=0.25, max_iter=3)
    state = fit.run()
    assert len(state.progress.scores) == 3 and state.progress.best is not None


@with_codecs
def test_they_come_to_where_uncompressed_rounds_come(codec):
    options = {"max_iter": 150, "learning_rate": 0.01, "optimiser": PLAIN_SGD, "hidden": ()}
    expected = compressed_fit(EVEN, None, **options).run()
    found = compressed_fit(EVEN, codec, **options).run()
    assert found.progress.loss_curve[-1] < 1.2 * expected.progress.loss_curve[-1]
