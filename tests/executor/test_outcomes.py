"""Results that cannot be sent from a worker, or read here: an error of one call, and no hang."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from dask.sizeof import sizeof
from sklearn.linear_model import Ridge

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


def echo(value):
    return value


def read_only(array):
    array.flags.writeable = False
    return array


ARRAYS = {
    "rows first": np.arange(12.0).reshape(3, 4),
    "columns first": np.arange(12.0).reshape(3, 4, order="F"),
    "neither": np.arange(24.0).reshape(6, 4)[::2],
    "small": np.ones(3, dtype=np.float32),
    "large": np.arange(200_000),
    "empty": np.empty((0, 4)),
    "one number": np.array(2.5),
    "read only": read_only(np.ones(5)),
    "records": np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
    "objects": np.array(["a", None, 1], dtype=object),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_sent_as_they_are(process_executor, name):
    array = ARRAYS[name]
    job = process_executor.run(echo, [array, [array]])
    first, (second,) = job.results(20)
    for found in (process_executor.submit(echo, array).result(20), first, second):
        assert found.dtype == array.dtype and np.array_equal(found, array)
        assert found.flags.writeable == array.flags.writeable
        assert found.flags.f_contiguous == array.flags.f_contiguous or name == "neither"


def test_what_is_made_of_arrays_is_sent(process_executor):
    table = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    matrix = sp.random_array((20, 10), density=0.2, rng=0, format="csr")
    found = list(process_executor.map(echo, [table, table["a"], matrix]))
    pd.testing.assert_frame_equal(found[0], table)
    pd.testing.assert_series_equal(found[1], table["a"])
    assert np.array_equal(found[2].toarray(), matrix.toarray())
    model = process_executor.submit(lambda X, y: Ridge().fit(X, y), matrix, np.arange(20.0))
    assert model.result(20).coef_.shape == (10,)
    total = process_executor.reduce(process_executor.run(np.ones, [3, 3]), np.add)
    assert total.result(20).tolist() == [2.0, 2.0, 2.0]


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
