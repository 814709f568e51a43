"""What there is to train and on which cluster, as far as costs depend on it; whether it fits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from daskml_exec.executor import IDLE_BYTES, Capacity, Executor, bytes_text, workers_now
from daskml_exec.kernels.networks.layout import Layout
from daskml_exec.neural_network._problem import NetworkProblem
from daskml_exec.partitions import Partitions, Pieces
from daskml_exec.training.averaging import Batching

if TYPE_CHECKING:
    from daskml_exec.neural_network.planning import Calibration

# Models with their moments that a worker holds at once in a round: the message, the partition's
# copy, its differences, and the last round's total, until the driver lets it go.
_MODELS_OF_A_ROUND = 4

# The arguments of an estimator that costs depend on.
_ARGUMENTS = (
    "parallel",
    "n_blocks",
    "n_replicas",
    "batch_size",
    "sync_every",
    "compression",
    "outer",
    "early_stopping",
)


@dataclass(frozen=True)
class Workload:
    """What is to be trained, and on what.

    Attributes
    ----------
    units : tuple of int
        From the features to the outputs.
    n_moments : int
        Vectors that the optimiser remembers: 2 of Adam, 1 of momentum, else 0.
    dtype : {"float32", "float64"}
    rows : tuple of int
        Trained on, per partition.
    nonzeros : int or None
        Stored values of sparse X; None where X is dense.
    n_workers : int
    memory_limit : int
        Bytes that the smallest worker may use; 0 for no limit.
    """

    units: tuple[int, ...]
    n_moments: int
    dtype: str
    rows: tuple[int, ...]
    nonzeros: int | None
    n_workers: int
    memory_limit: int

    @property
    def n_parameters(self) -> int:
        """Weights and intercepts."""
        return Layout(self.units).size

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.dtype).itemsize

    @property
    def state_bytes(self) -> int:
        """Bytes of all parameters and moments."""
        return (1 + self.n_moments) * self.n_parameters * self.itemsize

    @property
    def row_values(self) -> float:
        """Stored values of a row of X, on average."""
        return self.units[0] if self.nonzeros is None else self.nonzeros / max(1, sum(self.rows))

    @property
    def row_bytes(self) -> float:
        """Bytes of a row of X with its target."""
        index = 0 if self.nonzeros is None else 4
        return self.row_values * (self.itemsize + index) + self.itemsize

    def holder(self, partition: int) -> int:
        """Return which worker has a partition, where they lie in even ranges."""
        return partition * min(self.n_workers, len(self.rows)) // len(self.rows)

    def held_bytes(self, worker: int) -> float:
        """Return the bytes of a worker's partitions that are in memory: of many, some are on disk.

        A round loads a share of the memory limit at once, and Dask writes to disk what has no room.
        """
        held = sum(self.rows[partition] for partition in self.partitions_of(worker))
        room = Capacity(self.memory_limit).for_data
        if room is None:
            return held * self.row_bytes
        return min(held * self.row_bytes, max(max(self.rows) * self.row_bytes, room))

    def partitions_of(self, worker: int) -> range:
        """Return which partitions a worker has."""
        n, n_holders = len(self.rows), min(self.n_workers, len(self.rows))
        if worker >= n_holders:
            return range(0)
        return range(-(-worker * n // n_holders), -(-(worker + 1) * n // n_holders))


@dataclass(frozen=True)
class Case:
    """What a fit was asked for, and on what: all that strategies are compared by.

    Attributes
    ----------
    arguments : mapping
        Those of the estimator that costs depend on.
    work : Workload
    batching : Batching
    seed : int or None
        Of the order of partitions in blocks; None for their own order.
    incremental : bool
        Whether this is a `partial_fit`.
    calibration : Calibration or None
        If the cluster had been measured.
    ruled_out : mapping of str to str
        Strategies that the cluster or the data cannot follow, and why.
    """

    arguments: Mapping[str, Any]
    work: Workload
    batching: Batching
    seed: int | None
    incremental: bool
    calibration: "Calibration | None" = None
    ruled_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def parallel(self) -> str:
        """The strategy that was asked for, or "auto"."""
        return str(self.arguments["parallel"])


def case_of(
    arguments: Mapping[str, Any],
    partitions: Partitions | Pieces,
    problem: NetworkProblem,
    *,
    incremental: bool,
) -> Case:
    """Return what this fit is, of an estimator with these arguments."""
    return Case(
        arguments={name: arguments[name] for name in _ARGUMENTS},
        work=workload(partitions, problem),
        batching=problem.batching,
        seed=problem.seed if problem.shuffle else None,
        incremental=incremental,
        calibration=(
            calibrated(partitions.executor) if isinstance(partitions, Partitions) else None
        ),
    )


def workload(partitions: Partitions | Pieces, problem: NetworkProblem) -> Workload:
    """Return what there is to train, and on which cluster."""
    workers: Collection[Any] = [{}]  # this process: one that may use all there is
    if isinstance(partitions, Partitions):
        workers = workers_now(partitions.executor.client).values()
    return Workload(
        units=problem.network.layout.units,
        n_moments=problem.optimiser.n_moments,
        dtype=partitions.dtype.name,
        rows=problem.batching.rows,
        nonzeros=partitions.nonzeros,
        n_workers=max(1, len(workers)),
        memory_limit=Capacity.of_workers(workers).limit,
    )


_measured: "WeakKeyDictionary[Any, tuple[frozenset[str], Calibration]]" = WeakKeyDictionary()


def calibrated(executor: Executor) -> "Calibration | None":
    """Return what `calibrate` has measured of these workers; None if it has not."""
    known = _measured.get(executor.client)
    if known is None:
        return None  # as in most fits, for which the cluster need not be asked
    workers, found = known
    there = workers_now(executor.client)
    return found if workers == frozenset(there) else None


def remember_calibration(
    executor: Executor, workers: frozenset[str], calibration: "Calibration"
) -> None:
    """Let `calibrated` return this for as long as these are the workers."""
    _measured[executor.client] = workers, calibration


def data_memory(work: Workload, batching: Batching) -> int:
    """Return the bytes that the busiest worker needs in a round of whole models."""
    item = work.itemsize
    models = _MODELS_OF_A_ROUND * work.state_bytes + 2 * work.n_parameters * item
    data = max(map(work.held_bytes, range(min(work.n_workers, len(work.rows)))))
    kept = max(len(work.partitions_of(worker)) for worker in range(work.n_workers))
    # Of partitions trained one after the other, a total per level of the tree waits for the rest.
    models += (kept - 1).bit_length() * work.state_bytes
    values = max(batching.batches) * (3 * sum(work.units[1:-1]) + work.units[0]) * item
    return int(IDLE_BYTES + models + data + values)


def require_room(parallel: str, needed: int, limit: int) -> None:
    """Refuse a strategy that was asked for and that workers have not the memory for.

    Parameters
    ----------
    parallel : {"data", "model", "hybrid"}
    needed : int
        Bytes, of the busiest worker.
    limit : int
        Bytes that the smallest worker may use; 0 for no limit.

    Raises
    ------
    ValueError
        With what is needed, and what there is.
    """
    capacity = Capacity(limit)
    hopeless = not capacity.holds(needed - IDLE_BYTES)
    # Data parallelism is what nobody has to ask for: an estimate alone is no reason to refuse it.
    if hopeless or (not capacity.holds(needed) and parallel != "data"):
        raise ValueError(
            f"parallel={parallel!r} {too_little(needed, limit)}: allowed are smaller "
            "hidden_layer_sizes, partitions or batch_size, workers with more memory, or "
            "parallel='auto', which looks for a strategy that fits"
        )


def too_little(needed: int, limit: int) -> str:
    """Return what a worker needs and has, in words."""
    return f"needs {bytes_text(needed)} on a worker, which has {bytes_text(limit)}"
