"""Gradients of all stages together: of weights that several of them have, and their norm."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils import clip_grads_with_norm_

from daskml_exec.torch.pipeline._member import Member
from daskml_exec.torch.pipeline._stage import Stage
from daskml_exec.torch.pipeline._trees import packed, unpacked


def add_tied(
    member: Member,
    owners: Sequence[int],
    stages: Mapping[int, Stage],
    tied: Mapping[str, Sequence[int]],
    tag: tuple[Any, ...],
) -> None:
    """Give each copy of a parameter the sum of all copies' gradients, in the order of stages.

    Parameters
    ----------
    member : Member
    owners : sequence of int
        Per stage, the member that has it.
    stages : mapping of int to Stage
        Those of this member.
    tied : mapping of str to sequence of int
        The stages that have a parameter, by its name.
    tag : tuple
    """
    for at, (name, having) in enumerate(tied.items()):
        mine = {s: stages[s].parameters[name].grad for s in having if s in stages}
        if not mine:
            continue
        others = sorted({owners[s] for s in having} - {member.index})
        known: dict[int, torch.Tensor | None] = dict(mine)
        arrays, about = packed(list(mine.values()))
        for other in others:
            member.send(other, (*tag, at), arrays, [list(mine), about], slot=("tied", at))
        for other in others:
            arrays, (theirs, about) = member.take(other, (*tag, at))
            device = stages[next(iter(mine))].device
            known |= dict(zip(theirs, unpacked(arrays, about, device), strict=True))
        total = _sum([known[s] for s in having])
        for s in mine:  # each its own: what follows changes them in place
            stages[s].parameters[name].grad = None if total is None else total.clone()


def _sum(gradients: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    total = None
    for each in gradients:
        if each is not None:
            total = each if total is None else total + each
    return total


def clip(
    member: Member,
    stages: Mapping[int, Stage],
    ranks: Mapping[str, int],
    tied: Mapping[str, Sequence[int]],
    limit: float,
    tag: tuple[Any, ...],
) -> None:
    """Scale gradients to a norm over all stages, with the bits of `clip_grad_norm_`.

    Parameters
    ----------
    member : Member
    stages : mapping of int to Stage
        Those of this member.
    ranks : mapping of str to int
        The places of parameters among all: norms are added in their order, and those of one that
        is cut into blocks in the order of blocks.
    tied : mapping of str to sequence of int
        A parameter that several stages have counts once, for the first of them.
    limit : float
    tag : tuple
    """
    norms: dict[tuple[int, int], Any] = {}
    for s, stage in stages.items():
        for name, parameter in stage.parameters.items():
            if parameter.grad is not None and tied.get(name, (s,))[0] == s:
                norms[ranks[name], s] = torch.linalg.vector_norm(parameter.grad, 2.0)
    arrays, about = packed(list(norms.values()))
    for other in member.others:
        member.send(other, tag, arrays, [list(norms), about])
    device = next(iter(stages.values())).device
    for other in member.others:
        arrays, (theirs, about) = member.take(other, tag)
        places = [(rank, s) for rank, s in theirs]
        norms |= dict(zip(places, unpacked(arrays, about, device), strict=True))
    if not norms:
        return
    total = torch.linalg.vector_norm(torch.stack([norms[place] for place in sorted(norms)]), 2.0)
    for stage in stages.values():
        clip_grads_with_norm_(stage.parameters.values(), limit, total)
