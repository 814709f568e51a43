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
import uuid
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from daskml_exec.executor.peers._errors import GenerationEndedError, SharedMemoryError
from daskml_exec.kernels.arrays import Array

LEAST_BYTES = 2**16
"""Smaller arrays travel in the message: that has to be sent in any case."""
_ALIGNMENT = 64


@dataclass(frozen=True)
class Place:
    """A process, as far as others need to know to look into its memory.

    Attributes
    ----------
    machine : str
        Of this start of the machine.
    processes : int
        The namespace in which its process id is one.
    user : int
    process : int
    """

    machine: str
    processes: int
    user: int
    process: int

    def sees(self, other: "Place") -> bool:
        """Return whether each of the two may open what the other shares, and is not it."""
        return (self.machine, self.processes, self.user) == (
            other.machine,
            other.processes,
            other.user,
        ) and self.process != other.process


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


def this_place() -> Place | None:
    """Return the place of this process; None where memory cannot be shared in this way."""
    where = _machine()
    return None if where is None else Place(*where, os.getpid())


@cache
def _machine() -> tuple[str, int, int] | None:
    if not hasattr(os, "memfd_create"):
        return None
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return boot, os.stat("/proc/self/ns/pid").st_ino, os.getuid()
    return None


@dataclass
class _Slot:
    name: str
    descriptor: int
    memory: mmap.mmap

    def close(self) -> None:
        os.close(self.descriptor)
        # Without `close`: what somebody still reads goes when it is no longer read.


class SharedSlots:
    """Memory that this worker shares, by what it is for, and memory of others that it reads.

    Tasks write and read; the event loop closes it, also while a task has not heard of that yet.
    """

    def __init__(self) -> None:
        self._mine: dict[Hashable, _Slot] = {}
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
        offsets = list(itertools.accumulate((_padded(a.nbytes) for a in arrays), initial=0))
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

    def _slot(self, key: Hashable, nbytes: int) -> _Slot:
        with self._lock:
            self._require_open()
            slot = self._mine.get(key)
            if slot is not None and len(slot.memory) >= nbytes:
                return slot
            if slot is not None:
                del self._mine[key]  # first: a descriptor that is closed twice may be another's
                slot.close()
            slot = self._mine[key] = _allocated(nbytes)
            return slot

    def _require_open(self) -> None:
        if self._closed:
            raise GenerationEndedError("the memory that the run shared here was given back")


def _allocated(nbytes: int) -> _Slot:
    name = uuid.uuid4().hex
    descriptor = os.memfd_create(name)
    try:
        # Allocated now: memory that is only promised would end the process when it is written.
        os.posix_fallocate(descriptor, 0, nbytes)
        return _Slot(name, descriptor, mmap.mmap(descriptor, nbytes))
    except BaseException:
        os.close(descriptor)
        raise


def _mapped(shared: Shared) -> mmap.mmap:
    """Map memory of another process, if it is what the message says."""
    path = f"/proc/{int(shared.process)}/fd/{int(shared.descriptor)}"
    try:
        with open(path, "rb") as file:
            # The process may be gone, and its number be that of another one.
            found = os.readlink(f"/proc/self/fd/{file.fileno()}")
            if not found.startswith(f"/memfd:{shared.slot} "):
                raise FileNotFoundError(f"{path} is {found!r}")
            return mmap.mmap(file.fileno(), shared.nbytes, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise SharedMemoryError(
            f"memory that another worker of this machine shares cannot be read ({error}), "
            "although that worker lives; set the dask config value 'daskml-exec.shared-memory' "
            "to False where the fit starts"
        ) from error


def _padded(nbytes: int) -> int:
    return -(-nbytes // _ALIGNMENT) * _ALIGNMENT
