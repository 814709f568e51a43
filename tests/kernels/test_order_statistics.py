"""Order statistics of columns that are cut in any way, against NumPy's."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daskml_exec.kernels.order_statistics import ROOM, Room, order_sketch

PERCENTS = [0, 1, 12.5, 25, 33.3, 50, 66.6, 75, 90, 99.9, 100]
FLOATS = st.floats(-1e9, 1e9).map(lambda x: x + 0.0) | st.sampled_from([0.0, 1.0, np.nan])
SMALL = Room(exact=64, level=32)


def sketch_in_pieces(values, bounds, room=ROOM):
    pieces = [
        order_sketch(values[a:b], room=room)
        for a, b in zip([0, *bounds], [*bounds, len(values)], strict=True)
    ]
    total = pieces[0]
    for piece in pieces[1:]:
        total = total + piece
    return total


@given(st.lists(FLOATS, min_size=1, max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_percentiles_have_the_bits_of_numpy(values, cuts):
    values = np.array(values)
    sketch = sketch_in_pieces(values, sorted(min(cut, len(values)) for cut in cuts))
    if np.isnan(values).all():
        assert np.isnan(sketch.sorted().percentiles(PERCENTS)).all()
        assert np.isnan(sketch.sorted().median())
        return
    there = values[~np.isnan(values)]
    assert_array_equal(sketch.sorted().percentiles(PERCENTS), np.percentile(there, PERCENTS))
    assert sketch.sorted().median() == np.median(there)
    for alone in ([50.0], PERCENTS, PERCENTS[::2]):
        some = sketch.sorted([50.0, *alone])
        assert_array_equal(some.percentiles(alone), np.percentile(there, alone))
        assert some.median() == np.median(there)
    assert sketch.error == 0 and sketch.count == len(there)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_percentiles_in_the_dtype_of_the_values(dtype):
    values = np.random.default_rng(0).normal(size=1001).astype(dtype)
    column = order_sketch(values).sorted()
    assert_array_equal(column.percentiles(PERCENTS, dtype), np.percentile(values, PERCENTS))
    assert column.median(dtype) == np.median(values)
    assert column.median(dtype).dtype == dtype


def test_zeros_are_a_weight():
    rng = np.random.default_rng(0)
    dense = np.where(rng.random(1000) < 0.7, 0.0, rng.normal(size=1000))
    stored = dense[dense != 0]
    sketch = order_sketch(stored, implicit=1000 - len(stored))
    assert sum(map(len, sketch.levels)) == len(stored)
    assert_array_equal(sketch.sorted().percentiles(PERCENTS), np.percentile(dense, PERCENTS))
    assert_array_equal(
        sketch.sorted(PERCENTS).percentiles(PERCENTS), np.percentile(dense, PERCENTS)
    )
    alone = sketch.stored_alone().sorted()
    assert_array_equal(alone.percentiles(PERCENTS), np.percentile(stored, PERCENTS))
    for only in (order_sketch(np.empty(0), implicit=5).sorted(some) for some in (None, [0, 100])):
        assert_array_equal(only.percentiles([0, 100]), np.zeros(2))


def largest_error(sketch, values):
    """By how much the rank of what is said to be at a rank is wrong."""
    values, n = np.sort(values), len(values)
    ranks = np.unique(np.linspace(0, n - 1, 4000).astype(int))
    found = sketch.sorted().at(ranks)
    first = np.searchsorted(values, found, side="left")
    last = np.searchsorted(values, found, side="right") - 1
    return int(np.maximum(np.maximum(first - ranks, ranks - last), 0).max())


def orders(n):
    rng = np.random.default_rng(0)
    normal = rng.normal(size=n)
    zipf = rng.zipf(1.3, size=n).astype(float)
    ordered = np.sort(normal)
    return {
        "as it comes": normal,
        "sorted": ordered,
        "reversed": ordered[::-1],
        "in and out": np.concatenate([ordered[::2], ordered[::-2]]),
        "duplicates": rng.integers(-3, 4, size=n).astype(float),
        "zipf": zipf,
        "sorted zipf": np.sort(zipf),
        "constant": np.full(n, 3.5),
    }


@pytest.mark.parametrize("order", orders(1))
@pytest.mark.parametrize("piece", [1, 7, 40, 1000, 20_000])
def test_the_error_is_not_more_than_what_is_said(order, piece):
    n = 20_000
    values = orders(n)[order]
    sketch = sketch_in_pieces(values, range(piece, n, piece), SMALL)
    assert sketch.count == n
    assert largest_error(sketch, values) <= sketch.error
    bound = n * (np.log2(n / SMALL.level) + 1) / SMALL.level + n / SMALL.exact
    assert sketch.error <= bound
    assert max(map(len, sketch.levels[1:]), default=0) <= SMALL.level


@given(
    st.lists(st.integers(0, 5000), max_size=12),
    st.lists(st.integers(0, 10**6), min_size=12, max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_any_tree_keeps_the_bound(cuts, order, seed):
    n = 5000
    values = np.random.default_rng(seed).normal(size=n).round(2)
    bounds = [0, *sorted(cuts), n]
    pieces = [order_sketch(values[a:b], room=SMALL) for a, b in itertools.pairwise(bounds)]
    for choice in order:
        if len(pieces) > 1:
            at = choice % (len(pieces) - 1)
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    total = pieces[0]
    for piece in pieces[1:]:
        total = total + piece
    assert total.count == n
    assert largest_error(total, values) <= total.error
    assert total.error <= n * (np.log2(n / SMALL.level) + 1) / SMALL.level + n / SMALL.exact


@pytest.mark.parametrize("n", [1_000_000, 3_000_000])
@pytest.mark.parametrize("order", ["as it comes", "sorted", "zipf"])
def test_the_usual_room(n, order):
    values = orders(n)[order]
    sketch = sketch_in_pieces(values, range(n // 5, n, n // 5))
    assert (sketch.error == 0) == (n == 1_000_000)
    assert largest_error(sketch, values) <= sketch.error <= n / 2048
    assert sum(map(len, sketch.levels)) <= ROOM.exact + ROOM.level * len(sketch.levels[1:])


def test_the_usual_room_is_enough_for_all_rows_that_can_be_counted():
    n = 2.0**63
    assert n * (np.log2(n / ROOM.level) + 1) / ROOM.level + n / ROOM.exact <= n / 2048
