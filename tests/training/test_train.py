"""The loop over ask, answer and tell, with a toy algorithm on clusters in this process."""

import gc
import itertools
import time
from dataclasses import dataclass, replace

import dask.array as da
import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.executor import RoundRunner, fold, tuned
from daskml_exec.partitions import Partition, Partitions, load
from daskml_exec.training import Carrying, Measured, Query, RoundEvent, train


@dataclass(frozen=True)
class Descent:
    """State of a gradient descent."""

    at: np.ndarray
    rounds_left: int


@dataclass(frozen=True)
class Gradient(Query):
    at: np.ndarray

    def partial(self, partition):
        error = partition.X @ self.at - partition.y
        return np.append(partition.X.T @ error, [error @ error, len(error)])


@dataclass(frozen=True)
class LeastSquares:
    """A gradient descent on squares."""

    rate: float = 0.1
    query: type = Gradient
    states = (Descent,)

    def ask(self, state):
        return self.query(state.at) if state.rounds_left else None

    def tell(self, state, query, total):
        gradient, loss, n = total[:-2] / total[-1], total[-2] / total[-1], total[-1]
        assert n > 0
        state = replace(
            state, at=state.at - self.rate * gradient, rounds_left=state.rounds_left - 1
        )
        return state, Measured(loss, float(np.abs(gradient).max()))


class Slow(Gradient):
    """A round takes so long that one task does not serve all of them."""

    def partial(self, partition):
        time.sleep(0.02)
        return super().partial(partition)


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
        return train(
            algorithm or LeastSquares(),
            Descent(np.zeros(3), rounds),
            partitions,
            callbacks=callbacks,
            view=lambda state: lambda units: state.at.copy(),
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
        query = algorithm.ask(state)
        total = fold([query.partial(piece) for piece in pieces(n_partitions)], query.combine)
        state, found = algorithm.tell(state, query, total)
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


@tuned(ahead_seconds=0.05)
def test_a_long_fit_of_one_partition_reports_back_between_tasks(executor):
    result = descend(executor, 1, rounds=10, algorithm=LeastSquares(query=Slow))
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


class Broken(Gradient):
    """Fails in the second round, on a worker."""

    def partial(self, partition):
        if self.at.any():
            raise ArithmeticError(f"partition {partition.index} is broken")
        return super().partial(partition)


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_an_error_on_a_worker_reaches_the_driver_and_leaves_nothing(executor, n_partitions, caplog):
    with pytest.raises(ArithmeticError, match="is broken"):
        descend(executor, n_partitions, algorithm=LeastSquares(query=Broken))
    assert tasks_left(executor) == []


@dataclass(frozen=True)
class Remembering(Carrying):
    """Sends the gradient rounded, and keeps what that loses for the next round."""

    at: np.ndarray
    last: bool = False

    def partial(self, partition, carry):
        total = Gradient(self.at).partial(partition)
        whole = total + (0 if carry is None else carry)
        rounded = np.append(np.round(whole[:-2], 1), total[-2:])
        return rounded, np.append(whole[:-2] - rounded[:-2], [0, 0])


class Rounded(LeastSquares):
    """Every fourth round is the last of a chain."""

    def ask(self, state):
        left = state.rounds_left
        return Remembering(state.at, left % 4 == 1) if left else None


@pytest.mark.parametrize("n_partitions", [1, 2, 5])
def test_carrying_rounds_are_those_of_a_plain_loop(executor, n_partitions):
    algorithm, state = Rounded(), Descent(np.zeros(3), 10)
    result = descend(executor, n_partitions, algorithm=algorithm)
    data = pieces(n_partitions)
    carries = [None] * n_partitions
    while (query := algorithm.ask(state)) is not None:
        found = [query.partial(piece, carry) for piece, carry in zip(data, carries, strict=True)]
        state, _ = algorithm.tell(state, query, fold([value for value, _ in found], np.add))
        carries = [None if query.last else carry for _, carry in found]
    assert np.array_equal(result.state.at, state.at)
    assert not np.array_equal(state.at, descend(executor, n_partitions).state.at)


class Unending(LeastSquares):
    """No round is the last of the chain."""

    def ask(self, state):
        return Remembering(state.at) if state.rounds_left else None


def test_a_long_chain_is_cut_by_a_copy_and_goes_on_from_there():
    """After a restart only the rounds since the copy are run again, and the bits are the same."""
    X, y = np.vstack([p.X for p in pieces(1)]), pieces(1)[0].y
    begin, asked, restarted = Descent(np.zeros(3), 11), [], []

    class Noting(Unending):
        def ask(self, state):
            asked.append(state.rounds_left)
            return super().ask(state)

    with Executor(processes=False, n_workers=2) as executor:

        def restart(event):
            if event.record.round == 6 and not restarted:
                restarted.append(event)
                executor.client.restart()

        with load(da.from_array(X, chunks=(20, -1)), y, target="numbers") as data:
            whole = train(Unending(), begin, data, name="whole")
            with tuned(cut_every=4):
                result = train(Noting(), begin, data, callbacks=[restart], name="cut")
        assert tasks_left(executor) == []
    assert np.array_equal(result.state.at, whole.state.at)
    assert [record.round for record in result.history] == list(range(11))
    assert asked == [11, 10, 9, 8, 7, 6, 5, 4, 7, 6, 5, 4, 3, 2, 1, 0]
    copied = result.history[3]
    assert copied.bytes_back == result.history[2].bytes_back + 3 * 5 * 8


def test_a_stop_in_the_middle_of_a_chain_leaves_nothing(executor):
    result = descend(executor, algorithm=Rounded(), callbacks=[lambda e: e.record.round == 4])
    assert len(result.history) == 5 and result.stopped == "callback"
    assert tasks_left(executor) == []


class TooSteep(LeastSquares):
    def tell(self, state, query, total):
        if state.rounds_left == 8:
            raise OverflowError("too steep")
        return super().tell(state, query, total)


class TooSteepAndRounded(TooSteep, Rounded):
    pass


@pytest.mark.parametrize("n_partitions", [1, 3])
@pytest.mark.parametrize("algorithm", [TooSteep(), TooSteepAndRounded()])
def test_what_tell_raises_is_raised_on_the_driver(executor, n_partitions, algorithm, caplog):
    heard = []
    with pytest.raises(OverflowError, match="too steep") as info:
        descend(executor, n_partitions, algorithm=algorithm, callbacks=[heard.append])
    assert any(entry.name == "train" for entry in info.traceback)
    del info
    assert [event.record.round for event in heard] == [0, 1]
    assert caplog.records == [], "it is no failure of a worker"
    del heard
    assert tasks_left(executor) == []


class Endless(LeastSquares):
    def tell(self, state, query, total):
        return state, Measured()


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_a_state_that_does_not_change_would_be_asked_for_ever(executor, n_partitions):
    with pytest.raises(RuntimeError, match=r"Endless.tell returned the state that it was given"):
        descend(executor, n_partitions, algorithm=Endless())


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_listeners_do_not_change_what_is_submitted(executor, n_partitions, monkeypatch):
    """The same tasks run, whoever listens."""

    submitted = []
    run = RoundRunner.run

    def watched(runner, query, *, name):
        submitted.append(name)
        return run(runner, query, name=name)

    monkeypatch.setattr(RoundRunner, "run", watched)
    silent = descend(executor, n_partitions)
    alone, submitted[:] = list(submitted), []
    heard = descend(executor, n_partitions, callbacks=[lambda event: event.estimator])
    assert alone == submitted and alone
    assert essence(silent.history) == essence(heard.history)


def test_a_stop_between_rounds_that_ran_ahead_gives_the_state_of_its_round(executor):
    stopped = descend(executor, 1, rounds=40, callbacks=[lambda event: event.record.round == 6])
    assert np.array_equal(stopped.state.at, descend(executor, 1, rounds=7).state.at)
    assert stopped.state.rounds_left == 33 and len(stopped.history) == 7


class TwoArguments(Exception):
    """Does not come out of a pickle."""

    def __init__(self, what, where):
        super().__init__(f"{what} at {where}")


class FailsLater(LeastSquares):
    """Fails in the sixth round, where it is asked, answered or told."""

    def ask(self, state):
        if state.rounds_left == 5 and self.rate == 0.1:
            raise TwoArguments("asked", state.rounds_left)
        return super().ask(state)

    def tell(self, state, query, total):
        if state.rounds_left == 5 and self.rate == 0.2:
            raise TwoArguments("told", state.rounds_left)
        return super().tell(state, query, total)


class BrokenLater(Gradient):
    def partial(self, partition):
        if self.at[0] > 0.02:
            raise TwoArguments("broken", partition.index)
        return super().partial(partition)


LATER = [FailsLater(), FailsLater(rate=0.2), LeastSquares(rate=0.01, query=BrokenLater)]


@pytest.mark.parametrize("n_partitions", [1, 3])
@pytest.mark.parametrize("algorithm", LATER)
def test_rounds_before_an_error_are_told_and_may_stop(executor, n_partitions, algorithm):
    """Also where they ran ahead, and whatever is raised."""
    heard = []
    with pytest.raises((TwoArguments, RuntimeError), match=r"asked|told|broken"):
        descend(executor, n_partitions, algorithm=algorithm, callbacks=[heard.append])
    rounds = [event.record.round for event in heard]
    assert rounds == list(range(len(rounds))) and len(rounds) >= 2
    stopped = descend(
        executor, n_partitions, algorithm=algorithm, callbacks=[lambda e: e.record.round == 1]
    )
    assert stopped.stopped == "callback" and len(stopped.history) == 2


@dataclass(frozen=True)
class Numbered(Gradient):
    step: int = 0


@pytest.mark.parametrize("told", [lambda state: state, lambda state: (state, 1.0)])
def test_what_tell_must_return(executor, told):
    class Wrong(LeastSquares):
        def tell(self, state, query, total):
            return told(super().tell(state, query, total)[0])

    for n_partitions in (1, 3):
        with pytest.raises(TypeError, match=r"Wrong.tell returned a .*it must return two things"):
            descend(executor, n_partitions, algorithm=Wrong())


def test_a_field_that_hides_the_word_for_the_round(executor):
    with pytest.raises(TypeError, match="the query Numbered has a `step` that is a int"):
        descend(executor, algorithm=LeastSquares(query=Numbered))
