"""Counts of n-grams against a case by hand, and against the formula in plain Python."""

from collections import defaultdict

import numpy as np
import pytest

from words.counts import DISCOUNT, counted, nats, probabilities


def by_formula(text, order, vocabulary, gram):
    """Return p of the last of a tuple of ids, of which all but the last are known."""
    grams = [tuple(text[i : i + order]) for i in range(len(text) - order + 1)]
    counts = defaultdict(int)
    for each in grams:
        counts[each] += 1
    p = 1 / vocabulary
    for length in range(1, order + 1):
        level = counts
        for _ in range(order - length):
            shorter = defaultdict(int)
            for each in level:
                shorter[each[1:]] += 1
            level = shorter
        context = gram[-length:-1]
        after = {each: n for each, n in level.items() if each[:-1] == context}
        if after:
            found = max(after.get(gram[-length:], 0) - DISCOUNT, 0)
            p = (found + DISCOUNT * len(after) * p) / sum(after.values())
    return p


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_formula(order):
    generator = np.random.default_rng(order)
    text, others = generator.integers(0, 5, size=60), generator.integers(0, 6, size=40)
    counts = counted(text, order, vocabulary=6)  # in which an id never came
    grams = [tuple(others[i : i + order]) for i in range(len(others) - order + 1)]
    expected = [by_formula(text, order, 6, gram) for gram in grams]
    assert nats(counts, others) == pytest.approx(-np.log(expected).mean(), rel=1e-12)


def test_probabilities_of_all_that_may_follow_sum_to_one():
    counts = counted(np.random.default_rng(0).integers(0, 4, size=50), 3, vocabulary=5)
    chances = probabilities(counts, np.arange(5**3)).reshape(25, 5)
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-12)
    assert chances.min() > 0


def test_by_hand():
    """0 and 1 take turns: after 1, p(0) is 1/4 + 3/4 of 1/2; after 0 1 it came 49 times of 49."""
    found = nats(counted(np.array([0, 1] * 50), 3, vocabulary=2), np.array([0, 1, 0]))
    assert found == pytest.approx(-np.log((48.25 + 0.75 * 0.625) / 49))


@pytest.mark.parametrize(
    ("order", "vocabulary", "said"),
    [
        (3, 2**21, r"vocabulary\*\*order is 2097152\*\*3"),
        (11, 2, "ids are 10; needed are as many as the order, 11"),
    ],
)
def test_refusals(order, vocabulary, said):
    with pytest.raises(ValueError, match=said):
        counted(np.zeros(10, int), order, vocabulary)
