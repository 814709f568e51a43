"""Check an algorithm of one's own, without a cluster."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from daskml_exec.executor import single_threaded_blas
from daskml_exec.training._algorithm import Algorithm, Measured, S
from daskml_exec.training._answering import wrong_answer_of_tell
from daskml_exec.training._check_answers import AlgorithmError, AnswerChecks, Cut
from daskml_exec.training._cut_rows import in_pieces, joined, partitions_of
from daskml_exec.training._refusals import refuse_algorithm, refuse_query
from daskml_exec.training._state_trees import state_from_arrays, state_to_arrays
from daskml_exec.training._tree_bits import copied, first_difference, unpicklable
from daskml_exec.training.groups._segment import Segment

_IN_THREE = (1, 3, 2)
_IN_SEVEN = (5, 1, 0, 3, 2, 7, 4)


def check_algorithm(
    algorithm: Algorithm[S],
    state: S,
    data: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    max_rounds: int = 100,
) -> None:
    """Run an algorithm on a little data, and raise where it breaks a rule that clusters rely on.

    There is no cluster: partitions, the tasks that serve them, copies on Workers and losses are
    acted out here. What passes gives the same bits on any number of Workers, whichever of them die.

    Parameters
    ----------
    algorithm : Algorithm
    state : object
        To begin with.
    data : array or sparse matrix of shape (n_rows, n_features), or list of partitions
        At least ten rows. Arrays are cut here; partitions have X, y, sample_weight and take(rows).
    y, sample_weight : array-like, optional
        One for each row, where `data` is an array.
    max_rounds : int, default=100
        In so many rounds the algorithm must be done.

    Raises
    ------
    AlgorithmError
        The message says which rule is broken, where, and what to do. The rules are:

        - Queries are frozen dataclasses on `Query` or `Carrying`. They, their answers, and states
          can be pickled, and are of arrays and scalars, which can be counted.
        - All methods are pure: they change none of their arguments, and the same arguments give
          the same bits.
        - The bits are the same, whichever task answers for which partitions.
        - The same rows in one, three and seven partitions, one of them without rows, give the same
          up to rounding, to 1e-10. What depends on the cut by intention, such as averages of
          local models, cannot pass.
        - A state survives `state_to_arrays` and JSON, and what comes back goes on with the same
          bits.
        - What is carried can be had again by asking the same queries once more.
        - `tell` returns another state, and `ask` returns None in the end.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from daskml_exec.training import Measured, Query, check_algorithm
    >>> @dataclass(frozen=True)
    ... class Total(Query):
    ...     def partial(self, partition):
    ...         return np.append(partition.X.sum(axis=0), partition.X.shape[0])
    >>> @dataclass(frozen=True)
    ... class Mean:
    ...     states = ()
    ...     def ask(self, state):
    ...         return Total() if state is None else None
    ...     def tell(self, state, query, answer):
    ...         return answer[:-1] / answer[-1], Measured()
    >>> check_algorithm(Mean(), None, np.random.default_rng(0).normal(size=(50, 3)))
    """
    refuse_algorithm(algorithm)
    partitions, given = partitions_of(data, y, sample_weight)
    whole = joined(partitions)
    cuts = [in_pieces(whole, shares) for shares in ((1,), _IN_THREE, _IN_SEVEN)]
    cuts += [partitions] if given else []
    checks = AnswerChecks([Cut(cut) for cut in cuts])
    with single_threaded_blas():
        _Run(algorithm, checks).through(state, max_rounds)


class _Run:
    """All rounds of the algorithm, and the checks of its own methods."""

    def __init__(self, algorithm: Any, answers: AnswerChecks) -> None:
        self._algorithm, self._answers = algorithm, answers
        self._name = type(algorithm).__name__

    def through(self, state: Any, max_rounds: int) -> None:
        self._check_pickles(self._algorithm, f"the algorithm {self._name}")
        for number in range(max_rounds):
            self._check_survives(state, f"the state before round {number}")
            query = self._asked(state)
            if query is None:
                break
            answer = self._answers.total(query, f"round {number}")
            state = self._told(state, query, answer, number)
        else:
            self._check_survives(state, "the last state")
            if (query := self._asked(state)) is not None:
                raise AlgorithmError(
                    f"{self._name}.ask does not end: after {max_rounds} rounds it asks "
                    f"{type(query).__name__}. It must return None in the end; raise max_rounds if "
                    "it needs more"
                )
        self._answers.check_replay()

    def _asked(self, state: Any) -> Any:
        with self._pure("ask", state):
            query = self._algorithm.ask(state)
        if query is None:
            return None
        if isinstance(query, Segment):
            raise TypeError(
                f"{self._name}.ask returned the segment {type(query).__name__}; what can be "
                "checked are queries to partitions, on Query or Carrying"
            )
        try:
            refuse_query(query)
        except TypeError as error:
            raise AlgorithmError(f"{self._name}.ask: {error}") from error
        self._demand_same("ask", query, self._algorithm.ask(state))
        return query

    def _told(self, state: Any, query: Any, answer: Any, number: int) -> Any:
        first = self._tell(state, query, answer, number)
        self._check_pickles(first, f"what {self._name}.tell returned in round {number}")
        self._demand_same("tell", first, self._algorithm.tell(state, query, answer))
        after, measured = first
        if after is state:
            raise AlgorithmError(
                f"{self._name}.tell returned the state that it was given, in round {number}; it "
                "must return another one, of which `ask` returns None in the end"
            )
        back = self._check_survives(state, f"the state before round {number}")
        gone_on = self._algorithm.tell(back, query, answer)
        if (difference := first_difference((after, measured), gone_on)) is not None:
            raise AlgorithmError(
                f"the state before round {number} does not survive: as it comes back from "
                f"state_to_arrays, {self._name}.tell goes on with other bits ({difference})"
            )
        return after

    def _tell(self, state: Any, query: Any, answer: Any, number: int) -> tuple[Any, Measured]:
        with self._pure("tell", state, query, answer):
            try:
                told = self._algorithm.tell(state, query, answer)
            except Exception as error:
                error.add_note(f"in {self._name}.tell, round {number}")
                raise
        if wrong := wrong_answer_of_tell(self._algorithm, told):
            raise AlgorithmError(wrong)
        return told

    def _check_survives(self, state: Any, what: str) -> Any:
        """Return the state as it comes back from a file."""
        states = getattr(self._algorithm, "states", None)
        if not isinstance(states, tuple):
            raise AlgorithmError(
                f"{self._name}.states is {states!r}; it must be the tuple of all dataclasses and "
                "enumerations that a state is made of"
            )
        self._check_pickles(state, what)
        try:
            arrays, about = state_to_arrays(state, states)
            arrays = {name: np.array(array) for name, array in arrays.items()}
            back = state_from_arrays(arrays, json.loads(json.dumps(about)), states)
        except (TypeError, ValueError) as error:
            raise AlgorithmError(f"{what} cannot be kept in a file: {error}") from error
        difference = first_difference(state, back)
        if difference is not None:
            raise AlgorithmError(
                f"{what} does not survive: as it was, and as it comes back from state_to_arrays, "
                f"it has {difference}. All of it must be in fields that its class takes"
            )
        ours, theirs = self._algorithm.ask(state), self._algorithm.ask(back)
        self._check_pickles(ours, f"the query {type(ours).__name__}, asked of {what},")
        if (difference := first_difference(ours, theirs)) is not None:
            raise AlgorithmError(
                f"{what} does not survive: as it comes back from state_to_arrays, "
                f"{self._name}.ask asks something else ({difference})"
            )
        return back

    def _check_pickles(self, value: Any, what: str) -> None:
        try:
            copied(value)
        except Exception as error:
            raise AlgorithmError(
                f"{what} cannot be pickled{_place(unpicklable(value))} "
                f"({type(error).__name__}: {error})"
            ) from error

    @contextmanager
    def _pure(self, method: str, *arguments: Any) -> Iterator[None]:
        """Demand that arguments stay as they are."""
        before = copied((self._algorithm, *arguments))
        yield
        names = ("the algorithm", "the state", "the query", "the answer")
        for name, now, earlier in zip(names, (self._algorithm, *arguments), before, strict=False):
            if (difference := first_difference(earlier, now)) is not None:
                raise AlgorithmError(
                    f"{self._name}.{method} is not pure: it changes {name} ({difference})"
                )

    def _demand_same(self, method: str, first: Any, second: Any) -> None:
        if (difference := first_difference(first, second)) is not None:
            raise AlgorithmError(
                f"{self._name}.{method} is not pure: called twice with the same, it returns "
                f"{difference}"
            )


def _place(at: str) -> str:
    return f", for what it has at {at}" if at else ""
