"""Sorted targets are told from shuffled ones, however small the partitions are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.executor import fold
from daskml_exec.training.averaging._target_spread import (
    SORTED,
    explained_by_partition,
    of_classes,
    of_numbers,
)

SIZES = [(4, 1000), (10, 100), (50, 20), (200, 5), (8, 300)]
sizes = pytest.mark.parametrize(("partitions", "rows"), SIZES)
offsets = pytest.mark.parametrize("offset", [0.0, 1e9, -1e9])


def share(y, ends, weight=None, *, n_classes=None):
    """The share that partitions between these rows explain."""
    spreads = []
    for a, b in zip([0, *ends], [*ends, len(y)], strict=True):
        w = None if weight is None else weight[a:b]
        spreads.append(
            of_numbers(y[a:b], w) if n_classes is None else of_classes(y[a:b], w, n_classes)
        )
    return explained_by_partition(
        fold(spreads, lambda left, right: left + right), classes=n_classes is not None
    )


def even(partitions, rows):
    return [rows * i for i in range(1, partitions)]


@sizes
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_classes(partitions, rows, n_classes):
    codes = np.random.default_rng(0).integers(0, n_classes, partitions * rows)
    ends = even(partitions, rows)
    assert share(codes, ends, n_classes=n_classes) < SORTED / 2
    assert share(np.sort(codes), ends, n_classes=n_classes) > 2 * SORTED


@sizes
@offsets
def test_numbers(partitions, rows, offset):
    y = offset + np.random.default_rng(0).normal(size=partitions * rows)
    ends = even(partitions, rows)
    assert share(y, ends) < SORTED / 2
    assert 2 * SORTED < share(np.sort(y), ends) <= 1.0


@pytest.mark.parametrize("n_classes", [None, 3])
@pytest.mark.parametrize("seed", range(20))
def test_no_false_alarm_of_tiny_partitions(n_classes, seed):
    rng = np.random.default_rng(seed)
    for partitions, rows in [(2, 3), (3, 4), (5, 3), (20, 3), (100, 3)]:
        n = partitions * rows
        y = rng.normal(size=n) if n_classes is None else rng.integers(0, n_classes, n)
        # With a handful of rows chance can sort them; with more it must not matter.
        if n >= 60:
            assert share(y, even(partitions, rows), n_classes=n_classes) < SORTED


@pytest.mark.parametrize("n_classes", [None, 3])
def test_one_partition_explains_nothing(n_classes):
    y = np.sort(np.random.default_rng(0).integers(0, 3, 100))
    assert share(y, [], n_classes=n_classes) == 0.0
    # Nor do others that are empty.
    assert share(y, [0, 100, 100], n_classes=n_classes) == 0.0


@pytest.mark.parametrize("value", [0.0, 1.0, 1e9 / 3, 0.1])
def test_constant_targets_have_nothing_to_explain(value):
    assert share(np.full(400, value), even(4, 100)) == 0.0
    assert share(np.zeros(400, int), even(4, 100), n_classes=2) == 0.0


@pytest.mark.parametrize("n_classes", [None, 3])
@pytest.mark.parametrize("ordered", [False, True])
def test_partitions_without_rows_say_nothing(n_classes, ordered):
    y = np.random.default_rng(0).integers(0, 3, 300)
    y = np.sort(y) if ordered else y
    expected = share(y, [100, 200], n_classes=n_classes)
    found = share(y, [0, 100, 100, 200, 300, 300], n_classes=n_classes)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("n_classes", [None, 3])
@pytest.mark.parametrize("ordered", [False, True])
def test_weights_count_rows(n_classes, ordered):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 30_000)
    y = np.sort(y) if ordered else y
    weight = rng.integers(0, 3, len(y)).astype(float)
    times = weight.astype(int)
    repeated_ends = [times[:10_000].sum(), times[:20_000].sum()]
    # But for the correction for chance, which knows no repeated rows.
    assert share(y, [10_000, 20_000], weight, n_classes=n_classes) == pytest.approx(
        share(np.repeat(y, times), repeated_ends, n_classes=n_classes), rel=1e-3, abs=1e-3
    )


@pytest.mark.parametrize("n_classes", [None, 3])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("weight", [1e-30, 1 / 300, 7.0, 1e30])
def test_only_ratios_of_weights_count(n_classes, ordered, weight):
    y = np.random.default_rng(0).integers(0, 3, 300)
    y = np.sort(y) if ordered else y
    assert share(y, [100, 200], np.full(300, weight), n_classes=n_classes) == pytest.approx(
        share(y, [100, 200], n_classes=n_classes), rel=1e-9, abs=1e-12
    )


@given(
    ends=st.lists(st.integers(0, 200), max_size=6).map(sorted),
    seed=st.integers(0, 2**32),
    kind=st.sampled_from([None, 2, 5]),
    ordered=st.booleans(),
)
@settings(max_examples=60)
def test_is_a_share(ends, seed, kind, ordered):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=200) if kind is None else rng.integers(0, kind, 200)
    y = np.sort(y) if ordered else y
    assert 0.0 <= share(y, ends, n_classes=kind) <= 1.0 + 1e-9
