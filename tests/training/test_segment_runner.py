"""Which workers get the units, and what happens where these have no room for them."""

from functools import partial
from types import SimpleNamespace

import pytest

from daskml_exec.executor import Capacity, tuned
from daskml_exec.training import owners_of
from daskml_exec.training.groups import _segment_runner
from daskml_exec.training.groups._segment_runner import SegmentRunner


class FakeGroup:
    """A cluster whose workers come one by one, each time that somebody looks."""

    commit_interval, segment_seconds, workers_timeout = 60.0, 5.0, 0.0

    def __init__(self, executor, name, suffices):
        self.members, self.late = (), frozenset()
        self.coming = executor

    def workers(self):
        return self.coming.pop(0) if len(self.coming) > 1 else self.coming[0]

    def capacity(self, members):
        return Capacity(1_000_000_000)


@pytest.fixture
def runner_on(monkeypatch):
    monkeypatch.setattr(_segment_runner, "PeerGroup", FakeGroup)

    def runner(n_units, unit_nbytes, *coming):
        owners = partial(owners_of, n_units)
        units = SimpleNamespace(n=n_units, largest_nbytes=unit_nbytes, owners=owners)
        return SegmentRunner(list(coming), units, [], {}, "test")

    with tuned(room_look_seconds=0.0):
        yield runner


def test_what_units_begin_with_is_released_where_no_run_begins(monkeypatch):
    def refused(*arguments):
        raise ConnectionError("the scheduler is gone")

    monkeypatch.setattr(_segment_runner, "PeerGroup", refused)
    released = []
    given = {
        unit: SimpleNamespace(release=lambda unit=unit: released.append(unit)) for unit in "ab"
    }
    units = SimpleNamespace(n=2, largest_nbytes=1)
    with pytest.raises(ConnectionError, match="scheduler is gone"):
        SegmentRunner(None, units, [], given, "test")
    assert released == ["a", "b"]


def test_no_more_workers_than_units_are_taken(runner_on):
    assert runner_on(2, 1, ["a", "b", "c"])._choose_enough() == ["a", "b"]


def test_one_that_is_late_is_left_out_where_the_others_have_room(runner_on):
    runner = runner_on(4, 100_000_000, ["a", "b", "c"])
    assert runner._suffices([10**9, 0]) and not runner._suffices([10**9, 3 * 10**8])
    runner._group.late = frozenset("b")
    assert runner._choose_enough() == ["a", "c"]
    runner._group.late = frozenset("abc")
    assert runner._choose_enough() == ["a", "b", "c"]


def test_workers_are_waited_for_where_units_have_no_room(runner_on, monkeypatch):
    monkeypatch.setattr(FakeGroup, "workers_timeout", 60.0)
    runner = runner_on(4, 200_000_000, ["a"], ["a"], ["a", "b"])
    assert runner._choose_enough() == ["a", "b"]


def test_workers_that_do_not_come_are_an_error_with_numbers(runner_on):
    runner = runner_on(4, 200_000_000, ["a"])
    with pytest.raises(RuntimeError, match=r"take 800 MB .* 1 workers .* may use 1 GB"):
        runner._choose_enough()
