"""Algorithms of a user's own on the engine: right, and the same bits however they are run."""

import os
import signal
from dataclasses import dataclass, replace

import numpy as np
import pytest
import sklearn.cluster
import sklearn.linear_model
import sklearn.preprocessing
from distributed import Client, LocalCluster

from daskml_exec import Executor
from daskml_exec.executor import NotWanted
from daskml_exec.training import (
    Carrying,
    Failed,
    Measured,
    Query,
    check_algorithm,
    many,
    payload_nbytes,
    reduce,
    state_from_arrays,
    state_to_arrays,
    train,
)
from tests.training.own_algorithms import (
    Assign,
    Centres,
    Coefficients,
    CoordinateDescent,
    KMeans,
    Lengths,
    Powers,
    Scaler,
    Whitening,
    blobs,
    place,
    ridge_path,
)

X, Y = blobs()
FEW, MORE = Centres(X[:4]), Centres(X[40:46])


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.fixture
def data(executor):
    placed = place(executor, X, Y)
    yield placed
    placed.release()


def bits(state):
    arrays, about = state_to_arrays(state, (Centres, Coefficients, Failed, Lengths))
    return {name: array.tobytes() for name, array in arrays.items()}, about


def test_k_means_is_that_of_scikit_learn(data):
    ours = train(KMeans(), FEW, data, name="k-means")
    theirs = sklearn.cluster.KMeans(4, init=FEW.at, n_init=1, tol=0, algorithm="lloyd").fit(X)
    np.testing.assert_allclose(ours.state.at, theirs.cluster_centers_, rtol=1e-12)
    assert ours.history[-1].loss == pytest.approx(theirs.inertia_, rel=1e-12)
    assert len(ours.history) == theirs.n_iter_


def test_the_scaler_is_that_of_scikit_learn(data):
    mean, scale = train(Scaler(), (), data, name="scaler").state
    theirs = sklearn.preprocessing.StandardScaler().fit(X)
    np.testing.assert_allclose(mean, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(scale, theirs.scale_, rtol=1e-12)
    np.testing.assert_allclose(reduce(Powers(), data)[:-1] / len(X), mean, rtol=1e-15)


def test_the_ridge_path_is_that_of_scikit_learn(data):
    alphas = [0.1, 1.0, 10.0]
    for alpha, ours in zip(alphas, ridge_path(alphas, data), strict=True):
        theirs = sklearn.linear_model.Ridge(alpha=alpha, fit_intercept=False, solver="svd")
        np.testing.assert_allclose(ours, theirs.fit(X, Y).coef_, rtol=1e-10)


def test_coordinate_descent_is_least_squares(data):
    fitted = train(CoordinateDescent(60), Coefficients(np.zeros(3)), data, name="coordinates")
    expected = np.linalg.lstsq(X, Y, rcond=None)[0]
    np.testing.assert_allclose(fitted.state.at, expected, rtol=1e-9)


CASES = {
    "k-means": (KMeans(), FEW),
    "scaler": (Scaler(), ()),
    "coordinates": (CoordinateDescent(4), Coefficients(np.zeros(3))),
    "gathering": (Whitening(), Lengths()),
    "many": (many(KMeans(), KMeans()), (FEW, MORE)),
}


@pytest.mark.parametrize("name", CASES)
def test_they_pass_the_check(name):
    check_algorithm(*CASES[name], X, Y)


@pytest.fixture(scope="module")
def expected():
    """The bits of each on one worker."""
    with Executor(processes=False, n_workers=1) as executor:
        placed = place(executor, X, Y)
        return {name: bits(train(*case, placed, name=name).state) for name, case in CASES.items()}


@pytest.mark.parametrize("n_workers", [2, 4])
def test_same_bits_on_any_number_of_workers(n_workers, expected):
    with Executor(processes=False, n_workers=n_workers) as executor:
        placed = place(executor, X, Y)
        for name, case in CASES.items():
            assert bits(train(*case, placed, name=name).state) == expected[name]


@pytest.mark.parametrize("name", CASES)
def test_same_bits_when_a_worker_is_lost(name, expected):
    with (
        LocalCluster(
            n_workers=3, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):

        def lose_one(event):
            if event.record.round == 0:
                cluster.sync(cluster.workers[0].close)

        with Executor(client) as executor:
            placed = place(executor, X, Y, 5)
            fitted = train(*CASES[name], placed, callbacks=[lose_one], name=name)
        assert fitted.history.workers_lost == 1
        assert bits(fitted.state) == expected[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_same_bits_when_a_worker_is_killed(name, expected):
    with Executor(n_workers=2) as executor:

        def kill_one(event):
            if event.record.round == 0:
                os.kill(executor.workers()[0].pid, signal.SIGKILL)

        placed = place(executor, X, Y, 5)
        fitted = train(*CASES[name], placed, callbacks=[kill_one], name=name)
        assert fitted.history.workers_lost == 1
        assert bits(fitted.state) == expected[name]


@pytest.mark.parametrize("n_partitions", [1, 5])
def test_many_take_as_many_rounds_as_the_longest_with_the_bits_of_each_alone(
    executor, n_partitions
):
    placed = place(executor, X, Y, n_partitions)
    alone = [train(KMeans(), begin, placed, name="alone") for begin in (FEW, MORE)]
    both = train(many(KMeans(), KMeans()), (FEW, MORE), placed, name="both")
    rounds = [len(fitted.history) for fitted in alone]
    assert rounds[0] != rounds[1]
    assert len(both.history) == max(rounds)
    assert bits(both.state) == bits(tuple(fitted.state for fitted in alone))


@dataclass(frozen=True)
class Breaking(KMeans):
    """Raises in its second round, in one of its methods."""

    where: str = "partial"

    def ask(self, state):
        if self.where == "ask" and state.moved < np.inf:
            raise ArithmeticError("broken in ask")
        query = super().ask(state)
        broken = state.moved < np.inf and self.where
        return query and BrokenAssign(query.centres, broken)

    def tell(self, state, query, sums):
        if self.where == "tell" and state.moved < np.inf:
            raise ArithmeticError("broken in tell")
        if self.where == "standing":
            return state, Measured()
        return super().tell(state, query, sums)


@dataclass(frozen=True)
class BrokenAssign(Assign):
    broken: str | bool

    def prepare(self):
        self._break("prepare")

    def partial(self, partition, prepared):
        if partition.start == 0:
            self._break("partial")
        return super().partial(partition)

    def combine(self, left, right):
        self._break("combine")
        return super().combine(left, right)

    def _break(self, where):
        if self.broken == where:
            raise UnpicklableError(where, "broken in")


class UnpicklableError(Exception):
    """It cannot be made from its arguments, as pickle does."""

    def __init__(self, where, what):
        super().__init__(f"{what} {where}")


MESSAGES = {
    "ask": ("ArithmeticError", "broken in ask"),
    "tell": ("ArithmeticError", "broken in tell"),
    "prepare": ("UnpicklableError", "broken in prepare"),
    "partial": ("UnpicklableError", "broken in partial"),
    "combine": ("UnpicklableError", "broken in combine"),
    "standing": ("RuntimeError", "tell returned the state that it was given"),
}


@pytest.mark.parametrize("n_partitions", [1, 3])
@pytest.mark.parametrize("where", MESSAGES)
def test_a_member_that_fails_leaves_the_others_as_they_are(executor, where, n_partitions):
    if where == "combine" and n_partitions == 1:
        pytest.skip("one partition has nothing to combine")
    placed = place(executor, X, Y, n_partitions)
    alone = train(KMeans(), MORE, placed, name="alone")
    both = train(many(Breaking(where=where), KMeans()), (FEW, MORE), placed, name="both")
    failed, other = both.state
    kind, message = MESSAGES[where]
    assert isinstance(failed, Failed) and failed.kind == kind and message in failed.message
    assert bits(other) == bits(alone.state)
    assert len(both.history) == len(alone.history)
    assert all(record.bytes_back > 0 for record in both.history)


def test_a_failed_member_can_be_kept_and_stays_failed(data):
    algorithm = many(Breaking(where="partial"), KMeans())
    state = train(algorithm, (FEW, MORE), data, name="both").state
    arrays, about = state_to_arrays(state, algorithm.states)
    back = state_from_arrays(arrays, about, algorithm.states)
    assert back[0] == state[0] and isinstance(back[0], Failed)
    assert payload_nbytes(state) == payload_nbytes(back) > 0
    again = (back[0], replace(back[1], moved=np.inf))
    assert train(algorithm, again, data, name="again").state[0] == state[0]


def test_the_error_of_a_failed_member_can_be_raised(data):
    state = train(many(Breaking(where="tell"), KMeans()), (FEW, MORE), data, name="b").state
    with pytest.raises(ArithmeticError, match="broken in tell") as info:
        raise state[0].error
    assert "in tell" in info.value.__notes__[0]
    state = train(many(Breaking(where="partial"), KMeans()), (FEW, MORE), data, name="b").state
    with pytest.raises(RuntimeError, match="UnpicklableError: broken in partial"):
        raise state[0].error


@dataclass(frozen=True)
class Stopped(Query):
    def partial(self, partition):
        raise NotWanted


def test_a_task_that_is_to_end_is_no_failure_of_a_member():
    query = many(Asks(Stopped())).ask((0,))
    with pytest.raises(NotWanted):
        query.partial(None, query.prepare())


def test_when_all_have_failed_it_is_done(data):
    fitted = train(many(Breaking(where="tell")), (FEW,), data, name="one")
    assert isinstance(fitted.state[0], Failed) and len(fitted.history) == 2


@pytest.mark.parametrize("state", [(FEW,), [FEW, MORE], FEW])
def test_states_that_are_not_as_many(data, state):
    with pytest.raises(ValueError, match="tuple of the states of 2 algorithms; it is a"):
        train(many(KMeans(), KMeans()), state, data, name="two")


def test_a_member_that_carries_is_refused(data):
    both = many(KMeans(), CoordinateDescent())
    with pytest.raises(TypeError, match="asks a Coordinate, which belongs to one fit"):
        train(both, (FEW, Coefficients(np.zeros(3))), data, name="two")


def test_a_member_that_is_no_algorithm_is_refused():
    with pytest.raises(TypeError, match="algorithm is a Centres, without the method ask and tell"):
        many(KMeans(), FEW)


class Plain(Query):
    def partial(self, partition):
        return 1


@dataclass(frozen=True)
class Dicts(Query):
    def partial(self, partition):
        return {"rows": len(partition.X)}


@dataclass(frozen=True)
class Tuples(Query):
    def partial(self, partition):
        return len(partition.X), 1


@dataclass(frozen=True)
class Asks:
    query: object

    def ask(self, state):
        return self.query if state < 2 else None

    def tell(self, state, query, answer):
        return state + 1, Measured()


@pytest.mark.parametrize("n_partitions", [1, 3])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Plain(), "the query Plain is no frozen dataclass: put @dataclass"),
        (Powers, "the query is the class Powers; allowed are its instances"),
        ("rows", "the query is a str; allowed are frozen dataclasses whose base is Query"),
    ],
)
def test_queries_that_are_none(executor, query, message, n_partitions):
    placed = place(executor, X, Y, n_partitions)
    with pytest.raises(TypeError, match=message):
        reduce(query, placed)
    with pytest.raises(TypeError, match=message):
        train(Asks(query), 0, placed, name="asks")
    with pytest.raises(TypeError, match=message):
        train(many(Asks(query)), (0,), placed, name="asks")


@pytest.mark.filterwarnings("ignore:Compute Failed")
@pytest.mark.parametrize("n_partitions", [2, 3])
@pytest.mark.parametrize(("query", "kind"), [(Dicts(), "dict"), (Tuples(), "tuple")])
def test_answers_that_cannot_be_added(executor, query, kind, n_partitions):
    placed = place(executor, X, Y, n_partitions)
    with pytest.raises(TypeError) as info:
        reduce(query, placed)
    (note,) = info.value.__notes__
    assert f"the query {type(query).__name__}, a {kind} and a {kind}: let its `partial`" in note


@dataclass(frozen=True)
class TwoNumbers(Carrying):
    """What could be taken apart as an answer and a carry."""

    def partial(self, partition, carry):
        return np.zeros(2)


@pytest.mark.filterwarnings("ignore:Compute Failed")
def test_a_carrying_query_that_does_not_return_two_things(executor):
    with pytest.raises(
        TypeError, match="the Carrying query TwoNumbers returned a ndarray; it must"
    ):
        reduce(TwoNumbers(), place(executor, X, Y, 2))


@pytest.mark.parametrize("data", [X, [X], None, "rows"])
def test_data_that_is_none(data):
    message = f"data is a {type(data).__name__}; allowed is what"
    with pytest.raises(TypeError, match=message):
        train(KMeans(), FEW, data, name="k-means")
    with pytest.raises(TypeError, match=message):
        reduce(Powers(), data)


def test_algorithms_that_are_none(data):
    with pytest.raises(TypeError, match="algorithm is the class KMeans; allowed are its instances"):
        train(KMeans, FEW, data, name="k-means")
    with pytest.raises(TypeError, match="algorithm is a Assign, without the method ask and tell"):
        train(Assign(X[:2]), FEW, data, name="k-means")
