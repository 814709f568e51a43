"""Write blocks to another worker's disk, and bring them back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.executor.peers._files import Entry, chunks_of, entries, n_chunks
from daskml_exec.executor.peers._peer import Peer

Array = np.ndarray[Any, np.dtype[Any]]

# Chunks that may be under way before the first of them is written.
_WINDOW = 2


@dataclass(frozen=True)
class Commit:
    """A version of all units that is on disk.

    Attributes
    ----------
    version : int
        How many segments the units have been through.
    holders : mapping of unit to str
        The addresses of the workers on whose disk they are.
    entries : mapping of unit to tuple of Entry
    """

    version: int
    holders: Mapping[int, str]
    entries: Mapping[int, tuple[Entry, ...]]


def write_to_next(
    peer: Peer, version: int, units: Mapping[int, Mapping[str, Array]]
) -> tuple[str, dict[int, tuple[Entry, ...]]]:
    """Stage a version of this worker's units on the disk of the next member.

    Every member calls it at the same point, and writes what the member before it sends.

    Parameters
    ----------
    peer : Peer
    version : int
    units : mapping of unit to mapping of name to ndarray

    Returns
    -------
    holder : str
        Address of the next member.
    entries : mapping of unit to tuple of Entry
        What it holds.
    """
    after = (peer.index + 1) % len(peer.members)
    before = (peer.index - 1) % len(peer.members)
    tag = ("commit", version)
    mine = entries(units)
    peer.send(after, (*tag, "entries"), (), mine)
    theirs: list[Entry] = peer.take(before, (*tag, "entries"))[1]
    outgoing = [chunk for e in mine for chunk in chunks_of(units[e.unit][e.name])]
    incoming = [entry for entry in theirs for _ in range(n_chunks(entry))]
    peer.files.clear(peer.run.id, version)
    for at in range(max(len(outgoing), len(incoming))):
        if at < len(outgoing):
            _send_chunk(peer, after, tag, at, outgoing[at])
        if at < len(incoming):
            chunk = _take_chunk(peer, before, tag, at)
            peer.files.append(peer.run.id, version, incoming[at], chunk)
    _take_last(peer, after, tag, len(outgoing))
    return peer.members[after], {
        unit: tuple(entry for entry in mine if entry.unit == unit) for unit in units
    }


def restore(peer: Peer, commit: Commit, owners: Sequence[int]) -> dict[int, dict[str, Array]]:
    """Bring the units of a commit to their new owners; return those of this worker.

    Every member calls it at the same point: the holders read, the owners receive.

    Parameters
    ----------
    peer : Peer
    commit : Commit
    owners : sequence of int
        Per unit, the index of the member that is to own it.
    """
    mine: dict[int, dict[str, Array]] = {}
    for unit, owner in enumerate(owners):
        holder = peer.members.index(commit.holders[unit])
        for entry in commit.entries[unit]:
            tag = ("restore", unit, entry.name)
            if owner == holder == peer.index:
                array = peer.files.read(peer.run.id, commit.version, entry)
            elif holder == peer.index:
                mapped = peer.files.mapped(peer.run.id, commit.version, entry)
                for at, chunk in enumerate(chunks_of(mapped)):
                    _send_chunk(peer, owner, tag, at, chunk)
                _take_last(peer, owner, tag, n_chunks(entry))
                continue
            elif owner == peer.index:
                array = entry.empty()
                for at, chunk in enumerate(chunks_of(array)):
                    chunk[:] = _take_chunk(peer, holder, tag, at)
            else:
                continue
            mine.setdefault(unit, {})[entry.name] = array
    return mine


def _send_chunk(peer: Peer, to: int, tag: tuple[Any, ...], at: int, chunk: Array) -> None:
    if at >= _WINDOW:
        peer.take(to, (*tag, "taken", at - _WINDOW))
    peer.send(to, (*tag, "chunk", at), (chunk,))


def _take_last(peer: Peer, to: int, tag: tuple[Any, ...], n: int) -> None:
    """Wait until the last of n chunks are written."""
    for at in range(max(0, n - _WINDOW), n):
        peer.take(to, (*tag, "taken", at))


def _take_chunk(peer: Peer, sender: int, tag: tuple[Any, ...], at: int) -> Array:
    (chunk,), _ = peer.take(sender, (*tag, "chunk", at))
    peer.send(sender, (*tag, "taken", at), ())
    array: Array = chunk
    return array
