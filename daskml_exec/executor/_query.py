"""What the Master asks of every partition; the whole of it travels, and is counted."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

A = TypeVar("A")


def _refuse_field(name: str) -> Callable[[Any, Any], None]:
    def refuse(query: Any, value: Any) -> None:
        kind = type(query).__name__
        raise TypeError(
            f"the query {kind} has a field {name!r} without a default, and Query and Carrying have "
            f"a property of that name, {_MEANINGS[name]}: give the field a default, where it is "
            "that, or another name"
        )

    return refuse


_MEANINGS = {
    "step": "what the round does, in a word",
    "last": "whether nothing is kept after this question",
}


class Query(Protocol[A]):
    """A question to every partition, whose answers are added up in a fixed tree.

    A frozen dataclass that names this as its base has what it leaves out of these methods, which
    are pure and run on Workers. Its fields are what travels, and all that is counted.
    """

    carries: ClassVar[bool] = False

    @property
    def step(self) -> str:
        """What the round does, in a word, for the history; else the name of the class."""
        return type(self).__name__.lower()

    if not TYPE_CHECKING:  # a dataclass sets its fields as it begins, past being frozen
        step = step.setter(_refuse_field("step"))

    def prepare(self) -> Any:
        """Return what all partitions of one task share; computed once in each task."""
        return None

    def partial(self, partition: Any, *args: Any, **kwargs: Any) -> A:
        """Return sums with weights over one partition, never means.

        To be written as ``partial(self, partition, prepared)``, or ``partial(self, partition)``
        where there is no `prepare`.
        """
        raise NotImplementedError(f"the query {type(self).__name__} has no method `partial`")

    def combine(self, left: A, right: A) -> A:
        """Return two answers together; `left` is of the lower partition indices."""
        return _added(self, left, right)


class Carrying(Protocol[A]):
    """A question whose partitions keep something on their Workers until the next one of its kind.

    What they keep belongs to the fit. It is lost with its Worker, and had again by asking the
    questions since then once more: since nothing was kept, or since it came to the driver, as it
    does every 64 rounds where it takes up to 100 MB. What takes more should have a `last` question
    now and then.
    """

    carries: ClassVar[bool] = True
    gathers: ClassVar[bool] = False
    """Whether `prepare` is handed what all partitions keep, which then comes to every Worker."""

    @property
    def step(self) -> str:
        """What the round does, in a word, for the history; else the name of the class."""
        return type(self).__name__.lower()

    if not TYPE_CHECKING:  # a dataclass sets its fields as it begins, past being frozen
        step = step.setter(_refuse_field("step"))

    @property
    def last(self) -> bool:
        """Whether nothing is kept after this question."""
        return False

    if not TYPE_CHECKING:
        last = last.setter(_refuse_field("last"))

    def prepare(self, *kept: Any) -> Any:
        """As of `Query`; where it `gathers`, to be written as ``prepare(self, kept)``.

        `kept` has what partitions keep, by their indices: nothing where nothing was kept.
        """
        return None

    def partial(self, partition: Any, carry: Any, *args: Any, **kwargs: Any) -> tuple[A, Any]:
        """Return the sums, and what to keep: arrays and scalars.

        `carry` is what was returned last for this partition, not to be changed in place; None
        where nothing was kept. To be written as ``partial(self, partition, carry, prepared)``, or
        ``partial(self, partition, carry)`` where there is no `prepare`.
        """
        raise NotImplementedError(f"the query {type(self).__name__} has no method `partial`")

    def combine(self, left: A, right: A) -> A:
        """As of `Query`."""
        return _added(self, left, right)


def require_query(query: Any, *bases: type[Any]) -> None:
    """Raise TypeError unless this is an instance of a class with one of these bases."""
    if isinstance(query, type):
        raise TypeError(
            f"the query is the class {query.__name__}; allowed are its instances: "
            f"{query.__name__}(...)"
        )
    if not set(bases).intersection(type(query).__mro__):
        raise TypeError(
            f"the query is a {type(query).__name__}; allowed are frozen dataclasses whose base is "
            f"{' or '.join(base.__name__ for base in bases)}"
        )


def answer_and_carry(query: Any, found: Any) -> tuple[Any, Any]:
    """Return the answer and what to carry, of what `partial` returned; a query may carry nothing.

    Raises
    ------
    TypeError
        A carrying one has not returned the two.
    """
    if not query.carries:
        return found, None
    if not (isinstance(found, tuple) and len(found) == 2):
        raise TypeError(
            f"partial of the Carrying query {type(query).__name__} returned a "
            f"{type(found).__name__}; it must return two things, the answer and what to carry"
        )
    return found


def _added(query: Any, left: A, right: A) -> A:
    try:
        if isinstance(left, tuple | list | str | bytes):
            raise TypeError(f"the sum of two {type(left).__name__}s is one behind the other")
        total: A = left + right  # type: ignore[operator]
    except (TypeError, ValueError) as error:
        error.add_note(
            f"adding two answers to the query {type(query).__name__}, a {type(left).__name__} and "
            f"a {type(right).__name__}: let its `partial` return arrays or numbers, of the same "
            "shape for any number of rows, or define its `combine`"
        )
        raise
    return total


def gathers(query: Any) -> bool:
    """Whether the query is handed what all partitions keep."""
    return bool(query.carries and query.gathers)


AnyQuery = Query[Any] | Carrying[Any]
