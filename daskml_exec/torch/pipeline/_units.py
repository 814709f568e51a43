"""The stages of a fit as units, and the model that they make together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.optimisers import OptimiserState
from daskml_exec.torch._layout import Layout
from daskml_exec.torch._local_module import device_here
from daskml_exec.torch._supervised import move
from daskml_exec.torch.pipeline._parts import PipelineParts, parts_of
from daskml_exec.torch.pipeline._stage import TENSOR, Stage, state_name
from daskml_exec.training import owners_of
from daskml_exec.training.averaging import Model


@dataclass(frozen=True)
class PipelineUnits:
    """`Units` of modules that are cut into stages.

    Attributes
    ----------
    skeletons : tuple of bytes
        Of each stage, its parts without their tensors.
    code : bytes
        `PipelineParts`.
    largest_nbytes : int
    n_replicas : int
        Of the whole pipeline: units are the stages of one after the other.
    n_blocks : int
        Of the output layer, which are the last of these.
    milliseconds : tuple of float
        That each took of a few samples, by which blocks are given to Workers.
    """

    skeletons: tuple[bytes, ...]
    code: bytes
    largest_nbytes: int
    n_replicas: int = 1
    n_blocks: int = 0
    milliseconds: tuple[float, ...] = ()

    @property
    def n(self) -> int:
        return self.n_replicas * self.n_stages

    @property
    def n_stages(self) -> int:
        """Of each replica, blocks of its output layer among them."""
        return len(self.skeletons)

    def owners(self, n_workers: int) -> tuple[int, ...]:
        if not self.n_blocks:
            return owners_of_stages(self.n_stages, self.n_replicas, n_workers)
        return owners_with_blocks(self.milliseconds, self.n_blocks, self.n_replicas, n_workers)

    def teams(self, owners: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """Return per replica and stage the worker that has it, of owners of all units."""
        n = self.n_stages
        return tuple(tuple(owners[r * n : (r + 1) * n]) for r in range(self.n_replicas))

    def by_replica(self, units: Mapping[int, Stage]) -> dict[int, dict[int, Stage]]:
        """Return per replica those of these units that are its stages, by stage."""
        found: dict[int, dict[int, Stage]] = {}
        for unit in sorted(units):
            replica, stage = divmod(unit, self.n_stages)
            found.setdefault(replica, {})[stage] = units[unit]
        return found

    @property
    def parts(self) -> PipelineParts:
        """What all stages share, made where this is."""
        return parts_of(self.code)

    def create(self, unit: int, given: Any) -> Stage:
        return self.revive(unit, given)

    def revive(self, unit: int, arrays: Mapping[str, Array]) -> Stage:
        parts = self.parts
        device = device_here(parts.device)
        move(parts.loss, device)
        return Stage(
            self.skeletons[unit % self.n_stages],
            arrays,
            parts.optimiser,
            parts.groups,
            device,
            is_of_first=unit < self.n_stages,
        )

    def wanted(self) -> Sequence[int]:
        return range(self.n)

    def result(self, unit: Stage) -> dict[str, Array]:
        if not (unit.is_of_first or unit.apart):
            return {}  # where replicas are averaged, all are as the first
        return {name: array.copy() for name, array in unit.arrays().items()}


def owners_of_stages(n_stages: int, n_replicas: int, n_workers: int) -> tuple[int, ...]:
    """Return per stage of one replica after the other the worker that has it.

    Stages of a replica are on different workers, as long as there are workers. Where there are too
    few, those of one worker are consecutive, so that less has to travel, and every other replica
    goes the other way round, so that workers have about as many.

    Examples
    --------
    >>> owners_of_stages(2, 2, 4), owners_of_stages(2, 2, 3), owners_of_stages(3, 2, 2)
    ((0, 1, 2, 3), (0, 1, 2, 0), (0, 0, 1, 1, 1, 0))
    """
    n = n_stages * n_replicas
    if n_workers >= n_stages:
        return tuple(unit % n_workers for unit in range(n))
    forth = owners_of(n_stages, n_workers)
    back = tuple(n_workers - 1 - owner for owner in forth)
    return tuple(owner for r in range(n_replicas) for owner in (back if r % 2 else forth))


def owners_with_blocks(
    milliseconds: Sequence[float], n_blocks: int, n_replicas: int, n_workers: int
) -> tuple[int, ...]:
    """Return per stage and block of one replica after the other the worker that has it.

    Stages are where they are without blocks. A block goes to the worker that has least to do, of
    those without a block of the replica, as long as there are some.

    Parameters
    ----------
    milliseconds : sequence of float
        Of each stage and block of a replica.
    n_blocks, n_replicas, n_workers : int

    Examples
    --------
    >>> owners_with_blocks([1, 2, 2], 2, 1, 2), owners_with_blocks([1, 2, 2], 2, 1, 3)
    ((0, 0, 1), (0, 2, 1))
    """
    n_stages = len(milliseconds) - n_blocks
    of_stages = owners_of_stages(n_stages, n_replicas, n_workers)
    busy = [0.0] * n_workers
    for unit, owner in enumerate(of_stages):
        busy[owner] += milliseconds[unit % n_stages]
    found: list[int] = []
    for replica in range(n_replicas):
        blocks: list[int] = []
        for takes in milliseconds[: n_stages - 1 : -1]:
            free = set(range(n_workers)) - set(blocks) or range(n_workers)
            owner = min(free, key=lambda worker: (busy[worker], worker))
            busy[owner] += takes
            blocks.insert(0, owner)
        found += [*of_stages[replica * n_stages : (replica + 1) * n_stages], *blocks]
    return tuple(found)


def remembered_arrays(layout: Layout, model: Model) -> dict[str, dict[str, Array]]:
    """Return what an optimiser remembers, by parameter, as the arrays of a stage.

    One that has not taken a step for a parameter has nothing for it, which is not zeros.
    """
    n = layout.counters.size
    counted = dict(zip(layout.scalars.owned, model.buffers.largest[n:].tolist(), strict=False))
    moments = model.optimiser.moments
    if not len(moments) and not any(counted.values()):
        return {}
    new = set(layout.scalars.names) - {owner for (owner, _), value in counted.items() if value}
    if not len(moments):
        moments = np.zeros(layout.moments.size, layout.numpy_dtype)
    arrays = dict(zip(layout.moments.owned, layout.moments.views(moments), strict=True))
    arrays |= {owned: np.array(value, np.float32) for owned, value in counted.items()}
    found: dict[str, dict[str, Array]] = {}
    for (owner, key), array in arrays.items():
        if owner not in new:
            found.setdefault(owner, {})[state_name(owner, key)] = array
    return found


def model_of(layout: Layout, begin: Model, held: Mapping[int, Mapping[str, Array]]) -> Model:
    """Return the model of which the stages are, and of its beginning what no stage has."""
    found: dict[str, Array] = {}
    for stage in sorted(held, reverse=True):  # of tied weights those of the first
        found |= held[stage]
    n = layout.counters.size
    parameters = begin.parameters.copy()
    statistics = begin.buffers.statistics.copy()
    largest = begin.buffers.largest.copy()
    moments = np.zeros(layout.moments.size, layout.numpy_dtype)
    for slots, flat in (
        (layout.parameters, parameters),
        (layout.statistics, statistics),
        (layout.counters, largest[:n]),
        (layout.moments, moments),
        (layout.scalars, largest[n : n + layout.scalars.size]),
    ):
        names = [TENSOR + name for name in slots.names]
        if slots.keys:
            names = [state_name(*owned) for owned in slots.owned]
        for name, view in zip(names, slots.views(flat), strict=True):
            if name in found:
                view[...] = found[name]
    buffers = replace(begin.buffers, statistics=statistics, largest=largest)
    return Model(parameters, OptimiserState(moments, np.empty(0)), buffers)
