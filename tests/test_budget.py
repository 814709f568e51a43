"""The plugin that runs as many slow tests as fit in a time."""

import pytest

from tests.budget import Budget, rotated

FILES = ["a.py", "b.py", "c.py"]


class Item:
    def __init__(self, nodeid):
        self.nodeid = nodeid


def test_every_file_comes_first_for_some_seed():
    orders = [rotated(FILES, str(seed)) for seed in range(30)]
    assert {order[0] for order in orders} == set(FILES)
    assert all(sorted(order) == FILES for order in orders)
    assert rotated(FILES, "5") == rotated(FILES, "5") and rotated([], "5") == []


def test_tests_of_a_file_stay_together():
    items = [Item(f"{file}::test_{i}") for file in FILES for i in range(2)]
    Budget(None, "5").pytest_collection_modifyitems(items)
    assert [item.nodeid[:4] for item in items[::2]] == rotated(FILES, "5")
    assert [item.nodeid[-1] for item in items] == list("01" * 3)


@pytest.mark.parametrize(("seconds", "runs"), [(None, True), (1e6, True), (0.0, False)])
def test_nothing_starts_when_the_time_is_over(seconds, runs):
    budget = Budget(seconds, None)
    budget.pytest_runtestloop()
    assert budget.pytest_runtest_protocol(Item("a.py::test")) is (None if runs else True)
    assert budget.left_out == ([] if runs else ["a.py::test"])
