"""The stages of all replicas become their average, each tensor by its role."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from daskml_exec.executor.peers import Peer
from daskml_exec.kernels.arrays import Array
from daskml_exec.torch._layout import Layout
from daskml_exec.torch.pipeline._parts import PipelineParts
from daskml_exec.torch.pipeline._stage import Stage
from daskml_exec.torch.pipeline._trees import array_of
from daskml_exec.training.groups._replica_averages import Averaged, Share, average_replicas

Name = tuple[Any, ...]
Owned = tuple[str, str]


def average_stages(
    peer: Peer,
    owners: Sequence[int],
    stages: Mapping[int, Stage],
    n_stages: int,
    parts: PipelineParts,
    shares: Mapping[int, Share],
    name: Name,
    *,
    ends_epoch: bool,
) -> bool:
    """Average parameters, statistics and moments, and take the largest of what is counted.

    Parameters
    ----------
    peer : Peer
    owners : sequence of int
        Per unit, the index of the member that has it.
    stages : mapping of unit to Stage
        Those of this worker; changed in place.
    n_stages : int
        Of a replica.
    parts : PipelineParts
    shares : mapping of replica to Share
        Of this worker's replicas.
    name : tuple
    ends_epoch : bool
        Whether moments are averaged that stay with their replica else.

    Returns
    -------
    bool
        Whether all replicas can train on: the same on all workers.
    """
    moments = parts.keeps == "average" or (parts.keeps == "local" and ends_epoch)
    if moments:
        _remember_alike(peer, owners, stages, n_stages, (*name, "remembered"))
    with _as_arrays(stages, parts.layout, moments=moments) as arrays:
        go_on = average_replicas(peer, owners, arrays, n_stages, shares, name)
    if parts.keeps == "reset":
        for stage in stages.values():
            stage.forget()
    return go_on


def _remember_alike(
    peer: Peer, owners: Sequence[int], stages: Mapping[int, Stage], n_stages: int, tag: Name
) -> None:
    """Have optimisers remember zeros of what those of other replicas remember.

    One remembers nothing of a parameter for which it has not taken a step yet.
    """
    told: dict[int, dict[Owned, Any]] = {
        unit: {owned: _form(each) for owned, each in stage.remembered().items()}
        for unit, stage in stages.items()
    }
    mine = {unit % n_stages for unit in stages}
    having = {owner for unit, owner in enumerate(owners) if unit % n_stages in mine}
    others = sorted(having - {peer.index})
    for other in others:
        peer.send(other, tag, (), told)
    forms = dict(told)
    for other in others:
        forms |= peer.take(other, tag)[1]
    for unit, stage in stages.items():
        for same in range(unit % n_stages, len(owners), n_stages):
            for owned in forms[same].keys() - stage.remembered().keys():
                shape, dtype = forms[same][owned]
                stage.remember(*owned, np.zeros(shape, dtype))


def _form(tensor: torch.Tensor) -> tuple[tuple[int, ...], str]:
    array = array_of(tensor)
    return array.shape, str(array.dtype)


@contextmanager
def _as_arrays(
    stages: Mapping[int, Stage], layout: Layout, *, moments: bool
) -> Iterator[dict[int, Averaged]]:
    """Yield what is averaged of stages, which take it when the block has ended."""
    found, changed = {}, []
    for unit, stage in stages.items():
        pairs = [
            [(each, _numbers(each, exact)) for each, exact in tensors]
            for tensors in _by_rule(stage, layout, moments=moments)
        ]
        arrays: list[list[Array]] = [[there.numpy() for _, there in each] for each in pairs]
        found[unit] = Averaged(arrays[:1], arrays[1])
        changed += [pair for each in pairs for pair in each]
    yield found
    for tensor, there in changed:
        if there.data_ptr() != tensor.data_ptr():
            tensor.copy_(there)


def _by_rule(
    stage: Stage, layout: Layout, *, moments: bool
) -> tuple[list[tuple[torch.Tensor, bool]], list[tuple[torch.Tensor, bool]]]:
    """Return what is averaged, and that of which the largest counts; whether in float64."""
    tensors = stage.tensors()
    means = [(each.detach(), False) for each in stage.parameters.values()]
    # In float64, where the average of equal numbers of float32 is that number.
    means += [(tensors[name], True) for name in layout.statistics.names if name in tensors]
    largest = [(tensors[name], False) for name in layout.counters.names if name in tensors]
    if moments:
        remembered = stage.remembered()
        counted = set(layout.scalars.owned)
        for owned in sorted(remembered):
            each = remembered[owned]
            mean = owned not in counted and each.is_floating_point()
            (means if mean else largest).append((each.detach(), False))
    return means, largest


def _numbers(tensor: torch.Tensor, exact: bool) -> torch.Tensor:
    """Return them contiguous on the CPU, in the same memory if they are so already."""
    there = tensor.cpu()
    if there.is_floating_point() and (exact or there.dtype not in (torch.float32, torch.float64)):
        there = there.double()
    return there.contiguous()
