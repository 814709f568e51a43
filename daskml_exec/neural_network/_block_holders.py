"""Who has which blocks of a network, and what memory that takes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from daskml_exec.executor import IDLE_BYTES
from daskml_exec.kernels.block_sizes import block_sizes
from daskml_exec.neural_network._block_plan import BlockPlan
from daskml_exec.neural_network._workload import Workload
from daskml_exec.training import owners_of

_BUSY_BYTES = 120_000_000
"""What a worker was measured to need beside its blocks and data: compiled code, BLAS, messages."""


@dataclass(frozen=True)
class BlockHolders:
    """The workers that have blocks of the replicas."""

    work: Workload
    plan: BlockPlan

    @cached_property
    def owners(self) -> tuple[int, ...]:
        """Per block of each replica, the member that has it; they are dealt in even ranges."""
        return owners_of(self.plan.n_blocks * len(self.plan.replicas), self.work.n_workers)

    @cached_property
    def blocks(self) -> list[Mapping[int, int]]:
        """Per member, how many blocks it has of which replicas."""
        return [
            Counter(u // self.plan.n_blocks for u, owner in enumerate(self.owners) if owner == m)
            for m in range(self.owners[-1] + 1)
        ]

    def share(self, member: int, replica: int) -> float:
        """Return a member's share of a replica's blocks."""
        return self.blocks[member][replica] / self.plan.n_blocks

    def own_state(self, member: int) -> float:
        """Return the bytes of a member's blocks with their moments."""
        return sum(self.share(member, r) for r in self.blocks[member]) * self.work.state_bytes

    def memory(self, member: int) -> int:
        """Return the bytes that a member needs.

        Its blocks with their moments, the gradient of a chunk, the values of a batch, two
        partitions on their way, and those that it has been holding.
        """
        work, item = self.work, self.work.itemsize
        hidden, widest = sum(work.units[1:-1]), max(work.units[1:])
        replicas = self.blocks[member]
        values = sum(2 * self.share(member, r) * hidden + 3 * widest for r in replicas)
        coming = 2 * max(work.rows) * len(replicas) * work.row_bytes
        chunk = 2 * min(block_sizes().chunk_elements, work.n_parameters)
        batch = self.plan.batch * (values + len(replicas) * work.row_values)
        return int(
            IDLE_BYTES
            + _BUSY_BYTES
            + self.own_state(member)
            + (chunk * len(replicas) + batch) * item
            + work.held_bytes(member)
            + coming
        )

    @property
    def most_memory(self) -> int:
        """Bytes that the busiest of them needs."""
        return max(map(self.memory, range(len(self.blocks))))
