r"""What an epoch of a network costs under each strategy: bytes, steps, seconds and memory.

Everything here is arithmetic on shapes and on what `calibrate` has measured;
nothing asks a cluster. The constants count what the code does: passes over memory, and calls from
Python, which were timed without any work to do and divided by the time of a call of NumPy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskml_exec.executor import Capacity
from daskml_exec.neural_network._workload import Workload, data_memory
from daskml_exec.neural_network.planning._calibration import Calibration
from daskml_exec.neural_network.planning._rates import Rates
from daskml_exec.training.averaging import Batching

# Calls of a step, fitted to those of networks of 8 units a layer: 137, 167 and 198 calls with 2, 3
# and 4 layers.
_STEP_CALLS, _LAYER_CALLS = 75, 31
# Numbers read or written per hidden value and step (intercepts, activation and its slope, forth and
# back), per parameter and step (the penalty and its sum of squares), and per feature of a row.
VALUE_WORDS, PENALTY_WORDS, ROW_WORDS = 10, 5, 3
# Numbers read or written per number of a model and its moments: when a partition starts from a copy
# and hands in the scaled differences; when two of these are added; when the driver takes a step.
_LOCAL_WORDS, _ADDED_WORDS, _DRIVER_WORDS = 14, 4, 14


@dataclass(frozen=True)
class Estimate:
    """What an epoch costs.

    Attributes
    ----------
    parallel : {"data", "model", "hybrid"}
    n_blocks, n_replicas : int
        Of blocks of the network: one of each with data parallelism.
    bytes_per_epoch : int
        As `history_` counts them: models out and back per partition, arrays between workers.
    rounds_per_epoch : int
        Rounds or segments.
    steps_per_epoch : int
    seconds_per_epoch : float or None
        None without a calibration.
    memory_per_worker : int
        Bytes that the busiest worker needs.
    memory_limit : int
        Bytes that the smallest worker may use; 0 for no limit.
    problem : str
        Why this cannot be done at all; an empty text if it can.
    """

    parallel: str
    n_blocks: int
    n_replicas: int
    bytes_per_epoch: int
    rounds_per_epoch: int
    steps_per_epoch: int
    seconds_per_epoch: float | None
    memory_per_worker: int
    memory_limit: int
    problem: str = ""

    @property
    def fits(self) -> bool:
        """Whether workers have the memory, and nothing else is in the way."""
        return not self.problem and not self.too_large

    @property
    def too_large(self) -> bool:
        """Whether a worker's limit is known, and less than is needed."""
        return not Capacity(self.memory_limit).holds(self.memory_per_worker)


def impossible(parallel: str, problem: str) -> Estimate:
    """Return what stands for a strategy that cannot be used, whatever the cluster."""
    return Estimate(parallel, 1, 1, 0, 0, 0, None, 0, 0, problem)


def data_estimate(
    work: Workload,
    batching: Batching,
    calibration: Calibration | None,
    *,
    sent_bytes: float | None = None,
    scoring: bool = False,
) -> Estimate:
    """Estimate averaged local training of the whole network.

    Every partition updates all parameters in each of its steps; partitions of one worker train
    one after the other; each round sends the model with its moments to the workers and brings
    back as much from each of the subtrees that their partitions form.

    Parameters
    ----------
    work : Workload
    batching : Batching
    calibration : Calibration or None
    sent_bytes : float, optional
        What a message takes that is compressed.
    scoring : bool, default=False
        Whether a round after each epoch sends the parameters, and brings back a score.
    """
    n_partitions = len(batching.rows)
    rounds = -(-batching.steps_per_epoch // batching.sync_steps)
    sent = work.state_bytes if sent_bytes is None else sent_bytes
    seconds = None
    if calibration is not None:
        rates = Rates(calibration, np.dtype(work.dtype), work.n_moments)
        seconds = max(
            sum(_local_seconds(work, batching, partition, rates, rounds) for partition in mine)
            for mine in map(work.partitions_of, range(min(work.n_workers, n_partitions)))
        )
        if n_partitions == 1:
            seconds += calibration.round_seconds  # many rounds in one task
        else:
            seconds += rounds * _round_seconds(work, sent, rates)
    bytes_per_epoch = rounds * n_partitions * 2 * sent
    if scoring:
        parameters = work.n_parameters * work.itemsize
        rounds += 1
        bytes_per_epoch += n_partitions * parameters
        if calibration is not None and seconds is not None:
            n_used = min(work.n_workers, n_partitions)
            seconds += calibration.message_seconds(parameters, 0.0, n_workers=n_used)
    return Estimate(
        parallel="data",
        n_blocks=1,
        n_replicas=1,
        bytes_per_epoch=int(bytes_per_epoch),
        rounds_per_epoch=rounds,
        steps_per_epoch=batching.steps_per_epoch,
        seconds_per_epoch=seconds,
        memory_per_worker=data_memory(work, batching),
        memory_limit=work.memory_limit,
    )


def _local_seconds(
    work: Workload, batching: Batching, partition: int, rates: Rates, rounds: int
) -> float:
    """Return what a partition computes in an epoch."""
    rows = batching.rows[partition]
    if not rows:
        return 0.0
    steps = -(-rows // batching.batches[partition])
    batch = rows / steps
    step = (
        rates.products(work.units, work.row_values, batch)
        + rates.memory(batch * (VALUE_WORDS * sum(work.units[1:]) + ROW_WORDS * work.row_values))
        + rates.memory(PENALTY_WORDS * work.n_parameters)
        + rates.update(work.n_parameters)
        + rates.calls(_STEP_CALLS + _LAYER_CALLS * (len(work.units) - 1))
    )
    state = (1 + work.n_moments) * work.n_parameters
    return steps * step + rounds * rates.memory(_LOCAL_WORDS * state)


def _round_seconds(work: Workload, sent: float, rates: Rates) -> float:
    """Return what a round takes beside the local steps."""
    n_used = min(work.n_workers, len(work.rows))
    parts = [_n_subtrees(work.partitions_of(worker)) for worker in range(n_used)]
    state = (1 + work.n_moments) * work.n_parameters
    added = max(len(work.partitions_of(worker)) - 1 for worker in range(n_used))
    return (
        rates.calibration.message_seconds(sent, sent * sum(parts) / n_used, n_workers=n_used)
        + rates.memory(_ADDED_WORDS * state * (added + sum(parts) - 1))
        + rates.memory(_DRIVER_WORDS * state)
    )


def _n_subtrees(partitions: Sequence[int]) -> int:
    """Return how many whole subtrees of the fixed tree consecutive partitions form.

    Examples
    --------
    >>> _n_subtrees([0, 1, 2, 3]), _n_subtrees([3, 4, 5])
    (1, 2)
    """
    at, end, n = partitions[0], partitions[-1] + 1, 0
    while at < end:
        size = at & -at or 1 << end.bit_length()
        while at + size > end:
            size //= 2
        at, n = at + size, n + 1
    return n
