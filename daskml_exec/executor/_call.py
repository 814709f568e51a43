"""What actually runs on a worker: the user's function, its time, its place, its failure."""

import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cloudpickle
from distributed import get_worker

from daskml_exec.executor._blas import single_threaded_blas
from daskml_exec.executor._events import report_raised


@dataclass(frozen=True)
class Outcome:
    """The value that a task returned, with where and how long it ran."""

    value: Any
    worker: str
    seconds: float


@dataclass(frozen=True)
class OutcomeInfo:
    """An outcome without its value, which may be large."""

    worker: str
    seconds: float


def outcome_info(outcome: Outcome) -> OutcomeInfo:
    """Return the small part of an outcome."""
    return OutcomeInfo(outcome.worker, outcome.seconds)


@dataclass(frozen=True)
class Shipped:
    """A user's function on its way to a worker, unpickled in the task.

    A worker that cannot unpickle a message is lost, and with it, one by one, all workers that are
    sent the same. A task that cannot import what its function needs raises, like any other.
    """

    pickled: bytes

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Shipped":
        return cls(cloudpickle.dumps(function))

    def unpack(self) -> Callable[..., Any]:
        function: Callable[..., Any] = pickle.loads(self.pickled)
        return function


@dataclass(frozen=True)
class TimedCall:
    """Call a function with one-thread BLAS and return an `Outcome`."""

    function: Shipped

    def __call__(self, key: str, *args: Any) -> Outcome:
        worker = get_worker().address
        started = time.perf_counter()
        try:
            with single_threaded_blas():
                value = self.function.unpack()(*args)
        except Exception as error:
            report_raised(key)
            error.add_note(f"raised by task {key!r} on worker {worker}")
            raise
        return Outcome(value, worker, time.perf_counter() - started)


def call_with_keywords(function: Shipped, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function; its keywords are its own and never the scheduler's."""
    with single_threaded_blas():
        return function.unpack()(*args, **kwargs)
