"""Steps that go through one partition after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

# Names the random streams that order the partitions, apart from those of rows and weights.
_PARTITION_ORDER = 2**31


@dataclass(frozen=True)
class PartitionSteps:
    """Consecutive steps on one partition.

    Attributes
    ----------
    partition : int
    begin : int
        The first of them, counted from the begin of the epoch.
    first_step, last_step : int
        The first of them, and the first that is not among them, counted from the partition's begin.
    """

    partition: int
    begin: int
    first_step: int
    last_step: int


def steps_by_partition(
    steps: Sequence[int], order: Sequence[int], first_step: int, n_steps: int
) -> Iterator[PartitionSteps]:
    """Yield where these steps of an epoch are, in order.

    Parameters
    ----------
    steps : sequence of int
        That each partition has.
    order : sequence of int
        Of the partitions.
    first_step : int
        Counted from the begin of the epoch.
    n_steps : int

    Yields
    ------
    PartitionSteps
        At least one step.

    Examples
    --------
    >>> for found in steps_by_partition([3, 0, 2], [2, 0, 1], first_step=1, n_steps=3):
    ...     print(found)
    PartitionSteps(partition=2, begin=1, first_step=1, last_step=2)
    PartitionSteps(partition=0, begin=2, first_step=0, last_step=2)
    """
    at = 0
    for partition in order:
        n = steps[partition]
        begin, end = max(first_step - at, 0), min(first_step + n_steps - at, n)
        if begin < end:
            yield PartitionSteps(partition, at + begin, begin, end)
        at += n


def partition_order(
    partitions: Sequence[int], seed: int | None, replica: int, epoch: int
) -> Sequence[int]:
    """Return these partitions of a replica in the order of an epoch; their own without a seed."""
    if seed is None or len(partitions) == 1:
        return partitions
    stream = np.random.SeedSequence((seed, _PARTITION_ORDER, replica, epoch))
    order = np.random.default_rng(stream).permutation(len(partitions))
    return [partitions[at] for at in order.tolist()]
