"""The batches that a worker trains its blocks on, partition by partition."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from daskml_exec.executor.peers import Peer, Source
from daskml_exec.kernels.array_namespace import is_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.blocks.training import Batch
from daskml_exec.kernels.networks.local_steps import rows_taker
from daskml_exec.neural_network._block_plan import BlockPlan
from daskml_exec.neural_network._problem import NetworkProblem
from daskml_exec.partitions import Partition, Place


@dataclass
class BatchStream:
    """Batches of one replica in one segment. The next partition comes while one is in use.

    Attributes
    ----------
    failure : str or Place
        What is wrong with the data, if the stream has ended early because of it.
    """

    problem: NetworkProblem
    plan: BlockPlan
    peer: Peer
    sources: Mapping[int, Source]
    dtype: np.dtype[Any]
    failure: str | Place = field(default="", init=False)

    def batches(self, replica: int, epoch: int, first_step: int, n_steps: int) -> Iterator[Batch]:
        """Yield the batches of these steps."""
        stretches = list(self.plan.stretches(replica, epoch, first_step, n_steps))
        partitions = self.peer.partitions([self.sources[s.partition] for s in stretches])
        for stretch, partition in zip(stretches, partitions, strict=True):
            if epoch == 0 and stretch.first_row == 0:
                self.failure = self._wrong_with(partition)
                if self.failure:
                    return
            rows = self.problem.rows_in_order(partition, epoch)
            rows = rows[stretch.first_row : stretch.last_row]
            if len(rows):  # those without weight are left out
                yield from self._batches_of(partition, rows)
            del partition

    def _wrong_with(self, partition: Partition) -> str | Place:
        if not is_host(partition.X):
            return (
                f"partition {partition.index} of X is on a device; with parallel='model' or "
                "'hybrid' X must be NumPy's or SciPy's on the host"
            )
        return self.problem.data_failure(partition, self.dtype)

    def _batches_of(self, partition: Partition, rows: Array) -> Iterator[Batch]:
        batch, weight = self.plan.batch, self.problem.weights(partition)
        if weight is not None:
            weight = np.ascontiguousarray(weight, dtype=self.dtype)
        targets = self.problem.network.output.targets(partition.y, self.dtype)
        takers = [rows_taker(array, rows, batch) for array in (partition.X, targets, weight)]
        for start in range(0, len(rows), batch):
            stop = min(start + batch, len(rows))
            yield Batch(*(take(start, stop) for take in takers))
