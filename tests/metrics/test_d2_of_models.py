"""Scores over partitions against scikit-learn's over all rows."""

from functools import partial

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import d2_tweedie_score, r2_score

from daskml_exec.kernels.distributions import Gaussian, Poisson
from daskml_exec.metrics._of_models import d2
from daskml_exec.partitions._explained import (
    block_sums,
    combine_sums,
    explained_share,
)
from daskml_exec.partitions._row_sums import row_sums
from tests.partitions.toolbox import N, rows, target, weights


def poisson_d2(y, predicted, sample_weight=None):
    return d2_tweedie_score(y, predicted, sample_weight=sample_weight, power=1)


r2 = partial(d2, distribution=Gaussian())
d2_poisson = partial(d2, distribution=Poisson())
PAIRS = {"r2": (r2, r2_score), "d2_poisson": (d2_poisson, poisson_d2)}
both = pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS)


def guess(block):
    return np.sqrt(block[:, 0]) / 3


def first(block):
    return block[:, 0]


def in_chunks(array, chunks=5):
    return da.from_array(array, chunks=(chunks, *array.shape[1:]))


@both
@pytest.mark.parametrize("weight", [None, weights()])
@pytest.mark.parametrize("chunks", [N, 5, (0, 20, 0, 3), 1])
@pytest.mark.parametrize("y_chunks", [None, 4])
def test_scores_are_those_of_scikit_learn(executor, ours, theirs, weight, chunks, y_chunks):
    y = target() if y_chunks is None else in_chunks(target(), y_chunks)
    found = ours(executor, guess, in_chunks(rows(), chunks), y, weight)
    assert type(found) is float
    assert found == pytest.approx(theirs(target(), guess(rows()), sample_weight=weight), rel=1e-12)


@pytest.mark.parametrize("mean", [0.0, 1e6, -1e6])
@pytest.mark.parametrize("weighted", [True, False])
def test_a_mean_far_from_zero_costs_no_digits(executor, mean, weighted):
    rng = np.random.default_rng(0)
    y = mean + rng.normal(size=3000) + np.repeat([0.0, 3.0, -1.0], 1000)
    predicted = y + rng.normal(size=3000)
    weight = rng.random(3000) if weighted else None
    found = r2(executor, first, in_chunks(predicted[:, None], 70), y, weight)
    assert found == pytest.approx(r2_score(y, predicted, sample_weight=weight), rel=1e-12)


def test_counts_with_a_large_mean(executor):
    rng = np.random.default_rng(0)
    y = rng.poisson(1e6, size=3000).astype(float)
    predicted = y + 100 * rng.normal(size=3000)
    found = d2_poisson(executor, first, in_chunks(predicted[:, None], 70), y, None)
    assert found == pytest.approx(poisson_d2(y, predicted), rel=1e-8)  # theirs is the rough one
    exact = poisson_d2(y.astype(np.longdouble), predicted.astype(np.longdouble))
    assert found == pytest.approx(float(exact), rel=1e-11)


@pytest.mark.parametrize("ours", [r2, d2_poisson])
@pytest.mark.parametrize("value", [0.0, 0.1, 7.0])
@pytest.mark.parametrize("weight", [None, weights()])
def test_constant_targets(executor, ours, value, weight):
    X, y = in_chunks(rows()), np.full(N, value)
    assert ours(executor, lambda block: np.full(len(block), value), X, y, weight) == 1.0
    assert ours(executor, lambda block: np.full(len(block), 2.0), X, y, weight) == 0.0


@both
def test_perfect_predictions(executor, ours, theirs):
    assert ours(executor, first, in_chunks(rows()), rows()[:, 0], None) == 1.0


@both
def test_one_row_has_no_score(executor, ours, theirs):
    with pytest.warns(UndefinedMetricWarning) as expected:
        theirs([1.0], [2.0])
    with pytest.warns(UndefinedMetricWarning) as found:
        score = ours(executor, guess, in_chunks(rows()[:1]), target()[:1], None)
    assert np.isnan(score)
    assert str(found[0].message) == str(expected[0].message)
    assert found[0].filename == __file__


@pytest.mark.parametrize("ours", [r2, d2_poisson])
@pytest.mark.parametrize("n", [0, N])
def test_no_weight_is_nothing_to_score(executor, ours, n):
    with pytest.raises(ValueError, match="no rows with a positive weight"):
        ours(executor, guess, in_chunks(rows()[:n]), target()[:n], np.zeros(n))


def test_a_poisson_prediction_of_zero_is_infinitely_wrong_unless_it_is_right(executor):
    X, y = in_chunks(rows()), target()
    assert d2_poisson(executor, lambda block: np.zeros(len(block)), X, y, None) == -np.inf
    found = d2_poisson(executor, first, in_chunks(y[:, None]), y, None)
    assert found == 1.0


@pytest.mark.parametrize(
    ("ours", "predict", "y", "message"),
    [
        (d2_poisson, guess, target() - 1, "valid range of the loss 'HalfPoissonLoss': y has -1"),
        (r2, guess, np.full(N, "a"), "y has dtype <U1 .* allowed are real numbers"),
        (r2, guess, target() * np.nan, "Input y contains NaN or infinity in row 0 of partition 0"),
        (r2, lambda block: block[:, :1], target(), r"have the shape \(5, 1\); allowed is \(5,\)"),
        (r2, lambda block: block[:, 0] * np.nan, target(), "row 0 of the partition is nan; allow"),
        (d2_poisson, lambda block: -block[:, 0], target(), "is -0.5; allowed are finite .* from 0"),
    ],
)
def test_what_is_wrong_is_told_once(executor, ours, predict, y, message):
    with pytest.raises(ValueError, match=message) as caught:
        ours(executor, predict, in_chunks(rows()), y, None)
    assert "of partition" in str(caught.value) or caught.value.__notes__ == ["in partition 0"]


def test_sums_are_combined_in_the_fixed_tree_without_empty_partitions(executor):
    def name(X, y, weight):
        assert (weight == 1).all()
        return np.array([str(len(y))], dtype=object)

    def paired(left, right):
        return "(" + left + right + ")"

    X = in_chunks(rows(), (0, 9, 0, 0, 10, 4, 0))
    [text] = row_sums(executor, name, X, target(), None, combine=paired)
    assert text == "((910)4)"


values = st.floats(0, 1e3).map(lambda value: round(value, 3))


@given(
    table=st.lists(st.tuples(values, values, st.integers(0, 3)), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 12), max_size=4),
    distribution=st.sampled_from([Gaussian(), Poisson()]),
)
def test_cuts_do_not_matter(table, cuts, distribution):
    y, predicted, weight = np.array(table, dtype=float).T
    if not weight.any():
        return
    whole = block_sums(distribution, y, predicted + 1, weight)
    total = None
    for block in np.split(np.arange(len(y)), sorted(min(cut, len(y)) for cut in cuts)):
        if len(block):
            sums = block_sums(distribution, y[block], predicted[block] + 1, weight[block])
            total = sums if total is None else combine_sums(distribution, total, sums)
    expected = explained_share(distribution, whole)
    assert explained_share(distribution, total) == pytest.approx(expected, rel=1e-9, abs=1e-9)
