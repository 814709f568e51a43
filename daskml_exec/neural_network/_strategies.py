"""The strategies that a fit may follow: what each would cost, which one it follows, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.executor import (
    Calibration,
    WorkerMismatchError,
    bytes_text,
    calibrate,
    calibrated,
)
from daskml_exec.kernels.array_namespace import is_host
from daskml_exec.neural_network._batching import Batching, rows_per_step
from daskml_exec.neural_network._block_costs import blocks_estimate
from daskml_exec.neural_network._block_plan import BlockPlan, block_plan
from daskml_exec.neural_network._choice import (
    Choice,
    choose,
    require_fit,
    seconds_text,
)
from daskml_exec.neural_network._costs import Estimate, Workload, data_estimate, impossible
from daskml_exec.neural_network._parallel import N_REPLICAS, default_n_blocks, unsupported
from daskml_exec.neural_network._problem import NetworkProblem
from daskml_exec.partitions import Partition, Partitions
from daskml_exec.training import History, payload_nbytes
from daskml_exec.training.compression import codec_named

SMALL_BYTES = 2_000_000
"""Models that take less, with their moments, train with data parallelism: a calibration would take
longer than most of their fits."""

# Numbers that a codec compresses to show how far it does.
_SAMPLE = 100_000


@dataclass(frozen=True)
class Strategies:
    """What each strategy was predicted to cost, and which one was followed; nothing of a cluster.

    Attributes
    ----------
    estimates : tuple of Estimate
    chosen : Estimate
        One of them.
    reason : str
    block_plan : BlockPlan or None
        Of the chosen one, if it is in blocks.
    calibrated : bool
        Whether the cluster had been measured, so that seconds are predicted.
    """

    estimates: tuple[Estimate, ...]
    chosen: Estimate
    reason: str
    block_plan: BlockPlan | None
    calibrated: bool

    def __str__(self) -> str:
        lines = ["predicted per epoch"]
        lines += [
            f"  {'*' if each is self.chosen else ' '} {each.parallel:7} {_costs(each)}"
            for each in self.estimates
        ]
        if not self.calibrated:
            lines.append("  seconds are predicted where the cluster has been measured")
        lines.append(f"chosen    {self.chosen.parallel}: {self.reason}")
        return "\n".join(lines)

    __repr__ = __str__

    def beside(self, history: History, epochs: float) -> str:
        """Return the text with what was measured.

        Parameters
        ----------
        history : History
            Of a fit.
        epochs : float
            That its records are of.

        Returns
        -------
        str
            A line longer than this is printed.
        """
        if not epochs or not len(history):
            return f"{self}\ntook      less than a round of an epoch"
        n = len(history) / epochs
        return (
            f"{self}\n"
            f"took      {bytes_text(history.bytes / epochs)}, {n:.3g} "
            f"{_rounds(self.chosen, n)}, {self.chosen.steps_per_epoch:,} steps, "
            f"{history.seconds / epochs:.3g} s per epoch"
        )


def strategies_for(
    arguments: Mapping[str, Any],
    partitions: Partitions,
    problem: NetworkProblem,
    *,
    incremental: bool,
    measure: bool = False,
) -> Strategies:
    """Return what the strategies cost on this data and cluster, and which one to follow.

    Parameters
    ----------
    arguments : mapping
        Of the estimator.
    partitions : Partitions
    problem : NetworkProblem
    incremental : bool
        Whether this is a `partial_fit`.
    measure : bool, default=False
        Whether to calibrate the cluster even if the choice does not need it.

    Raises
    ------
    ValueError
        What was asked for is impossible, or does not fit in the workers' memory; or nothing fits.
    """
    work = workload(partitions, problem)
    asked = arguments["parallel"]
    problems, plans = _problems_and_plans(arguments, partitions, problem, work, incremental)
    executor = partitions.executor
    small = work.state_bytes < SMALL_BYTES

    def estimates_with(calibration: Calibration | None) -> tuple[Estimate, ...]:
        return tuple(
            _estimate(parallel, arguments, work, problem.batching, problems, plans, calibration)
            for parallel in ("data", "model", "hybrid")
        )

    calibration = calibrated(executor)
    estimates = estimates_with(calibration)
    # What fits is known without: workers short of memory may not even take a task.
    open_choice = asked == "auto" and not small and sum(each.fits for each in estimates) > 1
    if measure or open_choice:
        try:
            calibration = calibrate(executor)
        except WorkerMismatchError as error:  # peers need the package on the scheduler, too
            if asked not in ("auto", "data"):
                raise
            problems |= dict.fromkeys(("model", "hybrid"), str(error))
        estimates = estimates_with(calibration)
    choice = _choice(asked, estimates, small=small, state_bytes=work.state_bytes)
    return Strategies(
        estimates,
        choice.chosen,
        choice.reason,
        plans[choice.chosen.parallel],
        calibration is not None,
    )


def _estimate(
    parallel: str,
    arguments: Mapping[str, Any],
    work: Workload,
    batching: Batching,
    problems: Mapping[str, str],
    plans: Mapping[str, BlockPlan | None],
    calibration: Calibration | None,
) -> Estimate:
    if problems[parallel]:
        return impossible(parallel, problems[parallel])
    plan = plans[parallel]
    if plan is not None:
        return blocks_estimate(work, plan, calibration, parallel=parallel)
    return data_estimate(
        work,
        batching,
        calibration,
        sent_bytes=_sent(arguments, work, batching),
        scoring=arguments["early_stopping"],
    )


def workload(partitions: Partitions, problem: NetworkProblem) -> Workload:
    """Return what there is to train, and on which cluster."""
    workers = partitions.executor.client.scheduler_info(n_workers=-1)["workers"].values()
    limits = [worker.get("memory_limit") or 0 for worker in workers]
    return Workload(
        units=problem.network.layout.units,
        n_moments=problem.optimiser.n_moments,
        dtype=partitions.dtype,
        rows=problem.batching.rows,
        nonzeros=partitions.nonzeros,
        n_workers=max(1, len(limits)),
        memory_limit=min((limit for limit in limits if limit), default=0),
    )


def _choice(
    asked: str, estimates: tuple[Estimate, ...], *, small: bool, state_bytes: int
) -> Choice:
    if asked != "auto":
        (chosen,) = (each for each in estimates if each.parallel == asked)
        require_fit(chosen)
        return Choice(chosen, f"asked for by parallel={asked!r}")
    if small and estimates[0].fits:
        return Choice(
            estimates[0],
            f"the model is small, {bytes_text(state_bytes)} with the optimiser's moments: below "
            f"{bytes_text(SMALL_BYTES)} there is little to gain in blocks, and nothing is compared",
        )
    return choose(estimates)


def _problems_and_plans(
    arguments: Mapping[str, Any],
    partitions: Partitions,
    problem: NetworkProblem,
    work: Workload,
    incremental: bool,
) -> tuple[dict[str, str], dict[str, BlockPlan | None]]:
    """Return per strategy why it is out of the question, and its steps if it is in blocks."""
    problems = dict.fromkeys(("data", "model", "hybrid"), "")
    plans: dict[str, BlockPlan | None] = dict.fromkeys(problems)
    asked = arguments["parallel"]
    for parallel in ("model", "hybrid"):
        if parallel == asked:
            wrong = _impossible_in_blocks(arguments, work, incremental)
            if wrong:
                raise ValueError(
                    f"parallel={asked!r} with {wrong}; parallel='auto' would take another strategy"
                )
        else:
            problems[parallel] = (
                unsupported(parallel, arguments)
                or _impossible_in_blocks(arguments, work, incremental)
                or (_impossible_in_replicas(arguments, work) if parallel == "hybrid" else "")
            )
        if not problems[parallel]:
            plans[parallel] = _block_plan(arguments, problem, work, parallel)
    needed = asked == "auto" and work.state_bytes >= SMALL_BYTES and any(plans.values())
    if needed and _on_device(partitions):
        problems |= dict.fromkeys(("model", "hybrid"), "X is on a device: blocks are on the host")
        plans = dict.fromkeys(problems)
    return problems, plans


def _impossible_in_blocks(arguments: Mapping[str, Any], work: Workload, incremental: bool) -> str:
    if incremental:
        return "partial_fit: the optimiser's moments would be lost between calls"
    hidden = work.units[1:-1]
    if not hidden:
        return "hidden_layer_sizes=(): a network is cut along its hidden units"
    n_blocks = arguments["n_blocks"]
    if n_blocks != "auto" and n_blocks > min(hidden):
        return f"n_blocks={n_blocks}: the narrowest hidden layer has {min(hidden)} units"
    return ""


def _impossible_in_replicas(arguments: Mapping[str, Any], work: Workload) -> str:
    n_replicas = _n_replicas(arguments, "hybrid")
    if n_replicas > len(work.rows):
        return f"{n_replicas} replicas need as many partitions, there are {len(work.rows)}"
    if n_replicas > work.n_workers:
        return f"{n_replicas} replicas need as many workers, there are {work.n_workers}"
    return ""


def _n_replicas(arguments: Mapping[str, Any], parallel: str) -> int:
    if parallel == "model":
        return 1
    given = arguments["n_replicas"]
    return N_REPLICAS if given == "auto" else int(given)


def _block_plan(
    arguments: Mapping[str, Any], problem: NetworkProblem, work: Workload, parallel: str
) -> BlockPlan:
    n_blocks = arguments["n_blocks"]
    if n_blocks == "auto":
        n_blocks = default_n_blocks(problem.network.layout, work.state_bytes)
    return block_plan(
        work.rows,
        rows_per_step(arguments["batch_size"], sum(work.rows)),
        n_blocks=n_blocks,
        n_replicas=_n_replicas(arguments, parallel),
        sync_every=arguments["sync_every"],
        seed=problem.seed if problem.shuffle else None,
    )


def _sent(arguments: Mapping[str, Any], work: Workload, batching: Batching) -> float | None:
    """Return the bytes of a compressed message; None for a model as it is."""
    codec = codec_named(arguments["compression"])
    if codec is None or len(batching.rows) == 1:
        return None
    sample = np.linspace(-1.0, 1.0, min(work.n_parameters, _SAMPLE), dtype=work.dtype)
    return payload_nbytes(codec.encode(sample)) / len(sample) * work.n_parameters


def _on_device(partitions: Partitions) -> bool:
    return not partitions.executor.submit(_is_host, partitions.futures[0]).result()


def _is_host(partition: Partition) -> bool:
    return is_host(partition.X)


def _costs(estimate: Estimate) -> str:
    if estimate.problem:
        return f"not possible: {estimate.problem}"
    text = (
        f"{bytes_text(estimate.bytes_per_epoch)}, {estimate.rounds_per_epoch:,} "
        f"{_rounds(estimate, estimate.rounds_per_epoch)}, {estimate.steps_per_epoch:,} steps, "
        f"{seconds_text(estimate.seconds_per_epoch)}, "
        f"{bytes_text(estimate.memory_per_worker)} a worker"
    )
    if estimate.parallel != "data":
        text += f", {estimate.n_blocks} blocks"
    if estimate.n_replicas > 1:
        text += f" of {estimate.n_replicas} replicas"
    return text + (", does not fit" if estimate.too_large else "")


def _rounds(estimate: Estimate, n: float) -> str:
    return ("round" if estimate.parallel == "data" else "segment") + ("" if n == 1 else "s")
