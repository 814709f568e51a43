"""What a task returned, on the cluster and on its way to whoever wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dask.sizeof import sizeof

from daskml_exec.executor._arguments import Packed, packed
from daskml_exec.executor._raised import Raised, carried

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The value that a task returned, with where and how long it ran.

    It travels as bytes: a value that cannot be pickled, or cannot be read, is an error of whoever
    asks for it, and of nobody who carries it.
    """

    returned: T | Unsent
    worker: str
    seconds: float

    @property
    def value(self) -> T:
        """What the task returned, or the error that kept it from coming here."""
        if isinstance(self.returned, Unsent):
            raise self.returned.why.original()
        return self.returned

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _arrived, (_packed_value(self.returned), self.worker, self.seconds)

    def __sizeof__(self) -> int:
        # Dask asks this when it decides what to spill, and whether to move a task or its inputs.
        return int(sizeof(self.returned))


@dataclass(frozen=True)
class Unsent:
    """Stands for a value that could not be sent."""

    why: Raised


@dataclass(frozen=True)
class OutcomeInfo:
    """An outcome without its value, which may be large."""

    worker: str
    seconds: float


def outcome_info(outcome: Outcome[Any]) -> OutcomeInfo:
    """Return the small part of an outcome."""
    return OutcomeInfo(outcome.worker, outcome.seconds)


def _packed_value(value: Any) -> Packed:
    try:
        return packed(value)
    except BaseException as error:  # it runs code of the user's
        why = f"a {type(value).__name__} that cannot be pickled ({error!r})"
    return packed(_unsent(f"the result cannot be sent from its Worker: {why}"))


def _arrived(value: Packed, worker: str, seconds: float) -> Outcome[Any]:
    try:
        returned = value.unpack()
    except BaseException as error:  # it runs code of the user's
        returned = _unsent(f"the result of a task cannot be unpickled: {error!r}")
    return Outcome(returned, worker, seconds)


def _unsent(message: str) -> Unsent:
    return Unsent(carried(TypeError(message)))
