"""Resident bytes of the busiest Worker: of copies that are averaged, and of stages.

What is counted is what the code holds at once; only the terms of PyTorch itself were measured.
"""

from collections.abc import Sequence

from daskml_exec.executor import Capacity
from daskml_exec.torch.pipeline._plan import PipelinePlan
from daskml_exec.torch.pipeline._units import owners_of_stages
from daskml_exec.torch.planning._seconds import partitions_of_workers
from daskml_exec.torch.planning._seen import Cluster, PartSeen, StepSeen
from daskml_exec.training.averaging import Batching

IDLE_BYTES = 560_000_000
"""Of a worker process that has imported PyTorch and trained next to nothing."""

MOST = 0.8
"""The share of a Worker's memory limit from which on Dask gives it nothing more to do."""

_BESIDE_BYTES = 20_000_000
"""Of messages and files of peers, and of batches."""


def held_bytes(rows: Sequence[int], row_nbytes: float, cluster: Cluster, n_workers: int) -> float:
    """Return the bytes of a Worker's partitions that are in memory: of many, some are on disk.

    Parameters
    ----------
    rows : sequence of int
        Of each partition.
    row_nbytes : float
    cluster : Cluster
    n_workers : int
        Among whom they are.
    """
    shares = partitions_of_workers(len(rows), n_workers)
    most = row_nbytes * max(sum(rows[p] for p in mine) for mine in shares)
    room = Capacity(cluster.memory_limit).for_data
    return most if room is None else min(most, max(room, max(rows) * row_nbytes))


def data_memory(
    seen: StepSeen,
    plan: Batching,
    cluster: Cluster,
    *,
    row_nbytes: float,
    moments_travel: bool = True,
) -> int:
    """Return the bytes that the busiest Worker needs to train a copy and to answer with it.

    The module as it came and as it is trained, with gradients and moments; the message; what the
    copy has become, its weighted changes, and the answer that other processes read.

    Parameters
    ----------
    seen : StepSeen
    plan : Batching
    cluster : Cluster
    row_nbytes : float
        Of a sample.
    moments_travel : bool
    """
    shares = partitions_of_workers(len(plan.rows), cluster.n_workers)
    kept = max(map(len, shares))
    parameters, moments = seen.parameters, seen.moments
    state = parameters + moments_travel * moments
    copies = 3 * parameters + 2 * moments
    weights = seen.whole.weights - parameters
    # Of partitions trained one after the other a total per level of the tree waits.
    travelling = (3 + (kept - 1).bit_length()) * state
    activations = max(plan.batches) * sum(seen.whole.saved.values())
    return int(
        IDLE_BYTES
        + held_bytes(plan.rows, row_nbytes, cluster, cluster.n_workers)
        + copies
        + 2 * weights
        + travelling
        + activations
        + _BESIDE_BYTES
    )


def pipeline_memory(
    seen: StepSeen,
    stages: Sequence[PartSeen],
    plan: PipelinePlan,
    cluster: Cluster,
    *,
    row_nbytes: float,
    micro_batches: int,
    order: str,
    recompute: bool,
    keeps_best: bool = False,
) -> int:
    """Return the bytes that the busiest Worker needs for the stages that it has.

    Their weights as they came and as they are trained, with gradients and moments; a copy of what
    they have become, in the end; and the micro-batches that are alive.

    Parameters
    ----------
    seen : StepSeen
    stages : sequence of PartSeen
    plan : PipelinePlan
    cluster : Cluster
    row_nbytes : float
        Of a sample.
    micro_batches : int
    order : {"1f1b", "gpipe"}
    recompute : bool
    keeps_best : bool, default=False
        Whether the weights of the best score are kept beside the last ones.
    """
    n, n_replicas = len(stages), len(plan.replicas)
    owners = owners_of_stages(n, n_replicas, cluster.n_workers)
    size = plan.largest / max(1, min(micro_batches, plan.largest))
    most = 0.0
    for worker in set(owners):
        mine = [unit % n for unit, who in enumerate(owners) if who == worker]
        states = sum(_state_bytes(seen, stages[s]) for s in mine)
        states += keeps_best * sum(stages[s].weights for s in mine)
        result = max(_result_bytes(seen, stages[s]) for s in mine)
        # Wherever they were sent to they stay, and one is on its way.
        given = sum(stages[s].weights for s in mine) + max(stages[s].weights for s in mine)
        activations = sum(
            size * _alive_bytes(stages, s, micro_batches, order, recompute=recompute) for s in mine
        )
        samples = 0.0
        if {0, n - 1} & set(mine):  # two partitions: the next one comes while one is in use
            samples = 2 * max(plan.rows) * row_nbytes
        most = max(most, states + given + max(activations, result) + samples)
    held = held_bytes(plan.rows, row_nbytes, cluster, cluster.n_workers)
    return int(IDLE_BYTES + _BESIDE_BYTES + most + held)


def _state_bytes(seen: StepSeen, stage: PartSeen) -> float:
    """Return the bytes of a stage's weights, gradients and moments."""
    return stage.weights + stage.trained + _moment_bytes(seen, stage)


def _result_bytes(seen: StepSeen, stage: PartSeen) -> float:
    """Return the bytes of what a stage has become, as it is brought home, with what is sent."""
    return 2 * stage.weights + _moment_bytes(seen, stage)


def _moment_bytes(seen: StepSeen, stage: PartSeen) -> float:
    return seen.moments * stage.trained / max(1, seen.parameters)


def _alive_bytes(
    stages: Sequence[PartSeen], s: int, micro_batches: int, order: str, *, recompute: bool
) -> float:
    """Return what a stage keeps to go back, for each sample of a micro-batch."""
    alive = micro_batches if order == "gpipe" else min(len(stages) - s, micro_batches)
    saved = sum(stages[s].saved.values())
    # What is on its way to it and from it, and the gradients of both.
    border = 2 * (stages[s].given + stages[s].passed + stages[s].returned)
    if recompute:
        return alive * stages[s].given + saved + border
    return alive * saved + border
