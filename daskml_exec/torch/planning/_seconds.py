"""Seconds of an epoch, by what a step has shown: of copies that are averaged, and of stages.

All ways are compared by an epoch, in which each goes through the same samples once. Steps of a
pipeline are gone through in the order that its Workers follow, each action for as long as it takes.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from daskml_exec.torch.pipeline._order import Action, actions
from daskml_exec.torch.pipeline._plan import PipelinePlan
from daskml_exec.torch.pipeline._units import owners_of_stages
from daskml_exec.torch.planning._seen import Cluster, PartSeen, StepSeen
from daskml_exec.training.averaging import Batching

# Steps of a pipeline that are gone through: the first ones are not like those that follow.
_STEPS = 4


@dataclass(frozen=True)
class Rates:
    """What the ways between Workers take, and what a step takes beside PyTorch.

    Attributes
    ----------
    round_seconds : float
        Of a round of averages, without what it moves and computes.
    round_bytes : float
        A second, of models out and back, of all partitions.
    step_seconds : float
        Of a step of a copy, beside PyTorch's.
    segment_seconds : float
        Of an epoch's segment of a pipeline.
    action_seconds : float
        Of a micro-batch's way forwards or backwards through a stage, beside PyTorch's.
    message_seconds : float
        That either side takes for what one stage passes on to another Worker's.
    late_seconds : float
        Until it has come.
    message_bytes : float
        A second, from Worker to Worker.
    end_seconds : float
        Of the end of a step of a pipeline, on each Worker.
    memory_bytes : float
        A second, that are read and written in this Worker's own memory.
    """

    round_seconds: float
    round_bytes: float
    step_seconds: float
    segment_seconds: float
    action_seconds: float
    message_seconds: float
    late_seconds: float
    message_bytes: float
    end_seconds: float
    memory_bytes: float


# Measured on two cores of a server, two worker processes: `python -m torch_auto` in asv_bench shows
# how near they come.
ON_ONE_MACHINE = Rates(
    round_seconds=0.035,
    round_bytes=3.8e8,
    step_seconds=3e-4,
    segment_seconds=0.05,
    action_seconds=3e-4,
    message_seconds=5e-4,
    late_seconds=3e-4,
    message_bytes=1e9,
    end_seconds=5e-4,
    memory_bytes=3e9,
)
# Of a network of 10 Gbit/s, as far as it differs: nobody has measured yours.
BETWEEN_MACHINES = replace(
    ON_ONE_MACHINE, round_bytes=2e8, late_seconds=1e-3, message_seconds=1e-3, message_bytes=5e8
)


def rates_of(cluster: Cluster) -> Rates:
    """Return what the ways between these Workers take."""
    return ON_ONE_MACHINE if cluster.one_machine else BETWEEN_MACHINES


def partitions_of_workers(n_partitions: int, n_workers: int) -> list[range]:
    """Return the partitions of each Worker that has any, where they lie in even ranges.

    Examples
    --------
    >>> partitions_of_workers(5, 2), partitions_of_workers(1, 3)
    ([range(0, 3), range(3, 5)], [range(0, 1)])
    """
    n = min(n_partitions, n_workers)
    bounds = [-(-worker * n_partitions // n) for worker in range(n + 1)]
    return [range(a, b) for a, b in itertools.pairwise(bounds)]


def data_seconds(
    seen: StepSeen, plan: Batching, cluster: Cluster, *, moments_travel: bool = True
) -> float:
    """Return the seconds of an epoch of copies that are averaged.

    Partitions of one Worker train one after the other. Each round sends the parameters, with the
    optimiser's moments, to each partition, and brings as much back.

    Parameters
    ----------
    seen : StepSeen
    plan : Batching
    cluster : Cluster
    moments_travel : bool
    """
    rates, whole = rates_of(cluster), seen.whole
    state = seen.parameters + seen.statistics + moments_travel * seen.moments

    def trained(partition: int) -> float:
        steps = plan.steps[partition]
        if not steps:
            return 0.0
        n = plan.rows[partition] / steps
        step = seen.seconds(whole.forth, n) + seen.seconds(whole.back, n)
        return steps * (step + seen.update + rates.step_seconds)

    shares = partitions_of_workers(len(plan.rows), cluster.n_workers)
    longest = max(sum(map(trained, mine)) for mine in shares)
    if len(plan.rows) == 1:  # nothing is averaged: the rounds are in one task
        return longest + rates.round_seconds + 2 * state / rates.round_bytes
    rounds = -(-plan.steps_per_epoch // plan.sync_steps)
    moved = 2 * state * sum(len(mine) for mine in shares)
    return longest + rounds * (rates.round_seconds + moved / rates.round_bytes)


def samples_of_step(plan: PipelinePlan) -> float:
    """Return the samples of a replica's step, on average."""
    return sum(plan.rows) / max(1, plan.steps_per_epoch) / len(plan.replicas)


def pipeline_seconds(
    seen: StepSeen,
    stages: Sequence[PartSeen],
    plan: PipelinePlan,
    cluster: Cluster,
    *,
    micro_batches: int,
    order: str,
    recompute: bool,
    row_nbytes: float = 0.0,
) -> float:
    """Return the seconds of an epoch of stages, of one replica or several that are averaged.

    Parameters
    ----------
    seen : StepSeen
    stages : sequence of PartSeen
    plan : PipelinePlan
    cluster : Cluster
    micro_batches : int
    order : {"1f1b", "gpipe"}
    recompute : bool
    row_nbytes : float
        Of a sample, which comes to the Workers that have a first or a last stage.
    """
    rates, n_replicas = rates_of(cluster), len(plan.replicas)
    owners = owners_of_stages(len(stages), n_replicas, cluster.n_workers)
    steps = plan.steps_per_epoch
    total, n_samples = sum(plan.rows), samples_of_step(plan)
    parts = max(1, min(micro_batches, int(n_samples)))
    step = step_seconds(
        seen,
        stages,
        owners,
        n_samples=n_samples,
        micro_batches=parts,
        order=order,
        recompute=recompute,
        rates=rates,
    )
    workers = len(set(owners))
    brought = 0.0 if workers == 1 else 2 * total * row_nbytes / n_replicas / rates.message_bytes
    averages = 0.0
    if plan.sync_steps is not None:
        one = average_seconds(seen, stages, owners, n_replicas, rates)
        averages = -(-steps // plan.sync_steps) * one
    return steps * step + averages + brought + rates.segment_seconds


def step_seconds(
    seen: StepSeen,
    stages: Sequence[PartSeen],
    owners: Sequence[int],
    *,
    n_samples: float,
    micro_batches: int,
    order: str,
    recompute: bool,
    rates: Rates,
) -> float:
    """Return the seconds from the end of one step to that of the next.

    Parameters
    ----------
    seen : StepSeen
    stages : sequence of PartSeen
    owners : sequence of int
        Per stage of one replica after the other, the Worker that has it.
    n_samples : float
        Of a replica.
    micro_batches : int
    order : {"1f1b", "gpipe"}
    recompute : bool
    rates : Rates
    """
    n = len(stages)
    teams = tuple(tuple(owners[r : r + n]) for r in range(0, len(owners), n))
    size = n_samples / micro_batches
    added = (micro_batches - 1) / micro_batches
    taken = _action_seconds(seen, stages, size, added, recompute=recompute, rates=rates)
    planned = actions(teams, (micro_batches,) * len(teams), order)
    update = seen.update / max(1, sum(each.trained for each in stages))
    if micro_batches > 1:  # the sum of gradients is divided by their weight
        update += 2 / rates.memory_bytes
    ends = {
        worker: rates.end_seconds
        + update * sum(stages[unit % n].trained for unit, who in enumerate(owners) if who == worker)
        for worker in set(owners)
    }
    free = dict.fromkeys(set(owners), 0.0)
    before, last = 0.0, 0.0
    for _ in range(_STEPS):
        before = last
        free = _after_step(planned, teams, free, taken, stages, size, rates)
        free = {worker: at + ends[worker] for worker, at in free.items()}
        last = max(free.values())
    return last - before


def _action_seconds(
    seen: StepSeen,
    stages: Sequence[PartSeen],
    size: float,
    added: float,
    *,
    recompute: bool,
    rates: Rates,
) -> dict[tuple[int, bool], float]:
    """Return the seconds of each stage's way forwards, and backwards.

    That share of micro-batches adds its gradients to those of others: two are read, one is written.
    """
    found = {}
    for s, stage in enumerate(stages):
        forth, back = seen.seconds(stage.forth, size), seen.seconds(stage.back, size)
        is_last = s == len(stages) - 1
        # The last one goes forwards only before it goes back.
        found[s, False] = rates.action_seconds + (0.0 if recompute and is_last else forth)
        back += added * 3 * stage.trained / rates.memory_bytes
        found[s, True] = rates.action_seconds + back + (forth if recompute else 0.0)
    return found


def _after_step(
    planned: Sequence[Action],
    teams: Sequence[Sequence[int]],
    free: Mapping[int, float],
    taken: Mapping[tuple[int, bool], float],
    stages: Sequence[PartSeen],
    size: float,
    rates: Rates,
) -> dict[int, float]:
    """Return when each Worker has done its part of a step."""
    free = dict(free)
    come: dict[tuple[int, int, int, bool], float] = {}
    for action in planned:
        owners = teams[action.replica]
        worker, s = owners[action.stage], action.stage
        to = s - 1 if action.back else s + 1
        at = (action.replica, s, action.micro_batch, action.back)
        start = max(free[worker], come.pop(at, 0.0))
        end = start + taken[s, action.back]
        if 0 <= to < len(stages):
            nbytes = size * (stages[to].returned if action.back else stages[s].passed)
            late = 0.0
            if owners[to] != worker:
                copied = nbytes / rates.message_bytes
                end += rates.message_seconds + copied
                late = rates.late_seconds + rates.message_seconds + copied
            come[action.replica, to, action.micro_batch, action.back] = end + late
        free[worker] = end
    return free


def average_seconds(
    seen: StepSeen,
    stages: Sequence[PartSeen],
    owners: Sequence[int],
    n_replicas: int,
    rates: Rates,
) -> float:
    """Return the seconds of an average of the replicas."""
    n, state = len(stages), seen.parameters + seen.moments
    trained = max(1, sum(each.trained for each in stages))
    nbytes = [state * each.trained / trained for each in stages]
    longest = 0.0
    for worker in set(owners):
        mine = [unit for unit, who in enumerate(owners) if who == worker]
        seconds = sum(4 * nbytes[unit % n] for unit in mine) / rates.memory_bytes
        for unit in mine:
            others = {owners[unit % n + r * n] for r in range(n_replicas)} - {worker}
            sent = len(others) * nbytes[unit % n]
            seconds += 2 * sent / rates.message_bytes + 2 * len(others) * rates.message_seconds
        longest = max(longest, seconds)
    if len(set(owners)) > 1:
        longest += rates.late_seconds + 2 * rates.message_seconds
    return longest
