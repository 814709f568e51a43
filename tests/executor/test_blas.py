import threading

import pytest

from daskml_exec.executor import in_threads, single_threaded_blas
from daskml_exec.executor._blas import blas_controller


def threads():
    return [library.num_threads for library in blas_controller().lib_controllers]


@pytest.fixture(autouse=True)
def two_threads():
    """Start from two threads, so that one thread is a change on every machine."""
    if not threads():
        pytest.skip("no BLAS that can be controlled")
    with blas_controller().limit(limits=2):
        if 2 not in threads():
            pytest.skip("this BLAS runs one thread only")
        yield


def test_one_thread_inside_and_restored_after():
    before = threads()
    with single_threaded_blas():
        assert set(threads()) == {1}
    assert threads() == before


def test_nested_holders_restore_once():
    before = threads()
    with single_threaded_blas():
        with single_threaded_blas():
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert threads() == before


def test_restored_after_an_exception():
    before = threads()
    with pytest.raises(ZeroDivisionError), single_threaded_blas():
        _ = 1 / 0
    assert threads() == before


def test_holders_of_several_threads_that_leave_in_the_order_they_came():
    before = threads()
    entered, leave = threading.Barrier(3), [threading.Event(), threading.Event()]
    left = [threading.Event(), threading.Event()]
    seen = []

    def hold(index):
        with single_threaded_blas():
            entered.wait(10)
            leave[index].wait(10)
            seen.append(threads())
        left[index].set()

    holders = [threading.Thread(target=hold, args=(index,)) for index in (0, 1)]
    for holder in holders:
        holder.start()
    entered.wait(10)
    leave[0].set()
    assert left[0].wait(10)
    assert set(threads()) == {1}, "the second still holds"
    leave[1].set()
    for holder in holders:
        holder.join(10)
    assert all(set(counts) == {1} for counts in seen)
    assert threads() == before


def test_the_last_holder_may_be_another_thread_than_the_first():
    """threadpoolctl lets only the thread that set OpenBLAS first change it again."""
    before = threads()
    first, second = threading.Event(), threading.Event()

    def hold(entered, leave):
        with single_threaded_blas():
            entered.set()
            leave.wait(10)

    early = threading.Thread(target=hold, args=(first, second))
    early.start()
    assert first.wait(10)
    with single_threaded_blas():
        second.set()
        early.join(10)
        assert set(threads()) == {1}
    assert threads() == before


def test_holders_in_a_thread_that_does_not_control_openblas():
    """The main thread of a user may be inside `threadpool_limits`, which locks the others out."""
    inside = []

    def hold():
        with single_threaded_blas():
            inside.extend(threads())

    before = threads()
    thread = threading.Thread(target=hold)
    thread.start()
    thread.join(10)
    assert set(inside) == {1}
    assert threads() == before


def test_calls_in_threads():
    before = threads()
    seen = list(in_threads(lambda item: (item, threads()), range(20)))
    assert [item for item, _ in seen] == list(range(20))
    assert all(set(counts) == {1} for _, counts in seen)
    assert threads() == before


def test_an_error_in_a_thread_is_raised():
    before = threads()
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda item: 1 // item, range(3)))
    assert threads() == before
