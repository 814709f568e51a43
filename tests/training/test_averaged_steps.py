"""Averaged steps of any model: its parameters, what it keeps beside them, and its scores."""

import json
from dataclasses import replace

import dask
import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskml_exec import Executor
from daskml_exec.executor import fold, tuned
from daskml_exec.training import load, payload_nbytes, state_from_arrays, state_to_arrays, train
from daskml_exec.training.averaging import NO_BUFFERS, Buffers, CompressedSteps, Model, chain_of
from daskml_exec.training.compression import WholeChange, codec_named
from tests.neural_network.without_dask import Plain
from tests.training.least_squares_trainer import (
    BOUNDS,
    X,
    Y,
    beginning,
    cut,
    problem,
    steps,
)

SIZES = np.diff(BOUNDS).tolist()
CODECS = {
    "none": None,
    "whole": WholeChange(),
    "fp16": codec_named("fp16"),
    "topk": codec_named("topk:0.3"),
}
with_codecs = pytest.mark.parametrize("codec", CODECS)
with_outer = pytest.mark.parametrize("outer", ["average", "nesterov"])


@pytest.fixture(autouse=True)
def short_chains():
    """So that few rounds are of all kinds: first, carrying, exact."""
    with tuned(exact_every=4):
        yield


def algorithm(trainer, codec="none", outer="average", **given):
    averaged = steps(trainer, outer, **given)
    return averaged if CODECS[codec] is None else CompressedSteps(averaged, CODECS[codec])


def fit(codec="none", outer="average", *, bounds=BOUNDS, scored=False, begin=None, **given):
    trainer = problem(np.diff(bounds).tolist(), held_out=5 * scored, **given)
    state = beginning(trainer, **(begin or {}))
    return Plain(algorithm(trainer, codec, outer, scored=scored), cut(bounds), state)


def bits(model):
    return [
        array.tobytes()
        for array in (model.parameters, model.buffers.statistics, model.buffers.largest)
    ]


@with_codecs
@with_outer
def test_statistics_are_averaged_exactly_whatever_is_done_to_parameters(codec, outer):
    """They are of the rows alone, so that none but the average of all rounds can have them."""
    found = fit(codec, outer)
    trainer, statistics, n_rounds = problem(SIZES), np.zeros(6), 0
    while not found.state.done:
        work = found.algorithm.ask(found.state).work
        begin = Model(np.zeros(3), found.state.model.optimiser, Buffers(statistics, np.zeros(1)))
        local = [trainer.train(part, begin, work) for part in found.partitions]
        total = fold([weight * each.buffers.statistics for _, each, weight in local], np.add)
        statistics = total / sum(weight for _, _, weight in local)
        found.round()
        assert found.state.model.buffers.statistics.tobytes() == statistics.tobytes()
        n_rounds += 1
    assert n_rounds == 15 and (statistics[3:] > 0).all()
    if outer == "nesterov":  # and the parameters went further than the average
        average = fit(codec).run().model.parameters
        assert not np.allclose(found.state.model.parameters, average, rtol=1e-3)


@with_codecs
def test_the_largest_counter_is_kept(codec):
    found = fit(codec, sync_every=3)
    steps_of_each = problem(SIZES).batching.steps
    assert set(steps_of_each) == {0, 5, 10}
    while not found.state.done:
        found.round()
        assert found.state.model.buffers.largest == found.state.steps
    assert found.state.steps == 30 and found.state.seen.partitions == 5


def test_what_is_infinite_stays_so():
    """As in the mask of an attention; of a partition without a weight nothing is averaged."""
    first = Buffers(np.array([-np.inf, 1.0]), np.array([1.0])).weighted(2.0)
    second = Buffers(np.array([np.inf, 3.0]), np.array([7.0])).weighted(0.0)
    average = (first + second).over(2.0)
    assert average.statistics.tolist() == [-np.inf, 1.0] and average.largest == 7.0


@with_codecs
def test_buffers_travel_whole_both_ways_and_none_take_nothing(codec):
    found = fit(codec)
    for number in range(4):  # the first one begins a chain, and the last one ends it
        query, model = found.algorithm.ask(found.state), found.state.model
        bare = replace(found.state, model=replace(model, buffers=NO_BUFFERS))
        sent = payload_nbytes(query) - payload_nbytes(found.algorithm.ask(bare))
        given = (found.carries[0],) if query.carries else ()
        answer = query.partial(found.partitions[0], *given)
        answer = answer[0] if query.carries else answer
        back = payload_nbytes(answer) - payload_nbytes(replace(answer, buffers=NO_BUFFERS))
        assert sent == back == 8 * (6 + 1)
        found.round()
        assert all(carry is None or carry.model.buffers is NO_BUFFERS for carry in found.carries)
        assert CODECS[codec] is None or (found.state.link is None) == (number == 3)


EVEN = [0, 30, 60, 90, 120]


@with_outer
@pytest.mark.parametrize("bounds", [[0, 120], EVEN], ids=["one", "four"])
def test_whole_changes_have_the_bits_of_uncompressed_rounds(bounds, outer):
    """Of an optimiser without moments, where all partitions have rows in all rounds: both are the
    sums of weight times change, in the same tree, over the weight."""
    whole, averaged = (fit(codec, outer, bounds=bounds) for codec in ("whole", "none"))
    while not averaged.state.done:
        whole.round()
        averaged.round()
        assert bits(whole.state.model) == bits(averaged.state.model)
    assert whole.state.done and whole.state.link is None
    assert whole.state.progress.loss_curve == averaged.state.progress.loss_curve


@with_outer
def test_whole_changes_are_those_of_uncompressed_rounds(outer):
    """Partitions out of rows send no change, where they send zeros else: another tree."""
    expected, found = fit("none", outer).run(), fit("whole", outer).run()
    assert_allclose(found.model.parameters, expected.model.parameters, rtol=1e-13, atol=1e-15)


def test_whole_changes_leave_moments_where_they_are():
    whole, averaged = (fit(codec, momentum=0.5) for codec in ("whole", "none"))
    whole.round()
    averaged.round()
    moments = [carry.model.optimiser.moments for carry in whole.carries]
    average = averaged.state.model.optimiser.moments
    assert np.count_nonzero(whole.state.model.optimiser.moments) == 0
    assert all(carry.residual is None for carry in whole.carries)
    assert not any(np.array_equal(moments[i], average) for i in (0, 1, 3, 4))
    parameters = averaged.state.model.parameters
    assert_allclose(whole.state.model.parameters, parameters, rtol=1e-14)


@with_codecs
@pytest.mark.parametrize("n_steps", [[4, 4, 2, 3], [4, 4], [4, 4, 2], [1]])
def test_training_ends_after_max_steps_in_mid_epoch(codec, n_steps):
    max_steps = sum(n_steps)
    found = fit(codec, sync_every=4, begin={"max_steps": max_steps})
    works, losses = [], []
    while (query := found.algorithm.ask(found.state)) is not None:
        works.append(query.work)
        found.round()
        losses.append(found.measured.loss)
    assert [work.n_steps for work in works] == n_steps and works[-1].exact
    state, plan = found.state, problem(SIZES).batching
    assert state.steps == max_steps and state.done and state.link is None
    full, rest = divmod(max_steps, 10)
    assert state.progress.epochs == full + (rest > 0)
    assert state.progress.samples == full * 120 + plan.rows_until(rest)
    if rest == 3:  # one round, of which the loss is the epoch's
        assert state.progress.loss_curve[-1] == losses[-1]
    assert (state.position, state.weight) == (0, 0.0)


def test_as_many_steps_are_those_of_a_longer_fit():
    long, short = fit(), fit(begin={"max_steps": 14})
    short.run()
    while long.state.steps < 14:
        long.round()
    assert bits(long.state.model) == bits(short.state.model)
    assert fit(begin={"max_steps": 99}).run().steps == 30


def test_the_model_of_unfinished_epochs_is_scored():
    state = fit(scored=True, begin={"max_steps": 13}).run()
    assert len(state.progress.scores) == state.progress.epochs == 2


@with_codecs
def test_the_best_model_comes_with_its_buffers(codec):
    """Steps that are too long make each model worse than the one before, after a while."""
    found = fit(codec, scored=True, begin={"rate": 0.16, "max_iter": 8})
    models = []
    while not found.state.done:
        if found.state.scoring:
            models.append(found.state.model)
        found.round()
    progress = found.state.progress
    best = int(np.argmax(progress.scores))
    assert progress.best_score == progress.scores[best] and best < len(models) - 1
    assert bits(progress.best) == bits(models[best]) != bits(models[-1])
    assert progress.best.optimiser.moments.size == 0


def test_what_ends_training_is_the_trainers_to_say():
    found = fit(begin={"rate": 1e200})
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(ArithmeticError, match="round 0, partition 0, rate 1e"),
    ):
        found.run()


@pytest.mark.parametrize("codec", ["whole", "fp16", "topk"])
def test_a_chain_goes_on_with_the_same_statistics(codec):
    """Training that is to go on shows a whole model beside what it says in the codec."""
    trainer = problem(SIZES, momentum=0.5)
    going_on = CompressedSteps(steps(trainer), CODECS[codec], goes_on=True)
    # Epochs of five rounds, in chains of four.
    found = Plain(going_on, cut(BOUNDS), beginning(trainer, max_iter=1))
    shown = found.run().shown
    assert bits(shown)[1:] == bits(found.state.model)[1:]
    chain = chain_of(codec, found.state, found.carries)
    assert chain.continues(codec, shown, len(SIZES))
    assert not chain.continues("none", shown, len(SIZES))
    found.state = replace(found.state, max_iter=2)
    expected = fit(begin={"max_iter": 2}).run().model.buffers.statistics
    assert found.run().model.buffers.statistics.tobytes() == expected.tobytes()


@with_codecs
def test_states_survive_files(codec):
    found, other = (fit(codec, "nesterov", scored=True, momentum=0.5) for _ in range(2))
    states = found.algorithm.states
    while not found.state.done:
        found.round()
        other.round()
        arrays, about = state_to_arrays(other.state, states)
        other.state = state_from_arrays(arrays, json.loads(json.dumps(about)), states)
        assert bits(other.state.model) == bits(found.state.model)
    assert other.state.progress.scores == found.state.progress.scores
    assert bits(other.state.progress.best) == bits(found.state.progress.best)


def test_same_bits_in_memory_and_on_a_cluster():
    """All cases on each, because opening a cluster takes longer than a fit."""
    sizes = None

    def fits():
        nonlocal sizes
        found = {}
        with load(X, Y, target="numbers") as data:
            sizes = data.partitions.rows
            trainer = problem(list(sizes), held_out=5, momentum=0.5)
            for codec in CODECS:
                rounds = algorithm(trainer, codec, "nesterov", scored=True)
                fitted = train(rounds, beginning(trainer, max_steps=25), data, name="least-squares")
                steps = [(r.step, r.loss, r.score, r.scores) for r in fitted.history]
                found[codec] = (bits(fitted.state.model), bits(fitted.state.progress.best), steps)
        return found, fitted.history

    with dask.config.set({"daskml-exec.partition-bytes": X.nbytes // 5}):
        here, history = fits()
        assert len(sizes) == 5
        with Executor(processes=False, n_workers=2):
            there, _ = fits()
    assert here == there
    errors = [r.scores for r in history if r.step == "score"]
    assert len(errors) == 3 and all(set(each) == {"absolute_error"} for each in errors)
    frame = history.to_frame()
    assert frame["absolute_error"].count() == 3 and "absolute_error" in repr(history)
