"""The samples of a replica in a segment, of steps and held out, where a Worker has use for them."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from daskml_exec.executor.peers import Peer, Source
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.batches import RowOrder, held_out
from daskml_exec.partitions import Partition
from daskml_exec.torch._gather import Gather
from daskml_exec.torch._purpose import encoded
from daskml_exec.torch.pipeline._held_out import Piece
from daskml_exec.torch.pipeline._parts import PipelineParts
from daskml_exec.torch.pipeline._plan import PipelinePlan, PipelineStep


@dataclass(frozen=True)
class Samples:
    """Those of a step, or of a piece of what is held out."""

    partition: Partition
    rows: Array
    gather: Gather

    def batch(self) -> Any:
        """Return them as tensors."""
        return self.gather(self.rows)


@dataclass(frozen=True)
class Stream:
    """The steps of a replica in a segment.

    Attributes
    ----------
    plan : PipelinePlan
    parts : PipelineParts
    replica, epoch, first_step, n_steps : int
    """

    plan: PipelinePlan
    parts: PipelineParts
    replica: int
    epoch: int
    first_step: int
    n_steps: int

    def without(self) -> Iterator[tuple[PipelineStep, None]]:
        """Yield the steps that have samples, without these."""
        for found in self._partitions():
            for step in self.plan.steps_of(found):
                yield step, None

    def with_samples(
        self, peer: Peer, sources: Mapping[int, Source]
    ) -> Iterator[tuple[PipelineStep, Samples]]:
        """Yield the steps with their samples. The next partition comes while one is in use."""
        parts, found = self.parts, list(self._partitions())
        partitions = peer.partitions([sources[each.partition] for each in found])
        for each, partition in zip(found, partitions, strict=True):
            partition = encoded(partition, parts.encode)
            order = RowOrder(parts.seed if parts.shuffle else None, partition.index)
            trained_on, _ = _split(partition, parts)
            rows = order.of_epoch(trained_on, self.epoch, partition.sample_weight)
            gather = Gather(
                partition, parts.layout.torch_dtype, parts.augment, parts.seed, self.epoch
            )
            for step in self.plan.steps_of(each):
                yield step, Samples(partition, rows[step.first : step.last], gather)
            del partition, gather

    def _partitions(self) -> Iterator[Any]:
        return self.plan.by_partition(self.replica, self.epoch, self.first_step, self.n_steps)


def samples_held_out(
    pieces: Sequence[Piece], parts: PipelineParts, peer: Peer, sources: Mapping[int, Source]
) -> Iterator[Samples]:
    """Yield the samples of each piece. The next partition comes while one is in use."""
    groups = [list(group) for _, group in itertools.groupby(pieces, attrgetter("partition"))]
    partitions = peer.partitions([sources[group[0].partition] for group in groups])
    for group, partition in zip(groups, partitions, strict=True):
        partition = encoded(partition, parts.encode)
        _, rows = _split(partition, parts)
        gather = Gather(partition, parts.layout.torch_dtype, None, parts.seed, 0)
        for piece in group:
            yield Samples(partition, rows[piece.first : piece.last], gather)
        del partition, gather


def _split(partition: Partition, parts: PipelineParts) -> tuple[Array, Array]:
    """Return which samples are trained on, and which are held out."""
    return held_out(
        partition.start,
        partition.n_rows,
        parts.held_out,
        seed=parts.seed,
        partition=partition.index,
    )
