"""Numba's loops are compiled before the first round, in threads of tasks."""

import threading

import dask.array as da
import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.kernels import compiled_loops
from daskml_exec.kernels.networks import compiled_updates
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.neural_network import MLPClassifier, _fits

pytest.importorskip("numba")
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 3))
Y = (X[:, 0] > 0).astype(int)


def chunks(array):
    return da.from_array(array, chunks=(20, *array.shape[1:]))


@pytest.fixture
def executor():
    """A cluster of its own: what was compiled is remembered for each."""
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def network(**arguments):
    return MLPClassifier((4,), max_iter=1, random_state=0, **arguments)


def test_it_happens_once_before_the_first_round_in_a_task(executor, monkeypatch):
    happened = []
    compile_updates = compiled_updates.compile_updates

    def noted(dtype):
        happened.append(threading.current_thread().name)
        compile_updates(dtype)

    monkeypatch.setattr(_fits, "compile_updates", noted)
    network(callbacks=[lambda event: happened.append("round")]).fit(chunks(X), chunks(Y))
    first_round = happened.index("round")
    before, rounds = happened[:first_round], happened[first_round:]
    assert 2 <= len(before) <= 3 and all("Default-Threads" in name for name in before)
    assert set(rounds) == {"round"}
    happened.clear()
    network().fit(chunks(X), chunks(Y))
    assert happened == []
    network().fit(chunks(X.astype(np.float32)), chunks(Y))  # of another type
    assert 2 <= len(happened) <= 3


@pytest.mark.parametrize(
    ("estimator", "dtype"),
    [(network(verbose=1), "f8"), (LogisticRegression(verbose=1), "f4")],
)
def test_it_is_told_once(executor, estimator, dtype, capsys):
    for times in (1, 0):
        estimator.fit(chunks(X.astype(dtype)), chunks(Y))
        assert capsys.readouterr().out.count("compiling loops with Numba") == times


@pytest.mark.parametrize(
    ("estimator", "dtype"),
    [(network(solver="sgd", verbose=1), "f8"), (LogisticRegression(verbose=1), "f8")],
)
def test_what_is_not_called_is_not_compiled(executor, estimator, dtype, capsys):
    estimator.fit(chunks(X.astype(dtype)), chunks(Y))
    assert "compiling" not in capsys.readouterr().out


@pytest.mark.parametrize("aligned", [True, False])
def test_the_types_that_are_compiled_are_those_that_rounds_call(executor, aligned):
    rows = np.frombuffer(bytearray(60 * 3 * 4 + 1), np.float32, 180, offset=not aligned)
    rows = rows.reshape(60, 3)
    rows[:] = X
    assert rows.flags.aligned == aligned
    compiled_loops.compile_loops(rows)
    loops = compiled_loops.compiled_loops()
    known = [len(loop.signatures) for loop in loops]
    LogisticRegression().fit(rows, Y)
    assert [len(loop.signatures) for loop in loops] == known
