"""The arguments of calls on their way to a worker.

They travel as bytes that the task unpickles. So an argument that cannot be pickled is found here,
and named, and one that cannot be unpickled is the task's failure: a worker that cannot unpickle a
message is lost, and with it, one by one, all workers that are sent the same.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle
from distributed import Client, Future

_CONTAINERS = frozenset({list, tuple, set, frozenset})


class OnCluster:
    """A future of this package: it stands for the value of a task on a cluster."""

    _client: Client
    _future: Future[Any]

    def __reduce__(self) -> Any:
        raise TypeError(
            f"a {type(self).__name__} is replaced by its value where it is an argument, or stands "
            "in a list, tuple, set or dict; elsewhere pass its result()"
        )


@dataclass(frozen=True, eq=False)
class Packed:
    """Something pickled, without the values of futures in it.

    Buffers of arrays are not copied: workers in this process share them.
    """

    pickled: bytes
    buffers: Sequence[Any]

    def __reduce_ex__(self, protocol: Any) -> Any:
        # What goes through the scheduler is of an older protocol, which has no buffers.
        sent = pickle.PickleBuffer if protocol >= 5 else _copied
        return Packed, (self.pickled, [sent(buffer) for buffer in self.buffers])

    def unpack(self, values: Sequence[Any] = ()) -> Any:
        """Return what was packed, with `values` in the place of the futures."""
        if not values:
            return pickle.loads(self.pickled, buffers=self.buffers)
        unpickler = _WithValues(io.BytesIO(self.pickled), buffers=self.buffers)
        unpickler.values = values
        return unpickler.load()


@dataclass(frozen=True)
class Arguments:
    """The arguments of one call, and the tasks whose values are among them."""

    packed: Packed
    tasks: list[Future[Any]]


def pack(
    client: Client,
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    where: str = "",
) -> Arguments:
    """Pickle the arguments of a call.

    Parameters
    ----------
    client : Client
        Of the cluster that will run the call.
    name : str
        Of the function.
    args : sequence
    kwargs : mapping of str
        In both, futures are looked for in lists, tuples, sets and dicts, also within one another.
    where : str, optional
        Which of several calls it is, for a message.

    Raises
    ------
    TypeError
        An argument cannot be pickled.
    ValueError
        A future among them belongs to another cluster.
    """
    tasks: dict[int, Future[Any]] = {}
    for label, value in _labelled(args, kwargs):
        for future in _futures_in(value):
            if isinstance(future, Future):
                tasks[id(future)] = future
            elif future._client is client:
                tasks[id(future)] = future._future
            else:
                raise ValueError(
                    f"{label} of {name}{where} is a future of another cluster, or of another "
                    "Client of this one: pass its result()"
                )
    try:
        sent = packed((tuple(args), dict(kwargs)), list(tasks))
    except Exception as error:
        for label, value in _labelled(args, kwargs):
            try:
                packed(value, list(tasks))
            except Exception as reason:
                raise TypeError(
                    f"{label} of {name}{where} cannot be sent to a Worker: a "
                    f"{type(value).__name__} that cannot be pickled ({reason})"
                ) from reason
        raise TypeError(
            f"the arguments of {name}{where} cannot be sent to a Worker: they cannot be pickled "
            f"({error})"
        ) from error
    return Arguments(sent, list(tasks.values()))


def pickled_function(function: Callable[..., Any], name: str) -> bytes:
    """Pickle the function of a call, or say that it cannot be pickled."""
    try:
        return cloudpickle.dumps(function)
    except Exception as error:
        raise TypeError(
            f"the function {name} cannot be sent to a Worker: it, or what it refers to, cannot be "
            f"pickled ({error})"
        ) from error


def _labelled(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((f"argument {number}", value) for number, value in enumerate(args, 1))
    yield from ((f"keyword {name}", value) for name, value in kwargs.items())


def _futures_in(argument: Any) -> Iterator[Any]:
    seen, left = set[int](), [argument]
    while left:
        value = left.pop()
        kind = type(value)
        if kind is dict or kind in _CONTAINERS:
            if id(value) not in seen:
                seen.add(id(value))
                left.extend(value.values() if kind is dict else value)
        elif isinstance(value, (Future, OnCluster)):
            yield value


def packed(value: Any, futures: Sequence[int] = ()) -> Packed:
    """Pickle `value`; the objects with the identities `futures` are left out."""
    file, buffers = io.BytesIO(), list[Any]()
    if not futures:
        pickler = cloudpickle.Pickler(file, protocol=5, buffer_callback=buffers.append)
    else:
        pickler = _WithoutFutures(file, protocol=5, buffer_callback=buffers.append)
        pickler.numbers = {identity: number for number, identity in enumerate(futures)}
    pickler.dump(value)
    return Packed(file.getvalue(), buffers)


def _copied(buffer: Any) -> bytes | bytearray:
    """Return what a buffer holds, in its order; an array made of it can be written to as before."""
    view = buffer.raw() if isinstance(buffer, pickle.PickleBuffer) else memoryview(buffer)
    return view.tobytes() if view.readonly else bytearray(view.cast("B"))


class _WithoutFutures(cloudpickle.Pickler):
    """Writes numbers in the place of futures."""

    numbers: dict[int, int]

    def persistent_id(self, obj: Any) -> int | None:
        return self.numbers.get(id(obj))


class _WithValues(pickle.Unpickler):
    """Reads values in the place of the numbers."""

    values: Sequence[Any]

    def persistent_load(self, number: int) -> Any:
        return self.values[number]
