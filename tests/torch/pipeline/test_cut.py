"""Where modules are cut."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from daskml_exec.torch.pipeline._chain import parts_in_chain
from daskml_exec.torch.pipeline._cut import Cost, cut_at, cut_evenly
from tests.torch.pipeline.cut_modules import ROWS, Called, chain

costs = st.lists(st.builds(Cost, st.floats(0, 10), st.integers(0, 100)), min_size=2, max_size=6)


def slowest(parts, begins):
    bounds = itertools.pairwise([*begins, len(parts)])
    return max(sum(each.milliseconds for each in parts[a:b]) for a, b in bounds)


@given(costs, st.integers(2, 6))
def test_the_slowest_stage_is_nearly_as_fast_as_can_be(parts, n_stages):
    n_stages = min(n_stages, len(parts))
    found = cut_evenly(parts, n_stages)
    assert len(found) == n_stages and found[0] == 0 and list(found) == sorted(set(found))
    best = min(
        slowest(parts, (0, *rest))
        for rest in itertools.combinations(range(1, len(parts)), n_stages - 1)
    )
    assert slowest(parts, found) <= 1.1 * best * (1 + 1e-9)
    assert found == cut_evenly(parts, n_stages)


def test_of_stages_as_fast_those_are_taken_that_need_less_memory():
    parts = [Cost(1, 90), Cost(0, 80), Cost(1, 10)]
    assert cut_evenly(parts, 2) == (0, 1)
    assert cut_evenly([Cost(1, 10), Cost(0, 80), Cost(1, 90)], 2) == (0, 2)


def test_names():
    names = ["0", "1", "5.0", "5.1"]
    assert cut_at(names, ["5"]) == (0, 2)
    assert cut_at(names, ["5.1", "1"]) == (0, 1, 3)
    with pytest.raises(ValueError, match=r"stages has '6', .*there are 0, 1, 5.0, 5.1"):
        cut_at(names, ["6"])


def test_parts_are_found_in_all_depths():
    X = torch.from_numpy(ROWS)
    assert [each.name for each in parts_in_chain(chain(), (X,), {})] == [
        *("0", "1", "2", "3", "4"),
        *("5.0", "5.1"),
    ]
    assert [each.name for each in parts_in_chain(Called(), (X,), {})] == [
        "first",
        "between",
        "last",
    ]


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6).double()

    def forward(self, X):
        return self.layer(self.layer(X))


class Skips(Called):
    def forward(self, X):
        return self.last(self.between(self.first(X)) + 1)


class Adds(Called):
    def forward(self, X):
        return super().forward(X) + 1


class Shifts(Called):
    def forward(self, X):
        return super().forward(X + 1)


class CallsNone(nn.Linear):
    pass


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (Twice(), "it calls 'layer' more than once"),
        (Skips(), "'last' gets something else than 'between' returns"),
        (Adds(), "it returns something else than 'last' does"),
        (Shifts(), "'first' gets something else than the module does"),
        (CallsNone(6, 1).double(), "it calls none"),
    ],
)
def test_what_is_no_chain(module, why):
    with pytest.raises(ValueError, match=f"cannot be cut between its children: {why}; allowed"):
        parts_in_chain(module, (torch.from_numpy(ROWS),), {})
