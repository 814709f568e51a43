"""Memory that processes of one machine see, without a name in any file system.

It goes with the process that has made it, and with those that have mapped it.
"""

import mmap
import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ALIGNMENT = 64


class SharedMemoryError(RuntimeError):
    """Memory that another process of this machine shares cannot be read."""


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
class MemoryFile:
    """Memory of this process that others may map.

    Attributes
    ----------
    name : str
        Unique.
    descriptor : int
    memory : mmap.mmap
    """

    name: str
    descriptor: int
    memory: mmap.mmap

    def close(self) -> None:
        """Give it back, but for what is still read of it here or elsewhere."""
        os.close(self.descriptor)


def allocated(nbytes: int) -> MemoryFile:
    """Return new memory.

    Raises
    ------
    OSError
        There is not so much.
    """
    name = uuid.uuid4().hex
    descriptor = os.memfd_create(name)
    try:
        # Allocated now: memory that is only promised would end the process when it is written.
        os.posix_fallocate(descriptor, 0, nbytes)
        return MemoryFile(name, descriptor, mmap.mmap(descriptor, nbytes))
    except BaseException:
        os.close(descriptor)
        raise


def mapped(name: str, process: int, descriptor: int, nbytes: int) -> mmap.mmap:
    """Map memory of another process, for reading, if it is still what it was.

    Raises
    ------
    SharedMemoryError
        The process has ended, has closed it, or may not be looked into.
    """
    path = f"/proc/{int(process)}/fd/{int(descriptor)}"
    try:
        with open(path, "rb") as file:
            # The process may be gone, and its number be that of another one.
            found = os.readlink(f"/proc/self/fd/{file.fileno()}")
            if not found.startswith(f"/memfd:{name} "):
                raise FileNotFoundError(f"{path} is {found!r}")
            return mmap.mmap(file.fileno(), nbytes, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise SharedMemoryError(
            f"memory that another process of this machine shares cannot be read ({error}), "
            "although that process lives; set the dask config value 'daskml-exec.shared-memory' "
            "to False where the fit starts"
        ) from error


def padded(nbytes: int) -> int:
    """Return the bytes that so many take with those up to where the next ones may begin."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
