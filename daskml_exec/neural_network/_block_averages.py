"""Replicas become their average at the end of a segment."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from daskml_exec.executor.peers import Peer
from daskml_exec.kernels.fixed_tree import fold
from daskml_exec.kernels.networks.blocks.states import BlockState

Array = np.ndarray[Any, np.dtype[Any]]

# Numbers of an array that are under way, and in memory once per replica, at once.
PIECE = 2**20


def average_replicas(
    peer: Peer,
    owners: Sequence[int],
    units: Mapping[int, BlockState],
    n_blocks: int,
    weights: Mapping[int, float],
    name: int,
) -> None:
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
    weights : mapping of replica to float
        The weight of the rows that this worker's replicas have gone through.
    name : int
        Of the segment.
    """
    n_replicas = len(owners) // n_blocks
    all_weights = _share_weights(peer, owners, n_blocks, weights, name)
    total = fold([all_weights[replica] for replica in range(n_replicas)], float.__add__)
    if not total:
        return
    for block in range(n_blocks):
        same = [replica * n_blocks + block for replica in range(n_replicas)]
        mine = [unit for unit in same if unit in units]
        if mine:
            shares = [all_weights[unit // n_blocks] / total for unit in same]
            _average(peer, owners, same, {unit: units[unit] for unit in mine}, shares, name)


def _average(
    peer: Peer,
    owners: Sequence[int],
    same: Sequence[int],
    mine: Mapping[int, BlockState],
    shares: Sequence[float],
    name: int,
) -> None:
    """Average one block, piece by piece; a piece is replaced when all owners have seen it."""
    others = sorted({owners[unit] for unit in same} - {peer.index})
    for number, pieces in enumerate(_pieces(mine)):
        tag = (name, "average", same[0], number)
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


def _share_weights(
    peer: Peer, owners: Sequence[int], n_blocks: int, weights: Mapping[int, float], name: int
) -> dict[int, float]:
    """Return the weights of all replicas."""
    tag = (name, "weights")
    for other in peer.others:
        peer.send(other, tag, (), dict(weights))
    everywhere = dict(weights)
    for other in peer.others:
        everywhere.update(peer.take(other, tag)[1])
    return everywhere
