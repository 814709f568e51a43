"""Rows dealt anew: none lost, sizes even, sorted data mixed, the same on any cluster."""

import itertools
import os
import pickle
import signal
import time

import array_api_strict as xp
import dask
import numpy as np
import pytest
import scipy.sparse as sp
from distributed import wait
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec import Executor
from daskml_exec.executor import LostPartitionError, RoundRunner, _ship
from daskml_exec.partitions import dealt
from daskml_exec.partitions._dealt import Deal
from tests.executor.rounds import Ask
from tests.partitions.test_futures import remove_worker
from tests.partitions.toolbox import gathered, load_target, rows, weights, whole

UNEVEN = [10, 0, 1, 500, 0, 3]


def parted(executor, sizes, kind=np.asarray, sample_weight=None, dtype=np.float64):
    """Partitions of these sizes, whose y tells the place of each row."""
    n = sum(sizes)
    bounds = [0, *itertools.accumulate(sizes)]
    X = rows(dtype, n)
    blocks = [kind(X[a:b]) for a, b in itertools.pairwise(bounds)]
    futures = executor.client.scatter(blocks, hash=False)
    return load_target(executor, futures, np.arange(n, dtype=float), sample_weight)


def check(executor, sizes, kind=np.asarray, sample_weight=None, dtype=np.float64):
    """Dealing keeps the rows together with their columns, evenly. Returns the pieces."""
    given = parted(executor, sizes, kind, sample_weight, dtype)
    new = dealt(given, 7)
    n = sum(sizes)
    assert (len(new.rows), sum(new.rows)) == (len(sizes), n)
    assert max(new.rows) - min(new.rows) <= 1
    for name in ("n_features", "dtype", "nonzeros", "feature_names", "workers_lost_before"):
        assert getattr(new, name) == getattr(given, name)
    pieces = gathered(executor, new)
    X, y, weight = whole(pieces)
    np.testing.assert_array_equal(np.sort(y), np.arange(n))
    at = y.astype(int)
    np.testing.assert_array_equal(X, rows(dtype, n)[at])
    assert weight is None if sample_weight is None else np.array_equal(weight, sample_weight[at])
    new.release()
    return pieces


SIZES = [[6, 6, 6], UNEVEN, [2] * 17, [1], [0, 0, 1], [200, *[1] * 16]]


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("sizes", SIZES)
def test_rows_are_kept_and_sizes_even(executor, kind, sizes):
    check(executor, sizes, kind, weights(sum(sizes)) + 1, np.float32)


def test_rows_without_weights_and_sparse_arrays(executor):
    check(executor, UNEVEN, sp.csr_array)


@settings(max_examples=8)
@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=18).filter(any), csr=st.booleans())
def test_any_cuts(executor, sizes, csr):
    check(executor, sizes, sp.csr_matrix if csr else np.asarray)


def test_dense_and_sparse_partitions_together(executor):
    kinds = iter([sp.csr_matrix, np.asarray, sp.csr_matrix])
    check(executor, [5, 6, 7], lambda block: next(kinds)(block))


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=60))
def test_pieces_are_those_of_the_rows_and_few(sizes):
    n = len(sizes)
    deal = Deal(n, sum(sizes))
    pieces, found, counts = deal.pieces(sizes), set(), np.zeros(n, dtype=int)
    start = 0
    for source, size in enumerate(sizes):
        targets = deal.targets(start, start + size)
        found |= {(source, int(target)) for target in np.unique(targets)}
        counts += np.bincount(targets, minlength=n)
        start += size
    assert counts.tolist() == deal.sizes()
    assert found <= set(pieces) and len(set(pieces)) == len(pieces)
    assert {target for _, target in pieces} == set(range(n))
    assert {target for _, target in set(pieces) - found} == set(np.flatnonzero(counts == 0))
    assert len(pieces) <= n * min(n, 16)


@pytest.mark.parametrize(("n", "off"), [(4, 0), (16, 0), (40, 2 / 3), (100, 2 / 3)])
def test_labels_that_were_sorted_are_in_all_partitions(n, off):
    """In proportion, up to a slice of 15: two thirds of a label, of ten. Besides, there is luck."""
    total = 8000 * n
    label = np.arange(total) * 10 // total
    deal = Deal(n, total)
    rng = np.random.default_rng(0)
    shuffled = np.concatenate([rng.permutation(part) for part in np.split(label, n)])
    counts = np.zeros((n, 10))
    np.add.at(counts, (deal.targets(0, total), shuffled), 1)
    assert np.abs(counts / 800 - 1).max() <= off + 0.15


@pytest.mark.parametrize("n", [4, 40])
def test_what_was_in_order_is_mixed_in_each_partition(executor, n):
    new = dealt(parted(executor, [60] * n), 0)
    for piece in gathered(executor, new):
        assert abs(piece.y.mean() / (60 * n / 2) - 1) < 0.1
        assert abs(np.corrcoef(piece.y % 60, np.arange(60))[0, 1]) < 0.6
    new.release()


@pytest.mark.parametrize("sizes", [UNEVEN, [5] * 17])
def test_the_same_on_any_cluster(sizes):
    found = set()
    for n_workers in (1, 2, 4):
        with Executor(processes=False, n_workers=n_workers) as executor:
            found.add(
                pickle.dumps([(p.X.tobytes(), p.y.tobytes()) for p in check(executor, sizes)])
            )
    assert len(found) == 1


def test_the_seed_chooses(executor):
    orders = [
        whole(gathered(executor, dealt(parted(executor, [30] * 3), seed)))[1] for seed in (0, 0, 1)
    ]
    assert np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[0], orders[2])


def test_contiguous_ranges_go_to_workers_in_order(executor):
    new = dealt(parted(executor, [40] * 6), 0)
    wait(new.futures)
    held = executor.client.who_has(new.futures)
    order = [held[future.key][0] for future in new.futures]
    assert order == sorted(order) and len(set(order)) == 2
    assert [order.count(worker) for worker in set(order)] == [3, 3]


@pytest.mark.parametrize("device", ["CPU_DEVICE", "device1"])
def test_arrays_on_a_device_stay_there(executor, device):
    def there(block):
        return xp.asarray(block, device=xp.Device(device))

    new = dealt(parted(executor, [5, 0, 9], there, dtype=np.float32), 0)
    for piece in executor.client.gather(list(new.futures)):
        assert piece.X.device == xp.Device(device) and piece.X.dtype == xp.float32
        host = np.from_dlpack(piece.X.to_device(xp.Device("CPU_DEVICE")))
        assert np.array_equal(host, rows(np.float32, 14)[piece.y.astype(int)])


def settles_at(executor, kinds):
    """Whether the tasks that have results on the cluster are soon of these kinds only."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        held = itertools.chain.from_iterable(executor.client.has_what().values())
        if {str(key).strip("('").split("-")[0] for key in held} == kinds:
            return True
        time.sleep(0.02)
    return False


def test_only_the_new_partitions_stay_and_then_nothing():
    with Executor(processes=False, n_workers=2) as executor:
        given = load_target(executor, rows(n=90), np.arange(90.0))
        new = dealt(given, 0)
        wait(new.futures)
        assert settles_at(executor, {"dealt"})
        assert all(future.status == "cancelled" for future in given.futures)
        before = len(_ship._pieces)
        new.release()
        del given, new
        assert len(_ship._pieces) < before
        assert settles_at(executor, set())


def test_data_that_was_lost_is_named_in_the_first_round():
    with Executor(processes=False, n_workers=2) as executor:
        client = executor.client
        X = client.scatter([rows()[:10], rows()[10:]], hash=False)
        given = load_target(executor, X, np.arange(23.0))
        wait(given.futures)
        # `Client.cancel` breaks the connection here: Dask's scheduler fails at tasks between these.
        for future in (*X, *given.futures):
            future.release()
        new = dealt(given, 0)
        runner = RoundRunner(executor, new.futures, lambda _: 8, 0)
        with pytest.raises(LostPartitionError, match="of the data were lost"):
            runner.run(Ask(lambda part, _: len(part.y), None), name="count")
        new.release()


def undisturbed(sizes):
    with Executor(processes=False, n_workers=1) as executor:
        return whole(gathered(executor, dealt(load_target(executor, *sizes), 3)))


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_lost_worker_changes_nothing(moment):
    data = rows(n=200), np.arange(200.0)
    with dask.config.set({"daskml-exec.partition-bytes": 1200}):
        expected = undisturbed(data)
        with Executor(processes=False, n_workers=3) as executor:
            new = dealt(load_target(executor, *data), 3)
            if moment == "after":
                wait(new.futures)
            doomed = executor.workers()[0].address
            executor.client.run_on_scheduler(remove_worker, doomed)
            found = whole(gathered(executor, new))
    assert all(map(np.array_equal, found[:2], expected[:2]))


@pytest.mark.slow
def test_a_killed_process_changes_nothing():
    data = rows(n=400), np.arange(400.0)
    with dask.config.set({"daskml-exec.partition-bytes": 1200}):
        expected = undisturbed(data)
        with Executor(n_workers=2) as executor:
            new = dealt(load_target(executor, *data), 3)
            os.kill(executor.workers()[1].pid, signal.SIGKILL)
            found = whole(gathered(executor, new))
    assert all(map(np.array_equal, found[:2], expected[:2]))
