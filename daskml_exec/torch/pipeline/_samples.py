"""The steps of a replica in a segment, with their samples where a Worker has use for them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.executor.peers import Peer, Source
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.batches import RowOrder
from daskml_exec.partitions import Partition
from daskml_exec.torch._gather import Gather
from daskml_exec.torch.pipeline._parts import PipelineParts
from daskml_exec.torch.pipeline._plan import PipelinePlan, PipelineStep


@dataclass(frozen=True)
class Samples:
    """Those of a step."""

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
            if parts.encode is not None:
                partition = replace(partition, y=parts.encode(partition.y))
            order = RowOrder(parts.seed if parts.shuffle else None, partition.index)
            everything = np.arange(partition.n_rows)
            rows = order.of_epoch(everything, self.epoch, partition.sample_weight)
            gather = Gather(
                partition, parts.layout.torch_dtype, parts.augment, parts.seed, self.epoch
            )
            for step in self.plan.steps_of(each):
                yield step, Samples(partition, rows[step.first : step.last], gather)
            del partition, gather

    def _partitions(self) -> Iterator[Any]:
        return self.plan.by_partition(self.replica, self.epoch, self.first_step, self.n_steps)
