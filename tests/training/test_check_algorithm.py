"""What `check_algorithm` lets pass, and which mistakes it names."""

import itertools
import threading
from dataclasses import dataclass, field, make_dataclass, replace
from fractions import Fraction
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from daskml_exec.partitions import Partition
from daskml_exec.training import (
    AlgorithmError,
    Carrying,
    Measured,
    Query,
    check_algorithm,
    many,
)
from tests.training.own_algorithms import (
    Centres,
    Coefficients,
    CoordinateDescent,
    Descent,
    KMeans,
    Point,
    RidgePoint,
    Scaler,
    blobs,
)

X, Y = blobs(n=60)
GOOD = {
    "k-means": (KMeans(), Centres(X[:4])),
    "scaler": (Scaler(), ()),
    "ridge": (RidgePoint(1.0), None),
    "descent": (Descent(0.01), Point(np.zeros(3))),
    "carrying": (CoordinateDescent(3), Coefficients(np.zeros(3))),
    "many": (many(KMeans(), Descent(0.01)), (Centres(X[:4]), Point(np.zeros(3)))),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_ones_pass(name):
    check_algorithm(*GOOD[name], X, Y)


@pytest.mark.parametrize("name", GOOD)
def test_good_ones_pass_on_partitions(name):
    bounds = [0, 7, 7, 40, 60]
    partitions = [
        Partition(i, a, X[a:b], Y[a:b], np.ones(b - a))
        for i, (a, b) in enumerate(itertools.pairwise(bounds))
    ]
    check_algorithm(*GOOD[name], partitions)


@dataclass(frozen=True)
class Sums(Query):
    def partial(self, partition):
        return np.append(np.asarray(partition.X.sum(axis=0)).ravel(), partition.X.shape[0])


@dataclass(frozen=True)
class Asks:
    """Asks the same query, so many rounds."""

    query: Any
    rounds: int = 3
    states = ()

    def ask(self, state):
        return self.query if state < self.rounds else None

    def tell(self, state, query, answer):
        return state + 1, Measured()


@pytest.mark.parametrize("data", [sp.csr_array(X), sp.csr_matrix(X), X.astype(np.float32)])
def test_kinds_of_rows(data):
    check_algorithm(Asks(Sums()), 0, data)


def test_what_has_converged_to_next_to_nothing_is_compared_beside_what_it_was():
    exact = X @ np.arange(1.0, 4.0)
    check_algorithm(CoordinateDescent(30), Coefficients(np.zeros(3)), X, exact)


SEEN: list[int] = []
BUFFER = np.zeros(4)
FOUND: dict[str, int] = {}


@dataclass(frozen=True)
class Counting(Query):
    def partial(self, partition):
        SEEN.append(partition.index)
        return len(SEEN)


@dataclass(frozen=True)
class Centring(Query):
    def partial(self, partition):
        partition.X[...] -= 1.0
        return partition.X.sum(axis=0)


@dataclass(frozen=True)
class Noting(Query):
    notes: dict[str, float] = field(default_factory=dict)

    def partial(self, partition):
        self.notes["last"] = partition.index
        return partition.X.sum(axis=0)


@dataclass(frozen=True)
class Buffered(Query):
    def partial(self, partition):
        BUFFER[:3] = partition.X.sum(axis=0)
        BUFFER[3] += 1
        return BUFFER


@dataclass(frozen=True)
class Means(Query):
    def partial(self, partition):
        return partition.X.mean(axis=0)


@dataclass(frozen=True)
class Halves(Sums):
    def combine(self, left, right):
        return (left + right) / 2


@dataclass(frozen=True)
class Drifting(Sums):
    def combine(self, left, right):
        SEEN.append(0)
        return left + right + len(SEEN)


@dataclass(frozen=True)
class InPlace(Sums):
    def combine(self, left, right):
        left += right
        return left


@dataclass(frozen=True)
class Largest(Query):
    def partial(self, partition):
        return partition.X.max(axis=0)

    def combine(self, left, right):
        return np.maximum(left, right)


@dataclass(frozen=True)
class LargestOrZero(Largest):
    """Of rows that are all below zero."""

    def partial(self, partition):
        return partition.X.max(axis=0, initial=0.0) - 100 * (partition.X.shape[0] > 0)


@dataclass(frozen=True)
class Numbered(Query):
    def partial(self, partition):
        return partition.X.sum() + partition.index


@dataclass(frozen=True)
class Tuples(Query):
    def partial(self, partition):
        return partition.X.sum(axis=0), partition.X.shape[0]


@dataclass(frozen=True)
class Dicts(Query):
    def partial(self, partition):
        return {"rows": partition.X.shape[0]}


@dataclass(frozen=True)
class Objects(Query):
    def partial(self, partition):
        return Fraction(1)

    def combine(self, left, right):
        return left


@dataclass(frozen=True)
class Locked(Sums):
    lock: Any = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class LockedAnswer(Query):
    def partial(self, partition):
        return threading.Lock()


@dataclass(frozen=True)
class Grouped(Query):
    """A second answer depends on the partition before it, in the same task."""

    def prepare(self):
        return []

    def partial(self, partition, prepared):
        prepared.append(0) if 0 not in prepared or partition.index % 2 else None
        return partition.X.sum() * (1 if len(prepared) < 3 else 1 + 1e-15)


@dataclass(frozen=True)
class Series(Query):
    def partial(self, partition):
        return pd.Series(partition.X.sum(axis=0))


@dataclass(frozen=True)
class TheRows(Query):
    def partial(self, partition):
        return partition.X


@dataclass(frozen=True)
class OfAFunction(Query):
    function: Any

    def partial(self, partition):
        return self.function(partition.X)


class Plain(Query):
    def partial(self, partition):
        return 1


@dataclass
class Thawed(Query):
    def partial(self, partition):
        return 1


@dataclass(frozen=True)
class Alone:
    carries = False

    def partial(self, partition):
        return 1


@dataclass(frozen=True)
class Overwriting(Carrying):
    def partial(self, partition, carry):
        carry = np.zeros(3) if carry is None else carry
        carry += partition.X.sum(axis=0)
        return carry.copy(), carry


@dataclass(frozen=True)
class Needing(Carrying):
    """It says that nothing has to be kept, and then needs it."""

    first: bool
    last: bool = True

    def partial(self, partition, carry):
        total = partition.X.sum(axis=0)
        return total + (0 if self.first else carry), total


@dataclass(frozen=True)
class Single(Carrying):
    def partial(self, partition, carry):
        return partition.X.sum(axis=0)


@dataclass(frozen=True)
class OnTheRows(Carrying):
    """It keeps something, but not as what is carried."""

    round: int

    def partial(self, partition, carry):
        if self.round == 0:
            object.__setattr__(partition, "kept", partition.X.sum(axis=0))
        return partition.kept, None


@dataclass(frozen=True)
class FromAbroad(Carrying):
    """It uses what the driver has learnt meanwhile, which no query has told it."""

    def partial(self, partition, carry):
        return partition.X.sum(axis=0) * FOUND.get("factor", 1), None


@dataclass(frozen=True)
class Rounds(Asks):
    """Asks a query for each round, which a function makes."""

    def ask(self, state):
        return self.query(state) if state < self.rounds else None


WRONG_QUERIES = {
    "partial counts": (Counting(), "partial is not pure: asked twice of one partition"),
    "partial changes rows": (Centring(), "partial is not pure: it changes the partition"),
    "partial changes the query": (Noting(), "partial is not pure: it changes the query"),
    "partial has a buffer": (Buffered(), "partial is not pure"),
    "means": (Means(), "not sums over rows: .* not means"),
    "position": (Numbered(), "not sums over rows"),
    "combine by halves": (Halves(), "combine depends on the order in which it is called"),
    "combine counts": (Drifting(), "combine depends on the order in which it is called"),
    "combine in place": (InPlace(), "combine changes its arguments"),
    "fails on no rows": (Largest(), "partial fails on an empty partition .*zero-size array"),
    "not neutral": (LargestOrZero(), "an empty partition is not neutral"),
    "tuples": (Tuples(), "answers cannot be added, a tuple and a tuple.* define `combine`"),
    "dicts": (Dicts(), "answers cannot be added, a dict and a dict"),
    "objects": (Objects(), "the answer cannot be counted; .* a Fraction is not a payload"),
    "pandas": (Series(), r"the answer cannot be counted; .* a Series is not .* to_numpy\(\)"),
    "rows": (TheRows(), r"of shape \(10, 3\) and .* \(30, 3\).* Answers are sums over the rows"),
    "a function": (OfAFunction(np.sum), "OfAFunction has a field 'function': a .* not a payload"),
    "a lock comes back": (LockedAnswer(), "the answer cannot be pickled"),
    "tasks": (Grouped(), "partial is not pure|depend on which task answers"),
    "no dataclass": (Plain(), "Plain is no frozen dataclass: put @dataclass"),
    "not frozen": (Thawed(), "Thawed is no frozen dataclass"),
    "no base": (Alone(), "the query is a Alone; allowed are frozen dataclasses whose base"),
    "the class": (Sums, "the query is the class Sums; allowed are its instances"),
    "carry in place": (Overwriting(), "it changes the carry, in place"),
    "one result": (Single(), "must return two things, the answer and what to carry"),
}


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
@pytest.mark.parametrize("name", WRONG_QUERIES)
def test_wrong_queries(name):
    query, message = WRONG_QUERIES[name]
    with pytest.raises(AlgorithmError, match=message) as info:
        check_algorithm(Asks(query), 0, X)
    kind = query if isinstance(query, type) else type(query)
    assert kind.__name__ in str(info.value)


def test_a_query_that_cannot_be_pickled():
    with pytest.raises(
        AlgorithmError, match=r"the query Locked, .* cannot be pickled, .* at \.lock "
    ):
        check_algorithm(Rounds(lambda state: Locked()), 0, X)


def test_an_algorithm_that_cannot_be_pickled():
    with pytest.raises(
        AlgorithmError, match=r"the algorithm Asks cannot be pickled.* \.query\.lock"
    ):
        check_algorithm(Asks(Locked()), 0, X)


@pytest.mark.parametrize(
    ("base", "name", "kind"),
    [(Query, "step", float), (Carrying, "step", str), (Carrying, "last", bool)],
)
def test_a_field_where_the_query_has_a_property(base, name, kind):
    unset = make_dataclass("Unset", [(name, kind)], bases=(base,), frozen=True)
    with pytest.raises(TypeError, match=f"the query Unset has a field '{name}' without a default"):
        unset(kind(1))
    preset = make_dataclass("Preset", [(name, kind, kind(0))], bases=(base,), frozen=True)
    assert getattr(preset(kind(1)), name) == kind(1)


@dataclass(frozen=True)
class Large(Query):
    def partial(self, partition):
        return np.full(100_000, partition.X.sum())


def test_large_answers_are_not_pickled_into_one_text(monkeypatch):
    """Copies of arrays are what checks of large answers cost."""
    lengths = []

    def noting(*arguments, **options):
        lengths.append(len(body := dumps(*arguments, **options)))
        return body

    dumps = cloudpickle.dumps
    monkeypatch.setattr(cloudpickle, "dumps", noting)
    check_algorithm(Asks(Large(), 1), 0, X)
    assert lengths and max(lengths) < 100_000


def test_a_carry_that_was_needed_after_the_last():
    with pytest.raises(AlgorithmError, match=r"Needing, round 1: partial fails where nothing is"):
        check_algorithm(Rounds(lambda state: Needing(state == 0)), 0, X)


def test_a_carry_that_was_needed_and_is_elsewhere():
    with pytest.raises(AlgorithmError, match="OnTheRows, round 1: asked of copies of the rows"):
        check_algorithm(Rounds(OnTheRows), 0, X)


@dataclass(frozen=True)
class Learning(Asks):
    def tell(self, state, query, answer):
        FOUND["factor"] = 1 + state
        return state + 1, Measured()


def test_a_chain_that_would_not_be_the_same_again():
    FOUND.clear()
    with pytest.raises(
        AlgorithmError, match=r"FromAbroad: what partitions carried .* is not had aga"
    ):
        check_algorithm(Learning(FromAbroad()), 0, X)


@dataclass(frozen=True)
class State:
    n: int = 0
    more: Any = None


@dataclass(frozen=True)
class Undeclared:
    n: int = 0


@dataclass(frozen=True)
class Forgetful:
    """What it has learnt is not among the arguments."""

    n: int = 0
    learnt: float = field(default=0.0, init=False)


@dataclass(frozen=True)
class Wrong:
    """A right algorithm but for one method."""

    states: Any = (State, Forgetful)

    def ask(self, state):
        return Sums() if state.n < 3 else None

    def tell(self, state, query, answer):
        return replace(state, n=state.n + 1), Measured()


class Endless(Wrong):
    def ask(self, state):
        return Sums()


class Standing(Wrong):
    def tell(self, state, query, answer):
        return state, Measured()


class Changing(Wrong):
    def tell(self, state, query, answer):
        answer /= 2
        return super().tell(state, query, answer)


class Random(Wrong):
    def tell(self, state, query, answer):
        return State(state.n + 1, np.random.default_rng().random()), Measured()


class Bare(Wrong):
    def tell(self, state, query, answer):
        return State(state.n + 1)


class WithASet(Wrong):
    def tell(self, state, query, answer):
        return State(state.n + 1, {1, 2}), Measured()


class WithALock(Wrong):
    def tell(self, state, query, answer):
        return State(state.n + 1, threading.Lock()), Measured()


class WithAList(Wrong):
    def tell(self, state, query, answer):
        return State(state.n + 1, [1, 2]), Measured()


class OfAnotherClass(Wrong):
    def tell(self, state, query, answer):
        return State(state.n + 1, Undeclared()), Measured()


class Taught(Wrong):
    def tell(self, state, query, answer):
        after = Forgetful(state.n + 1)
        object.__setattr__(after, "learnt", 1.0)
        return after, Measured()


class Remembering(Wrong):
    def tell(self, state, query, answer):
        object.__setattr__(self, "states", (*self.states, State))
        return super().tell(state, query, answer)


WRONG_ALGORITHMS = {
    "ask does not end": (Endless(), r"Endless\.ask does not end: after 20 rounds it asks Sums"),
    "the same state": (Standing(), r"Standing\.tell returned the state that it was given"),
    "tell changes": (Changing(), r"Changing\.tell is not pure: it changes the answer"),
    "tell is random": (Random(), r"Random\.tell is not pure: called twice"),
    "tell remembers": (Remembering(), r"Remembering\.tell is not pure: it changes the algorithm"),
    "one result": (Bare(), r"Bare\.tell returned a State; it must return two things"),
    "a set": (WithASet(), r"cannot be kept in a file: state\.more is a set"),
    "a list": (WithAList(), r"cannot be kept in a file: state\.more is a list"),
    "a lock": (WithALock(), "cannot be pickled"),
    "undeclared": (OfAnotherClass(), r"Undeclared, a state class not declared: add it to `states`"),
    "does not survive": (Taught(), r"does not survive: .* at \.learnt: 1\.0 and 0\.0"),
    "no states": (Wrong(None), r"Wrong\.states is None; it must be the tuple"),
}


@pytest.mark.parametrize("name", WRONG_ALGORITHMS)
def test_wrong_algorithms(name):
    algorithm, message = WRONG_ALGORITHMS[name]
    with pytest.raises(AlgorithmError, match=message):
        check_algorithm(algorithm, State(), X, max_rounds=20)


def test_as_many_rounds_as_are_allowed():
    check_algorithm(Asks(Sums(), 5), 0, X, max_rounds=5)
    with pytest.raises(AlgorithmError, match="after 4 rounds"):
        check_algorithm(Asks(Sums(), 5), 0, X, max_rounds=4)


@dataclass(frozen=True)
class Refusing(Query):
    def partial(self, partition):
        raise LookupError("no such column")


def test_what_partial_raises_is_raised_with_its_place():
    with pytest.raises(LookupError, match="no such column") as info:
        check_algorithm(Asks(Refusing()), 0, X)
    assert info.value.__notes__ == ["in partial of Refusing, round 0, partition 0 of 1 partition"]


@pytest.mark.parametrize(
    ("algorithm", "data", "error", "message"),
    [
        (Asks, X, TypeError, "algorithm is the class Asks; allowed are its instances"),
        (3, X, TypeError, "algorithm is a int, without the method ask and tell"),
        (Asks(Sums()), "rows", TypeError, "data is a str; allowed are rows in memory"),
        (Asks(Sums()), X[:9], ValueError, "data has 9 rows; at least 10"),
        (Asks(Sums()), X[:, 0], ValueError, "data has 1 axes"),
    ],
)
def test_what_cannot_be_checked(algorithm, data, error, message):
    with pytest.raises(error, match=message):
        check_algorithm(algorithm, 0, data)


def test_a_target_of_another_length():
    with pytest.raises(ValueError, match="data has 60 rows, and y has 59"):
        check_algorithm(Asks(Sums()), 0, X, Y[1:])
