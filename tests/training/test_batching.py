"""Shares of a batch are in proportion to the rows, and an epoch goes through each row once."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.training.averaging import LEAST_BATCH, batching
from daskml_exec.training.averaging._batching import (
    LEAST_SYNC_STEPS,
    ROUNDS_PER_EPOCH,
    ROUNDS_PER_FIT,
)

rows_lists = st.lists(st.integers(0, 3000), min_size=1, max_size=20).filter(any)
syncs = st.one_of(st.sampled_from(["epoch", "auto"]), st.integers(1, 40))


@st.composite
def plans(draw):
    rows = draw(rows_lists)
    batch = draw(st.one_of(st.just("auto"), st.integers(1, sum(rows))))
    return batching(rows, batch, draw(syncs), linear_scaling=draw(st.booleans()))


def test_shares_are_proportional():
    plan = batching([15000, 15000, 7500], 200, "epoch", linear_scaling=False)
    assert plan.batches == (80, 80, 40) and plan.learning_rate_factor == 1.0
    assert [plan.share(i) for i in range(3)] == [0.4, 0.4, 0.2]
    assert plan.steps == [188, 188, 188]


@pytest.mark.parametrize("total", [7, 150, 5000])
def test_auto_is_that_of_sklearn(total):
    plan = batching([total], "auto", "epoch", linear_scaling=False)
    assert plan.batches == (min(200, total),)
    assert plan.learning_rate_factor == 1.0


@pytest.mark.parametrize("batch", [1, 3, 15])
def test_one_partition_has_no_floor(batch):
    plan = batching([100], batch, "epoch", linear_scaling=True)
    assert plan.batches == (batch,) and plan.steps == [math.ceil(100 / batch)]
    assert plan.learning_rate_factor == 1.0 and plan.share(0) == 1.0


@pytest.mark.parametrize(("linear", "factor"), [(True, 4.0), (False, 2.0)])
def test_learning_rate_follows_what_is_taken_over_the_batch(linear, factor):
    plan = batching([100] * 50, 200, "epoch", linear_scaling=linear)
    assert plan.batches == (LEAST_BATCH,) * 50
    assert plan.learning_rate_factor == factor


def test_rounding_up_alone_does_not_change_the_learning_rate():
    plan = batching([1000] * 9, 200, "epoch", linear_scaling=True)
    assert plan.batches == (23,) * 9 and plan.learning_rate_factor == 1.0


def test_partitions_smaller_than_the_floor_take_what_they_have():
    plan = batching([5, 10000, 0], 100, "epoch", linear_scaling=True)
    assert plan.batches[:2] == (5, 100) and plan.steps[0] == 1 and plan.steps[2] == 0


@pytest.mark.parametrize(
    ("sync_every", "steps"),
    [("epoch", 100), ("auto", 25), (7, 7), (100, 100), (1000, 100)],
)
def test_steps_between_averages(sync_every, steps):
    plan = batching([10000, 10000], 200, sync_every, linear_scaling=False)
    assert plan.steps_per_epoch == 100 and plan.sync_steps == steps
    # Nothing is averaged where there is nothing to average.
    alone = batching([20000], 200, sync_every, linear_scaling=False)
    assert alone.sync_steps == alone.steps_per_epoch == 100


@given(rows=rows_lists)
@settings(max_examples=50)
def test_auto_averages_a_few_times_an_epoch(rows):
    plan = batching(rows, "auto", "auto", linear_scaling=False)
    rounds = math.ceil(plan.steps_per_epoch / plan.sync_steps)
    assert 1 <= rounds <= ROUNDS_PER_EPOCH
    # Unless an epoch has fewer steps, a round is worth the way there and back.
    assert plan.sync_steps >= min(LEAST_SYNC_STEPS, plan.steps_per_epoch)


@pytest.mark.parametrize(
    ("epochs", "max_steps", "steps"),
    [
        (100, None, 250),
        (10, None, 250),
        (4, None, 100),
        (1, None, 25),
        (100, 2000, 50),
        (1, 10, 16),
    ],
)
def test_a_short_fit_averages_often_enough(epochs, max_steps, steps):
    length = {"epochs": epochs, "max_steps": max_steps}
    plan = batching([100_000, 100_000], 200, "auto", linear_scaling=False, **length)
    assert plan.steps_per_epoch == 1000 and plan.sync_steps == steps
    total = min(1000 * epochs, max_steps or 1000 * epochs)
    assert steps == LEAST_SYNC_STEPS or total / steps >= ROUNDS_PER_FIT
    asked = batching([100_000, 100_000], 200, 300, linear_scaling=False, **length)
    assert asked.sync_steps == 300


def test_a_batch_is_of_all_rows_at_most():
    all_rows = batching([10, 20], 30, "epoch", linear_scaling=False)
    assert all_rows.steps_per_epoch == 1
    assert batching([10, 20], 31, "epoch", linear_scaling=False) == all_rows


@given(plan=plans())
@settings(max_examples=100)
def test_shares_sum_to_one_over_partitions_with_rows(plan):
    assert all(batch >= 1 for batch in plan.batches)
    assert all(batch <= max(n, 1) for batch, n in zip(plan.batches, plan.rows, strict=True))
    shares = [plan.share(i) for i, n in enumerate(plan.rows) if n]
    assert sum(shares) == pytest.approx(1.0)
    assert 1 <= plan.sync_steps <= plan.steps_per_epoch
    assert plan.learning_rate_factor >= 1.0


@given(plan=plans())
@settings(max_examples=100)
def test_rounds_of_an_epoch_cover_each_row_once(plan):
    for partition, n in enumerate(plan.rows):
        order, seen, position = np.arange(n), [], 0
        while position < plan.steps_per_epoch:
            steps = min(plan.sync_steps, plan.steps_per_epoch - position)
            seen.append(order[plan.row_range(partition, position, steps)])
            position += steps
        assert np.array_equal(np.concatenate(seen), order)


@given(plan=plans())
@settings(max_examples=50)
def test_together_partitions_take_no_fewer_rows_than_asked_for(plan):
    """Else an epoch would have more steps than one process takes."""
    total = sum(plan.rows)
    asked = batching([total], "auto", "epoch", linear_scaling=False).batches[0]
    again = batching(plan.rows, asked, "epoch", linear_scaling=False)
    taken = sum(b for b, n in zip(again.batches, plan.rows, strict=True) if n)
    assert taken >= asked
    assert again.steps_per_epoch <= math.ceil(total / asked)


@pytest.mark.parametrize(("least", "batch", "factor"), [(1, 4, 1.0), (4, 4, 1.0), (64, 64, 4.0)])
def test_partitions_take_the_least_that_is_asked_for(least, batch, factor):
    plan = batching([100] * 50, 200, "epoch", linear_scaling=False, least=least)
    assert set(plan.batches) == {batch} and plan.learning_rate_factor == factor
    assert batching([100], 3, "epoch", linear_scaling=False, least=least).batches == (3,)


@given(plans())
def test_rows_until_a_step_are_those_in_the_ranges(plan):
    for step in (0, 1, plan.steps_per_epoch // 2, plan.steps_per_epoch):
        ranges = [plan.row_range(i, 0, step) for i in range(len(plan.rows))]
        expected = sum(len(range(n)[r]) for n, r in zip(plan.rows, ranges, strict=True))
        assert plan.rows_until(step) == expected
    assert plan.rows_until(plan.steps_per_epoch) == sum(plan.rows)
