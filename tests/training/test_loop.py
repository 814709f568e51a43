"""The loop over rounds, with a toy algorithm on clusters in this process."""

import gc
import itertools
import time
from dataclasses import dataclass, replace

import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.executor import fold
from daskml_exec.partitions import Partition, Partitions
from daskml_exec.training import CarryingRound, Measured, RoundEvent, run_rounds


@dataclass(frozen=True)
class Descent:
    """State of a gradient descent."""

    at: np.ndarray
    rounds_left: int

    @property
    def step(self):
        return "gradient"

    @property
    def done(self):
        return self.rounds_left == 0

    @property
    def failure(self):
        return None


@dataclass(frozen=True)
class LeastSquares:
    """Round of a gradient descent on squares."""

    rate: float = 0.1

    def outgoing(self, state):
        return state.at

    def partial(self, partition, at):
        error = partition.X @ at - partition.y
        return np.append(partition.X.T @ error, [error @ error, len(error)])

    def combine(self, left, right):
        return left + right

    def update(self, state, total):
        gradient, loss, n = total[:-2] / total[-1], total[-2] / total[-1], total[-1]
        assert n > 0
        state = replace(
            state, at=state.at - self.rate * gradient, rounds_left=state.rounds_left - 1
        )
        return state, Measured(loss, float(np.abs(gradient).max()))


@dataclass(frozen=True)
class Slow(LeastSquares):
    """A round takes so long that one task does not serve all of them."""

    def partial(self, partition, at):
        time.sleep(0.02)
        return super().partial(partition, at)


def pieces(n_partitions, n=60, d=3):
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(n, d)), np.arange(d)
    y = X @ w + 0.1 * rng.normal(size=n)
    bounds = np.linspace(0, n, n_partitions + 1).astype(int)
    return [
        Partition(i, a, X[a:b], y[a:b], None) for i, (a, b) in enumerate(itertools.pairwise(bounds))
    ]


def place(executor, n_partitions):
    data = pieces(n_partitions)
    futures = executor.client.scatter(data, hash=False)
    return Partitions(
        executor=executor,
        futures=tuple(futures),
        rows=tuple(len(piece.y) for piece in data),
        n_features=3,
        nonzeros=None,
        dtype=np.dtype(float),
        feature_names=None,
        workers_lost_before=0,
    )


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def descend(executor, n_partitions=3, rounds=10, algorithm=None, callbacks=()):
    partitions = place(executor, n_partitions)
    try:
        return run_rounds(
            algorithm or LeastSquares(),
            Descent(np.zeros(3), rounds),
            partitions,
            callbacks=callbacks,
            snapshot=lambda state: state.at.copy,
            name="toy",
        )
    finally:
        # As the estimators do: an exception, which a log may keep, keeps the frames it passed.
        partitions.release()


@pytest.mark.parametrize("n_partitions", [1, 2, 5])
def test_rounds_are_those_of_a_plain_loop(executor, n_partitions):
    result = descend(executor, n_partitions)
    algorithm, state = LeastSquares(), Descent(np.zeros(3), 10)
    for record in result.history:
        partials = [algorithm.partial(piece, state.at) for piece in pieces(n_partitions)]
        state, found = algorithm.update(state, fold(partials, algorithm.combine))
        assert (record.loss, record.gradient_norm) == (found.loss, found.gradient_norm)
    assert np.array_equal(result.state.at, state.at)
    assert result.history.n_partitions == n_partitions
    assert [record.round for record in result.history] == list(range(10))


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_records_count_payload_and_workers(executor, n_partitions):
    for record in descend(executor, n_partitions).history:
        assert record.step == "gradient"
        assert record.bytes_out == n_partitions * 3 * 8
        assert record.bytes_back == n_partitions * 5 * 8
        assert 1 <= record.workers <= 2
        assert 0 < record.busiest_seconds <= record.seconds
        assert record.workers_lost == record.tasks_recomputed == record.retries == 0


def test_nothing_runs_when_the_state_is_done(executor):
    result = descend(executor, rounds=0)
    assert len(result.history) == 0 and not result.state.at.any()


def test_one_partition_gives_the_same_bits_in_one_task_and_in_rounds(executor):
    events = []
    in_task = descend(executor, 1, rounds=40)
    in_rounds = descend(executor, 1, rounds=40, callbacks=[events.append])
    assert len(events) == 40
    assert np.array_equal(in_task.state.at, in_rounds.state.at)
    assert essence(in_task.history) == essence(in_rounds.history)


def essence(history):
    return [(r.round, r.step, r.loss, r.gradient_norm, r.bytes_out, r.bytes_back) for r in history]


def test_a_long_fit_of_one_partition_reports_back_between_tasks(executor, monkeypatch):
    monkeypatch.setattr("daskml_exec.training._loop._LOCAL_SECONDS", 0.05)
    result = descend(executor, 1, rounds=10, algorithm=Slow())
    assert [record.round for record in result.history] == list(range(10))
    assert np.array_equal(result.state.at, descend(executor, 1).state.at)


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_callbacks_hear_of_every_round_and_see_its_parameters(executor, n_partitions):
    events = []
    result = descend(executor, n_partitions, rounds=5, callbacks=[events.append])
    assert all(isinstance(event, RoundEvent) for event in events)
    assert tuple(event.record for event in events) == result.history.records
    shorter = [descend(executor, n_partitions, rounds=i + 1).state.at for i in range(5)]
    assert all(
        np.array_equal(event.estimator, at) for event, at in zip(events, shorter, strict=True)
    )


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_a_callback_that_returns_true_stops_the_fit_after_all_were_called(executor, n_partitions):
    first, last = [], []

    def stop(event):
        first.append(event.record.round)
        return event.record.round == 3

    result = descend(
        executor, n_partitions, callbacks=[stop, lambda e: last.append(e.record.round)]
    )
    assert first == last == [0, 1, 2, 3]
    assert len(result.history) == 4
    assert result.state.rounds_left == 6


@pytest.mark.parametrize("answer", [1, "yes", np.array([1, 2]), None, False])
def test_only_true_itself_stops(executor, answer):
    assert len(descend(executor, rounds=2, callbacks=[lambda event: answer]).history) == 2


def test_numpy_true_stops_too(executor):
    assert len(descend(executor, rounds=3, callbacks=[lambda event: np.True_]).history) == 1


def tasks_left(executor):
    """Keys that the scheduler still holds, once it has heard of released references."""
    gc.collect()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        left = executor.client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
        if not left:
            break
        time.sleep(0.01)
    return left


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("n_partitions", [1, 3])
def test_an_error_in_a_callback_leaves_nothing_on_the_cluster(executor, error, n_partitions):
    def interrupt(event):
        if event.record.round == 2:
            raise error("stop")

    with pytest.raises(error, match="stop"):
        descend(executor, n_partitions, callbacks=[interrupt])
    assert tasks_left(executor) == []


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_a_fit_leaves_nothing_on_the_cluster(executor, n_partitions):
    descend(executor, n_partitions)
    assert tasks_left(executor) == []


@dataclass(frozen=True)
class Broken(LeastSquares):
    """Fails in the second round, on a worker."""

    def partial(self, partition, at):
        if at.any():
            raise ArithmeticError(f"partition {partition.index} is broken")
        return super().partial(partition, at)


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_an_error_on_a_worker_reaches_the_driver_and_leaves_nothing(executor, n_partitions, caplog):
    with pytest.raises(ArithmeticError, match="is broken"):
        descend(executor, n_partitions, algorithm=Broken())
    assert tasks_left(executor) == []


@dataclass(frozen=True)
class Remembering(LeastSquares):
    """Sends the gradient rounded, and keeps what that loses for the next round."""

    def partial_carrying(self, partition, at, carry):
        total = super().partial(partition, at)
        whole = total + (0 if carry is None else carry)
        rounded = np.append(np.round(whole[:-2], 1), total[-2:])
        return rounded, np.append(whole[:-2] - rounded[:-2], [0, 0])

    def ends_carrying(self, state):
        return state.rounds_left % 4 == 1


@pytest.mark.parametrize("n_partitions", [2, 5])
def test_carrying_rounds_are_those_of_a_plain_loop(executor, n_partitions):
    algorithm, state = Remembering(), Descent(np.zeros(3), 10)
    assert isinstance(algorithm, CarryingRound) and not isinstance(LeastSquares(), CarryingRound)
    result = descend(executor, n_partitions, algorithm=algorithm)
    data = pieces(n_partitions)
    carries = [None] * n_partitions
    while not state.done:
        last = algorithm.ends_carrying(state)
        found = [
            algorithm.partial_carrying(piece, state.at, carry)
            for piece, carry in zip(data, carries, strict=True)
        ]
        state, _ = algorithm.update(state, fold([value for value, _ in found], algorithm.combine))
        carries = [None if last else carry for _, carry in found]
    assert np.array_equal(result.state.at, state.at)
    assert not np.array_equal(state.at, descend(executor, n_partitions).state.at)


def test_one_partition_carries_nothing(executor):
    carrying, plain = descend(executor, 1, algorithm=Remembering()), descend(executor, 1)
    assert np.array_equal(carrying.state.at, plain.state.at)


def test_a_stop_in_the_middle_of_a_chain_leaves_nothing(executor):
    result = descend(executor, algorithm=Remembering(), callbacks=[lambda e: e.record.round == 4])
    assert len(result.history) == 5
    assert tasks_left(executor) == []


@dataclass(frozen=True)
class Failing(Descent):
    @property
    def failure(self):
        return OverflowError("too steep") if self.rounds_left == 7 else None


@pytest.mark.parametrize("n_partitions", [1, 3])
@pytest.mark.parametrize("algorithm", [LeastSquares(), Remembering()])
def test_a_failure_is_raised_on_the_driver(executor, n_partitions, algorithm):
    with pytest.raises(OverflowError, match="too steep") as info:
        run_rounds(
            algorithm,
            Failing(np.zeros(3), 10),
            place(executor, n_partitions),
            snapshot=lambda state: state.at.copy,
            name="toy",
        )
    assert info.traceback[-1].name == "run_rounds"
    del info
    assert tasks_left(executor) == []


@dataclass(frozen=True)
class StoresFailure(Descent):
    """As a real state: the exception is a field, and a partition alone brings it back."""

    found: Exception | None = None

    @property
    def done(self):
        return self.found is not None or super().done

    @property
    def failure(self):
        return self.found


@dataclass(frozen=True)
class Finds(LeastSquares):
    def update(self, state, total):
        state, measured = super().update(state, total)
        return replace(state, found=ValueError("no rows")), measured


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_a_failure_in_a_field_of_the_state(executor, n_partitions):
    with pytest.raises(ValueError, match="no rows"):
        run_rounds(
            Finds(),
            StoresFailure(np.zeros(3), 10),
            place(executor, n_partitions),
            snapshot=lambda state: state.at.copy,
            name="toy",
        )
