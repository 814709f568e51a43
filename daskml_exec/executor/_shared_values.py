"""Messages and answers whose arrays are in memory that driver and workers of one machine see.

Over sockets a message of 10 MB goes to the scheduler, to a worker, and from there to the others:
each is a copy into the kernel and out again, on both sides, beside the pickling. Here who sends it
copies its arrays once, and who reads it maps them. What travels is where they are.
"""

from __future__ import annotations

import itertools
import os
import pickle
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cloudpickle

from daskml_exec.executor import _config
from daskml_exec.executor._ask_workers import ask_workers
from daskml_exec.executor._memory_file import (
    MemoryFile,
    Place,
    allocated,
    mapped,
    padded,
    this_place,
)

if TYPE_CHECKING:
    from daskml_exec.executor._executor import Executor


class SharedValue:
    """A value whose arrays other processes map; in the process that has made it, it keeps them.

    Parameters
    ----------
    pickled : bytes
        But for the arrays.
    ends : tuple of (begin, end)
        Where each array is.
    name, process, descriptor, nbytes
        Of the memory, as of `mapped`.
    """

    def __init__(
        self,
        pickled: bytes,
        ends: tuple[tuple[int, int], ...],
        name: str,
        process: int,
        descriptor: int,
        nbytes: int,
    ) -> None:
        self._about = pickled, ends, name, process, descriptor, nbytes

    def load(self, *, own: bool = False) -> Any:
        """Return the value.

        Parameters
        ----------
        own : bool, default=False
            Whether with arrays of its own. Others cannot be written to, and stay what they are when
            who has made them has let them go, but keep a file open.

        Raises
        ------
        SharedMemoryError
            It was let go before.
        """
        pickled, ends, name, process, descriptor, nbytes = self._about
        memory = memoryview(mapped(name, process, descriptor, nbytes))
        parts: list[Any] = [memory[begin:end] for begin, end in ends]
        return pickle.loads(pickled, buffers=map(bytearray, parts) if own else parts)

    def __reduce__(self) -> Any:
        return SharedValue, self._about

    def __sizeof__(self) -> int:
        return self._about[-1]


def shared(value: Any, least: float) -> Any:
    """Return the value as a `SharedValue`; as it is, where its arrays have no room.

    Parameters
    ----------
    value : object
    least : float
        With arrays of fewer bytes it is returned as it is, too.
    """
    buffers: list[pickle.PickleBuffer] = []
    pickled = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raw = [each.raw() for each in buffers]
    begins = list(itertools.accumulate((padded(each.nbytes) for each in raw), initial=0))
    if not buffers or begins[-1] < least:
        return value
    try:
        file = allocated(begins[-1])
    except OSError:
        return value
    ends = tuple((begin, begin + each.nbytes) for begin, each in zip(begins, raw, strict=False))
    with file.memory, memoryview(file.memory) as there:
        for (begin, end), each in zip(ends, raw, strict=True):
            there[begin:end] = each
    made = SharedValue(pickled, ends, file.name, os.getpid(), file.descriptor, begins[-1])
    weakref.finalize(made, MemoryFile.close, file)
    return made


def loaded(value: Any, *, own: bool = False) -> Any:
    """Return the value that may be shared, as of `SharedValue.load`."""
    return value.load(own=own) if isinstance(value, SharedValue) else value


@dataclass(frozen=True)
class InMemory:
    """A function of values that may be shared.

    Attributes
    ----------
    function : callable
    least : float or None
        From so many bytes on what it returns is shared, too; None leaves it where it is.
    """

    function: Callable[..., Any]
    least: float | None

    def __call__(self, *given: Any) -> Any:
        found = self.function(*map(loaded, given))
        return found if self.least is None else shared(found, self.least)


# By the Client: of workers, by address, where they are.
_places: weakref.WeakKeyDictionary[Any, dict[str, Place | None]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def share_memory(executor: Executor, workers: Iterable[str | None]) -> bool:
    """Return whether this process and all of these workers may look into one another's memory.

    A worker is asked once; None stands for one that is not known yet.
    """
    here = this_place()
    addresses = set(workers)
    if here is None or executor.in_process or None in addresses:
        return False
    if not _config.flag("shared-memory"):
        return False
    client = executor.client
    with _lock:
        known = _places.setdefault(client, {})
    if new := sorted(address for address in addresses if address and address not in known):
        known.update(ask_workers(client, new, this_place))
    places = [known.get(str(address)) for address in addresses]
    return all(isinstance(place, Place) and place.sees(here) for place in places)
