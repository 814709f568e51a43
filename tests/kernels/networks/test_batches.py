"""Row orders depend on seed, partition and epoch alone; what is held out, on the whole data."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.kernels.networks.batches import RowOrder, held_out, rows_trained_on

cuts = st.lists(st.integers(0, 50), min_size=1, max_size=8)
fractions = st.one_of(st.just(0.0), st.floats(0.001, 0.999))


def starts_of(rows):
    return np.cumsum([0, *rows])[:-1].tolist()


@given(n=st.integers(0, 200), seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 10**6))
@settings(max_examples=30)
def test_an_epoch_visits_every_row_once(n, seed, epoch):
    rows = np.arange(0, 3 * n, 3)
    order = RowOrder(seed, 2).of_epoch(rows, epoch)
    assert np.array_equal(np.sort(order), rows)
    assert np.array_equal(order, RowOrder(seed, 2).of_epoch(rows, epoch))


def test_orders_differ_by_seed_partition_and_epoch():
    rows = np.arange(50)
    orders = {
        tuple(RowOrder(seed, partition).of_epoch(rows, epoch).tolist())
        for seed in range(3)
        for partition in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 27
    # Nor are the rows held out the first ones of an epoch.
    _, held = held_out(0, 50, 0.2, seed=0, partition=0)
    assert set(held.tolist()) != set(RowOrder(0, 0).of_epoch(rows, 0)[:10].tolist())


def test_without_shuffling_rows_keep_their_order():
    rows = np.array([3, 1, 2])
    assert RowOrder(None, 5).of_epoch(rows, 7) is rows


@pytest.mark.parametrize("seed", [None, 4])
def test_rows_of_weight_zero_are_left_out_before_the_others_are_ordered(seed):
    """The weights are of the whole partition, some rows of which are held out."""
    rows, weight = np.array([0, 2, 3, 5, 6]), np.array([1.0, 0.0, 0.0, 2.0, 1.0, 0.5, 1.0])
    order = RowOrder(seed, 1)
    assert np.array_equal(
        order.of_epoch(rows, 3, weight), order.of_epoch(np.array([0, 3, 5, 6]), 3)
    )


def test_what_one_caller_does_to_an_order_is_not_seen_by_others():
    rows = np.arange(20)
    first = RowOrder(1, 1).of_epoch(rows, 0)
    expected = first.copy()
    first[:] = 0
    assert np.array_equal(RowOrder(1, 1).of_epoch(rows, 0), expected)


@given(cut=cuts, fraction=fractions, seed=st.integers(0, 2**31 - 1))
@settings(max_examples=100)
def test_rows_held_out_and_trained_on_are_all_rows(cut, fraction, seed):
    left = rows_trained_on(cut, fraction)
    held_altogether = 0
    for partition, (start, n) in enumerate(zip(starts_of(cut), cut, strict=True)):
        trained_on, held = held_out(start, n, fraction, seed=seed, partition=partition)
        assert np.array_equal(np.sort(np.r_[trained_on, held]), np.arange(n))
        assert all(np.array_equal(np.sort(part), part) for part in (trained_on, held))
        assert len(trained_on) == left[partition]
        held_altogether += len(held)
    assert held_altogether == int(fraction * sum(cut))


@given(cut=cuts, fraction=fractions)
def test_no_range_of_partitions_holds_out_far_more_than_its_part(cut, fraction):
    left = np.array(rows_trained_on(cut, fraction))
    ends = np.cumsum([0, *cut])
    for (a, b), n in zip(pairwise(ends), left, strict=True):
        assert abs((b - a) - n - fraction * (b - a)) < 1 + 1e-9


@pytest.mark.parametrize("size", [1, 3, 9])
def test_tiny_partitions_hold_out_the_fraction_together(size):
    assert sum(rows_trained_on([size] * 200, 0.1)) == 200 * size - 20 * size
