"""Choose the strategy that is fastest among those that fit."""

from collections.abc import Sequence
from dataclasses import dataclass

from daskml_exec.executor import bytes_text
from daskml_exec.neural_network._costs import IDLE_BYTES, Estimate


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why."""

    chosen: Estimate
    reason: str


def choose(estimates: Sequence[Estimate]) -> Choice:
    """Return the fastest estimate that fits; without seconds, the first that fits.

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
    return Choice(chosen, "; ".join([first, *refused]))


def require_fit(estimate: Estimate) -> None:
    """Refuse a strategy that was asked for and that workers have not the memory for.

    Raises
    ------
    ValueError
        With what is needed, and what there is.
    """
    hopeless = 0 < estimate.memory_limit < estimate.memory_per_worker - IDLE_BYTES
    # Data parallelism is what nobody has to ask for: an estimate alone is no reason to refuse it.
    if hopeless or (estimate.too_large and estimate.parallel != "data"):
        raise ValueError(
            f"parallel={estimate.parallel!r} {_why_not(estimate)}: allowed are smaller "
            "hidden_layer_sizes, partitions or batch_size, workers with more memory, or "
            "parallel='auto', which looks for a strategy that fits"
        )


def seconds_text(seconds: float | None) -> str:
    """Return seconds with three digits."""
    return "not timed" if seconds is None else f"{seconds:.3g} s"


def _why_not(estimate: Estimate) -> str:
    if estimate.problem:
        return estimate.problem
    return (
        f"needs {bytes_text(estimate.memory_per_worker)} on a worker, which has "
        f"{bytes_text(estimate.memory_limit)}"
    )
