"""Versions of blocks on a worker's disk, kept for another worker."""

import hashlib
import math
import os
import secrets
import stat
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daskml_exec.executor._tuning import tuning
from daskml_exec.executor.peers._errors import BadCopyError
from daskml_exec.executor.peers._runs import checked_id
from daskml_exec.kernels.arrays import Array

_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Entry:
    """One array of one unit; what is told before its bytes are."""

    unit: int
    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Return how many bytes the array has."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def empty(self) -> Array:
        """Return an array to be filled."""
        return np.empty(self.shape, np.dtype(self.dtype))


class Copy:
    """Units on their way to this disk, array by array.

    What cannot be written is no error: the bytes are still counted in the digests, so that the
    worker that they come from, or go to, is not kept from its own copy. To be used in a `with`,
    whose end by an exception removes the file that is under way.

    Attributes
    ----------
    trouble : str
        Why the rest could not be written; empty if all was.
    """

    def __init__(self, files: "BlockFiles", run_id: str, version: int) -> None:
        self._files, self._run_id, self._version = files, run_id, version
        self._entry: Entry | None = None
        self._descriptor = -1
        self._path: Path | None = None
        self._hash = _hash()
        self._digests: dict[tuple[int, str], str] = {}
        self.trouble = ""

    def __enter__(self) -> "Copy":
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()

    def digest(self, entry: Entry) -> str:
        """Return the digest of the bytes that came, also of those that are not on this disk."""
        return self._digests.get((entry.unit, entry.name), _NOTHING)

    def add(self, entry: Entry, chunk: Array) -> None:
        """Add to an array; all chunks of one come before those of the next one."""
        if entry is not self._entry:
            self.close()
            self._entry, self._hash = entry, _hash()
        raw = np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).data
        self._hash.update(raw)
        if self.trouble:
            return
        try:
            if self._path is None:
                self._path, self._descriptor = self._files.new_file()
            while raw:
                raw = raw[os.write(self._descriptor, raw) :]
        except OSError as error:
            self.trouble = str(error)
            self._abandon()

    def close(self) -> None:
        """End the array that was added to last."""
        if self._entry is None:
            return
        self._digests[self._entry.unit, self._entry.name] = self._hash.hexdigest()
        path, self._path = self._path, None
        if path is not None:
            try:
                os.close(self._descriptor)  # some file systems tell only now
            except OSError as error:
                self.trouble = str(error)
                _remove(path)
            else:
                self._files.found_whole(self._run_id, self._version, self._entry, path)
        self._entry = None

    def _abandon(self) -> None:
        path, self._path = self._path, None
        if path is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            _remove(path)


class BlockFiles:
    """Which arrays of which versions are on this disk. A version is staged until the driver counts.

    Names of files are drawn here, and known in this process only: an index on disk, or a name that
    another worker gave, would be one more thing to be wrong, and nobody reads the files after the
    process.

    Parameters
    ----------
    parent : Path
        In it a folder is made when it is needed, for this user alone.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._folder: Path | None = None
        self._lock = threading.Lock()
        self._paths: dict[tuple[str, int], dict[tuple[int, str], Path]] = {}

    def copy(self, run_id: str, version: int) -> Copy:
        """Return what writes units of a version."""
        return Copy(self, checked_id(run_id), version)

    def new_file(self) -> tuple[Path, int]:
        """Create a file and open it for writing."""
        with self._lock:
            if self._folder is None:
                self._parent.mkdir(parents=True, exist_ok=True)
                self._folder = Path(tempfile.mkdtemp(prefix="blocks-", dir=self._parent))
        path = self._folder / secrets.token_hex(12)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS
        return path, os.open(path, flags, 0o600)

    def found_whole(self, run_id: str, version: int, entry: Entry, path: Path) -> None:
        """Remember where an array is."""
        with self._lock:
            paths = self._paths.setdefault((run_id, version), {})
            before = paths.get((entry.unit, entry.name))
            paths[entry.unit, entry.name] = path
        if before is not None:
            _remove(before)

    def holds(self, run_id: str, version: int, entry: Entry) -> bool:
        """Return whether an array was written here."""
        with self._lock:
            written = self._paths.get((run_id, version), {})
            return not entry.nbytes or (entry.unit, entry.name) in written

    def pieces(self, run_id: str, version: int, entry: Entry) -> Iterator[Array]:
        """Yield the bytes of an array, as `chunks_of` would cut it.

        Raises
        ------
        BadCopyError
            It is not here, cannot be read, or is of another length.
        """
        if not entry.nbytes:
            return  # it was never written
        where = f"{entry.name!r} of block {entry.unit}, version {version}"
        with self._lock:
            path = self._paths.get((run_id, version), {}).get((entry.unit, entry.name))
        if path is None:
            raise BadCopyError(f"{where} was never written to this disk")
        try:
            with open(os.open(path, os.O_RDONLY | _NO_LINKS), "rb", buffering=0) as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode) or found.st_size != entry.nbytes:
                    raise BadCopyError(
                        f"{where} has {found.st_size} bytes on disk where {entry.nbytes} are right"
                    )
                size = tuning().file_chunk_bytes
                for at in range(0, entry.nbytes, size):
                    piece = np.empty(min(size, entry.nbytes - at), np.uint8)
                    _read_into(piece.data, file, where)
                    yield piece
        except OSError as error:
            raise BadCopyError(f"{where} cannot be read: {error.strerror or error}") from error

    def check(self, run_id: str, version: int, entry: Entry, digest: str) -> None:
        """Raise BadCopyError where an array is not what was written."""
        found = digest_of(self.pieces(run_id, version, entry))
        check_digest(found, digest, f"{entry.name!r} of block {entry.unit}, version {version}")

    def keep(self, run_id: str, versions: Collection[int]) -> None:
        """Remove all other versions of a run: older ones, and staged ones that never counted."""
        self._remove_versions(lambda run, version: run == run_id and version not in versions)

    def clear(self, run_id: str, version: int) -> None:
        """Remove what an attempt has left that did not get to its end."""
        self._remove_versions(lambda run, found: (run, found) == (run_id, version))

    def drop(self, run_id: str) -> None:
        """Remove all of a run."""
        self._remove_versions(lambda run, _: run == run_id)

    def versions(self, run_id: str) -> list[int]:
        """Return the versions of which something is on disk, staged ones included."""
        with self._lock:
            return sorted(version for run, version in self._paths if run == run_id)

    def _remove_versions(self, unwanted: Callable[[str, int], bool]) -> None:
        with self._lock:
            keys = [key for key in self._paths if unwanted(*key)]
            paths = [path for key in keys for path in self._paths.pop(key).values()]
        for path in paths:
            _remove(path)


_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def _remove(path: Path) -> None:
    with suppress(OSError):  # it goes with the worker's folder
        path.unlink()


def _read_into(piece: memoryview, file: Any, where: str) -> None:
    while piece:
        n = file.readinto(piece)
        if not n:
            raise BadCopyError(f"{where} became shorter while it was read")
        piece = piece[n:]


def _hash() -> Any:
    return hashlib.blake2b(digest_size=_DIGEST_BYTES)


_NOTHING = str(_hash().hexdigest())


def digest_of(pieces: Iterator[Array] | Sequence[Array]) -> str:
    """Return the digest of an array's bytes, which come in pieces."""
    hashed = _hash()
    for piece in pieces:
        hashed.update(piece.data)
    return str(hashed.hexdigest())


def check_digest(found: str, right: str, where: str) -> None:
    """Raise BadCopyError where an array's bytes are not those that were written."""
    if found != right:
        raise BadCopyError(f"{where} does not have the bytes that were written")


def entries(units: Mapping[int, Mapping[str, Array]]) -> list[Entry]:
    """Describe all arrays of these units, in a fixed order."""
    return [
        Entry(unit, name, array.dtype.str, array.shape)
        for unit in sorted(units)
        for name, array in sorted(units[unit].items())
    ]


def chunks_of(array: Array) -> Sequence[Array]:
    """Cut an array's bytes into views of a chunk's size."""
    raw, size = array.reshape(-1).view(np.uint8), tuning().file_chunk_bytes
    return [raw[at : at + size] for at in range(0, raw.size, size)]


def n_chunks(entry: Entry) -> int:
    """Return how many pieces `chunks_of` makes of the array."""
    return -(-entry.nbytes // tuning().file_chunk_bytes)
