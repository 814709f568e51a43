"""Hand arrays to peers on the same machine in memory that both see, instead of over a socket.

Between two processes of one machine an array of some megabytes costs milliseconds to send: it is
copied into the kernel and out again, on both sides. Here the sender copies it once into memory
that has no name in any file system, and that goes with its process, and sends only where it is.
"""

import itertools
import math
import mmap
import os
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.executor._memory_file import MemoryFile, allocated, mapped, padded
from daskml_exec.executor.peers._errors import GenerationEndedError
from daskml_exec.kernels.arrays import Array

LEAST_BYTES = 2**16
"""Smaller arrays travel in the message: that has to be sent in any case."""


@dataclass(frozen=True)
class Shared:
    """Where arrays are, for a message.

    Attributes
    ----------
    slot : str
        Of the memory, unique.
    process, descriptor : int
        Whose it is, and its number there.
    nbytes : int
    arrays : tuple of (dtype, shape, offset)
    about : object
        What the message says beside them.
    """

    slot: str
    process: int
    descriptor: int
    nbytes: int
    arrays: tuple[tuple[str, tuple[int, ...], int], ...]
    about: Any


class SharedSlots:
    """Memory that this worker shares, by what it is for, and memory of others that it reads.

    Tasks write and read; the event loop closes it, also while a task has not heard of that yet.
    """

    def __init__(self) -> None:
        self._mine: dict[Hashable, MemoryFile] = {}
        self._theirs: dict[str, mmap.mmap] = {}
        self._lock = threading.Lock()
        self._closed = False

    def write(self, key: Hashable, arrays: Sequence[Array], about: Any) -> Shared:
        """Copy arrays to the slot of this key, over what it held.

        Raises
        ------
        GenerationEndedError
            It was closed.
        """
        offsets = list(itertools.accumulate((padded(a.nbytes) for a in arrays), initial=0))
        slot = self._slot(key, offsets[-1])
        described = []
        for array, offset in zip(arrays, offsets, strict=False):
            there = np.frombuffer(slot.memory, array.dtype, array.size, offset)
            there.reshape(array.shape)[...] = array
            described.append((array.dtype.str, array.shape, offset))
        return Shared(
            slot.name, os.getpid(), slot.descriptor, len(slot.memory), tuple(described), about
        )

    def read(self, shared: Shared) -> list[Array]:
        """Return views of arrays that another process has written: valid until it writes again.

        Raises
        ------
        SharedMemoryError
            The memory is not to be had: its process has ended, or may not be looked into.
        GenerationEndedError
            This was closed.
        """
        with self._lock:
            self._require_open()
            memory = self._theirs.get(shared.slot)
            if memory is None:
                memory = self._theirs[shared.slot] = _mapped(shared)
        return [
            np.frombuffer(memory, dtype, math.prod(shape), offset).reshape(shape)
            for dtype, shape, offset in shared.arrays
        ]

    def close(self) -> None:
        """Give all of it back, for good."""
        with self._lock:
            self._closed = True
            for slot in self._mine.values():
                slot.close()
            self._mine.clear()
            self._theirs.clear()

    def __len__(self) -> int:
        """Return how many pieces of memory are held, of this process and of others."""
        return len(self._mine) + len(self._theirs)

    def _slot(self, key: Hashable, nbytes: int) -> MemoryFile:
        with self._lock:
            self._require_open()
            slot = self._mine.get(key)
            if slot is not None and len(slot.memory) >= nbytes:
                return slot
            if slot is not None:
                del self._mine[key]  # first: a descriptor that is closed twice may be another's
                slot.close()
            slot = self._mine[key] = allocated(nbytes)
            return slot

    def _require_open(self) -> None:
        if self._closed:
            raise GenerationEndedError("the memory that the run shared here was given back")


def _mapped(shared: Shared) -> mmap.mmap:
    return mapped(shared.slot, shared.process, shared.descriptor, shared.nbytes)
