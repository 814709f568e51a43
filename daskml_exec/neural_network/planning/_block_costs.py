"""What an epoch costs of a network whose weights are cut into blocks, with one replica or more."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskml_exec.kernels.networks.blocks.cuts import BlockLayout
from daskml_exec.neural_network._block_holders import BlockHolders
from daskml_exec.neural_network._block_plan import BlockPlan
from daskml_exec.neural_network._workload import Workload
from daskml_exec.neural_network.planning._calibration import Calibration
from daskml_exec.neural_network.planning._costs import (
    PENALTY_WORDS,
    ROW_WORDS,
    VALUE_WORDS,
    Estimate,
)
from daskml_exec.neural_network.planning._rates import Rates
from daskml_exec.training.groups._replica_averages import PIECE

# How long a segment of one replica lasts at most, by default.
_SEGMENT_SECONDS = 5.0
# Calls of a step, fitted to those of networks of 8 units a layer: 237 to 3,071 calls with 2 to 4
# layers and 1 to 8 blocks.
_INNER_LAYER_CALLS, _BLOCK_LAYER_CALLS = 60, 85
# Numbers read or written per number of a block that replicas average, and per number of a sum of
# several workers' partial sums.
_AVERAGE_WORDS, _SUM_WORDS = 8, 3


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
    group = _Group(BlockHolders(work, plan))
    steps = plan.steps_per_epoch
    syncs = 0 if plan.sync_steps is None else -(-steps // plan.sync_steps)
    members = range(len(group.blocks))
    seconds, segments = None, 1
    if calibration is not None:
        rates = Rates(calibration, np.dtype(work.dtype), work.n_moments)
        seconds = max(group.epoch_seconds(member, rates) for member in members)
        seconds += syncs * max(group.average_seconds(member, rates) for member in members)
        segments = max(1, round(seconds / _SEGMENT_SECONDS))
        seconds += segments * calibration.segment_seconds
    return Estimate(
        parallel=parallel,
        n_blocks=plan.n_blocks,
        n_replicas=len(plan.replicas),
        bytes_per_epoch=int(
            sum(
                plan.steps(replica) * group.sent_per_step(member, replica)
                for member in members
                for replica in group.blocks[member]
            )
            + syncs * sum(map(group.averaged_bytes, members))
        ),
        rounds_per_epoch=segments,
        steps_per_epoch=steps,
        seconds_per_epoch=seconds,
        memory_per_worker=group.holders.most_memory,
        memory_limit=work.memory_limit,
    )


@dataclass(frozen=True)
class _Group:
    """The workers that have blocks."""

    holders: BlockHolders

    @property
    def work(self) -> Workload:
        return self.holders.work

    @property
    def plan(self) -> BlockPlan:
        return self.holders.plan

    @property
    def blocks(self) -> list[Mapping[int, int]]:
        """Per member, how many blocks it has of which replicas."""
        return self.holders.blocks

    @cached_property
    def layout(self) -> BlockLayout:
        return BlockLayout(self.work.units, self.plan.n_blocks)

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
        n, share = self.blocks[member][replica], self.holders.share(member, replica)
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

    def sent_per_step(self, member: int, replica: int) -> float:
        """Return the bytes that a member sends for a step of a replica."""
        return sum(self._sent(member, replica))

    def averaged_bytes(self, member: int) -> float:
        """Return the bytes that a member sends to the other owners of its blocks at an average."""
        n_blocks, sent = self.plan.n_blocks, 0
        for unit, owner in enumerate(self.holders.owners):
            if owner == member:
                sent += len(set(self.holders.owners[unit % n_blocks :: n_blocks]) - {member})
        return sent * self.work.state_bytes / n_blocks

    def average_seconds(self, member: int, rates: Rates) -> float:
        """Return what a member takes to average its blocks over the replicas."""
        numbers = self.holders.own_state(member) / self.work.itemsize
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

    @property
    def _summed_units(self) -> int:
        return sum(units for kind, units in self.layout.exchanges if kind != "gather")

    def _sent(self, member: int, replica: int) -> list[float]:
        """Return the bytes that a member sends in each exchange of a step."""
        others = self.n_owners(replica) - 1
        share, item = self.holders.share(member, replica), self.work.itemsize
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
