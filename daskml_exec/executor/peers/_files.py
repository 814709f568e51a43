"""Versions of blocks on a worker's disk, kept for another worker."""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daskml_exec.executor.peers._errors import PeersInterrupted

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK_BYTES = 8 * 2**20
"""How much of a block is in flight, and in memory twice, at once."""


@dataclass(frozen=True)
class Entry:
    """One array of one unit; what is told before its bytes are."""

    unit: int
    name: str
    dtype: str
    shape: tuple[int, ...]

    def empty(self) -> Array:
        """Return an array to be filled."""
        return np.empty(self.shape, np.dtype(self.dtype))


class BlockFiles:
    """A folder for each run and version. A version is staged until the driver counts it.

    Parameters
    ----------
    folder : Path
        Made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, run_id: str, version: int, entry: Entry, chunk: Array) -> None:
        """Add to an array of a staged version."""
        path = self._path(run_id, version, entry.unit, entry.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            np.ascontiguousarray(chunk).tofile(file)

    def clear(self, run_id: str, version: int) -> None:
        """Remove what an attempt has left that did not get to its end."""
        shutil.rmtree(self._version(run_id, version), ignore_errors=True)

    def read(self, run_id: str, version: int, entry: Entry) -> Array:
        """Return an array of a version, in memory."""
        return np.array(self.mapped(run_id, version, entry))

    def mapped(self, run_id: str, version: int, entry: Entry) -> Array:
        """Return an array of a version, read from disk as it is needed."""
        path = self._path(run_id, version, entry.unit, entry.name)
        if not math.prod(entry.shape):
            return entry.empty()  # an empty file cannot be mapped, and was never written
        try:
            return np.memmap(path, np.dtype(entry.dtype), mode="r", shape=entry.shape)
        except FileNotFoundError as error:  # a worker that came back to its old address
            raise PeersInterrupted(f"version {version} of {run_id} is not on this disk") from error

    def commit(self, run_id: str, version: int) -> None:
        """Count a version: all others of the run go, older ones and stale staged ones."""
        for other in self._run(run_id).glob("*"):
            if other != self._version(run_id, version):
                shutil.rmtree(other, ignore_errors=True)

    def drop(self, run_id: str) -> None:
        """Remove all of a run."""
        shutil.rmtree(self._run(run_id), ignore_errors=True)

    def versions(self, run_id: str) -> list[int]:
        """Return the versions on disk, staged ones included."""
        return sorted(int(path.name) for path in self._run(run_id).glob("*"))

    def _run(self, run_id: str) -> Path:
        return self._folder / run_id

    def _version(self, run_id: str, version: int) -> Path:
        return self._run(run_id) / str(version)

    def _path(self, run_id: str, version: int, unit: int, name: str) -> Path:
        return self._version(run_id, version) / f"{unit}-{name}"


def entries(units: Mapping[int, Mapping[str, Array]]) -> list[Entry]:
    """Describe all arrays of these units, in a fixed order."""
    return [
        Entry(unit, name, array.dtype.str, array.shape)
        for unit in sorted(units)
        for name, array in sorted(units[unit].items())
    ]


def chunks_of(array: Array) -> Sequence[Array]:
    """Cut an array's bytes into views of a chunk's size."""
    raw = array.reshape(-1).view(np.uint8)
    return [raw[at : at + CHUNK_BYTES] for at in range(0, raw.size, CHUNK_BYTES)]


def n_chunks(entry: Entry) -> int:
    """Return how many pieces `chunks_of` makes of the array."""
    nbytes = math.prod(entry.shape) * np.dtype(entry.dtype).itemsize
    return -(-nbytes // CHUNK_BYTES)
