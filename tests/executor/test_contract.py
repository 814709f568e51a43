"""The standard library's contract: submit, map, shutdown and what is built on them."""

import asyncio
import concurrent.futures
import inspect
import threading

import pytest
from distributed import Client

from daskml_exec import Executor
from daskml_exec.executor._blas import blas_controller
from tests.executor.gates import Attempts, Gate

CLIENT_KEYWORDS = [
    name
    for method in (Client.submit, Client.map)
    for name, parameter in inspect.signature(method).parameters.items()
    if parameter.kind is not parameter.VAR_POSITIONAL
]


def given(*args, **kwargs):
    return args, kwargs


def fail(message):
    raise LookupError(message)


class Stop(BaseException):
    pass


def stop():
    raise Stop("now")


def add_one_to_counter(attempts):
    return attempts.add()


def test_is_an_executor(executor):
    assert isinstance(executor, concurrent.futures.Executor)
    future = executor.submit(pow, 2, 5)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(10) == 32
    assert future.done() and not future.running() and not future.cancelled()
    assert future.exception() is None


def test_every_submit_runs(executor):
    attempts = Attempts()
    results = {executor.submit(add_one_to_counter, attempts).result(10) for _ in range(3)}
    assert results == {1, 2, 3}


def test_keywords_are_the_callees_own(executor):
    kwargs = dict.fromkeys([*CLIENT_KEYWORDS, "fn", "self", "args", "task"], 7)
    assert executor.submit(given, 1, **kwargs).result(10) == ((1,), kwargs)


@pytest.mark.parametrize(
    "argument", [(len, "abc"), ["a", (sum, [1, 2])], {"key": (max, 1, 2)}, None, "submit"]
)
def test_arguments_arrive_as_they_are(executor, argument):
    assert executor.submit(given, argument, k=argument).result(10) == (
        (argument,),
        {"k": argument},
    )
    assert executor.run(given, [argument]).results(10) == [((argument,), {})]


def test_futures_of_dask_are_resolved(executor, client):
    future = client.submit(pow, 3, 2, pure=False)
    expected = ((9, [9]), {"k": 9})
    assert executor.submit(given, future, [future], k=future).result(10) == expected
    assert executor.run(given, [future], [[future]]).results(10) == [((9, [9]), {})]


def test_exceptions_arrive_with_type_and_traceback(executor):
    future = executor.submit(fail, "lost it")
    assert isinstance(future.exception(10), LookupError)
    with pytest.raises(LookupError, match="lost it") as info:
        future.result()
    assert info.traceback[-1].name == "fail"


def test_exceptions_that_are_not_exception_arrive(executor):
    assert isinstance(executor.submit(stop).exception(10), Stop)


def test_tasks_run_with_one_thread_of_blas(executor):
    with blas_controller().limit(limits=2):  # so that one is a change
        counts = executor.submit(blas_thread_counts).result(10)
    assert set(counts) <= {1}


def blas_thread_counts():
    return [library.num_threads for library in blas_controller().lib_controllers]


def test_result_times_out(executor):
    with Gate() as gate:
        future = executor.submit(gate.pass_through)
        with pytest.raises(concurrent.futures.TimeoutError):
            future.result(0.01)
        assert not future.done()


def test_wait_and_as_completed(executor):
    with Gate() as gate:
        slow, quick = executor.submit(gate.pass_through, 1), executor.submit(pow, 2, 1)
        done = concurrent.futures.wait(
            [slow, quick], timeout=10, return_when=concurrent.futures.FIRST_COMPLETED
        )
        assert done == ({quick}, {slow})
        order = concurrent.futures.as_completed([slow, quick], timeout=10)
        assert next(order) is quick
        gate.open()
        assert next(order) is slow


def test_run_in_executor(executor):
    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(loop.run_in_executor(executor, pow, 2, exponent) for exponent in range(3))
        )

    assert asyncio.run(main()) == [1, 2, 4]


def test_callbacks(executor):
    called = threading.Event()
    future = executor.submit(pow, 2, 2)
    future.add_done_callback(lambda f: called.set() if f.result() == 4 else None)
    assert called.wait(10)


def test_a_callback_may_submit(executor):
    then = concurrent.futures.Future()

    def submit_another(future):
        executor.submit(pow, future.result(), 2).add_done_callback(then.set_result)

    executor.submit(pow, 2, 2).add_done_callback(submit_another)
    assert then.result(10).result() == 16


def test_a_dropped_future_is_run_all_the_same(executor):
    gate = Gate()
    executor.submit(gate.pass_through)
    gate.wait_until_reached()
    gate.open()


def test_cancel_of_a_running_and_of_a_waiting_task(executor):
    gates = [Gate(), Gate()]
    running = [executor.submit(gate.pass_through) for gate in gates]
    for gate in gates:
        gate.wait_until_reached()
    waiting = executor.submit(pow, 2, 2)
    for future in (*running, waiting):
        assert future.cancel()
        assert future.cancelled() and future.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(10)
    done, _ = concurrent.futures.wait([*running, waiting], timeout=10)
    assert len(done) == 3
    for gate in gates:
        gate.open()
    assert executor.submit(pow, 2, 2).result(10) == 4


def test_cancel_of_a_finished_task(executor):
    future = executor.submit(pow, 2, 2)
    assert future.result(10) == 4
    assert not future.cancel()
    assert future.result() == 4


# map


@pytest.mark.parametrize("chunksize", [1, 2, 3, 100])
def test_map(executor, chunksize):
    results = executor.map(pow, range(7), [2] * 6, chunksize=chunksize)
    assert list(results) == [0, 1, 4, 9, 16, 25]


@pytest.mark.parametrize("chunksize", [1, 4])
def test_map_submits_at_once(executor, chunksize):
    gate = Gate()
    results = executor.map(gate.pass_through, [1, 2], chunksize=chunksize)
    gate.wait_until_reached()
    gate.open()
    assert list(results) == [1, 2]


@pytest.mark.parametrize("chunksize", [1, 2])
def test_map_times_out(executor, chunksize):
    with Gate() as gate:
        results = executor.map(gate.pass_through, [1, 2], chunksize=chunksize, timeout=0.05)
        with pytest.raises(concurrent.futures.TimeoutError):
            next(results)


@pytest.mark.parametrize("chunksize", [1, 2])
def test_a_closed_map_cancels_what_is_left(executor, chunksize):
    gates = [Gate() for _ in range(8)]
    for gate in gates[:chunksize]:
        gate.open()
    results = executor.map(pass_gate, gates, chunksize=chunksize)
    assert next(results) == gates[0].name
    left = list(executor._accepted._pending)
    results.close()
    assert left and all(future.cancelled() for future in left)
    for gate in gates:
        gate.open()


def pass_gate(gate):
    return gate.pass_through(gate.name)


def test_map_raises_at_the_failing_element(executor):
    results = executor.map(reciprocal, [1, 0, 2])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def reciprocal(x):
    return 1 / x


@pytest.mark.parametrize("chunksize", [0, -1])
def test_map_checks_chunksize(executor, chunksize):
    with pytest.raises(ValueError, match=f"chunksize={chunksize}"):
        executor.map(pow, [1], [2], chunksize=chunksize)


# shutdown


def test_shutdown_refuses_further_work(executor):
    job = executor.run(pow, [1, 2], [2, 2])
    executor.shutdown()
    executor.shutdown()
    for call in (
        lambda: executor.submit(pow, 2, 2),
        lambda: executor.map(pow, [2], [2]),
        lambda: executor.run(pow, [2], [2]),
        lambda: executor.reduce(job, max),
        lambda: executor.check_workers(),
        lambda: executor.__enter__(),
    ):
        with pytest.raises(RuntimeError, match="shut down"):
            call()
    assert repr(executor) == "<Executor: shut down>"
    assert "shut down" in executor._repr_html_()


def test_a_worker_takes_calls_in_the_order_of_their_submission():
    with Executor(processes=False, n_workers=1) as executor, Gate() as gate:
        executor.submit(gate.pass_through)
        gate.wait_until_reached()
        attempts = Attempts()
        counts = [executor.submit(add_one_to_counter, attempts) for _ in range(20)]
        gate.open()
        assert [future.result(10) for future in counts] == list(range(1, 21))


def test_shutdown_waits(executor):
    gate = Gate()
    future = executor.submit(gate.pass_through, 5)
    gate.wait_until_reached()
    threading.Timer(0.1, gate.open).start()
    executor.shutdown(wait=True)
    assert future.done() and future.result() == 5


def test_shutdown_without_waiting(cluster):
    executor = Executor(cluster)
    with Gate() as gate:
        future = executor.submit(gate.pass_through, 5)
        executor.shutdown(wait=False)
        assert not future.done()
        with pytest.raises(RuntimeError, match="shut down"):
            executor.submit(pow, 2, 2)
    assert future.result(10) == 5
    executor.shutdown(wait=True)
    assert executor.client.status == "closed"


@pytest.mark.parametrize("wait", [True, False])
def test_shutdown_cancels_what_does_not_run_yet(executor, wait):
    gates = [Gate(), Gate()]
    running = [executor.submit(gates[0].pass_through, 1)]
    job = executor.run(gates[1].pass_through, [1])
    for gate in gates:
        gate.wait_until_reached()
    waiting = [executor.submit(pow, 2, 2) for _ in range(3)]
    late = executor.run(pow, [2], [2])

    def open_gates(future):
        assert future.cancelled()
        for gate in gates:
            gate.open()

    waiting[-1].add_done_callback(open_gates)
    executor.shutdown(wait=wait, cancel_futures=True)
    assert all(future.cancelled() for future in waiting)
    assert [future.result(10) for future in running] == [1]
    assert job.results(10) == [1]
    assert late.status == "cancelled"


def test_shutdown_waits_for_jobs(executor):
    gate = Gate()
    job = executor.run(pass_gate, [gate])
    total = executor.reduce(executor.run(pow, [2, 3], [2, 2]), int.__add__)
    gate.wait_until_reached()
    threading.Timer(0.1, gate.open).start()
    executor.shutdown(wait=True)
    assert (job.status, total.status) == ("finished", "finished")


def test_a_dropped_job_is_run_all_the_same(executor):
    gates, attempts = [Gate(), Gate()], Attempts()
    for gate in gates:
        executor.submit(gate.pass_through)
    executor.run(add_one_to_counter, [attempts] * 3)  # its tasks wait for a worker
    for gate in gates:
        gate.open()
    executor.shutdown()
    assert attempts.count == 3


def test_submits_race_with_shutdown(cluster):
    """What is submitted before the shutdown ends; what comes after is refused; nothing hangs."""
    executor = Executor(cluster)
    accepted, started = [], threading.Event()

    def submit_until_refused():
        try:
            while True:
                accepted.append(executor.submit(pow, 2, 2))
                started.set()
        except RuntimeError as error:
            assert "shut down" in str(error)

    threads = [threading.Thread(target=submit_until_refused) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert started.wait(10)
    executor.shutdown(wait=True)
    for thread in threads:
        thread.join(10)
    assert {future.result(10) for future in accepted} == {4}


def test_shutdown_after_the_client_was_closed(cluster):
    client = Client(cluster, set_as_default=False)
    executor = Executor(client)
    with Gate() as gate:
        future = executor.submit(gate.pass_through)
        gate.wait_until_reached()
        client.close()
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(10)
    assert repr(executor) == "<Executor: Client closed>"
    assert "Client closed" in executor._repr_html_()
    for call in (executor.submit, executor.run):
        with pytest.raises(RuntimeError, match="Client of this Executor was closed"):
            call(pow)
    executor.shutdown()


# with


def test_the_outermost_with_closes(cluster):
    executor = Executor(cluster)
    with executor:
        with executor as same:
            assert same is executor
        assert executor.submit(pow, 2, 2).result(10) == 4
    assert executor.client.status == "closed"
    with pytest.raises(RuntimeError, match="shut down"), executor:
        pass


def test_the_end_of_with_waits(executor):
    with executor:
        future = executor.submit(pow, 2, 2)
    assert future.done()


def test_an_interrupted_with_cancels(executor):
    with Gate() as gate:
        with pytest.raises(KeyboardInterrupt), executor:
            future = executor.submit(gate.pass_through)
            raise KeyboardInterrupt
        assert future.cancelled()


def test_a_failed_with_waits(executor):
    with pytest.raises(ZeroDivisionError), executor:
        future = executor.submit(pow, 2, 2)
        _ = 1 / 0
    assert future.result(0) == 4


def test_what_was_passed_in_stays_open(cluster, client):
    with Executor(client) as executor:
        assert executor.client is client
    assert client.status == "running"
    with Executor(cluster) as executor:
        pass
    assert executor.client.status == "closed"
    assert cluster.status.name == "running"
