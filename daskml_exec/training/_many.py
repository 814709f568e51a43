"""Several algorithms at once, that share each round trip."""

from dataclasses import dataclass, field
from functools import partial
from traceback import format_exception
from typing import Any

from daskml_exec.executor import Query, takes_prepared
from daskml_exec.executor._raised import guarded
from daskml_exec.training._algorithm import Algorithm, Measured
from daskml_exec.training._answering import tell
from daskml_exec.training._payload import payload_nbytes
from daskml_exec.training._refusals import refuse_algorithm, refuse_query
from daskml_exec.training.groups._segment import Segment

# What a message alone makes again.
_PLAIN_ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        ArithmeticError,
        AssertionError,
        AttributeError,
        FloatingPointError,
        IndexError,
        LookupError,
        MemoryError,
        NotImplementedError,
        OSError,
        OverflowError,
        RuntimeError,
        TypeError,
        ValueError,
        ZeroDivisionError,
    )
}


@dataclass(frozen=True)
class Failed:
    """What stands for the state, or for an answer, of a member that raised.

    It is of texts, so that it travels, counts, and is kept like any state: exceptions hold on to
    data, and there are those that do not come out of a pickle.

    Attributes
    ----------
    kind : str
        Name of the exception's class.
    message : str
    traceback : str
    """

    kind: str
    message: str
    traceback: str = field(repr=False)

    @classmethod
    def of(cls, error: Exception) -> "Failed":
        """Return what is known of an exception."""
        try:
            message = str(error)
        except Exception:  # it runs code of the user's
            message = ""
        return cls(type(error).__name__, message, "".join(format_exception(error)))

    @property
    def error(self) -> Exception:
        """What to raise: of the class that was raised where Python has it, else a RuntimeError."""
        kind = _PLAIN_ERRORS.get(self.kind)
        error = kind(self.message) if kind else RuntimeError(f"{self.kind}: {self.message}")
        error.add_note(self.traceback)
        return error


@dataclass(frozen=True)
class Together(Query[tuple[Any, ...]]):
    """The queries of all members; None of those that are done, `Failed` of those that fail now."""

    queries: tuple[Any, ...]

    def prepare(self) -> tuple[Any, ...]:
        return tuple(_guarded(_prepared, query) for query in self.queries)

    def partial(self, partition: Any, prepared: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            _guarded(_partial, query, ready, partition)
            for query, ready in zip(self.queries, prepared, strict=True)
        )

    def combine(self, left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            _guarded(_combined, query, a, b)
            for query, a, b in zip(self.queries, left, right, strict=True)
        )


@dataclass(frozen=True)
class Many:
    """`Algorithm` whose state is the tuple of its members' states; what `many` returns."""

    algorithms: tuple[Algorithm[Any], ...]

    @property
    def states(self) -> tuple[type, ...]:
        of_members = (kind for each in self.algorithms for kind in each.states)
        return tuple(dict.fromkeys((Failed, *of_members)))

    def ask(self, state: tuple[Any, ...]) -> Together | None:
        if not isinstance(state, tuple) or len(state) != len(self.algorithms):
            raise ValueError(
                f"the state of many has to be the tuple of the states of {len(self.algorithms)} "
                f"algorithms; it is {_counted(state)}"
            )
        queries = tuple(map(_asked, self.algorithms, state))
        return Together(queries) if any(query is not None for query in queries) else None

    def tell(
        self, state: tuple[Any, ...], query: Together, answer: tuple[Any, ...]
    ) -> tuple[tuple[Any, ...], Measured]:
        members = zip(self.algorithms, state, query.queries, answer, strict=True)
        return tuple(_told(*member) for member in members), Measured()


def many(*algorithms: Algorithm[Any]) -> Many:
    """Return an algorithm that trains several at once, with the bits that each has alone.

    Each round asks the queries of all in one, so that as many rounds are needed as the longest one
    takes. A member that raises, wherever, does not disturb the others: its exception, as a
    `Failed`, is its state.

    Parameters
    ----------
    *algorithms : Algorithm
        Whose queries carry nothing.

    Returns
    -------
    Many
        Its state is the tuple of theirs.

    Raises
    ------
    TypeError
        On being asked: a member asks what belongs to one fit, which carries or is of segments.

    Examples
    --------
    ``train(many(a, b), (state_of_a, state_of_b), data, name="both").state``
    """
    for algorithm in algorithms:
        refuse_algorithm(algorithm)
    return Many(algorithms)


_guarded = partial(guarded, failed=Failed.of)


def _asked(algorithm: Algorithm[Any], state: Any) -> Any:
    if isinstance(state, Failed):
        return None
    query = _guarded(algorithm.ask, state)
    if query is None or isinstance(query, Failed):
        return query
    refuse_query(query)
    if query.carries or isinstance(query, Segment):
        raise TypeError(
            f"many has a member that asks a {type(query).__name__}, which belongs to one fit; "
            "allowed are queries that carry nothing, and no segments"
        )
    return query


def _counted(state: Any) -> str:
    kind = type(state).__name__
    return f"a {kind} of {len(state)}" if isinstance(state, tuple | list) else f"a {kind}"


def _prepared(query: Any) -> Any:
    return query if query is None or isinstance(query, Failed) else query.prepare()


def _partial(query: Any, prepared: Any, partition: Any) -> Any:
    if query is None or isinstance(prepared, Failed):
        return prepared
    shared = (prepared,) if takes_prepared(type(query)) else ()
    answer = query.partial(partition, *shared)
    payload_nbytes(answer)  # which raises for what does not travel, here, where it is guarded
    return answer


def _combined(query: Any, left: Any, right: Any) -> Any:
    if query is None or isinstance(left, Failed):
        return left
    return right if isinstance(right, Failed) else query.combine(left, right)


def _told(algorithm: Algorithm[Any], state: Any, query: Any, answer: Any) -> Any:
    if query is None:
        return state
    if isinstance(answer, Failed):
        return answer
    told = _guarded(tell, algorithm, state, query, answer)
    return told if isinstance(told, Failed) else told[0]
