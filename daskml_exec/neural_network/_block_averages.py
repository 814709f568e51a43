"""Replicas become their average, at step numbers that the plan fixes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.executor.peers import Peer
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.fixed_tree import fold
from daskml_exec.kernels.networks.blocks.states import BlockState

# Numbers of an array that are under way, and in memory once per replica, at once.
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


def average_replicas(
    peer: Peer,
    owners: Sequence[int],
    units: Mapping[int, BlockState],
    n_blocks: int,
    mine: Mapping[int, Share],
    name: Name,
) -> bool:
    r"""Replace each block by its average over the replicas, :math:`\sum n_r \theta_r / \sum n_r`.

    The moments of the optimiser are averaged in the same way. The sum is folded in the fixed tree
    over the replicas, on each worker that has one of them, so that all get the same bits.

    Parameters
    ----------
    peer : Peer
    owners : sequence of int
        Per unit, the index of the member that has it.
    units : mapping of unit to BlockState
        Those of this worker; changed in place.
    n_blocks : int
    mine : mapping of replica to Share
        Of this worker's replicas.
    name : tuple

    Returns
    -------
    bool
        Whether all replicas can train on: the same on all workers.
    """
    shares = _all_shares(peer, mine, name)
    weights = [shares[replica].weight for replica in range(len(owners) // n_blocks)]
    total = fold(weights, float.__add__)
    go_on = all(share.goes_on for share in shares.values())
    if not total:
        return go_on
    for block in range(n_blocks):
        same = [replica * n_blocks + block for replica in range(len(weights))]
        here = {unit: units[unit] for unit in same if unit in units}
        if here:
            _average(peer, owners, same, here, [weight / total for weight in weights], name)
    return go_on


def _average(
    peer: Peer,
    owners: Sequence[int],
    same: Sequence[int],
    mine: Mapping[int, BlockState],
    shares: Sequence[float],
    name: Name,
) -> None:
    """Average one block, piece by piece; a piece is replaced when all owners have seen it."""
    others = sorted({owners[unit] for unit in same} - {peer.index})
    for number, pieces in enumerate(_pieces(mine)):
        tag = (*name, "average", same[0], number)
        # In memory of their own: the averages take the place of what is still under way.
        scaled = {
            unit: piece * piece.dtype.type(shares[same.index(unit)])
            for unit, piece in pieces.items()
        }
        for other in others:
            peer.send(other, tag, list(scaled.values()), list(scaled))
        for other in others:
            arrays, theirs = peer.take(other, tag)
            scaled.update(zip(theirs, arrays, strict=True))
        average = fold([scaled[unit] for unit in same], np.add)
        for piece in pieces.values():
            piece[...] = average


def _pieces(mine: Mapping[int, BlockState]) -> Iterator[dict[int, Array]]:
    """Yield the same piece of each unit's arrays; all of them are alike."""
    flat = {
        unit: [a.reshape(-1) for key, a in sorted(state.arrays().items()) if key != "squares"]
        for unit, state in mine.items()
    }
    first = next(iter(flat.values()))
    for index, array in enumerate(first):
        for start in range(0, array.size, PIECE):
            yield {unit: arrays[index][start : start + PIECE] for unit, arrays in flat.items()}


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
