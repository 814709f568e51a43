"""Backups that are not what was written, or cannot be written: the fit goes on with the same bits.

Files are spoilt between two segments, and a worker is closed at the same time.
"""

import warnings
from itertools import pairwise

import pytest
from distributed import Client, LocalCluster, Worker

from daskml_exec import Executor
from daskml_exec.executor.peers import PeerGroup, _files
from daskml_exec.executor.peers._runs import PLUGIN
from daskml_exec.training.groups import _segment
from tests.executor.peers.leftovers import until_nothing_is_left
from tests.executor.peers.test_commits import BAD, spoil
from tests.neural_network.block_fits import bits, blocks, fit, replicas

pytestmark = [
    pytest.mark.usefixtures("short_segments"),
    pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"),
]

ROUND = 4


@pytest.fixture
def origins(monkeypatch):
    """The versions that workers went back to; None for the beginning."""
    found = []
    units = _segment._units

    def noting(peer, algorithm, order):
        if not order.resident:
            found.append(None if order.origin is None else order.origin.version)
        return units(peer, algorithm, order)

    monkeypatch.setattr(_segment, "_units", noting)
    return found


def disks(cluster):
    """Workers in the order of their addresses, and where each has which unit, by version."""
    workers = sorted(cluster.workers.values(), key=lambda worker: worker.address)
    found = [
        {version: paths for (_, version), paths in worker.plugins[PLUGIN].files._paths.items()}
        for worker in workers
    ]
    return workers, found


def fit_with_spoilt(cluster, kind, how, which):
    """Spoil files after a segment, and close a worker; `which(worker, age, unit)` chooses."""

    def spoil_and_close(event):
        if event.record.round == ROUND:
            workers, found = disks(cluster)
            assert all(ROUND in versions for versions in found), "one to fall back on"
            for at, versions in enumerate(found):
                for age, version in enumerate(sorted(versions, reverse=True)):
                    for (unit, _), path in versions[version].items():
                        if which(at, age, unit):
                            spoil(how, path)
            cluster.sync(workers[2].close)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = fit(kind(callbacks=[spoil_and_close]))
    warned = [str(each.message) for each in caught if "backups of weights" in str(each.message)]
    return model, warned


@pytest.mark.parametrize("kind", [blocks, pytest.param(replicas, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "how",
    [pytest.param(how, marks=[pytest.mark.slow] * (how not in ("gone", "flipped"))) for how in BAD],
)
def test_the_other_copy(three_workers, undisturbed_blocks, origins, kind, how):
    """The first worker's own units are bad; the second one keeps them, too."""
    cluster, executor = three_workers
    which = lambda at, age, unit: at == 0 and unit < 2  # noqa: E731
    model, warned = fit_with_spoilt(cluster, kind, how, which)
    assert bits(model) == undisturbed_blocks[kind]
    assert set(origins) == {None, ROUND + 1}
    assert origins.count(None) == 3 and origins.count(ROUND + 1) == 2
    (warning,) = warned
    assert f"from the backup after segment {ROUND + 1}" in warning
    assert sum(record.retries for record in model.history_) == 1
    until_nothing_is_left(executor.client)


def test_the_version_before(three_workers, undisturbed_blocks, origins):
    cluster, executor = three_workers
    model, warned = fit_with_spoilt(cluster, blocks, "short", lambda at, age, unit: age == 0)
    assert bits(model) == undisturbed_blocks[blocks]
    assert origins[3:] == [ROUND] * 2
    (warning,) = warned
    assert f"from the backup after segment {ROUND}" in warning
    until_nothing_is_left(executor.client)


def test_the_beginning(three_workers, undisturbed_blocks, origins):
    cluster, executor = three_workers
    model, warned = fit_with_spoilt(cluster, blocks, "flipped", lambda *_: True)
    assert bits(model) == undisturbed_blocks[blocks]
    assert origins == [None] * 5
    (warning,) = warned
    assert "goes on from the beginning" in warning
    until_nothing_is_left(executor.client)


@pytest.mark.parametrize("who", [[1], [0, 1, 2]])
def test_a_disk_that_is_full(three_workers, undisturbed_blocks, origins, monkeypatch, who):
    """From the third backup on; one that is on no disk at all does not count."""
    cluster, executor = three_workers
    write = _files.os.write
    full = []

    def fill_and_close(event):
        workers = sorted(cluster.workers.values(), key=lambda worker: worker.address)
        if event.record.round == 1:
            for worker in (workers[at] for at in who):
                full.append(str(worker.plugins[PLUGIN].files._folder))
        if event.record.round == ROUND:
            cluster.sync(workers[2].close)

    def limited(descriptor, content):
        path = _files.os.readlink(f"/proc/self/fd/{descriptor}")
        if any(path.startswith(folder) for folder in full):
            raise OSError(28, "No space left on device")
        return write(descriptor, content)

    monkeypatch.setattr(_files.os, "write", limited)
    with pytest.warns(RuntimeWarning, match="No space left") as caught:
        model = fit(blocks(callbacks=[fill_and_close]))
    assert sum("could not write a backup" in str(each.message) for each in caught) == 1
    assert bits(model) == undisturbed_blocks[blocks]
    # Where one disk is full, what only the lost worker had of the newest version is gone with it.
    assert origins[3:] == [2] * 2
    until_nothing_is_left(executor.client)


def test_a_worker_that_comes_back_to_its_address(undisturbed_blocks, origins):
    """Its disk is empty: what it had comes from the other one, and what it writes later counts."""
    closing = []
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        Executor(client),
    ):
        first, second = sorted(cluster.workers.values(), key=lambda worker: worker.address)

        async def come_back():
            port = int(first.address.rpartition(":")[2])
            await first.close()
            again = Worker(
                cluster.scheduler_address,
                nthreads=1,
                host="127.0.0.1",
                port=port,
                dashboard_address="127.0.0.1:0",
            )
            closing.append(await again)
            assert again.address == first.address

        def lose(event):
            if event.record.round == 2:
                cluster.sync(come_back)
            if event.record.round == 7:
                cluster.sync(second.close)

        model = fit(blocks(callbacks=[lose]))
        for worker in closing:
            cluster.sync(worker.close)
    assert bits(model) == undisturbed_blocks[blocks]
    assert origins == [None] * 2 + [3] * 2 + [8]
    assert (model.history_[3].workers, model.history_[-1].workers) == (2, 1)


def test_a_fit_that_is_repeated_lets_others_have_their_turn(
    three_workers, undisturbed_blocks, monkeypatch
):
    """And writes backups on its way, so that another loss does not take it back again."""
    cluster, executor = three_workers
    turns, orders = [], []
    units, leave = _segment._units, PeerGroup.leave

    def noting(peer, algorithm, order):
        if peer.index == 0:
            orders.append((order.position, order.segment is not None, order.stage))
        return units(peer, algorithm, order)

    def leaving(group):
        turns.append(len(orders))
        leave(group)

    monkeypatch.setattr(_segment, "_units", noting)
    monkeypatch.setattr(PeerGroup, "leave", leaving)

    def lose_all_backups(event):
        if event.record.round == ROUND:
            workers, found = disks(cluster)
            for versions in found:
                for paths in versions.values():
                    for path in paths.values():
                        path.unlink()
            cluster.sync(workers[2].close)
            turns.clear()
            orders.clear()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        model = fit(blocks(callbacks=[lose_all_backups]))
    assert bits(model) == undisturbed_blocks[blocks]
    done = [(position, stage) for position, works, stage in orders if works]
    assert done[-len(model.history_) :] == [(at, True) for at in range(len(model.history_))]
    assert all(after - before <= 2 for before, after in pairwise(turns)), "one segment in a turn"
    until_nothing_is_left(executor.client)
