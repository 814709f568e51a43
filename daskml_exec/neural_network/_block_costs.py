"""What an epoch costs of a network whose weights are cut into blocks, with one replica or more."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from daskml_exec.executor import Calibration
from daskml_exec.kernels.networks.blocks.chunks import CHUNK_ELEMENTS
from daskml_exec.kernels.networks.blocks.cuts import BlockLayout
from daskml_exec.neural_network._block_averages import PIECE
from daskml_exec.neural_network._block_plan import BlockPlan
from daskml_exec.neural_network._costs import (
    IDLE_BYTES,
    PENALTY_WORDS,
    ROW_WORDS,
    VALUE_WORDS,
    Estimate,
    Workload,
)
from daskml_exec.neural_network._rates import Rates
from daskml_exec.training import owners_of

# How long a segment of one replica lasts at most, by default.
_SEGMENT_SECONDS = 5.0
# Calls of a step, fitted to those of networks of 8 units a layer: 237 to 3,071 calls with 2 to 4
# layers and 1 to 8 blocks.
_INNER_LAYER_CALLS, _BLOCK_LAYER_CALLS = 60, 85
# Numbers read or written per number of a block that replicas average, and per number of a sum of
# several workers' partial sums.
_AVERAGE_WORDS, _SUM_WORDS = 8, 3
_BUSY_BYTES = 120_000_000
"""What a worker was measured to need beside its blocks and data: compiled code, BLAS, messages."""


def blocks_estimate(
    work: Workload, plan: BlockPlan, calibration: Calibration | None, *, parallel: str
) -> Estimate:
    """Estimate training in blocks, of one replica of the network or several that are averaged.

    A step of a replica goes through its whole batch on all workers that have a block of it, which
    bring its partitions to themselves once an epoch. Each updates the parameters of its blocks
    alone. They exchange what `BlockLayout.exchanges` says. Workers beyond the blocks of all
    replicas idle.

    Parameters
    ----------
    work : Workload
    plan : BlockPlan
    calibration : Calibration or None
    parallel : {"model", "hybrid"}
    """
    crew = _Crew(work, plan)
    steps = plan.steps_per_epoch
    syncs = 0 if plan.sync_steps is None else -(-steps // plan.sync_steps)
    members = range(len(crew.blocks))
    seconds, segments = None, max(1, syncs)
    if calibration is not None:
        rates = Rates(calibration, work.dtype, work.n_moments)
        seconds = max(crew.epoch_seconds(member, rates) for member in members)
        segments = syncs or max(1, round(seconds / _SEGMENT_SECONDS))
        seconds += segments * calibration.segment_seconds
        seconds += syncs * max(crew.average_seconds(member, rates) for member in members)
    return Estimate(
        parallel=parallel,
        n_blocks=plan.n_blocks,
        n_replicas=len(plan.replicas),
        bytes_per_epoch=int(
            sum(
                plan.steps(replica) * crew.sent_per_step(member, replica)
                for member in members
                for replica in crew.blocks[member]
            )
            + syncs * sum(map(crew.averaged_bytes, members))
        ),
        rounds_per_epoch=segments,
        steps_per_epoch=steps,
        seconds_per_epoch=seconds,
        memory_per_worker=max(map(crew.memory, members)),
        memory_limit=work.memory_limit,
    )


@dataclass(frozen=True)
class _Crew:
    """The workers that have blocks."""

    work: Workload
    plan: BlockPlan

    @cached_property
    def layout(self) -> BlockLayout:
        return BlockLayout(self.work.units, self.plan.n_blocks)

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

    def batch(self, replica: int) -> float:
        """Return the rows of a replica's step, on average: the last of a partition has fewer."""
        rows = sum(self.plan.rows[partition] for partition in self.plan.replicas[replica])
        return rows / max(1, self.plan.steps(replica))

    def n_owners(self, replica: int) -> int:
        """Return how many members have blocks of a replica."""
        return sum(replica in mine for mine in self.blocks)

    def epoch_seconds(self, member: int, rates: Rates) -> float:
        """Return what a member takes for an epoch's steps and to bring its partitions."""
        trained = sum(
            self.plan.steps(replica) * self.step_seconds(member, replica, rates)
            for replica in self.blocks[member]
        )
        brought = self.brought(member)
        # Each is asked for before it comes.
        asked = 2 * len(brought) * rates.exchange(0.0)
        rows = sum(self.plan.rows[partition] for partition in brought)
        return trained + asked + rates.between(rows * self.work.row_bytes)

    def step_seconds(self, member: int, replica: int, rates: Rates) -> float:
        """Return what a member takes for a step of a replica, with its exchanges."""
        work, batch = self.work, self.batch(replica)
        n, share = self.blocks[member][replica], self.share(member, replica)
        n_layers, hidden = len(work.units) - 1, sum(work.units[1:-1])
        own = share * work.n_parameters
        return (
            share * rates.products(work.units, work.row_values, batch)
            + rates.memory(batch * VALUE_WORDS * (share * hidden + work.units[-1]))
            + rates.memory(batch * ROW_WORDS * work.row_values)
            + rates.memory(batch * _SUM_WORDS * (n - 1) * self._summed_units)
            + rates.memory(PENALTY_WORDS * own)
            + rates.update(own)
            + rates.calls(_INNER_LAYER_CALLS * (n_layers - 1) + _BLOCK_LAYER_CALLS * n_layers * n)
            + self._exchange_seconds(member, replica, rates)
        )

    def share(self, member: int, replica: int) -> float:
        """Return a member's share of a replica's blocks."""
        return self.blocks[member][replica] / self.plan.n_blocks

    def sent_per_step(self, member: int, replica: int) -> float:
        """Return the bytes that a member sends for a step of a replica."""
        return sum(self._sent(member, replica))

    def averaged_bytes(self, member: int) -> float:
        """Return the bytes that a member sends to the other owners of its blocks at an average."""
        n_blocks, sent = self.plan.n_blocks, 0
        for unit, owner in enumerate(self.owners):
            if owner == member:
                sent += len(set(self.owners[unit % n_blocks :: n_blocks]) - {member})
        return sent * self.work.state_bytes / n_blocks

    def own_state(self, member: int) -> float:
        """Return the bytes of a member's blocks with their moments."""
        return sum(self.share(member, r) for r in self.blocks[member]) * self.work.state_bytes

    def average_seconds(self, member: int, rates: Rates) -> float:
        """Return what a member takes to average its blocks over the replicas."""
        numbers = self.own_state(member) / self.work.dtype.itemsize
        seconds = rates.memory(_AVERAGE_WORDS * numbers)
        sent = self.averaged_bytes(member)
        if not sent:
            return seconds
        # Weights of rows, then the parameters, moments and scales of each layer of each block.
        arrays = (1 + 2 * (self.work.n_moments > 0)) * (len(self.work.units) - 1)
        n_exchanges = 1 + sum(self.blocks[member].values()) * arrays + numbers / PIECE
        return seconds + n_exchanges * rates.exchange(0.0) + rates.between(sent)

    def brought(self, member: int) -> list[int]:
        """Return the partitions of a member's replicas that other workers have."""
        return [
            partition
            for replica in self.blocks[member]
            for partition in self.plan.replicas[replica]
            if self.work.holder(partition) != member
        ]

    def memory(self, member: int) -> int:
        """Return the bytes that a member needs.

        Its blocks with their moments, the gradient of a chunk, the values of a batch, two
        partitions on their way, and those that it has been holding.
        """
        work, item = self.work, self.work.dtype.itemsize
        hidden, widest = sum(work.units[1:-1]), max(work.units[1:])
        replicas = self.blocks[member]
        values = sum(2 * self.share(member, r) * hidden + 3 * widest for r in replicas)
        coming = 2 * max(work.rows) * len(replicas) * work.row_bytes
        chunk = 2 * min(CHUNK_ELEMENTS, work.n_parameters)
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
    def _summed_units(self) -> int:
        return sum(units for kind, units in self.layout.exchanges if kind != "gather")

    def _sent(self, member: int, replica: int) -> list[float]:
        """Return the bytes that a member sends in each exchange of a step."""
        others = self.n_owners(replica) - 1
        share, item = self.share(member, replica), self.work.dtype.itemsize
        column = self.batch(replica) * item
        parts = bin(self.blocks[member][replica]).count("1")
        return [
            column
            * units
            * {
                "sum_to_owners": parts * (1 - share) if others else 0.0,
                "gather": share * others,
                "sum_everywhere": parts * others,
            }[kind]
            for kind, units in self.layout.exchanges
        ]

    def _exchange_seconds(self, member: int, replica: int, rates: Rates) -> float:
        if self.n_owners(replica) == 1:
            return 0.0
        return sum(map(rates.exchange, self._sent(member, replica)))
