"""Which rows make up the steps of replicas whose weights are cut into blocks."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from daskml_exec.kernels.networks.layout import Layout
from daskml_exec.neural_network._workload import Case
from daskml_exec.training.averaging._batching import rows_per_step
from daskml_exec.training.groups._partition_steps import partition_order, steps_by_partition
from daskml_exec.training.groups._replicas import Stint, partitions_of_replicas, stints_of

_UNITS_PER_BLOCK = 1024
_BYTES_PER_BLOCK = 2**28
N_REPLICAS = 2
"""Of hybrid parallelism by default."""


@dataclass(frozen=True)
class Stretch:
    """Consecutive steps on one partition.

    Attributes
    ----------
    partition : int
    first_row, last_row : int
        A range of the partition's rows in the order of the epoch.
    """

    partition: int
    first_row: int
    last_row: int


@dataclass(frozen=True)
class BlockPlan:
    """The steps of each replica. A step's rows are of one partition.

    Attributes
    ----------
    n_blocks : int
        Of each replica.
    rows : tuple of int
        Rows trained on, per partition.
    batch : int
        Rows per step and replica.
    replicas : tuple of tuple of int
        The partitions of each replica, which it goes through one by one.
    sync_steps : int or None
        Steps between two averages of the replicas; None for one replica.
    seed : int or None
        Of the order of the partitions, drawn anew each epoch; None for their own order.
    """

    n_blocks: int
    rows: tuple[int, ...]
    batch: int
    replicas: tuple[tuple[int, ...], ...]
    sync_steps: int | None
    seed: int | None

    @property
    def steps_per_epoch(self) -> int:
        """Those of whoever takes most."""
        return max(self.steps(replica) for replica in range(len(self.replicas)))

    def stretches(
        self, replica: int, epoch: int, first_step: int, n_steps: int
    ) -> Iterator[Stretch]:
        """Yield where these steps of an epoch take their rows, in order.

        Parameters
        ----------
        replica : int
            Its index.
        epoch : int
            Counted from zero; it decides the order of the partitions.
        first_step : int
            Counted from the begin of the epoch.
        n_steps : int
            How many steps.

        Yields
        ------
        Stretch
            Rows of one partition.
        """
        partitions = self.replicas[replica]
        steps = list(map(self._steps_of, range(len(self.rows))))
        order = partition_order(partitions, self.seed, replica, epoch)
        for found in steps_by_partition(steps, order, first_step, n_steps):
            stop = min(found.last_step * self.batch, self.rows[found.partition])
            yield Stretch(found.partition, found.first_step * self.batch, stop)

    def stints(self, first_step: int, n_steps: int) -> Iterator[Stint]:
        """Yield these steps of an epoch, cut where replicas are averaged.

        Parameters
        ----------
        first_step : int
            Counted from the begin of the epoch.
        n_steps : int
            How many there are.

        Yields
        ------
        Stint
            At least one step.

        Examples
        --------
        >>> plan = BlockPlan(2, (300, 300), 100, ((0,), (1,)), sync_steps=2, seed=None)
        >>> for stint in plan.stints(0, 3):
        ...     print(stint)
        Stint(first=0, last=2, ends_epoch=False, averages=True)
        Stint(first=2, last=3, ends_epoch=True, averages=True)
        """
        yield from stints_of(first_step, n_steps, self.steps_per_epoch, self.sync_steps)

    def _steps_of(self, partition: int) -> int:
        return -(-self.rows[partition] // self.batch)

    def steps(self, replica: int) -> int:
        """Return the steps of a replica in an epoch.

        Parameters
        ----------
        replica : int
            Its index.

        Returns
        -------
        int
            At least one, if it has rows.
        """
        return sum(map(self._steps_of, self.replicas[replica]))


def default_n_blocks(layout: Layout, state_bytes: int) -> int:
    """Return into how many blocks a network is cut if nobody says: a matter of its shape alone.

    A power of two: blocks of about a thousand units, which keep a processor busy, or of as many
    bytes as a worker of modest size has room for. At least two, and no more than there are units.

    Parameters
    ----------
    layout : Layout
        With at least one hidden layer.
    state_bytes : int
        Of all parameters with what the optimiser remembers.

    Examples
    --------
    >>> default_n_blocks(Layout((784, 4096, 4096, 10)), 2**28)
    4
    """
    hidden = layout.units[1:-1]
    wanted = max(2, -(-max(hidden) // _UNITS_PER_BLOCK), -(-state_bytes // _BYTES_PER_BLOCK))
    power = 1 << (int(wanted) - 1).bit_length()
    while power > min(hidden):
        power //= 2
    return max(1, power)


def block_plan(
    rows: Sequence[int],
    batch_size: int,
    *,
    n_blocks: int,
    n_replicas: int,
    sync_every: Any,
    seed: int | None,
) -> BlockPlan:
    """Share partitions among replicas, in consecutive ranges of about as many rows.

    Parameters
    ----------
    rows : sequence of int
        Rows trained on, per partition.
    batch_size : int
        Rows per step of all replicas together.
    n_blocks, n_replicas : int
    sync_every : int, "epoch" or "auto"
        Steps between two averages; "auto" for a quarter of an epoch. One replica has none.
    seed : int or None

    Examples
    --------
    >>> plan = block_plan(
    ...     [300, 500, 400], 200, n_blocks=2, n_replicas=2, sync_every="auto", seed=None
    ... )
    >>> plan.replicas, plan.batch, plan.steps_per_epoch
    (((0, 1), (2,)), 100, 8)
    >>> for stretch in plan.stretches(0, epoch=0, first_step=2, n_steps=2):
    ...     print(stretch)
    Stretch(partition=0, first_row=200, last_row=300)
    Stretch(partition=1, first_row=0, last_row=100)
    """
    plan = BlockPlan(
        n_blocks=n_blocks,
        rows=tuple(rows),
        batch=math.ceil(batch_size / n_replicas),
        replicas=partitions_of_replicas(rows, n_replicas),
        sync_steps=None,
        seed=seed,
    )
    if n_replicas == 1:
        return plan
    steps = plan.steps_per_epoch
    wanted = {"epoch": steps, "auto": -(-steps // 4)}
    return replace(plan, sync_steps=min(steps, wanted.get(sync_every, sync_every)))


def asked_blocks(case: Case) -> BlockPlan:
    """Return the plan of a fit that was asked to train in blocks.

    Raises
    ------
    ValueError
        It cannot.
    """
    wrong = impossible_in_blocks(case)
    if wrong:
        raise ValueError(
            f"parallel={case.parallel!r} with {wrong}; parallel='auto' would take another strategy"
        )
    return blocks_of(case, case.parallel)


def impossible_in_blocks(case: Case) -> str:
    """Say why a network cannot be trained in blocks; an empty text if it can."""
    if case.incremental:
        return "partial_fit: the optimiser's moments would be lost between calls"
    hidden = case.work.units[1:-1]
    if not hidden:
        return "hidden_layer_sizes=(): a network is cut along its hidden units"
    n_blocks = case.arguments["n_blocks"]
    if n_blocks != "auto" and n_blocks > min(hidden):
        return f"n_blocks={n_blocks}: the narrowest hidden layer has {min(hidden)} units"
    return ""


def blocks_of(case: Case, parallel: str) -> BlockPlan:
    """Return the plan of model or hybrid parallelism, where it is possible."""
    arguments, work = case.arguments, case.work
    n_blocks = arguments["n_blocks"]
    if n_blocks == "auto":
        n_blocks = default_n_blocks(Layout(work.units), work.state_bytes)
    return block_plan(
        work.rows,
        rows_per_step(arguments["batch_size"], sum(work.rows)),
        n_blocks=n_blocks,
        n_replicas=n_replicas_of(case, parallel),
        sync_every=arguments["sync_every"],
        seed=case.seed,
    )


def n_replicas_of(case: Case, parallel: str) -> int:
    """Return how many replicas there are to be."""
    if parallel == "model":
        return 1
    given = case.arguments["n_replicas"]
    return N_REPLICAS if given == "auto" else int(given)
