"""Messages and answers in memory that processes of one machine see."""

import gc
import multiprocessing
import pickle
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec.executor import _shared_values, _submission, tuned
from daskml_exec.executor._memory_file import SharedMemoryError, this_place
from daskml_exec.executor._shared_values import InMemory, SharedValue, loaded, share_memory, shared
from tests.executor.open_files import open_files
from tests.executor.rounds import Ask, arrays, kill_holder, placed, runner

pytestmark = pytest.mark.skipif(this_place() is None, reason="needs memfd_create and /proc")


@dataclass(frozen=True)
class Named:
    name: str
    array: Any
    more: Any


def value():
    odd = np.frombuffer(b"x" + np.arange(3.0).tobytes(), offset=1)
    matrix = sp.csr_matrix(np.eye(3))
    return Named("one", np.arange(6, dtype="f4").reshape(2, 3), (odd, np.zeros((0, 2)), matrix))


def require_equal(found, expected):
    assert found.name == expected.name
    np.testing.assert_array_equal(found.array, expected.array)
    for one, other in zip(found.more[:2], expected.more[:2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert (found.more[2] != expected.more[2]).nnz == 0


def times_open(name: str) -> int:
    """Return how often a memory file is open; other threads here open and close other files."""
    gc.collect()
    return len(open_files(f"/memfd:{name}"))


def test_a_value_is_had_again_with_arrays_at_even_addresses():
    made = shared(value(), 0)
    there = pickle.loads(pickle.dumps(made))
    for own in (False, True):
        found = there.load(own=own)
        require_equal(found, value())
        assert found.array.flags.aligned and found.more[0].flags.aligned
        assert found.array.flags.writeable == own


def test_what_travels_has_no_arrays():
    array = np.ones(10**6)
    made = shared({"a": array}, 10**6)
    assert len(pickle.dumps(made)) < 1_000 < array.nbytes <= made.__sizeof__()


def test_small_values_are_as_they_are():
    assert loaded(shared(3, 0)) == 3
    small = np.ones(4)
    assert shared(small, 33) is not small and loaded(shared(small, 65)) is small


def test_what_is_read_outlives_its_owner_and_all_is_given_back():
    made = shared(np.arange(1_000), 0)
    name = made._about[2]
    assert times_open(name) == 1
    there = pickle.loads(pickle.dumps(made))
    found, own = there.load(), there.load(own=True)
    del made
    np.testing.assert_array_equal(found, np.arange(1_000))
    del found
    assert times_open(name) == 0
    np.testing.assert_array_equal(own, np.arange(1_000))
    with pytest.raises(SharedMemoryError, match="cannot be read"):
        there.load()


def test_where_there_is_no_memory_the_value_travels(monkeypatch):
    def refuse(nbytes):
        raise OSError("no space left")

    monkeypatch.setattr(_shared_values, "allocated", refuse)
    array = np.ones(100)
    assert shared(array, 0) is array


def _doubled(given):
    return 2 * given


def test_another_process_reads_and_answers():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        made = shared(np.arange(5.0), 0)
        found = pool.apply(InMemory(_doubled, None), (made,))
        np.testing.assert_array_equal(found, 2 * np.arange(5.0))


def sum_of_both(partition, message):
    return partition.sum() + message


def expected(n, message):
    return sum(float(array.sum()) for array in arrays(n)) + n * message


@pytest.mark.parametrize("size", [10, 20_000, 2_500_000])
@pytest.mark.parametrize("in_memory", [True, False])
def test_rounds_have_the_same_answer(process_executor, size, in_memory):
    message = np.arange(float(size))
    with dask.config.set({"daskml-exec.shared-memory": in_memory}):
        rounds = runner(process_executor, placed(process_executor, arrays(4), lambda i: i % 2))
        for _ in range(2):
            outcome = rounds.run(Ask(sum_of_both, message), name="r")
            np.testing.assert_array_equal(outcome.total, expected(4, message))
            assert outcome.retries == 0
    assert rounds._submission._shares_memory == in_memory


def test_workers_in_this_process_share_it_in_any_case(executor):
    assert not share_memory(executor, [worker.address for worker in executor.workers()])


def test_workers_elsewhere_are_sent_messages(process_executor, monkeypatch):
    monkeypatch.setattr(_submission, "share_memory", lambda executor, workers: False)
    rounds = runner(process_executor, placed(process_executor, arrays(2), lambda i: i))
    with tuned(in_memory_bytes=0):
        outcome = rounds.run(Ask(sum_of_both, np.ones(3)), name="r")
    np.testing.assert_array_equal(outcome.total, expected(2, np.ones(3)))


def test_a_worker_that_does_not_know_where_it_is_is_sent_messages(process_executor, monkeypatch):
    addresses = [worker.address for worker in process_executor.workers()]
    assert share_memory(process_executor, addresses)
    assert not share_memory(process_executor, [*addresses, None])
    monkeypatch.setitem(_shared_values._places[process_executor.client], addresses[0], None)
    assert not share_memory(process_executor, addresses)


def gone(about):
    """Return what says of the value that it is where nothing is."""
    pickled, ends, _, process, descriptor, nbytes = about
    return SharedValue(pickled, ends, "gone", process, descriptor, nbytes)


@tuned(in_memory_bytes=0)
@pytest.mark.parametrize("who", ["driver", "worker"])
def test_memory_that_cannot_be_read_is_not_used_again(process_executor, monkeypatch, who):
    failed = []
    if who == "driver":

        def fail(value, own):
            if not isinstance(value, SharedValue):
                return value
            failed.append(value)
            raise SharedMemoryError("its worker is gone")

        monkeypatch.setattr(_submission, "loaded", fail)
    else:

        def reduced(self):
            failed.append(self)
            return gone, (self._about,)

        monkeypatch.setattr(SharedValue, "__reduce__", reduced)
    rounds = runner(process_executor, placed(process_executor, arrays(3), lambda i: i % 2))
    message = np.arange(5.0)
    outcome = rounds.run(Ask(sum_of_both, message), name="r")
    np.testing.assert_array_equal(outcome.total, expected(3, message))
    assert failed and outcome.retries == 1
    assert not rounds._submission._shares_memory
    monkeypatch.undo()
    assert rounds.run(Ask(sum_of_both, message), name="r").retries == 0


@pytest.mark.slow
def test_killed_with_its_answer_in_memory(mortal_executor, monkeypatch):
    executor = mortal_executor
    executor.check_workers()
    rounds = runner(executor, placed(executor, arrays(5), lambda i: i % 2))
    killed = []
    load = SharedValue.load

    def kill_first(self, own):
        if not killed:
            killed.append(rounds._submission.groups[0].worker)
            kill_holder(executor, killed[0])
            until_gone(executor, killed[0])
        return load(self, own=own)

    with tuned(in_memory_bytes=0):
        monkeypatch.setattr(SharedValue, "load", kill_first)
        outcome = rounds.run(Ask(sum_of_both, np.arange(4.0)), name="r")
    np.testing.assert_array_equal(outcome.total, expected(5, np.arange(4.0)))
    assert killed


def until_gone(executor, address):
    while address in {worker.address for worker in executor.workers()}:
        pass
