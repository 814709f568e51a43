"""Arguments: futures among them, what cannot be pickled, and arrays that are not copied."""

import concurrent.futures
import functools
import threading

import numpy as np
import pytest
from distributed import Client

from daskml_exec import Executor
from tests.executor.gates import Gate


def given(*args, **kwargs):
    return args, kwargs


def fail(kind):
    raise kind("no value")


def plus(a, b):
    return a + b


class Broken:
    """Its pickle cannot be read."""

    def __reduce__(self):
        return fail, (LookupError,)


@pytest.fixture(params=[False, True], ids=["threads", "processes"])
def either(request):
    name = "process_executor" if request.param else "executor"
    return request.getfixturevalue(name)


def values_of(executor):
    """Return a future, a Task, and a future of Dask, each of 3."""
    return (
        executor.submit(int, 3),
        executor.run(int, [3]).tasks[0],
        executor.client.submit(int, 3, pure=False),
    )


def test_futures_are_replaced_by_their_values(either):
    for future in values_of(either):
        nested = [future, (future, {"key": [future]}), {future}, frozenset({future}), 4]
        expected = [3, (3, {"key": [3]}), {3}, frozenset({3}), 4]
        call = either.submit(given, future, nested, fn=future, k=nested)
        assert call.result(20) == ((3, expected), {"fn": 3, "k": expected})
        assert either.run(given, [future, 5], [nested, None]).results(20) == [
            ((3, expected), {}),
            ((5, None), {}),
        ]
        assert list(either.map(plus, [future, 4], [1, future])) == [4, 7]
        assert list(either.map(plus, [future, 4], [1, future], chunksize=2)) == [4, 7]


def test_a_total_is_an_argument(executor):
    total = executor.reduce(executor.run(abs, [-1, -2, -3]), int.__add__)
    assert executor.submit(plus, total, executor.submit(plus, total, total)).result(20) == 18


def test_a_list_that_holds_itself(executor):
    loop = [executor.submit(int, 3)]
    loop.append(loop)
    (argument,), _ = executor.submit(given, loop).result(20)
    assert argument[0] == 3 and argument[1] is argument


def test_a_call_waits_for_its_arguments(executor):
    with Gate() as gate:
        slow = executor.submit(gate.pass_through, 3)
        call, job = executor.submit(plus, slow, 1), executor.run(plus, [slow], [1])
        gate.wait_until_reached()
        assert not call.done() and job.status == "pending"
        gate.open()
        assert (call.result(20), job.results(20)) == (4, [4])


@pytest.mark.parametrize("kind", [LookupError, SystemExit])
def test_an_argument_that_failed_fails_the_call(executor, kind):
    for failed in (executor.submit(fail, kind), executor.run(fail, [kind]).tasks[0]):
        for _ in range(2):  # while it runs, and after
            assert type(executor.submit(plus, 1, failed).exception(20)) is kind
            job = executor.run(plus, [1], [failed])
            with pytest.raises(kind):
                job.results(20)


def test_an_argument_that_is_cancelled_cancels_the_call(executor):
    with Gate() as gate:
        job = executor.run(gate.pass_through, [1])
        future = executor.submit(gate.pass_through, 2)
        gate.wait_until_reached()
        before = [executor.submit(plus, argument, 1) for argument in (job.tasks[0], future)]
        job.cancel()
        future.cancel()
        after = [executor.submit(plus, argument, 1) for argument in (job.tasks[0], future)]
        for call in before + after:
            with pytest.raises(concurrent.futures.CancelledError):
                call.result(20)


def test_a_future_of_another_cluster_is_refused(executor, cluster):
    with Client(cluster, set_as_default=False) as other:
        future = Executor(other).submit(int, 3)
        with pytest.raises(ValueError, match=r"argument 2 of given is a future of another cluster"):
            executor.submit(given, 1, [future])
        with pytest.raises(ValueError, match=r"keyword k of given is a future"):
            executor.submit(given, k=future)
        assert future.result(20) == 3


LOCK = threading.Lock()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda ex: ex.submit(given, 1, LOCK),
            "argument 2 of given cannot be sent to a Worker: a lock that cannot be pickled "
            "(cannot pickle '_thread.lock' object)",
        ),
        (
            lambda ex: ex.submit(functools.partial(given, 0), k=[{"deep": LOCK}]),
            "keyword k of given cannot be sent to a Worker: a list that cannot be pickled (",
        ),
        (
            lambda ex: ex.run(given, [1, LOCK], [1, 2]),
            "argument 1 of given in task 1 cannot be sent to a Worker: a lock that ",
        ),
        (lambda ex: ex.map(given, [1, LOCK]), "argument 1 of given cannot be sent to a Worker: "),
        (
            lambda ex: ex.map(given, [1, LOCK], chunksize=2),
            "argument 1 of given cannot be sent to a Worker: ",
        ),
        (
            lambda ex: ex.submit(lambda: LOCK),
            "the function lambda cannot be sent to a Worker: it, or what it refers to, cannot be ",
        ),
        (lambda ex: ex.run(LOCK.__enter__, []), "the function __enter__ cannot be sent "),
        (
            lambda ex: ex.submit(given, functools.partial(abs, ex.submit(int, 3))),
            "argument 1 of given cannot be sent to a Worker: a partial that cannot be pickled (a "
            "ClusterFuture is replaced by its value where it is an argument",
        ),
    ],
)
def test_what_cannot_be_pickled_is_named(executor, caplog, capfd, call, message):
    with pytest.raises(TypeError) as info:
        call(executor)
    assert str(info.value).startswith(message)
    assert caplog.text == ""
    assert executor.submit(pow, 2, 2).result(20) == 4


def test_an_argument_that_cannot_be_read_is_the_calls_failure(either):
    """A worker that could not read the message would be lost, and then the next one."""
    assert type(either.submit(given, Broken()).exception(20)) is LookupError
    assert type(either.run(given, [Broken()]).tasks[0].exception(20)) is LookupError
    assert either.submit(pow, 2, 2).result(20) == 4


def set_first(array, value):
    array[0] = value
    return array.flags.writeable


def test_arrays_are_shared_in_process_and_may_be_written(executor, process_executor):
    for order in ("C", "F"):
        array = np.zeros((100, 100), order=order)
        assert executor.submit(set_first, array, 1).result(20)
        assert executor.run(set_first, [array], [2]).results(20) == [True]
        assert (array[0] == 2).all()
        assert process_executor.submit(set_first, array, 3).result(20)
        assert (array[0] == 2).all()
