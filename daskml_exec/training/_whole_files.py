"""Write a file whole or not at all, wherever fsspec reaches."""

import errno
import os
import uuid
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

Url = str | os.PathLike[str]


def check_writable(url: Url) -> None:
    """Raise what a write to this place would, which a file that is removed again shows.

    Parameters
    ----------
    url : str or path
        A path, or a URL of a file system that fsspec knows. What is there stays as it is.

    Examples
    --------
    >>> from daskml_exec.training import check_writable
    >>> check_writable("memory://model.safetensors")
    """
    files, path = _place(url)
    if _is_local(files):
        probe = _beside(path)
        probe.touch(exist_ok=False)
        probe.unlink()
    else:
        other = f"{path}.{uuid.uuid4().hex}"
        files.pipe_file(other, b"")
        files.rm_file(other)


def write_whole(url: Url, data: bytes) -> None:
    """Put `data` in the place of what is there, if anything.

    On this machine it is written under another name, and renamed. Of other file systems it is one
    upload, which those of objects take whole.
    """
    files, path = _place(url)
    if not _is_local(files):
        files.pipe_file(path, data)
        return
    partial = _beside(path)
    try:
        _write_through(partial, data)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_whole(url: Url) -> bytes:
    """Return what is there."""
    files, path = url_to_fs(url)
    return bytes(files.cat_file(path))


def _place(url: Url) -> tuple[Any, str]:
    files, path = url_to_fs(url)
    if files.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "it is a directory; name a file", os.fspath(url))
    folder = Path(path).parent
    if _is_local(files) and not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    return files, path


def _is_local(files: Any) -> bool:
    return isinstance(files, LocalFileSystem)


def _beside(path: str) -> Path:
    there = Path(path)
    return there.with_name(f".{there.name}.{uuid.uuid4().hex}")


def _write_through(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
