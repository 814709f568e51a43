"""One file of arrays and JSON, in which damage shows: safetensors with lengths and hashes."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load
from safetensors.numpy import save as to_safetensors

from daskml_exec.kernels.arrays import Array

FORMAT, FORMAT_VERSION = "daskml_exec model", 1
_HASH, _ARRAYS = "sha256", "arrays"
# Where safetensors begins: the length of its header, a JSON object, which is 100 MB at most.
_LENGTH_BYTES, _LONGEST_HEADER = 8, 100_000_000


def to_bytes(arrays: Mapping[str, Array], about: Mapping[str, Any]) -> bytes:
    """Return a file of these.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        In C order and little-endian.
    about : mapping of str to what JSON can hold
        The metadata, in which every value will be JSON.
    """
    hashes = {name: _sum_of(array) for name, array in arrays.items()}
    whole = {"format": FORMAT, "format_version": FORMAT_VERSION, **about, _ARRAYS: hashes}
    metadata = {key: json.dumps(value, allow_nan=False) for key, value in whole.items()}
    return to_safetensors(dict(arrays), metadata | {_HASH: _hash_of_all(metadata)})


def from_bytes(data: bytes, *, release: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays and the metadata of a file that `to_bytes` made.

    Parameters
    ----------
    data : bytes
    release : str
        That reads, for messages.

    Raises
    ------
    ValueError
        It is no such file, of a newer format, or damaged; the message says what is wrong.
    """
    metadata, length = _header(data)
    _check_format(metadata, release)
    if len(data) != length:
        raise ValueError(
            f"it is damaged: it has {len(data):,} bytes in place of {length:,}"
            + (", it was cut off" if len(data) < length else "")
        )
    if metadata.pop(_HASH, None) != _hash_of_all(metadata):
        raise ValueError("it is damaged: what it says about the model is not what was written")
    try:
        about = {key: json.loads(text) for key, text in metadata.items()}
        arrays = load(data)
    except (SafetensorError, RecursionError) as error:
        raise ValueError(f"it is damaged: {error}") from error
    _check_arrays(arrays, about.pop(_ARRAYS, None))
    # The reader's memory need not be aligned, nor be ours to write to.
    return {
        name: np.require(each, requirements=["C", "W", "A"]) for name, each in arrays.items()
    }, about


def _header(data: bytes) -> tuple[dict[str, str], int]:
    """Return the metadata, and how many bytes the file has to have."""
    no_file = ValueError("it is no file that `save` wrote")
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    end = _LENGTH_BYTES + length
    if length > _LONGEST_HEADER or data[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
        raise no_file
    if len(data) < end:
        raise ValueError("it is damaged: it was cut off within its header")
    try:
        header = json.loads(data[_LENGTH_BYTES:end])
        metadata = header.pop("__metadata__", {})
        ends = [each["data_offsets"][1] for each in header.values()]
        total = end + max([0, *ends])
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        if FORMAT.encode() in data[:end]:
            raise ValueError("it is damaged: its header is no longer JSON") from None
        raise no_file from None
    if not (
        isinstance(metadata, dict)
        and all(isinstance(text, str) for text in metadata.values())
        and metadata.get("format") == json.dumps(FORMAT)
    ):
        raise no_file
    return metadata, total


def _check_format(metadata: Mapping[str, str], release: str) -> None:
    version = metadata.get("format_version", "")
    if not (version.isdecimal() and version.isascii()):
        raise ValueError(f"it is damaged: {version!r} is no version of the format")
    if int(version) > FORMAT_VERSION:
        raise ValueError(
            f"it is of format {version}, written by daskml_exec "
            f"{metadata.get('daskml_exec_version', '')}; this release, {release}, reads formats up "
            f"to {FORMAT_VERSION}: pip install --upgrade daskml-exec"
        )


def _check_arrays(arrays: Mapping[str, Array], written: Any) -> None:
    if not isinstance(written, dict) or arrays.keys() != written.keys():
        odd = ", ".join(sorted(arrays.keys() ^ set(written or ())))
        raise ValueError(f"it is damaged: it has other arrays than were written: {odd}")
    for name, array in arrays.items():
        if (found := _sum_of(array)) != written[name]:
            raise ValueError(
                f"it is damaged: array {name!r} has {found}; what was written has {written[name]}"
            )


def _sum_of(array: Array) -> dict[str, Any]:
    """Return what an array is known again by."""
    return {"bytes": array.nbytes, _HASH: _hash(np.ascontiguousarray(array).data)}


def _hash(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()


def _hash_of_all(metadata: Mapping[str, str]) -> str:
    return json.dumps(_hash(json.dumps(metadata, sort_keys=True).encode()))
