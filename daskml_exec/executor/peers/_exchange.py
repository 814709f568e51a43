"""Sums and collections over blocks whose owners are peers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from daskml_exec.executor.peers._peer import Peer
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.fixed_tree import Node, fold_siblings
from daskml_exec.kernels.networks.blocks.exchange import Tag, Wait


@dataclass(frozen=True)
class BlockExchange:
    """The kernels' `Exchange` among the owners of a network's blocks.

    Attributes
    ----------
    peer : Peer
    owners : sequence of int
        Per block, the index of the member that owns it; blocks of one member are consecutive.
    name : tuple
        What tells the tags of this exchange from those of others in the same run.
    """

    peer: Peer
    owners: Sequence[int]
    name: tuple[Any, ...]

    @cached_property
    def _blocks(self) -> dict[int, range]:
        """Per owner, its blocks."""
        blocks: dict[int, range] = {}
        for block, owner in enumerate(self.owners):
            first = blocks[owner].start if owner in blocks else block
            blocks[owner] = range(first, block + 1)
        return blocks

    @cached_property
    def _others(self) -> list[int]:
        return [owner for owner in self._blocks if owner != self.peer.index]

    def sum_to_owners(
        self,
        tag: Tag,
        partials: Mapping[Node, Array],
        cuts: Sequence[slice],
        out: Mapping[int, Array],
    ) -> Wait:
        """Sum over all blocks; write to each block of this worker its slice of the total."""
        self.peer.require_current()
        nodes = list(partials)
        for other in self._others:
            wanted = _merged(cuts, self._blocks[other])
            self._send(other, tag, [partials[node][wanted] for node in nodes], nodes)

        def wait() -> None:
            mine = _merged(cuts, self._blocks[self.peer.index])
            parts = {node: partial[mine] for node, partial in partials.items()}
            parts |= self._parts_of_others(tag)
            for block, total in out.items():
                cut = slice(cuts[block].start - mine.start, cuts[block].stop - mine.start)
                _total_into({node: part[cut] for node, part in parts.items()}, self._n, total)

        return wait

    def gather(
        self, tag: Tag, slices: Mapping[int, Array], cuts: Sequence[slice], out: Array
    ) -> Wait:
        """Collect the slices of all blocks in `out`."""
        self.peer.require_current()
        blocks = sorted(slices)
        for other in self._others:
            self._send(other, tag, [slices[block] for block in blocks], None)
        for block in blocks:
            if slices[block].base is not out:
                out[cuts[block]] = slices[block]

        def wait() -> None:
            for other in self._others:
                arrays, _ = self._take(other, tag)
                for block, array in zip(self._blocks[other], arrays, strict=True):
                    out[cuts[block]] = array

        return wait

    def sum_everywhere(self, tag: Tag, partials: Mapping[Node, Array], out: Array) -> Wait:
        """Sum over all blocks; write the whole total to `out`."""
        self.peer.require_current()
        nodes = list(partials)
        for other in self._others:
            self._send(other, tag, [partials[node] for node in nodes], nodes)

        def wait() -> None:
            _total_into({**partials, **self._parts_of_others(tag)}, self._n, out)

        return wait

    @property
    def _n(self) -> int:
        return len(self.owners)

    def _parts_of_others(self, tag: Tag) -> dict[Node, Array]:
        parts: dict[Node, Array] = {}
        for other in self._others:
            arrays, nodes = self._take(other, tag)
            parts.update({(n[0], n[1]): a for n, a in zip(nodes, arrays, strict=True)})
        return parts

    def _send(self, to: int, tag: Tag, arrays: Sequence[Array], about: Any) -> None:
        # Two slots in turn: when one is written again, all have answered in the step between.
        step, what = tag
        slot = (*self.name[1:], what, step % 2)
        self.peer.send(to, (*self.name, *tag), arrays, about, slot=slot)

    def _take(self, sender: int, tag: Tag) -> tuple[list[Any], Any]:
        return self.peer.take(sender, (*self.name, *tag))


def _merged(cuts: Sequence[slice], blocks: range) -> slice:
    """Return the units of consecutive blocks together."""
    return slice(cuts[blocks[0]].start, cuts[blocks[-1]].stop)


def _total_into(parts: Mapping[Node, Array], n_leaves: int, out: Array) -> None:
    if len(parts) == 2:  # the usual case, without a temporary array
        left, right = (parts[node] for node in sorted(parts, key=_first_leaf))
        np.add(left, right, out=out)
        return
    (total,) = fold_siblings(parts, n_leaves, np.add).values()
    out[...] = total


def _first_leaf(node: Node) -> int:
    level, at = node
    return at << level
