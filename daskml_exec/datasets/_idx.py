"""`read_idx`: images with labels in the format of MNIST as Dask arrays."""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import dask.array as da
import numpy as np
from dask.tokenize import tokenize
from fsspec.core import OpenFile

from daskml_exec.datasets._byte_ranges import TextFile, UrlPath, find_files
from daskml_exec.datasets._libsvm_arguments import check_blocksize, check_count
from daskml_exec.kernels.arrays import Array

_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_NAME = re.compile(r"[-.]idx\d-ubyte(\.\w+)?$")


def read_idx(
    images: UrlPath,
    labels: UrlPath | None = None,
    *,
    blocksize: int | str = "64MiB",
    npartitions: int | None = None,
) -> tuple[da.Array, da.Array]:
    """Read a file of images, and one of their labels, in the IDX format of MNIST.

    Parameters
    ----------
    images : str or os.PathLike
        Path or fsspec URL of a file with one array of two or more dimensions, the first of which
        counts images. With the extension of a compression that fsspec knows (".gz") it is
        decompressed.
    labels : str or os.PathLike, optional
        The same of one dimension. By default its name is that of `images` with "labels-idx1" for
        "images-idx3", as in MNIST, Fashion-MNIST and EMNIST.
    blocksize : int or str, default="64MiB"
        Largest size of a partition of X, in bytes or with a unit.
    npartitions : int, optional
        Exact number of partitions, of even sizes; it takes the place of `blocksize`.

    Returns
    -------
    X : dask.array.Array of shape (n_images, values of an image)
        A row for each image, float32, float64 for 32-bit integers and doubles. Bytes are divided
        by 255: they become numbers from 0 to 1.
    y : dask.array.Array of shape (n_images,)
        The labels, int64, in the chunks of X.

    Raises
    ------
    FileNotFoundError
        A path does not exist.
    TypeError, ValueError
        An argument is not allowed, a file is not in the format, or there are not as many labels as
        images. From computing the arrays, if a file ends before its last image.

    Notes
    -----
    A partition is read by the worker that needs it. A compressed file is decompressed up to the
    partition's end, once for each of them.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from daskml_exec.datasets import read_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "few-images-idx3-ubyte")
    ...     pixels = bytes([0, 255, 51, 0, 0, 0, 255, 255])
    ...     _ = path.write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2]) + pixels)
    ...     labels = Path(folder, "few-labels-idx1-ubyte")
    ...     _ = labels.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 3]))
    ...     X, y = read_idx(path, npartitions=2)
    ...     print(X.chunks, y.compute())
    ...     print(X.compute())
    ((1, 1), (4,)) [7 3]
    [[0.  1.  0.2 0. ]
     [0.  0.  1.  1. ]]
    """
    count, most_bytes = check_count("npartitions", npartitions), check_blocksize(blocksize)
    pictures = _described("images", images)
    names = _described("labels", _labels_of(images) if labels is None else labels)
    if len(pictures.shape) < 2 or len(names.shape) != 1:
        raise ValueError(
            f"images has the shape {pictures.shape} and labels {names.shape}; allowed are two or "
            "more dimensions, and one"
        )
    n = pictures.shape[0]
    if names.shape[0] != n:
        raise ValueError(
            f"{pictures.file.name} has {n} images, {names.file.name} has {names.shape[0]} labels; "
            "they must be as many"
        )
    if count is not None and count > n:
        raise ValueError(f"npartitions={count} is more than the {n} images")
    width, dtype = prod(pictures.shape[1:]), pictures.floating
    pieces = count or max(1, min(n, -(-n * width * dtype.itemsize // most_bytes)))
    bounds = [n * index // pieces for index in range(pieces + 1)]
    rows = tuple(int(size) for size in np.diff(bounds))
    X = _blocks(pictures, bounds).map_blocks(
        _features, dtype=dtype, chunks=(rows, (width,)), new_axis=1, meta=np.empty((0, 0), dtype)
    )
    y = _blocks(names, bounds).map_blocks(
        _labels, dtype=np.int64, chunks=(rows,), meta=np.empty(0, np.int64)
    )
    return X, y


def is_idx(url: UrlPath) -> bool:
    """Whether a file's name says that it is in the IDX format.

    Examples
    --------
    >>> is_idx("train-images-idx3-ubyte.gz"), is_idx("digits.libsvm")
    (True, False)
    """
    return _NAME.search(os.fspath(url)) is not None


@dataclass(frozen=True)
class _IdxFile:
    """A file with one array: the header is read, the values are not."""

    file: TextFile
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def floating(self) -> np.dtype[Any]:
        """What its values become."""
        return np.dtype(np.float64 if self.dtype in (">i4", ">f8") else np.float32)

    def read(self, start: int, stop: int) -> Array:
        """Return these rows, as they are in the file."""
        size = prod(self.shape[1:]) * np.dtype(self.dtype).itemsize
        with _opened(self.file) as stream:
            stream.seek(self.offset + start * size)
            raw = stream.read((stop - start) * size)
        if len(raw) < (stop - start) * size:
            raise ValueError(
                f"{self.file.name} ends before row {start + len(raw) // max(1, size)}; its header "
                f"says that it has {self.shape[0]} rows"
            )
        return np.frombuffer(raw, self.dtype).reshape(stop - start, *self.shape[1:])


@dataclass(frozen=True)
class _Rows:
    """The rows of a file that belong to one partition."""

    source: _IdxFile
    start: int
    stop: int


def _described(argument: str, url: UrlPath) -> _IdxFile:
    if not isinstance(url, (str, os.PathLike)):
        raise TypeError(f"{argument} must be a path or URL (str or os.PathLike); got {url!r}")
    try:
        file, *more = find_files(url)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{argument}={os.fspath(url)!r} does not exist") from error
    if more:
        raise ValueError(f"{argument}={os.fspath(url)!r} matches several files; allowed is one")
    with _opened(file) as stream:
        magic = stream.read(4)
        known = len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in _DTYPES and magic[3]
        sizes = stream.read(4 * magic[3]) if known else b""
    if not known or len(sizes) < 4 * magic[3]:
        raise ValueError(
            f"{argument}={file.name} is not in the IDX format: it begins with {magic!r}"
        )
    shape = struct.unpack(f">{magic[3]}I", sizes)
    return _IdxFile(file, _DTYPES[magic[2]], shape, 4 + 4 * magic[3])


def _labels_of(images: UrlPath) -> str:
    folder, name = os.path.split(os.fspath(images))
    wanted = re.sub(r"([-.])idx\d", r"\1idx1", name.replace("images", "labels"))
    if wanted == name:
        raise ValueError(
            f"labels=None, and the name of images={os.fspath(images)!r} does not say where they "
            "are: it has no 'images' to replace by 'labels'. Pass labels"
        )
    return f"{folder}/{wanted}" if folder else wanted


def _opened(file: TextFile) -> OpenFile:
    return OpenFile(file.fs, file.path, compression=file.compression)


def _blocks(source: _IdxFile, bounds: list[int]) -> Any:
    ranges = [_Rows(source, start, stop) for start, stop in pairwise(bounds)]
    token = tokenize("read_idx", source, bounds)
    described = np.fromiter(ranges, dtype=object, count=len(ranges))
    return da.from_array(described, chunks=1, name=f"idx-ranges-{token}")


def _features(ranges: Array) -> Array:
    (rows,) = ranges
    values = rows.source.read(rows.start, rows.stop).reshape(rows.stop - rows.start, -1)
    X: Array = values.astype(rows.source.floating)
    if values.dtype == np.uint8:
        X /= X.dtype.type(255)
    return X


def _labels(ranges: Array) -> Array:
    (rows,) = ranges
    return rows.source.read(rows.start, rows.stop).astype(np.int64)
