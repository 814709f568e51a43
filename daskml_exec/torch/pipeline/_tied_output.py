"""Gradients of weights that stages have as a whole, as an embedding's, and blocks by their rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from daskml_exec.torch.pipeline._member import Member
from daskml_exec.torch.pipeline._output import OutputLayer
from daskml_exec.torch.pipeline._stage import Stage
from daskml_exec.torch.pipeline._trees import packed, unpacked

_Gradients = dict[int, torch.Tensor | None]


def add_tied_rows(
    member: Member,
    owners: Sequence[int],
    stages: Mapping[int, Stage],
    layer: OutputLayer,
    tag: tuple[Any, ...],
) -> None:
    """Add the gradients of blocks to those of stages, which have added theirs, and the reverse.

    Parameters
    ----------
    member : Member
    owners : sequence of int
        Per stage and block, the member that has it.
    stages : mapping of int to Stage
        Those of this member, blocks among them.
    layer : OutputLayer
    tag : tuple
    """
    for at, (name, having) in enumerate(layer.tied.items()):
        wholes = {s: stages[s].parameters[name].grad for s in having if s in stages}
        blocks = {u: stages[u].parameters[name].grad for u in layer.units if u in stages}
        device = next(iter(stages.values())).device
        exchange = _Exchange(member, owners, layer, (*tag, at), device)
        rows = exchange.rows(owners[having[0]], wholes, list(blocks))
        there = exchange.blocks({owners[s] for s in having}, blocks)
        for unit, gradient in blocks.items():
            stages[unit].parameters[name].grad = _sum(rows[unit], gradient)
        for s in wholes:
            parameter = stages[s].parameters[name]
            total = parameter.grad
            if total is None:
                total = parameter.grad = torch.zeros_like(parameter)
            for unit in layer.units:
                own = there[unit]
                if own is not None:
                    start, stop = layer.rows_of(unit)
                    total[start:stop] += own


def _sum(one: torch.Tensor | None, other: torch.Tensor | None) -> torch.Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


class _Exchange:
    """Of one parameter."""

    def __init__(
        self,
        member: Member,
        owners: Sequence[int],
        layer: OutputLayer,
        tag: tuple[Any, ...],
        device: torch.device,
    ) -> None:
        self._member, self._owners, self._layer = member, owners, layer
        self._tag, self._device = tag, device

    def rows(self, first: int, wholes: _Gradients, mine: Sequence[int]) -> _Gradients:
        """Return the rows of blocks here, of the gradient that the first stage has as a whole."""
        if first != self._member.index:
            return self._take(first, "rows") if mine else {}
        whole = next(iter(wholes.values()))

        def rows_of(unit: int) -> torch.Tensor | None:
            start, stop = self._layer.rows_of(unit)
            # A copy, as what the blocks have is added to it while it is under way.
            return None if whole is None else whole[start:stop].clone()

        for other in self._holders() - {first}:
            units = [unit for unit in self._layer.units if self._owners[unit] == other]
            self._send(other, "rows", {unit: rows_of(unit) for unit in units})
        return {unit: rows_of(unit) for unit in mine}

    def blocks(self, wanting: set[int], mine: _Gradients) -> _Gradients:
        """Return the gradients of all blocks, where a stage is that has the weights as a whole."""
        here = self._member.index
        if mine:
            for other in wanting - {here}:
                self._send(other, "blocks", mine)
        found = dict(mine)
        if here in wanting:
            for other in self._holders() - {here}:
                found |= self._take(other, "blocks")
        return found

    def _holders(self) -> set[int]:
        return {self._owners[unit] for unit in self._layer.units}

    def _send(self, other: int, what: str, gradients: _Gradients) -> None:
        arrays, about = packed(list(gradients.values()))
        slot = ("tied", what, self._tag[-1])
        self._member.send(other, (*self._tag, what), arrays, [list(gradients), about], slot=slot)

    def _take(self, other: int, what: str) -> _Gradients:
        arrays, (units, about) = self._member.take(other, (*self._tag, what))
        return dict(zip(units, unpacked(arrays, about, self._device), strict=True))
