"""Write a fitted model as one safetensors file."""

import json
import os
import uuid
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from safetensors.numpy import save

from daskml_exec.cli._errors import CommandError, one_line

FORMAT_VERSION = 1


class Destination:
    """Where a model will be saved.

    Made before training, so that a place that cannot be written is found out before.

    Parameters
    ----------
    url : str
        A path, or a URL of a file system that fsspec knows.

    Raises
    ------
    CommandError
        Nothing can be written there, which a file that is written and removed again shows.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._fs, self._path = url_to_fs(url)
            self._probe()
        except Exception as error:  # every file system has exceptions of its own
            raise self._refused(error) from error

    def write(self, data: bytes) -> None:
        """Publish `data` whole or not at all, in the place of what is there.

        Raises
        ------
        CommandError
            It could not be written.
        """
        try:
            if not self._is_local:
                self._fs.pipe_file(self._path, data)
                return
            partial = self._beside()
            try:
                _write_through(partial, data)
                os.replace(partial, self._path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        except Exception as error:
            raise self._refused(error) from error

    @property
    def _is_local(self) -> bool:
        return isinstance(self._fs, LocalFileSystem)

    def _beside(self) -> Path:
        path = Path(self._path)
        return path.with_name(f".{path.name}.{uuid.uuid4().hex}")

    def _probe(self) -> None:
        if self._fs.isdir(self._path):
            raise IsADirectoryError("it is a directory; name a file")
        if self._is_local:
            probe = self._beside()
            probe.touch(exist_ok=False)
            probe.unlink()
        else:
            probe_path = f"{self._path}.{uuid.uuid4().hex}"
            self._fs.pipe_file(probe_path, b"")
            self._fs.rm_file(probe_path)

    def _refused(self, error: Exception) -> CommandError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else None
        return CommandError(f"cannot write --save {self.url}: {reason or one_line(error)}")


def model_bytes(arrays: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:
    """Return a fitted model in the safetensors format.

    Parameters
    ----------
    arrays : mapping of str to ndarray
    about : mapping of str to what JSON can hold
        The metadata, in which every value will be JSON.
    """
    metadata = {
        "format_version": FORMAT_VERSION,
        "daskml_exec_version": version("daskml-exec"),
        **about,
    }
    return save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()},
        {key: json.dumps(value, allow_nan=False) for key, value in metadata.items()},
    )


def _write_through(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
