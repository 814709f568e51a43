import concurrent.futures

import numpy as np
import pytest

from daskml_exec.executor import fold
from tests.executor.gates import Gate
from tests.tiers import slow

NAMES = [f"x{i}" for i in range(40)]


def parenthesise(left, right):
    return f"({left}{right})"


def add(left, right):
    return left + right


def identity(x):
    return x


def break_down(left, right):
    raise ArithmeticError(f"{left} and {right}")


@pytest.mark.parametrize("fan_in", [slow(2), 4, slow(8), slow(16)])
def test_the_tree_is_that_of_fold(executor, fan_in):
    jobs = [executor.run(identity, NAMES[:n]) for n in range(1, 41)]
    totals = [executor.reduce(job, parenthesise, fan_in=fan_in) for job in jobs]
    for n, total in enumerate(totals, start=1):
        assert total.result(20) == fold(NAMES[:n], parenthesise)


def test_the_bits_of_a_sum_are_those_of_fold(executor):
    values = (np.random.default_rng(0).standard_normal(37) * 10.0 ** np.arange(37)).tolist()
    job = executor.run(identity, values)
    bits = {executor.reduce(job, add, fan_in=f).result(10).hex() for f in (2, 4, 8, 16, 64)}
    assert bits == {fold(values, add).hex()}


def test_the_result_is_a_task(executor):
    job = executor.run(identity, NAMES[:3], name="names")
    task = executor.reduce(job, add)
    assert task.result(10) == "x0x1x2"
    assert task.status == "finished" and task.retries == 0
    assert task.worker in {worker.address for worker in executor.workers()}
    assert task.seconds >= 0
    assert task.key.startswith("reduce-names")
    assert job.results(10) == NAMES[:3], "the job keeps its values"


def test_every_reduction_runs(executor):
    job = executor.run(identity, NAMES[:3])
    assert executor.reduce(job, add).result(10) == "x0x1x2"
    assert executor.reduce(job, parenthesise).result(10) == "((x0x1)x2)"


def test_reduces_a_job_that_still_runs(executor):
    with Gate() as gate:
        job = executor.run(gate.pass_through, [1, 2, 3])
        task = executor.reduce(job, add, fan_in=2)
        assert task.status == "pending"
        gate.open()
        assert task.result(10) == 6


def test_the_error_of_a_task_is_that_of_its_reduction(executor):
    task = executor.reduce(executor.run(len, ["a", 7, "c"]), add)
    with pytest.raises(TypeError, match="has no len"):
        task.result(10)
    assert task.retries == 0


def test_the_error_of_combine(executor):
    task = executor.reduce(executor.run(identity, NAMES[:2]), break_down)
    with pytest.raises(ArithmeticError, match="x0 and x1"):
        task.result(10)


def test_a_cancelled_job(executor):
    with Gate() as gate:
        job = executor.run(gate.pass_through, [1, 2])
        task = executor.reduce(job, add)
        job.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            task.result(10)


@pytest.mark.parametrize("fan_in", [3, 6, 12])
def test_fan_in_is_a_power_of_two(executor, fan_in):
    job = executor.run(identity, NAMES[:2])
    with pytest.raises(ValueError, match=rf"fan_in={fan_in}; allowed are powers of two from 2"):
        executor.reduce(job, add, fan_in=fan_in)


@pytest.mark.parametrize(("fan_in", "error"), [(1, ValueError), (0, ValueError), (2.0, TypeError)])
def test_fan_in_is_checked(executor, fan_in, error):
    job = executor.run(identity, NAMES[:2])
    with pytest.raises(error, match=f"fan_in={fan_in}"):
        executor.reduce(job, add, fan_in=fan_in)
