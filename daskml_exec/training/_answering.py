"""What all that answer queries have in common: rows, cells, peers, memory."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, Self

from daskml_exec.executor import GridOutcome, RoundOutcome
from daskml_exec.training._algorithm import Algorithm, Measured, S
from daskml_exec.training._history import RoundRecord

# How often in a row the data are loaded again, before the cluster is given up.
MAX_RELOADS = 3


@dataclass(frozen=True)
class Cost:
    """What an answer took; the fields are those of `RoundRecord`."""

    bytes_out: int
    bytes_back: int
    workers: int
    busiest_seconds: float
    workers_lost: int = 0
    tasks_recomputed: int = 0
    retries: int = 0
    bytes_between: int = 0

    @classmethod
    def of(
        cls,
        outcome: RoundOutcome | GridOutcome,
        *,
        bytes_out: int,
        bytes_back: int,
        bytes_between: int = 0,
    ) -> Self:
        """Return what a round that was submitted to Workers took."""
        return cls(
            bytes_out=bytes_out,
            bytes_back=bytes_back,
            workers=len(outcome.seconds_by_worker),
            busiest_seconds=max(outcome.seconds_by_worker.values()),
            workers_lost=outcome.workers_lost,
            tasks_recomputed=outcome.tasks_recomputed,
            retries=outcome.retries,
            bytes_between=bytes_between,
        )


@dataclass(frozen=True)
class Answered:
    """An answer, and the query that it is the answer to: a segment may have been cut."""

    query: Any
    answer: Any
    cost: Cost


@dataclass(frozen=True)
class Told(Generic[S]):
    """A round that has been told: the state after it, or None where it was not to be kept."""

    state: S | None
    step: str
    measured: Measured
    seconds: float
    cost: Cost

    def record(self, number: int) -> RoundRecord:
        """Return what the history has of the round of this number."""
        measured, cost = self.measured, self.cost
        return RoundRecord(
            round=number,
            step=self.step,
            loss=measured.loss,
            gradient_norm=measured.gradient_norm,
            seconds=self.seconds,
            bytes_out=cost.bytes_out,
            bytes_back=cost.bytes_back,
            workers=cost.workers,
            busiest_seconds=cost.busiest_seconds,
            workers_lost=cost.workers_lost,
            tasks_recomputed=cost.tasks_recomputed,
            retries=cost.retries,
            score=measured.score,
            bytes_between=cost.bytes_between,
            scores={name: float(value) for name, value in measured.scores.items()},
        )


@dataclass(frozen=True)
class Batch(Generic[S]):
    """Rounds that were answered together: usually one.

    Attributes
    ----------
    told : sequence of Told
        The last one has its state.
    error : BaseException or None
        Which the round after them raised on being told.
    """

    told: Sequence[Told[S]]
    error: BaseException | None = None


class ChainLostError(Exception):
    """What partitions carried is gone: back to where they carried nothing."""


class Answerer(Protocol):
    """Answers an algorithm's queries, wherever the data is.

    What has a body here holds where all of a state is on the driver, and nothing is carried.
    """

    @property
    def n_partitions(self) -> int:
        """How many pieces of data answer."""

    @property
    def carries(self) -> bool:
        """Whether something is kept on Workers that only the rounds so far can bring back."""
        return False

    def rounds(self, algorithm: Algorithm[S], state: S, query: Any, *, keep: bool) -> Batch[S]:
        """Answer a query that the algorithm asks of the state, and perhaps those that follow.

        Parameters
        ----------
        algorithm : Algorithm
        state : object
        query : object
        keep : bool
            Whether the states between are wanted, too.

        Raises
        ------
        ChainLostError
        """

    def known(self, state: Any) -> tuple[Any, Mapping[int, Any]] | None:
        """Return the last state of which all is on the driver, and what units held at it."""
        return state, {}

    def moment(self, view: Callable[[Mapping[int, Any]], Any]) -> "Moment":
        """Return what makes an estimator of this moment, from what units hold."""
        return Moment(partial(view, {}))

    def begin_with(self, carried: Sequence[Any]) -> None:
        """Let partitions carry this already, as `carried` had it from an earlier fit."""
        return

    def carried(self) -> Sequence[Any]:
        """Bring home what partitions carry; nothing where they carry nothing."""
        return ()

    def units(self) -> Mapping[int, Any]:
        """Bring what the driver wants of units; nothing where there are none."""
        return {}

    def close(self) -> None:
        """Leave nothing behind, whoever still holds this object."""


@dataclass
class Moment:
    """Makes an estimator of one moment, which may be over."""

    make: Callable[[], Any] = field(repr=False)
    until: str = ""
    """Why it can no longer be made, once the moment has passed; empty if it always can."""
    passed: bool = False

    def __call__(self) -> Any:
        if self.passed and self.until:
            raise RuntimeError(self.until)
        return self.make()


def tell(algorithm: Algorithm[S], state: S, query: Any, answer: Any) -> tuple[S, Measured]:
    """Tell the algorithm; a state that stays as it is would be asked the same for ever."""
    told: Any = algorithm.tell(state, query, answer)
    if wrong := wrong_answer_of_tell(algorithm, told):
        raise TypeError(wrong)
    after, measured = told
    if after is state:
        raise RuntimeError(
            f"{type(algorithm).__name__}.tell returned the state that it was given, of which "
            "`ask` would ask the same for ever; it must return another one, of which `ask` returns "
            "None in the end"
        )
    return after, measured


def wrong_answer_of_tell(algorithm: Algorithm[Any], told: Any) -> str:
    """Say what is wrong with what `tell` has returned; an empty text for nothing."""
    if isinstance(told, tuple) and len(told) == 2 and isinstance(told[1], Measured):
        return ""
    of = f" of {[type(each).__name__ for each in told]}" if type(told) in (tuple, list) else ""
    return (
        f"{type(algorithm).__name__}.tell returned a {type(told).__name__}{of}; it must return two "
        "things, the next state and what was `Measured`"
    )


def one_round(
    answer: Callable[[Any], Answered], algorithm: Algorithm[S], state: S, query: Any
) -> Batch[S]:
    """Answer one query, and tell the algorithm."""
    started = time.perf_counter()
    answered = answer(query)
    after, measured = tell(algorithm, state, answered.query, answered.answer)
    seconds = time.perf_counter() - started
    return Batch([Told(after, query.step, measured, seconds, answered.cost)])
