"""Segments are repeated one by one from the last backup, as long as anything comes of it."""

from functools import partial
from itertools import count
from types import SimpleNamespace

import pytest

from daskml_exec.executor import Capacity, tuned
from daskml_exec.executor.peers import Answer, PeersInterrupted, Staged
from daskml_exec.training import owners_of
from daskml_exec.training.groups import _segment_runner
from daskml_exec.training.groups._segment import Report, follow
from daskml_exec.training.groups._segment_runner import SegmentRunner


class FakeGroup:
    """Workers that do what they are told, but for the segments that the test lets be lost."""

    segment_seconds, workers_timeout = 5.0, 0.0

    def __init__(self, cluster, name, suffices):
        self.commit_interval = cluster.commit_interval
        self._cluster = cluster
        self.members, self.ids, self.late = (), (), frozenset()
        cluster.group = self
        self.has_turn = False

    def workers(self):
        return self._cluster.workers

    def capacity(self, members):
        return Capacity()

    def admit(self):
        assert not self.has_turn
        self.has_turn = True
        self._cluster.turns.append([])

    def leave(self):
        self.has_turn = False

    def open(self, members):
        self.members = tuple(members)
        self.ids = tuple(f"start of {member}" for member in members)
        return True

    def sources(self, futures):
        return []

    def run(self, function, arguments):
        assert self.has_turn
        if function is not follow:  # they look at their disks, and all is well
            return [Answer({}, member, 0.0, 0) for member in self.members]
        ((_, order), *_) = arguments
        if order.segment is not None:
            self._cluster.turns[-1].append(order.position)
            if self._cluster.is_lost(order):
                raise PeersInterrupted("a worker was lost")
        else:
            self._cluster.origins.append(order.origin and order.origin.version)
        staged = [None] * len(self.members)
        if order.stage:
            digests = {unit: (f"{unit} after {order.position}",) for unit in range(2)}
            staged = [
                Staged({unit: ()}, {unit: digests[unit]}, digests)
                for unit in range(len(self.members))
            ]
        return [
            Answer(Report(order.position, 0.0, each), member, 0.0, 0)
            for each, member in zip(staged, self.members, strict=True)
        ]


class Numbered(int):
    """A segment that needs no data."""

    def sources(self):
        return []


@pytest.fixture
def fit(monkeypatch):
    monkeypatch.setattr(_segment_runner, "PeerGroup", FakeGroup)

    def run(is_lost, segments=20, workers=("a", "b"), commit_interval=0.0):
        cluster = SimpleNamespace(
            workers=list(workers),
            client=SimpleNamespace(status="running"),
            commit_interval=commit_interval,
            is_lost=is_lost,
            turns=[],
            origins=[],
        )
        units = SimpleNamespace(n=2, largest_nbytes=1, owners=partial(owners_of, 2))
        runner = SegmentRunner(cluster, units, [], {}, "test")
        for segment in map(Numbered, range(segments)):
            assert [answer.value.found for answer in runner.advance(segment)] == [segment] * len(
                workers
            )
        return SimpleNamespace(interruptions=runner.interruptions, **vars(cluster))

    with tuned(first_pause_seconds=0.0):
        yield run


def once_each(order, seen):
    new = order.position not in seen
    seen.add(order.position)
    return new


def test_nothing_lost(fit):
    done = fit(lambda order: False)
    assert done.turns == [[position] for position in range(20)]
    assert done.origins == [None] and done.interruptions == 0


def test_a_loss_before_each_segment_is_no_reason_to_give_up(fit):
    """There are twice as many as may come in a row, and a backup between any two."""
    seen = set()
    done = fit(lambda order: once_each(order, seen))
    assert done.interruptions == 20
    assert done.origins == [None, *[position or None for position in range(20)]]
    assert done.turns == [[position] for position in range(20) for _ in range(2)]


def test_progress_without_backups(fit):
    """A worker that is alone has nobody to write to; each time it comes further than before."""
    seen = set()
    done = fit(lambda order: once_each(order, seen), segments=15, workers=["a"])
    assert done.interruptions == 15 and done.origins == [None] * 16
    lost_at = [list(range(last + 1)) for last in range(15)]
    assert [at for turn in done.turns for at in turn] == [at for each in lost_at for at in each] + [
        *range(15)
    ]
    assert all(len(turn) == 1 for turn in done.turns), "one segment in a turn"


@pytest.mark.parametrize("commit_interval", [0.0, 1e9])
def test_losses_that_nothing_comes_of(fit, commit_interval):
    losses = count(1)

    def is_lost(order):
        return order.position == 5 and next(losses) <= 1000

    with pytest.raises(RuntimeError, match=r"interrupted 10 times.*because a worker was lost"):
        fit(is_lost, commit_interval=commit_interval)
    assert next(losses) == 11


def test_the_last_of_many_losses(fit):
    """Nine in a row at one place, twice."""
    left = {3: 9, 7: 9}

    def is_lost(order):
        left[order.position] = left.get(order.position, 0) - 1
        return left[order.position] >= 0

    done = fit(is_lost)
    assert done.interruptions == 18
    assert done.origins == [None] + [3] * 9 + [7] * 9
