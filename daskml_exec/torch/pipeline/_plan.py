"""Which samples make up the steps of a pipeline, on all Workers alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from daskml_exec.training.groups._partition_steps import (
    PartitionSteps,
    partition_order,
    steps_by_partition,
)


@dataclass(frozen=True)
class PipelineStep:
    """One step.

    Attributes
    ----------
    number : int
        In the epoch, over all partitions.
    first, last : int
        The samples, in the order in which the partition is gone through in the epoch.
    """

    number: int
    first: int
    last: int

    @property
    def n_samples(self) -> int:
        return self.last - self.first

    def parts(self, micro_batches: int) -> int:
        """Return into how many parts its samples are cut, where there are enough of them."""
        return min(micro_batches, self.n_samples)


@dataclass(frozen=True)
class PipelinePlan:
    """The steps of an epoch. A replica's samples in a step are of one partition, in even shares.

    Attributes
    ----------
    rows : tuple of int
        Samples that are trained on, per partition.
    weighty : tuple of int
        Those of them whose weight is not zero, which are gone through.
    batch : int
        Samples per step and replica, at most.
    seed : int or None
        Of the order of partitions, drawn anew each epoch; None for their own order.
    replicas : tuple of tuple of int
        The partitions of each replica, which it goes through one by one.
    sync_steps : int or None
        Steps between two averages of the replicas; None for one replica.
    """

    rows: tuple[int, ...]
    weighty: tuple[int, ...]
    batch: int
    seed: int | None
    replicas: tuple[tuple[int, ...], ...]
    sync_steps: int | None = None

    @property
    def steps(self) -> list[int]:
        """Of each partition."""
        return [-(-n // self.batch) for n in self.rows]

    @property
    def steps_per_epoch(self) -> int:
        """Of the partitions of whoever takes most, one after the other."""
        steps = self.steps
        return max(sum(steps[i] for i in own) for own in self.replicas)

    def by_partition(
        self, replica: int, epoch: int, first_step: int, n_steps: int
    ) -> Iterator[PartitionSteps]:
        """Yield on which partitions these steps of a replica's epoch are."""
        order = partition_order(self.replicas[replica], self.seed, replica, epoch)
        return steps_by_partition(self.steps, order, first_step, n_steps)

    def steps_of(self, found: PartitionSteps) -> Iterator[PipelineStep]:
        """Yield the steps of a partition that have samples."""
        n, of = self.weighty[found.partition], self.steps[found.partition]
        for i in range(found.first_step, found.last_step):
            number = found.begin + i - found.first_step
            step = PipelineStep(number, i * n // of, (i + 1) * n // of)
            if step.n_samples:
                yield step

    def samples_until(self, epoch: int, step: int) -> int:
        """Return how many samples all replicas have before a step of an epoch."""
        return sum(
            each.n_samples
            for replica in range(len(self.replicas))
            for found in self.by_partition(replica, epoch, 0, step)
            for each in self.steps_of(found)
        )

    @property
    def largest(self) -> int:
        """Samples of the largest step."""
        shares: Sequence[tuple[int, int]] = list(zip(self.weighty, self.steps, strict=True))
        return max((-(-n // of) for n, of in shares if of), default=0)
