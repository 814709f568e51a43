"""The driver's own data on the workers: shared within a process, recomputable between them."""

import gc
import os
import signal
import time

import numpy as np
import pytest

from daskml_exec.executor import _ship, ship
from daskml_exec.executor._ship import share


def identity(x):
    return x


def total(array):
    return float(array.sum())


def address_of(array):
    return array.__array_interface__["data"][0]


def ship_to(executor, piece, worker=None):
    return ship(executor.client, piece, name="piece", worker=worker, in_process=executor.in_process)


def test_in_process_workers_share_the_array(executor):
    array = np.arange(10.0)
    futures = [ship_to(executor, array, worker.address) for worker in executor.workers()]
    for future in futures:
        assert executor.submit(address_of, future).result(10) == address_of(array)
        assert future.result(10) is array


def test_a_view_stays_a_view(executor):
    array = np.arange(10.0)
    assert np.shares_memory(ship_to(executor, array[2:5]).result(10), array)


def test_the_piece_is_released_with_its_future(executor):
    before = len(_ship._pieces)
    future = ship_to(executor, np.arange(3.0))
    assert len(_ship._pieces) == before + 1
    future.result(10)
    del future
    gc.collect()
    assert len(_ship._pieces) == before


@pytest.mark.parametrize("piece", [{"a": (sum, [1, 2])}, [1, 2], None, "text"])
def test_pieces_arrive_as_they_are(executor, process_executor, piece):
    for ex in (executor, process_executor):
        assert ship_to(ex, piece).result(20) == piece


def test_a_piece_goes_to_the_named_worker(process_executor):
    for worker in process_executor.workers():
        future = ship_to(process_executor, np.ones(3), worker.address)
        future.result(20)
        assert list(process_executor.client.who_has(future).values()) == [(worker.address,)]


def test_a_worker_that_is_gone_is_no_obstacle(process_executor):
    future = ship_to(process_executor, np.ones(3), "tcp://127.0.0.1:9")
    assert executor_total(process_executor, future) == 3


def executor_total(executor, future):
    return executor.submit(total, future).result(30)


def test_a_piece_survives_its_worker(mortal_executor):
    worker, _ = mortal_executor.workers()
    future = ship_to(mortal_executor, np.ones(5), worker.address)
    assert future.result(20).sum() == 5
    os.kill(worker.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while worker.address in mortal_executor.client.nthreads():
        assert time.monotonic() < deadline
    assert executor_total(mortal_executor, future) == 5


@pytest.mark.parametrize("nbytes", [8 * 20_000, 20_000_000])
def test_a_shared_message(executor, process_executor, nbytes):
    """Of any size, without the warning about large graphs; in one process without a copy."""
    message = np.ones(nbytes // 8)
    for ex in (executor, process_executor):
        future = share(ex.client, message, nbytes, name="message", in_process=ex.in_process)
        assert executor_total(ex, future) == nbytes // 8
        if ex.in_process:
            assert future.result(10) is message


def test_a_shared_message_survives_its_worker(mortal_executor):
    client = mortal_executor.client
    future = share(client, np.ones(2_500_000), 20_000_000, name="m", in_process=False)
    assert executor_total(mortal_executor, future) == 2_500_000
    (holders,) = client.who_has(future).values()
    for worker in mortal_executor.workers():
        if worker.address in holders:
            os.kill(worker.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while client.nthreads().keys() & set(holders):
        assert time.monotonic() < deadline
    assert executor_total(mortal_executor, future) == 2_500_000


def test_a_shared_list_is_one_value(process_executor):
    future = share(process_executor.client, [1, 2], 20_000_000, name="m", in_process=False)
    assert future.result(20) == [1, 2]
