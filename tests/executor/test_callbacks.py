"""Done-callbacks: where they run, in which order, and what they may do."""

import concurrent.futures
import gc
import threading
import time
import weakref

import pytest

from tests.executor.gates import Gate


def test_a_callback_may_wait_for_other_futures(executor):
    then = concurrent.futures.Future()
    future = executor.submit(pow, 2, 2)
    future.add_done_callback(
        lambda f: then.set_result(executor.submit(pow, f.result(), 2).result(20))
    )
    assert then.result(20) == 16


def test_a_callback_may_wait_for_jobs_and_ask_the_cluster(executor):
    then = concurrent.futures.Future()

    def ask(future):
        then.set_result((executor.run(pow, [2, 3], [2, 2]).results(20), len(executor.workers())))

    executor.submit(pow, 2, 2).add_done_callback(ask)
    assert then.result(20) == ([4, 9], 2)


def test_a_callback_that_waits_does_not_hold_up_results(executor):
    with Gate() as gate:
        slow, quick = executor.submit(gate.pass_through), executor.submit(pow, 2, 2)
        quick.add_done_callback(lambda f: slow.result(30))
        assert executor.submit(pow, 2, 3).result(20) == 8
        assert concurrent.futures.wait([quick], 20).done


def test_callbacks_run_in_the_order_in_which_the_futures_end(executor):
    ended, all_ended = [], threading.Event()

    def note(future):
        ended.append(future)
        if len(ended) == 6:
            all_ended.set()

    gates = [Gate() for _ in range(2)]
    futures = [executor.submit(gate.pass_through, gate) for gate in gates]
    for future in futures:
        for _ in range(3):
            future.add_done_callback(note)
    for index in (1, 0):
        gates[index].open()
        concurrent.futures.wait([futures[index]], 20)
    assert all_ended.wait(20)
    assert ended == [futures[1]] * 3 + [futures[0]] * 3


def test_a_callback_of_a_done_future_runs_at_once_in_its_thread(executor):
    future = executor.submit(pow, 2, 2)
    future.result(20)
    seen = []
    future.add_done_callback(lambda f: seen.append((f, threading.get_ident())))
    assert seen == [(future, threading.get_ident())]


def test_cancel_calls_at_once(executor):
    with Gate() as gate:
        future = executor.submit(gate.pass_through)
        seen = []
        future.add_done_callback(lambda f: seen.append(f.cancelled()))
        future.cancel()
        assert seen == [True]


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_callback_that_fails_is_logged_and_the_next_one_runs(executor, caplog, error):
    called = threading.Event()

    def fail(future):
        raise error("in a callback")

    with Gate() as gate:
        future = executor.submit(gate.pass_through)
        future.add_done_callback(fail)
        future.add_done_callback(lambda f: called.set())
    assert called.wait(20)
    [record] = [r for r in caplog.records if r.name == "concurrent.futures"]
    assert record.getMessage().startswith("exception calling callback for <ClusterFuture")


def test_shutdown_waits_for_callbacks(executor):
    gate, seen = Gate(), []

    def slow(future):
        executor.client.nthreads()
        seen.append(future.result())

    future = executor.submit(gate.pass_through, 5)
    future.add_done_callback(slow)
    gate.open()
    executor.shutdown()
    assert seen == [5]


def test_a_callback_may_shut_down(executor):
    done = threading.Event()

    def shut_down(future):
        executor.shutdown()
        done.set()

    executor.submit(pow, 2, 2).add_done_callback(shut_down)
    assert done.wait(20)


def test_what_has_ended_goes_without_a_garbage_collection(executor):
    gc.collect()
    gc.disable()
    try:
        future = executor.submit(pow, 2, 3)
        future.add_done_callback(lambda _: None)
        job = executor.run(pow, [2, 3], [2, 2])
        assert (future.result(10), job.results()) == (8, [4, 9])
        executor._accepted.wait()
        gone = [weakref.ref(future), weakref.ref(job.tasks[0]._future)]
        del future, job
        deadline = time.monotonic() + 10  # event loops let go a moment later
        while any(ref() is not None for ref in gone) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()
