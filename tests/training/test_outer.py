"""By default an average goes as much further as it has fewer rows per step to go by."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec.training.averaging import Batching, Outer, outer_rule

NESTEROV = Outer(0.7, 0.8)


def rounds_of(rows, steps=100):
    return Batching(tuple(rows), tuple(min(n, 1) for n in rows), 1.0, steps)


@pytest.mark.parametrize("partitions", [1, 2, 3, 4, 8, 12])
def test_a_change_counts_the_square_root_of_the_partitions(partitions):
    rule = outer_rule("auto", rounds_of([500] * partitions))
    assert rule.gain == pytest.approx(math.sqrt(partitions))
    # Which is where equal changes end.
    done, velocity = [], None
    for _ in range(100):
        step, velocity = rule.step(velocity, np.ones(1))
        done.append(float(step[0]))
    assert done[-1] == pytest.approx(rule.gain)


@given(rows=st.lists(st.integers(0, 5000), min_size=1, max_size=40).filter(any))
def test_it_is_between_the_average_and_nesterovs_rule(rows):
    rule = outer_rule("auto", rounds_of(rows))
    assert 1.0 <= rule.gain <= NESTEROV.gain * (1 + 1e-12)
    # Partitions without rows do not count, nor does a small one for much.
    assert rule == outer_rule("auto", rounds_of([n for n in rows if n]))
    assert rule.gain <= math.sqrt(sum(n > 0 for n in rows)) * (1 + 1e-12)


def test_many_partitions_have_all_of_nesterovs_rule():
    assert outer_rule("auto", rounds_of([10] * 13)) == NESTEROV
    assert outer_rule("nesterov", rounds_of([10] * 2, 1)) == NESTEROV
    assert outer_rule("average", rounds_of([10] * 13)) == Outer()


def test_short_rounds_have_less_of_it():
    gains = [outer_rule("auto", rounds_of([10] * 8, steps)).gain for steps in (1, 4, 8, 16, 99)]
    assert gains == sorted(gains) and gains[0] < 1.1 and gains[-2] == gains[-1]
