"""Replicas of units become their average, at step numbers that a plan fixes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.executor.peers import Peer
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.fixed_tree import fold

# Numbers of a unit that are under way, and in memory once per replica, at once.
PIECE = 2**20

Name = tuple[Any, ...]
"""Tells what one average exchanges from all else."""


@dataclass(frozen=True)
class Share:
    """What a replica brings to an average.

    Attributes
    ----------
    weight : float
        Of the rows that it has gone through since the last one.
    goes_on : bool
        Whether it can train on.
    """

    weight: float
    goes_on: bool


@dataclass(frozen=True)
class Averaged:
    """What of a unit becomes the same in all replicas; changed in place.

    Attributes
    ----------
    means : sequence of sequences of contiguous ndarray
        Of floating-point numbers, that become their weighted average; those of one sequence travel
        together. In the same order, and of the same shapes, in all replicas.
    largest : sequence of contiguous ndarray
        That become the largest of each number.
    """

    means: Sequence[Sequence[Array]]
    largest: Sequence[Array] = ()


def average_replicas(
    peer: Peer,
    owners: Sequence[int],
    units: Mapping[int, Averaged],
    n_units: int,
    mine: Mapping[int, Share],
    name: Name,
) -> bool:
    r"""Replace each unit by its average over the replicas, :math:`\sum n_r \theta_r / \sum n_r`.

    Sums are folded in the fixed tree over the replicas, on each worker that has one of them, so
    that all get the same bits.

    Parameters
    ----------
    peer : Peer
    owners : sequence of int
        Per unit, the index of the member that has it: those of one replica after the other.
    units : mapping of unit to Averaged
        Those of this worker; changed in place.
    n_units : int
        Of a replica.
    mine : mapping of replica to Share
        Of this worker's replicas.
    name : tuple

    Returns
    -------
    bool
        Whether all replicas can train on: the same on all workers.
    """
    shares = _all_shares(peer, mine, name)
    weights = [shares[replica].weight for replica in range(len(owners) // n_units)]
    total = fold(weights, float.__add__)
    go_on = all(share.goes_on for share in shares.values())
    if not total:
        return go_on
    parts = [weight / total for weight in weights]
    for first in range(n_units):
        same = [replica * n_units + first for replica in range(len(weights))]
        here = {unit: units[unit] for unit in same if unit in units}
        if not here:
            continue
        scales = dict(zip(same, parts, strict=True))
        for i in range(len(next(iter(here.values())).means)):
            means = {unit: each.means[i] for unit, each in here.items()}
            _replace(peer, owners, means, scales, np.add, (*name, "average", first, i))
        largest = {unit: each.largest for unit, each in here.items()}
        _replace(peer, owners, largest, dict.fromkeys(same), np.maximum, (*name, "largest", first))
    return go_on


def _replace(
    peer: Peer,
    owners: Sequence[int],
    mine: Mapping[int, Sequence[Array]],
    scales: Mapping[int, float | None],
    combine: Callable[[Array, Array], Array],
    tag: Name,
) -> None:
    """Fold one unit, piece by piece; a piece is replaced when all owners have seen it."""
    others = sorted({owners[unit] for unit in scales} - {peer.index})
    for number, pieces in enumerate(_pieces(mine)):
        # In memory of their own: the results take the place of what is still under way.
        scaled = {
            unit: [_scaled(array, scales[unit]) for array in piece]
            for unit, piece in pieces.items()
        }
        for other in others:
            arrays = [array for piece in scaled.values() for array in piece]
            peer.send(other, (*tag, number), arrays, list(scaled))
        for other in others:
            arrays, theirs = peer.take(other, (*tag, number))
            n = len(arrays) // len(theirs)
            scaled |= {unit: arrays[i * n : (i + 1) * n] for i, unit in enumerate(theirs)}
        first = next(iter(pieces.values()))
        for i in range(len(first)):
            result = fold([scaled[unit][i] for unit in scales], combine)
            for piece in pieces.values():
                piece[i][...] = result


def _scaled(array: Array, scale: float | None) -> Array:
    return array.copy() if scale is None else array * array.dtype.type(scale)


def _pieces(units: Mapping[int, Sequence[Array]]) -> Iterator[dict[int, list[Array]]]:
    """Yield the same piece of each unit's arrays, of some of them or of a part of one."""
    flat = {unit: [array.reshape(-1) for array in arrays] for unit, arrays in units.items()}
    for piece in _ranges([array.size for array in next(iter(flat.values()))]):
        yield {
            unit: [arrays[index][start:stop] for index, start, stop in piece]
            for unit, arrays in flat.items()
        }


def _ranges(sizes: Sequence[int]) -> Iterator[list[tuple[int, int, int]]]:
    """Yield the arrays of each piece with the first number, and the first that is not in it.

    >>> list(_ranges([2, 3]))
    [[(0, 0, 2), (1, 0, 3)]]
    """
    found: list[tuple[int, int, int]] = []
    room = PIECE
    for index, size in enumerate(sizes):
        start = 0
        while start < size:
            stop = min(size, start + room)
            found.append((index, start, stop))
            room -= stop - start
            start = stop
            if not room:
                yield found
                found, room = [], PIECE
    if found:
        yield found


def _all_shares(peer: Peer, mine: Mapping[int, Share], name: Name) -> dict[int, Share]:
    tag = (*name, "shares")
    told = {replica: (share.weight, share.goes_on) for replica, share in mine.items()}
    for other in peer.others:
        peer.send(other, tag, (), told)
    shares = dict(mine)
    for other in peer.others:
        theirs = peer.take(other, tag)[1]
        shares.update({replica: Share(*share) for replica, share in theirs.items()})
    return shares
