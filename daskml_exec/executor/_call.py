"""What actually runs on a worker: the user's function, its time, its place, its failure."""

import functools
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from distributed import Reschedule, get_worker

from daskml_exec.executor._arguments import Packed, pickled_function
from daskml_exec.executor._blas import single_threaded_blas
from daskml_exec.executor._events import report_raised
from daskml_exec.executor._outcome import Outcome
from daskml_exec.executor._raised import carried
from daskml_exec.kernels.fixed_tree import fold

T = TypeVar("T")


@dataclass(frozen=True)
class Shipped:
    """A user's function on its way to a worker, unpickled in the task.

    A worker that cannot unpickle a message is lost, and with it, one by one, all workers that are
    sent the same. A task that cannot import what its function needs raises, like any other.
    """

    pickled: bytes

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Shipped":
        return cls(pickled_function(function, name_of(function)))

    def unpack(self) -> Callable[..., Any]:
        function: Callable[..., Any] = pickle.loads(self.pickled)
        return function


def timed_call(
    function: Shipped, key: str, packed: Packed, values: list[Any], *, tell: bool = True
) -> Outcome[Any]:
    """Call a function of the user's, as the task `key`.

    Parameters
    ----------
    function : Shipped
    key : str
    packed : Packed
        The arguments.
    values : list
        Of the futures among the arguments.
    tell : bool, default=True
        Whether to tell the driver of every attempt that raises.
    """
    return _timed(key, lambda: _call(function, packed, values), tell=tell)


def timed_fold(combine: Shipped, key: str, outcomes: list[Outcome[Any]]) -> Outcome[Any]:
    """Combine the values of tasks of a Job, in the fixed tree."""
    return _timed(key, lambda: fold([outcome.value for outcome in outcomes], combine.unpack()))


@dataclass(frozen=True)
class CallEach(Generic[T]):
    """Call a function for each of several tuples of arguments."""

    function: Callable[..., T]

    @property
    def __name__(self) -> str:
        return name_of(self.function)

    def __call__(self, calls: list[tuple[Any, ...]]) -> list[T]:
        return [self.function(*arguments) for arguments in calls]


def flatten(chunks: Iterator[list[T]]) -> Iterator[T]:
    """Return the results of `CallEach` one by one."""
    for chunk in chunks:
        yield from chunk


def name_of(function: Callable[..., Any]) -> str:
    """Return what a function is called in messages and on the dashboard."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", type(function).__name__)
    return str(name).strip("<>")


def _call(function: Shipped, packed: Packed, values: list[Any]) -> Any:
    given = [value.value if isinstance(value, Outcome) else value for value in values]
    args, kwargs = packed.unpack(given)
    return function.unpack()(*args, **kwargs)


def _timed(key: str, compute: Callable[[], Any], *, tell: bool = True) -> Outcome[Any]:
    """Compute with one thread of BLAS, and let whatever is raised travel."""
    worker = get_worker().address
    started = time.perf_counter()
    try:
        with single_threaded_blas():
            value = compute()
    except Reschedule:  # a request to Dask
        raise
    except BaseException as error:
        if tell:
            report_raised(key)
            with suppress(Exception):  # it may have notes of its own making
                error.add_note(f"raised by task {key!r} on worker {worker}")
        raised = carried(error)
    else:
        return Outcome(value, worker, time.perf_counter() - started)
    raise raised  # here, where it has no context: Dask would pickle that, too
