"""From a urlpath to files, and from files to byte ranges that end at line ends."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, TypeAlias

from dask.utils import natural_sort_key
from fsspec import AbstractFileSystem
from fsspec.core import OpenFile, has_magic, url_to_fs
from fsspec.utils import infer_compression, read_block

UrlPath: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True)
class TextFile:
    """A file in some fsspec file system, as it was when it was found."""

    fs: AbstractFileSystem
    path: str
    size: int | None
    compression: str | None
    fingerprint: str

    @property
    def name(self) -> str:
        """The path of a local file, the URL of any other."""
        url = self.fs.unstrip_protocol(self.path)
        return self.path if url.startswith("file:") else url

    @property
    def splittable(self) -> bool:
        """Whether reading may start in the middle of the file."""
        return self.compression is None and self.size is not None

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the file, decompressed."""
        try:
            with OpenFile(self.fs, self.path, compression=self.compression) as stream:
                yield stream
        except Exception as error:
            # Decompressors and remote file systems do not say which file they were reading.
            error.add_note(f"while reading {self.name} (compression: {self.compression})")
            raise

    def __dask_tokenize__(self) -> tuple[str, str]:
        # A file system's own token differs between processes and threads.
        return (self.name, self.fingerprint)


@dataclass(frozen=True)
class ByteRange:
    """The lines of a file that belong to one partition.

    A bound that falls inside a line means the end of that line, for the range that stops there
    and for the one that starts there, so that ranges with common bounds share no line and lose
    none. `stop` is None where the whole file is one range.
    """

    file: TextFile
    start: int
    stop: int | None

    def read(self) -> bytes:
        """Return the whole lines of this range, decompressed."""
        with self.file.open() as stream:
            if self.stop is None:
                return stream.read()
            data: bytes = read_block(stream, self.start, self.stop - self.start, delimiter=b"\n")
            return data


def find_files(urlpath: UrlPath | Sequence[UrlPath]) -> list[TextFile]:
    """Find the files that `urlpath` names: a path or URL, a glob, or a list of these.

    The matches of one glob come in natural order ("part-2" before "part-10").
    """
    if isinstance(urlpath, (str, os.PathLike)):
        urls = [urlpath]
    elif isinstance(urlpath, (list, tuple)) and urlpath:
        urls = list(urlpath)
    else:
        raise _bad_urlpath(urlpath)
    return [file for url in urls for file in _expand(url)]


def cut_by_size(files: Sequence[TextFile], blocksize: int) -> list[ByteRange]:
    """Cut every file into equal ranges of at most `blocksize` bytes."""
    return _cut(files, [max(1, -(-(file.size or 0) // blocksize)) for file in files])


def cut_into(files: Sequence[TextFile], npartitions: int) -> list[ByteRange]:
    """Cut the files into exactly `npartitions` ranges of about equal size."""
    if npartitions < len(files):
        raise ValueError(
            f"npartitions={npartitions} is less than the number of files, {len(files)}: "
            "every file makes at least one partition"
        )
    counts = [1] * len(files)
    # Another range always goes to the file whose ranges are the largest.
    largest = [(-float(file.size or 0), i) for i, file in enumerate(files) if file.splittable]
    heapq.heapify(largest)
    extra = npartitions - len(files)
    if extra and not largest:
        raise ValueError(
            f"npartitions={npartitions} is more than the number of files, {len(files)}, and none "
            "of them can be cut: a compressed file is one partition"
        )
    for _ in range(extra):
        _, i = largest[0]
        counts[i] += 1
        heapq.heapreplace(largest, (-(files[i].size or 0) / counts[i], i))
    return _cut(files, counts)


def _cut(files: Sequence[TextFile], counts: Sequence[int]) -> list[ByteRange]:
    ranges: list[ByteRange] = []
    for file, count in zip(files, counts, strict=True):
        if file.size is None or not file.splittable:
            ranges.append(ByteRange(file, 0, None))
            continue
        bounds = [file.size * i // count for i in range(count + 1)]
        ranges += [ByteRange(file, *pair) for pair in pairwise(bounds)]
    return ranges


def _expand(url: UrlPath) -> list[TextFile]:
    if not isinstance(url, (str, os.PathLike)) or not os.fspath(url):
        raise _bad_urlpath(url)
    fs, path = url_to_fs(os.fspath(url))
    if fs.exists(path):  # also where the name of a file contains a character special to globs
        paths = [path]
    else:
        paths = sorted(fs.glob(path), key=natural_sort_key) if has_magic(path) else []
    if not paths:
        raise FileNotFoundError(f"urlpath={os.fspath(url)!r} matches no file")
    return [_describe(fs, path) for path in paths]


def _describe(fs: AbstractFileSystem, path: str) -> TextFile:
    info = fs.info(path)
    if info["type"] == "directory":
        raise IsADirectoryError(
            f"urlpath names the directory {path!r}; name its files, for example with a glob: "
            f"{path.rstrip('/') + '/*'!r}"
        )
    return TextFile(fs, path, info.get("size"), infer_compression(path), fs.ukey(path))


def _bad_urlpath(value: object) -> TypeError | ValueError:
    kind = ValueError if isinstance(value, (str, list, tuple)) else TypeError
    return kind(
        f"urlpath must be a path or URL (str or os.PathLike), or a list of at least one of them; "
        f"got {value!r}"
    )
