"""Questions asked of a list of partitions, as tasks and in-process answerers ask them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from daskml_exec.executor import Carrying, Query, fold
from daskml_exec.executor._group_task import fold_group, keeps
from tests.executor.rounds import arrays, parenthesise, placed, runner


@dataclass(frozen=True)
class Scaled(Query):
    factor: float
    prepared: list = field(default_factory=list)

    def prepare(self):
        self.prepared.append(self.factor)
        return self.factor**2

    def partial(self, partition, prepared):
        return partition * prepared


@dataclass(frozen=True)
class Named(Query):
    combine = staticmethod(parenthesise)

    def partial(self, partition):
        return "ab" * int(partition[0])


@dataclass(frozen=True)
class Before(Carrying):
    """Answers with what was kept, and keeps the partition, scaled."""

    ends: bool = False

    @property
    def last(self):
        return self.ends

    def prepare(self):
        return 2

    def partial(self, partition, carry, prepared):
        return np.zeros(3) if carry is None else carry, partition * prepared


def folded(query: Any, indices=range(4), **carries):
    pieces = arrays(4)
    return fold_group(query, indices, [pieces[i] for i in indices], 4, len, **carries)


def test_prepared_once_for_all_partitions():
    query = Scaled(3.0)
    found = folded(query)
    assert query.prepared == [3.0]
    assert np.array_equal(found.nodes[2, 0], 9 * fold(arrays(4), np.add))
    assert (found.bytes_back, found.largest, found.carries) == (12, 3, {})


@pytest.mark.parametrize("indices", [[0, 1, 2, 3], [0, 2, 3], [1]])
def test_answers_of_several_sizes_are_counted_before_they_are_combined(indices):
    found = folded(Named(), indices)
    assert found.bytes_back == sum(2 * i for i in indices)
    assert found.largest == 2 * max(indices)


def test_what_is_kept():
    first = folded(Before())
    assert keeps(Before()) and not keeps(Before(ends=True)) and not keeps(Named())
    assert [carry[0] for carry in first.carries.values()] == [0, 2, 4, 6]
    second = folded(Before(ends=True), carries=first.carries)
    assert np.array_equal(second.nodes[2, 0], np.full(3, 12.0))
    assert second.carries == {}


@pytest.mark.parametrize("place", [lambda i: 0, lambda i: i % 2])
def test_bytes_of_a_round_do_not_depend_on_the_workers(executor, place):
    rounds = runner(executor, placed(executor, arrays(4), place))
    rounds._nbytes = lambda payload: len(payload) if isinstance(payload, str) else 5
    outcome = rounds.run(Named(), name="r")
    assert (outcome.bytes_out, outcome.bytes_back) == (20, 12)
