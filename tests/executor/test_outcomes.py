"""Results that cannot be sent from a worker, or read here: an error of one call, and no hang."""

import pickle

import numpy as np
import pytest
from dask.sizeof import sizeof

from daskml_exec.executor._outcome import Outcome


def fail(kind):
    raise kind("no value")


class AtPickling:
    def __init__(self, kind):
        self.kind = kind

    def __reduce__(self):
        raise self.kind("no value")


class AtUnpickling(AtPickling):
    def __reduce__(self):
        return fail, (self.kind,)


def give(cls, kind):
    return cls(kind)


def use(value):
    return type(value).__name__


KINDS = [ValueError, SystemExit, KeyboardInterrupt]


def test_a_result_that_cannot_be_sent(process_executor):
    for kind in KINDS:
        future = process_executor.submit(give, AtPickling, kind)
        job = process_executor.run(give, [AtPickling], [kind])
        error = future.exception(30)
        assert type(error) is TypeError
        assert str(error).startswith(
            "the result cannot be sent from its Worker: a AtPickling that cannot be pickled ("
            f"{kind.__name__}('no value')"
        )
        for fetch in (job.results, job.tasks[0].result):
            with pytest.raises(TypeError, match="cannot be sent"):
                fetch(30)
    assert process_executor.submit(pow, 2, 2).result(20) == 4


def test_a_result_that_cannot_be_read(process_executor):
    for kind in KINDS:
        future = process_executor.submit(give, AtUnpickling, kind)
        job = process_executor.run(give, [AtUnpickling], [kind])
        error = future.exception(30)
        assert type(error) is TypeError
        assert f"cannot be unpickled: {kind.__name__}('no value')" in str(error)
        with pytest.raises(TypeError, match="cannot be unpickled"):
            job.results(30)
    assert process_executor.submit(pow, 2, 2).result(20) == 4


def test_it_is_an_argument_where_it_is(process_executor):
    """What stays on its worker need not be pickled; what moves is the error of who asked for it."""
    stays = process_executor.submit(give, AtPickling, ValueError)
    process_executor.submit(use, stays).exception(30)  # either, by where it ran
    assert process_executor.submit(pow, 2, 2).result(20) == 4


def test_in_process_nothing_is_pickled(executor):
    assert isinstance(executor.submit(give, AtPickling, ValueError).result(20), AtPickling)


def test_large_results_are_counted_and_not_copied_into_the_pickle():
    array = np.zeros(100_000)
    outcome = Outcome(array, "tcp://127.0.0.1:1", 0.5)
    assert sizeof(outcome) >= array.nbytes
    buffers = []
    pickled = pickle.dumps(outcome, protocol=5, buffer_callback=buffers.append)
    assert len(pickled) < 1_000
    again = pickle.loads(pickled, buffers=buffers)
    assert (again.value == array).all() and again.seconds == 0.5
