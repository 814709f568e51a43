"""Workers that go at an exact moment of a fit leave its bits as they were.

Workers are threads of this process. One that is to go stops at the moment that is meant, is closed
from outside, and never comes further: what it would have sent next is not sent.
"""

import itertools
import threading
from contextlib import ExitStack

import dask
import numpy as np
import pytest
from distributed import get_worker

from daskml_exec.executor import tuned
from daskml_exec.executor.peers import PeersInterrupted, _commits
from daskml_exec.neural_network import _block_steps
from daskml_exec.training.groups import _segment, _segment_runner
from tests.executor.gates import Gate
from tests.executor.peers.leftovers import until_nothing_is_left
from tests.neural_network.block_fits import (
    bits,
    blocks,
    fit,
    replicas,
)

pytestmark = [
    pytest.mark.usefixtures("short_segments"),
    pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"),
]


class Fate:
    """Closes the members with these indices when they call a function for the n-th time."""

    def __init__(self, cluster, monkeypatch, module, name, *, victims, call):
        self._cluster, self._victims, self._call = cluster, victims, call
        self._calls, self._closing = {}, []
        self._function = getattr(module, name)
        self._lock = threading.Lock()
        self.lost = []
        monkeypatch.setattr(module, name, self)

    def __call__(self, *args, **options):
        # A member of a group, or of a part of one.
        members = [getattr(value, "peer", value) for value in args]
        (peer,) = (value for value in members if hasattr(value, "mailbox"))
        with self._lock:
            count = self._calls[peer.index] = self._calls.get(peer.index, 0) + 1
            meant = peer.index in self._victims and count == self._call
        if meant and len(self.lost) < len(self._victims):
            address = get_worker().address
            self.lost.append(address)
            self._closing.append(threading.Thread(target=self._close, args=(address,)))
            self._closing[-1].start()
            peer.take(peer.index, ("what nobody sends",), timeout=30)
        return self._function(*args, **options)

    def _close(self, address):
        (worker,) = (w for w in self._cluster.workers.values() if w.address == address)
        self._cluster.sync(worker.close)

    def happened(self):
        for thread in self._closing:
            thread.join(30)
        return len(self.lost) == len(self._victims)


@pytest.fixture
def restored(monkeypatch):
    """Versions that workers went back to."""
    versions = []
    restore = _segment.restore

    def noting(peer, commit, owners):
        versions.append(commit.version)
        return restore(peer, commit, owners)

    monkeypatch.setattr(_segment, "restore", noting)
    return versions


MOMENTS = {
    "training": (_block_steps, "BlockExchange", 2, 1),
    "before the first commit": (_segment, "write_to_next", 1, None),
    "before a commit": (_segment, "write_to_next", 3, 2),
    "within a commit": (_commits, "_send_chunk", {0: 30, 2: 15}, 1),
    "at the end of a commit": (_commits, "_take_last", 2, 1),
}
"""Where the worker stops, in which call, and from which version it goes on then."""


# Each moment once, the first for both: replicas have another one there.
ALWAYS = [
    (blocks, 0, "training"),
    (blocks, 0, "before a commit"),
    (blocks, 0, "at the end of a commit"),
    (replicas, 2, "training"),
    (replicas, 2, "before the first commit"),
    (replicas, 2, "within a commit"),
]


@pytest.mark.parametrize(
    ("kind", "victim", "moment"),
    [
        case if case in ALWAYS else pytest.param(*case, marks=pytest.mark.slow)
        for case in itertools.product([blocks, replicas], [0, 2], MOMENTS)
    ],
)
def test_a_worker_closed(
    three_workers, undisturbed_blocks, monkeypatch, restored, kind, victim, moment
):
    cluster, executor = three_workers
    module, name, call, version = MOMENTS[moment]
    if moment == "training" and kind is replicas:
        name, call = "average_replicas", 5  # the first of the second epoch
    call = call[victim] if isinstance(call, dict) else call
    fate = Fate(cluster, monkeypatch, module, name, victims=[victim], call=call)
    with dask.config.set({"daskml-exec.segment-duration": "1h"}):  # an epoch each
        model = fit(kind())
    assert fate.happened()
    assert bits(model) == undisturbed_blocks[kind]
    assert set(restored) == (set() if version is None else {version})
    history = model.history_
    assert history.workers_lost == 1
    assert sum(record.retries for record in history) == 1
    assert history[0].workers == (2 if call == 1 else 3) and history[-1].workers == 2
    until_nothing_is_left(executor.client)


def test_lost_in_a_restore(three_workers, undisturbed_blocks, monkeypatch, restored):
    """Another one goes while the blocks of the first come back."""
    cluster, executor = three_workers
    first = Fate(cluster, monkeypatch, _segment, "write_to_next", victims=[2], call=3)
    second = Fate(cluster, monkeypatch, _segment, "restore", victims=[0], call=1)
    model = fit(blocks())
    assert first.happened() and second.happened()
    assert bits(model) == undisturbed_blocks[blocks]
    assert model.history_.workers_lost == 2 and model.history_[-1].workers == 1
    until_nothing_is_left(executor.client)


def test_most_workers_lost_at_once(three_workers, undisturbed_blocks, monkeypatch):
    """And a commit with them: everything is done again from the beginning."""
    cluster, executor = three_workers
    fate = Fate(cluster, monkeypatch, _segment, "write_to_next", victims=[0, 1], call=3)
    model = fit(blocks())
    assert fate.happened()
    assert bits(model) == undisturbed_blocks[blocks]
    assert model.history_[-1].workers == 1
    until_nothing_is_left(executor.client)


@pytest.mark.parametrize("kind", [blocks, replicas])
def test_all_workers_lost_and_new_ones_come(three_workers, undisturbed_blocks, kind):
    cluster, executor = three_workers

    def lose_all(event):
        if event.record.round == 2:
            for worker in list(cluster.workers.values()):
                cluster.sync(worker.close)
            cluster.scale(5)  # which makes up for none of those

    model = fit(kind(callbacks=[lose_all]))
    assert bits(model) == undisturbed_blocks[kind]
    assert model.history_[-1].workers == 2
    until_nothing_is_left(executor.client)


@pytest.mark.parametrize(
    ("kind", "retired"),
    [
        (blocks, True),
        (replicas, False),
        pytest.param(blocks, False, marks=pytest.mark.slow),
        pytest.param(replicas, True, marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_goes_between_two_segments(three_workers, undisturbed_blocks, kind, retired):
    cluster, executor = three_workers

    def lose(event):
        if event.record.round == 2:
            worker = next(iter(cluster.workers.values()))
            if retired:
                executor.client.retire_workers([worker.address])
            else:
                cluster.sync(worker.close)

    model = fit(kind(callbacks=[lose]))
    assert bits(model) == undisturbed_blocks[kind]
    assert (model.history_[0].workers, model.history_[-1].workers) == (3, 2)
    until_nothing_is_left(executor.client)


def test_a_worker_that_goes_before_an_event_asks_for_the_estimator(
    three_workers, undisturbed_blocks
):
    cluster, executor = three_workers
    found = []

    def lose_and_ask(event):
        if event.record.round == 2:
            cluster.sync(next(iter(cluster.workers.values())).close)
            found.append(event.estimator)

    model = fit(blocks(callbacks=[lose_and_ask]))
    assert bits(model) == undisturbed_blocks[blocks]
    assert np.isfinite(found[0].coefs_[0]).all()
    until_nothing_is_left(executor.client)


def test_a_worker_that_is_busy_for_long(three_workers, undisturbed_blocks, caplog):
    """The others have room for its blocks, which come from the last backup; it has its own work."""
    cluster, executor = three_workers
    with Gate() as gate, ExitStack() as soon:

        def occupy(event):
            if event.record.round == 2:
                worker = min(cluster.workers.values(), key=lambda worker: worker.address)
                others.append(executor.client.submit(gate.pass_through, workers=[worker.address]))
                gate.wait_until_reached()
                limit = {"daskml-exec.segment-start-timeout": "0.5s"}
                soon.enter_context(dask.config.set(limit))

        others = []
        model = fit(blocks(callbacks=[occupy]))
        assert others[0].status == "pending"
        gate.open()
        others[0].result(30)
    assert bits(model) == undisturbed_blocks[blocks]
    assert (model.history_[2].workers, model.history_[3].workers) == (3, 2)
    assert "goes on without the worker" in caplog.text
    others.clear()
    until_nothing_is_left(executor.client)


@tuned(longest_pause_seconds=0.01)
def test_workers_that_are_lost_again_and_again(two_workers, monkeypatch):
    def interrupted(peer, algorithm, order):
        raise PeersInterrupted("a partition is not to be had")

    monkeypatch.setattr(_segment_runner, "follow", interrupted)
    with two_workers, pytest.raises(RuntimeError, match=r"interrupted 10 times.*not to be had"):
        fit(blocks())
    until_nothing_is_left(two_workers.client)
