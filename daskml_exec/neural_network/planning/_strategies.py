"""The strategies that a fit may follow: what each would cost, which one it follows, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskml_exec.executor import Facts, Part, Readable, WorkerMismatchError, bytes_text
from daskml_exec.kernels.array_namespace import is_host
from daskml_exec.neural_network._arguments import unsupported
from daskml_exec.neural_network._block_plan import (
    BlockPlan,
    asked_blocks,
    blocks_of,
    impossible_in_blocks,
    n_replicas_of,
)
from daskml_exec.neural_network._workload import Case, require_room, too_little
from daskml_exec.neural_network.planning._block_costs import blocks_estimate
from daskml_exec.neural_network.planning._calibration import calibrate
from daskml_exec.neural_network.planning._costs import Estimate, data_estimate, impossible
from daskml_exec.partitions import Partition, Partitions
from daskml_exec.training import History, payload_nbytes
from daskml_exec.training.compression import codec_named

SMALL_BYTES = 2_000_000
"""Models that take less, with their moments, train with data parallelism: a calibration would take
longer than most of their fits."""

IN_BLOCKS = ("model", "hybrid")
# Numbers that a codec compresses to show how far it does.
_SAMPLE = 100_000


@dataclass(frozen=True, repr=False)
class Strategies(Readable):
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

    def _parts(self) -> Iterator[Part]:
        predicted = [
            (f"{'*' if each is self.chosen else ' '} {each.parallel}", _costs(each))
            for each in self.estimates
        ]
        note = " (seconds are predicted where the cluster has been measured)"
        yield Facts(predicted, 12, "predicted per epoch" + note * (not self.calibrated))
        yield Facts([("chosen", f"{self.chosen.parallel}: {self.reason}")])

    def beside(self, history: History, epochs: float) -> Iterator[Part]:
        """Yield what is shown of this where an epoch was measured, too.

        Parameters
        ----------
        history : History
            Of a fit.
        epochs : float
            That its records are of.

        Yields
        ------
        Part
            The last one is longer than this is printed.
        """
        yield from self._parts()
        took = "less than a round of an epoch"
        if epochs and len(history):
            n = len(history) / epochs
            took = (
                f"{bytes_text(history.bytes / epochs)}, {n:.3g} {_rounds(self.chosen, n)}, "
                f"{self.chosen.steps_per_epoch:,} steps, {history.seconds / epochs:.3g} s per epoch"
            )
        yield Facts([("took", took)])


def strategies_of(case: Case) -> Strategies:
    """Return what the strategies cost, and which one to follow; nothing asks a cluster.

    Raises
    ------
    ValueError
        What was asked for is impossible, or does not fit in the workers' memory; or nothing fits.
    """
    plans = _plans(case)
    estimates = _estimates(case, plans)
    chosen, reason = _chosen(case, estimates)
    return Strategies(
        estimates,
        chosen,
        reason,
        plans.get(chosen.parallel),
        case.calibration is not None,
    )


def measured(case: Case, partitions: Partitions, *, always: bool = False) -> Case:
    """Return the case with what only the cluster knows, as far as the choice depends on it.

    Parameters
    ----------
    case : Case
    partitions : Partitions
    always : bool, default=False
        Whether to calibrate the cluster even if the choice does not need it.

    Raises
    ------
    ValueError
        What was asked for is impossible.
    """
    compared = case.parallel == "auto" and not _small(case)
    plans = _plans(case)
    if compared and plans and _on_device(partitions):
        why = "X is on a device: blocks are on the host"
        case = replace(case, ruled_out=dict.fromkeys(IN_BLOCKS, why))
    # What fits is known without: workers short of memory may not even take a task.
    if always or (compared and sum(each.fits for each in _estimates(case, plans)) > 1):
        try:
            case = replace(case, calibration=calibrate(partitions.executor))
        except WorkerMismatchError as error:  # peers need the package on the scheduler, too
            if case.parallel in IN_BLOCKS:
                raise
            case = replace(case, ruled_out=dict.fromkeys(IN_BLOCKS, str(error)))
    return case


def _small(case: Case) -> bool:
    return case.work.state_bytes < SMALL_BYTES


def _plans(case: Case) -> dict[str, BlockPlan]:
    """Return the steps of those strategies in blocks that nothing is in the way of."""
    return {
        parallel: asked_blocks(case) if parallel == case.parallel else blocks_of(case, parallel)
        for parallel in IN_BLOCKS
        if parallel == case.parallel or not _problem(case, parallel)
    }


def _problem(case: Case, parallel: str) -> str:
    """Return why a strategy in blocks that was not asked for is out of the question."""
    return (
        case.ruled_out.get(parallel)
        or unsupported(parallel, case.arguments)
        or impossible_in_blocks(case)
        or (_impossible_in_replicas(case) if parallel == "hybrid" else "")
    )


def _impossible_in_replicas(case: Case) -> str:
    n_replicas, work = n_replicas_of(case, "hybrid"), case.work
    if n_replicas > len(work.rows):
        return f"{n_replicas} replicas need as many partitions, there are {len(work.rows)}"
    if n_replicas > work.n_workers:
        return f"{n_replicas} replicas need as many workers, there are {work.n_workers}"
    return ""


def _estimates(case: Case, plans: Mapping[str, BlockPlan]) -> tuple[Estimate, ...]:
    data = data_estimate(
        case.work,
        case.batching,
        case.calibration,
        sent_bytes=_sent(case),
        scoring=case.arguments["early_stopping"],
    )
    return (
        data,
        *(
            blocks_estimate(case.work, plans[parallel], case.calibration, parallel=parallel)
            if parallel in plans and parallel not in case.ruled_out
            else impossible(parallel, _problem(case, parallel))
            for parallel in IN_BLOCKS
        ),
    )


def _sent(case: Case) -> float | None:
    """Return the bytes of a compressed message; None for a model as it is."""
    work, codec = case.work, codec_named(case.arguments["compression"])
    if codec is None or len(case.batching.rows) == 1:
        return None
    sample = np.linspace(-1.0, 1.0, min(work.n_parameters, _SAMPLE), dtype=work.dtype)
    return payload_nbytes(codec.encode(sample)) / len(sample) * work.n_parameters


def choose(estimates: Sequence[Estimate]) -> tuple[Estimate, str]:
    """Return the fastest estimate that fits, and why; without seconds, the first that fits.

    Raises
    ------
    ValueError
        None fits. The message says what each needs, and what a worker has.
    """
    fitting = [estimate for estimate in estimates if estimate.fits]
    if not fitting:
        needs = "; ".join(f"{each.parallel}: {_why_not(each)}" for each in estimates)
        raise ValueError(
            f"parallel='auto': neither fits ({needs}). Smaller hidden_layer_sizes, partitions or "
            "batch_size need less; so do, in blocks, more workers"
        )
    timed = [each for each in fitting if each.seconds_per_epoch is not None]
    chosen = min(timed, key=lambda each: each.seconds_per_epoch or 0.0, default=fitting[0])
    refused = [
        f"not {each.parallel}, {_why_not(each)}" for each in estimates if each not in fitting
    ]
    others = [each for each in timed if each is not chosen]
    if others:
        compared = ", ".join(f"{e.parallel} {seconds_text(e.seconds_per_epoch)}" for e in others)
        first = f"{seconds_text(chosen.seconds_per_epoch)} an epoch, sooner than {compared}"
    elif len(fitting) == 1:
        first = "the only one possible"
    else:
        first = "the first that fits"
    return chosen, "; ".join([first, *refused])


def _chosen(case: Case, estimates: tuple[Estimate, ...]) -> tuple[Estimate, str]:
    if case.parallel != "auto":
        (chosen,) = (each for each in estimates if each.parallel == case.parallel)
        require_room(chosen.parallel, chosen.memory_per_worker, chosen.memory_limit)
        return chosen, f"asked for by parallel={case.parallel!r}"
    if _small(case) and estimates[0].fits:
        return (
            estimates[0],
            f"the model is small, {bytes_text(case.work.state_bytes)} with the optimiser's "
            f"moments: below {bytes_text(SMALL_BYTES)} there is little to gain in blocks, and "
            "nothing is compared",
        )
    return choose(estimates)


def _on_device(partitions: Partitions) -> bool:
    return not partitions.executor.submit(_is_host, partitions.futures[0]).result()


def _is_host(partition: Partition) -> bool:
    return is_host(partition.X)


def _why_not(estimate: Estimate) -> str:
    return estimate.problem or too_little(estimate.memory_per_worker, estimate.memory_limit)


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


def seconds_text(seconds: float | None) -> str:
    """Return seconds with three digits."""
    return "not timed" if seconds is None else f"{seconds:.3g} s"
