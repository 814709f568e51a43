"""Write blocks to two workers' disks, and bring them back when one of them is lost."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    holders : mapping of unit to tuple of str
        The addresses of the workers on whose disk it is.
    entries : mapping of unit to tuple of Entry
    """

    version: int
    holders: Mapping[int, tuple[str, ...]]
    entries: Mapping[int, tuple[Entry, ...]]

    def is_whole_on(self, members: Collection[str]) -> bool:
        """Return whether each unit is on the disk of at least one of these workers."""
        return all(not set(members).isdisjoint(found) for found in self.holders.values())


def write_to_next(
    peer: Peer, version: int, units: Mapping[int, Mapping[str, Array]]
) -> tuple[tuple[str, str], dict[int, tuple[Entry, ...]]]:
    """Stage a version of this worker's units on its own disk and on that of the next member.

    The next one is on another machine, where there is one.

    With both, the loss of any one worker leaves a copy of each unit: of those that it had, and of
    those that it kept for the member before. Every member calls it at the same point, and writes
    what the member before it sends.

    Parameters
    ----------
    peer : Peer
        Of two members at least.
    version : int
    units : mapping of unit to mapping of name to ndarray

    Returns
    -------
    holders : tuple of str
        Addresses of this worker and of the next member.
    entries : mapping of unit to tuple of Entry
        What they hold.
    """
    ring = _ring(peer.members)
    at_ring = ring.index(peer.index)
    after, before = ring[(at_ring + 1) % len(ring)], ring[at_ring - 1]
    tag = ("commit", version)
    mine = entries(units)
    peer.send(after, (*tag, "entries"), (), mine)
    theirs: list[Entry] = peer.take(before, (*tag, "entries"))[1]
    outgoing = [(entry, c) for entry in mine for c in chunks_of(units[entry.unit][entry.name])]
    incoming = [entry for entry in theirs for _ in range(n_chunks(entry))]
    peer.files.clear(peer.run.id, version)
    for at in range(max(len(outgoing), len(incoming))):
        if at < len(outgoing):
            entry, chunk = outgoing[at]
            _send_chunk(peer, after, tag, at, chunk)
            peer.files.append(peer.run.id, version, entry, chunk)
        if at < len(incoming):
            with _taken_chunk(peer, before, tag, at) as chunk:
                peer.files.append(peer.run.id, version, incoming[at], chunk)
    _take_last(peer, after, tag, len(outgoing))
    return (peer.members[peer.index], peer.members[after]), {
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
        holder = _holder(peer.members, commit.holders[unit], owner)
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
                    with _taken_chunk(peer, holder, tag, at) as taken:
                        chunk[:] = taken
            else:
                continue
            mine.setdefault(unit, {})[entry.name] = array
    return mine


def _ring(members: Sequence[str]) -> list[int]:
    """Return the members in an order in which those of one machine are apart, as far as can be.

    Examples
    --------
    >>> _ring(["tcp://a:1", "tcp://a:2", "tcp://b:1", "tcp://b:2"])
    [0, 2, 1, 3]
    """
    seen: Counter[str] = Counter()
    keys = []
    for index, member in enumerate(members):
        machine = member.rpartition(":")[0]
        keys.append((seen[machine], machine, index))
        seen[machine] += 1
    return [index for _, _, index in sorted(keys)]


def _holder(members: Sequence[str], holders: Collection[str], owner: int) -> int:
    """Return the member that reads a unit: its new owner, if that has it."""
    having = [index for index, member in enumerate(members) if member in holders]
    return owner if owner in having else having[0]


def _send_chunk(peer: Peer, to: int, tag: tuple[Any, ...], at: int, chunk: Array) -> None:
    if at >= _WINDOW:
        peer.take(to, (*tag, "taken", at - _WINDOW), timeout=peer.start_timeout)
    peer.send(to, (*tag, "chunk", at), (chunk,))


def _take_last(peer: Peer, to: int, tag: tuple[Any, ...], n: int) -> None:
    """Wait until the last of n chunks are written."""
    for at in range(max(0, n - _WINDOW), n):
        peer.take(to, (*tag, "taken", at), timeout=peer.start_timeout)


@contextmanager
def _taken_chunk(peer: Peer, sender: int, tag: tuple[Any, ...], at: int) -> Iterator[Array]:
    """Give a chunk that is to be written inside the block; its end tells the sender."""
    (chunk,), _ = peer.take(sender, (*tag, "chunk", at), timeout=peer.start_timeout)
    yield chunk
    peer.send(sender, (*tag, "taken", at), ())
