"""Write blocks to two workers' disks, and bring them back when one of them is lost."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from daskml_exec.executor.peers._errors import BadCopyError
from daskml_exec.executor.peers._files import (
    Copy,
    Entry,
    check_digest,
    chunks_of,
    digest_of,
    entries,
    n_chunks,
)
from daskml_exec.executor.peers._peer import Peer
from daskml_exec.kernels.arrays import Array

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
        The ids of the workers on whose disk it is: of this start of each, not of its address.
    entries : mapping of unit to tuple of Entry
    digests : mapping of unit to tuple of str
        Of the bytes of its entries, as its owner had them in memory.
    """

    version: int
    holders: Mapping[int, tuple[str, ...]]
    entries: Mapping[int, tuple[Entry, ...]]
    digests: Mapping[int, tuple[str, ...]]

    def is_whole_on(self, ids: Collection[str]) -> bool:
        """Return whether each unit is on the disk of at least one of these workers."""
        return all(not set(ids).isdisjoint(found) for found in self.holders.values())

    @property
    def is_doubled(self) -> bool:
        """Return whether each unit is on two disks."""
        return all(len(found) > 1 for found in self.holders.values())

    def without(self, holder: str, units: Collection[int]) -> "Commit":
        """Return the commit without a worker's copies of some units."""
        left = {
            unit: tuple(each for each in found if each != holder or unit not in units)
            for unit, found in self.holders.items()
        }
        return replace(self, holders=left)


@dataclass(frozen=True)
class Staged:
    """What one member has written of a version.

    Attributes
    ----------
    entries, digests : mapping of unit to tuple
        Of its own units, whether or not they are on its disk.
    kept : mapping of unit to tuple of str
        The digests of the units that are on its disk, of its own and of those of the one before.
    trouble : str
        Why something could not be written; empty where all was.
    """

    entries: Mapping[int, tuple[Entry, ...]]
    digests: Mapping[int, tuple[str, ...]]
    kept: Mapping[int, tuple[str, ...]]
    trouble: str = ""


def commit_of(version: int, staged: Mapping[str, Staged], n_units: int) -> Commit | None:
    """Return the commit that members have made together; None where a unit is on no disk.

    Parameters
    ----------
    version : int
    staged : mapping of str to Staged
        What each has written, by the id of the worker.
    n_units : int
    """
    found = Commit(
        version,
        holders={
            unit: tuple(who for who, each in staged.items() if each.kept.get(unit) == digests)
            for owner in staged.values()
            for unit, digests in owner.digests.items()
        },
        entries={unit: e for owner in staged.values() for unit, e in owner.entries.items()},
        digests={unit: d for owner in staged.values() for unit, d in owner.digests.items()},
    )
    return found if len(found.holders) == n_units and found.is_whole_on(staged) else None


def worth_keeping(commits: Sequence[Commit]) -> tuple[Commit, ...]:
    """Return the newest commit, and one to fall back on: the newest other one on two disks, if any.

    Parameters
    ----------
    commits : sequence of Commit
        The newest first.
    """
    older = sorted(commits[1:], key=lambda commit: not commit.is_doubled)
    return (*commits[:1], *older[:1])


def write_to_next(peer: Peer, version: int, units: Mapping[int, Mapping[str, Array]]) -> Staged:
    """Stage a version of this worker's units on its own disk and on that of the next member.

    The next one is on another machine, where there is one.

    With both, the loss of any one worker leaves a copy of each unit: of those that it had, and of
    those that it kept for the member before. Every member calls it at the same point, and writes
    what the member before it sends. A disk that cannot be written to is told of, and stops nobody.

    Parameters
    ----------
    peer : Peer
        Of two members at least.
    version : int
    units : mapping of unit to mapping of name to ndarray
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
    with (
        peer.files.copy(peer.run.id, version) as own,
        peer.files.copy(peer.run.id, version) as other,
    ):
        for at in range(max(len(outgoing), len(incoming))):
            if at < len(outgoing):
                entry, chunk = outgoing[at]
                _send_chunk(peer, after, tag, at, chunk)
                own.add(entry, chunk)
            if at < len(incoming):
                with _taken_chunk(peer, before, tag, at) as chunk:
                    other.add(incoming[at], chunk)
    _take_last(peer, after, tag, len(outgoing))
    by_unit = _by_unit(mine)
    return Staged(
        entries=by_unit,
        digests=_digests(own, by_unit),
        kept=_kept(peer, version, own, by_unit) | _kept(peer, version, other, _by_unit(theirs)),
        trouble=own.trouble or other.trouble,
    )


def survey(peer: Peer, commit: Commit) -> dict[int, str]:
    """Read what this worker has on disk of a commit; return what is wrong with it, by unit."""
    wrong: dict[int, str] = {}
    for unit, holders in commit.holders.items():
        if peer.ids[peer.index] not in holders:
            continue
        try:
            for entry, digest in zip(commit.entries[unit], commit.digests[unit], strict=True):
                peer.require_current()
                peer.files.check(peer.run.id, commit.version, entry, digest)
        except BadCopyError as error:
            wrong[unit] = str(error)
    return wrong


def restore(peer: Peer, commit: Commit, owners: Sequence[int]) -> dict[int, dict[str, Array]]:
    """Bring the units of a commit to their new owners; return those of this worker.

    Every member calls it at the same point: the holders read, the owners receive.

    Parameters
    ----------
    peer : Peer
    commit : Commit
    owners : sequence of int
        Per unit, the index of the member that is to own it.

    Raises
    ------
    BadCopyError
        What came is not what was written.
    """
    mine: dict[int, dict[str, Array]] = {}
    for unit, owner in enumerate(owners):
        holder = _holder(peer.ids, commit.holders[unit], owner)
        for entry, digest in zip(commit.entries[unit], commit.digests[unit], strict=True):
            tag = ("restore", unit, entry.name)
            if holder == peer.index:
                pieces = peer.files.pieces(peer.run.id, commit.version, entry)
                if owner != peer.index:
                    for at, piece in enumerate(pieces):
                        _send_chunk(peer, owner, tag, at, piece)
                    _take_last(peer, owner, tag, n_chunks(entry))
            if owner == peer.index:
                array = entry.empty()
                for at, chunk in enumerate(chunks_of(array)):
                    if holder == owner:
                        chunk[:] = next(pieces)
                    else:
                        with _taken_chunk(peer, holder, tag, at) as taken:
                            _copy_into(chunk, taken, entry)
                where = f"{entry.name!r} of block {unit}, version {commit.version}"
                check_digest(digest_of(chunks_of(array)), digest, where)
                mine.setdefault(unit, {})[entry.name] = array
    return mine


def _copy_into(chunk: Array, taken: Array, entry: Entry) -> None:
    if taken.nbytes != chunk.nbytes:
        raise BadCopyError(
            f"{taken.nbytes} bytes of {entry.name!r} of block {entry.unit} came where "
            f"{chunk.nbytes} are right"
        )
    chunk[:] = taken


def _by_unit(found: Sequence[Entry]) -> dict[int, tuple[Entry, ...]]:
    units = sorted({entry.unit for entry in found})
    return {unit: tuple(entry for entry in found if entry.unit == unit) for unit in units}


def _digests(copy: Copy, by_unit: Mapping[int, tuple[Entry, ...]]) -> dict[int, tuple[str, ...]]:
    return {unit: tuple(map(copy.digest, found)) for unit, found in by_unit.items()}


def _kept(
    peer: Peer, version: int, copy: Copy, by_unit: Mapping[int, tuple[Entry, ...]]
) -> dict[int, tuple[str, ...]]:
    """Return the digests of the units that are on this disk, all of their arrays."""
    return {
        unit: digests
        for unit, digests in _digests(copy, by_unit).items()
        if all(peer.files.holds(peer.run.id, version, entry) for entry in by_unit[unit])
    }


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


def _holder(ids: Sequence[str], holders: Collection[str], owner: int) -> int:
    """Return the member that reads a unit: its new owner, if that has it."""
    having = [index for index, each in enumerate(ids) if each in holders]
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
