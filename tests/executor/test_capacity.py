"""What fits on workers, and what travels in tasks."""

import pytest

from daskml_exec.executor import Capacity, travels_in_tasks, tuned
from daskml_exec.executor._capacity import travel_in_tasks


def test_the_smallest_limit_of_those_that_have_one():
    workers = [{"memory_limit": 3000}, {"memory_limit": 0}, {"memory_limit": None}, {}]
    assert Capacity.of_workers(workers) == Capacity(3000)
    assert Capacity.of_workers([]) == Capacity.of_workers([{}]) == Capacity(0)


def test_without_a_limit_everything_fits():
    capacity = Capacity(0)
    assert capacity.for_data is None and capacity.for_messages is None
    assert capacity.holds(1e15) and capacity.holds_blocks(10**15) and capacity.for_answers > 1e300


def test_shares_of_a_limit():
    capacity = Capacity(1_000_000_000)
    assert (capacity.for_data, capacity.for_messages, capacity.for_answers) == (3e8, 5 * 10**8, 8e8)
    assert capacity.holds(10**9) and not capacity.holds(10**9 + 1)
    assert capacity.holds_blocks(500_000_000) and not capacity.holds_blocks(500_000_001)


@pytest.mark.parametrize(
    ("sizes", "copies", "travel"),
    [([10], [2], True), ([11], [1], False), ([10, 1], [2, 1], False), ([10, 0], [2, 9], True)],
)
def test_messages_that_travel_in_tasks(sizes, copies, travel):
    with tuned(literal_bytes=10):
        assert travel_in_tasks(sizes, copies, 20) == travel
    with tuned(literal_bytes=10, literals_bytes=20):
        assert travels_in_tasks(10, 2) and not travels_in_tasks(10, 3)
