"""Whatever a task raises is its future's exception, and the next task runs."""

import asyncio
import concurrent.futures
import pickle
import threading

import pytest

from daskml_exec.executor._raised import Raised, original
from tests.executor.gates import Attempts


class Stop(BaseException):
    pass


class NeedsTwo(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")
        self.two = two


class WithALock(Exception):
    def __init__(self, message):
        super().__init__(message, threading.Lock())


class BreaksWhenRead(Exception):
    def __reduce__(self):
        return break_now, ()


class ExitsWhenRead(BreaksWhenRead):
    def __reduce__(self):
        return exit_now, ()


class WithoutRepr(Exception):
    def __repr__(self):
        raise ValueError("no")


def break_now():
    raise ValueError("it cannot be read")


def exit_now():
    raise SystemExit("while it is read")


def fail(kind, *args):
    raise kind(*args)


def fail_because():
    try:
        raise KeyError("why")
    except KeyError as error:
        raise SystemExit(3) from error


def fail_until(attempts, needed, kind):
    if attempts.add() < needed:
        raise kind("again")
    return attempts.count


KINDS = [
    SystemExit,
    KeyboardInterrupt,
    StopIteration,
    StopAsyncIteration,
    GeneratorExit,
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
    concurrent.futures.TimeoutError,
    MemoryError,
    Stop,
]


@pytest.fixture(params=[False, True], ids=["threads", "processes"])
def either(request):
    name = "process_executor" if request.param else "executor"
    return request.getfixturevalue(name)


def test_of_any_kind(either):
    for kind in KINDS:
        future = either.submit(fail, kind, 3)
        error = future.exception(20)
        assert type(error) is kind and error.args == (3,)
        assert not future.cancelled()
        with pytest.raises(kind):
            future.result()
        job = either.run(fail, [kind], [3])
        with pytest.raises(kind) as info:
            job.results(20)
        assert info.traceback[-1].name == "fail"
        assert info.value.__notes__[-1] == "task 0 of 1 of job 'fail'"
        assert type(job.tasks[0].exception()) is type(job.exception()) is kind
        with pytest.raises(kind):
            job.tasks[0].result(20)
        assert job.tasks[0].retries == 0
    assert either.submit(pow, 2, 2).result(20) == 4


def test_of_any_kind_in_map(executor):
    for kind in (SystemExit, KeyboardInterrupt, Stop):
        with pytest.raises(kind):
            list(executor.map(fail, [kind], [3]))
        with pytest.raises(kind):
            list(executor.map(fail, [kind] * 2, [3] * 2, chunksize=2))


def test_any_kind_is_retried(executor):
    for kind in (SystemExit, StopIteration, Stop):
        job = executor.run(fail_until, [Attempts()], [3], [kind], retries=2)
        assert job.results(20) == [3]
        assert job.tasks[0].retries == 2


def test_in_a_reduction(executor):
    job = executor.run(abs, [1, 2])
    total = executor.reduce(job, lambda a, b: fail(SystemExit, 4))
    with pytest.raises(SystemExit):
        total.result(20)
    assert executor.reduce(job, int.__add__).result(20) == 3


def test_causes_and_notes_arrive(either):
    error = either.submit(fail_because).exception(20)
    assert type(error.__cause__) is KeyError and error.__cause__.args == ("why",)


@pytest.mark.parametrize("kind", [WithALock, BreaksWhenRead, ExitsWhenRead])
def test_an_exception_that_cannot_be_pickled_is_told(either, kind):
    error = either.submit(fail, kind, "the message").exception(20)
    assert type(error) is RuntimeError
    assert kind.__name__ in str(error) and "the message" in str(error)
    assert "the exception cannot be pickled: " in str(error)
    assert either.submit(pow, 2, 2).result(20) == 4


def test_exceptions_with_arguments_of_their_own(either):
    error = either.submit(fail, NeedsTwo, 1, 2).exception(20)
    assert (type(error), str(error), error.two) == (NeedsTwo, "1 and 2", 2)
    assert type(either.submit(fail, WithoutRepr).exception(20)) is WithoutRepr


def test_an_exception_that_only_this_process_cannot_read():
    raised = Raised(pickle.dumps(BreaksWhenRead()), "BreaksWhenRead('the message')")
    error = original(raised)
    assert type(error) is RuntimeError
    assert str(error) == (
        "BreaksWhenRead('the message') was raised by a task; the exception cannot be unpickled "
        "here: it cannot be read"
    )


def test_the_exception_of_one_is_not_that_of_another(executor):
    """Each future has an exception of its own, whose traceback grows where it is raised."""
    one, two = (executor.submit(fail, KeyError, 1) for _ in range(2))
    assert one.exception(20) is not two.exception(20)
