"""What a fit of averaged steps has to say of its data."""

from collections.abc import Iterator

from daskml_exec.training._fit_warnings import FitWarning
from daskml_exec.training.averaging._batching import Batching, rows_per_step
from daskml_exec.training.averaging._target_spread import (
    SORTED,
    TargetSpread,
    explained_by_partition,
)


def large_batch(batch_size: int | str, rows: int, what: str = "rows") -> Iterator[FitWarning]:
    """Yield what there is to say where steps take all rows, as there are fewer than they should.

    Examples
    --------
    >>> [each.about for each in large_batch(64, 40)], list(large_batch("auto", 40))
    (['batch_size'], [])
    """
    if batch_size != "auto" and int(batch_size) > rows:
        yield FitWarning(
            "batch_size",
            f"batch_size={batch_size} is more than the {rows} {what} there are to train on: each "
            "step takes all of them",
        )


_ENLARGED = 4
"""How many times as large as asked for steps may be unsaid: less changes a fit but little."""


def enlarged_batch(
    plan: Batching, batch_size: int | str, what: str, remedy: str
) -> Iterator[FitWarning]:
    """Yield what there is to say where so many partitions share a step that it grows.

    Parameters
    ----------
    plan : Batching
    batch_size : int or "auto"
        Rows per step that were asked for.
    what : str
        What there are so many of.
    remedy : str
        What makes steps as they were asked for.

    Examples
    --------
    >>> from daskml_exec.training.averaging import batching
    >>> plan = batching([100] * 100, 200, "auto", linear_scaling=False)
    >>> [each.about for each in enlarged_batch(plan, 200, "rows", "fewer partitions")]
    ['partitions']
    """
    asked = rows_per_step(batch_size, sum(plan.rows))
    each = [b for b, n in zip(plan.batches, plan.rows, strict=True) if n]
    if sum(each) >= _ENLARGED * asked:
        yield FitWarning(
            "partitions",
            f"{len(each):,} partitions take {max(each):,} {what} each per step, {sum(each):,} in "
            f"all where batch_size asks for {asked:,}: an epoch has {plan.steps_per_epoch:,} "
            f"steps, and the learning rate is {plan.learning_rate_factor:.2g} times as large. "
            f"Closer to what was asked for are {remedy}",
        )


def sorted_rows(
    spread: TargetSpread | None,
    n_partitions: int,
    remedy: str,
    *,
    classes: bool,
    what: str = "row",
) -> Iterator[FitWarning]:
    """Yield what there is to say where the partition that a row is in says much of its target.

    Parameters
    ----------
    spread : TargetSpread or None
        None where it was not asked for.
    n_partitions : int
    remedy : str
        What deals rows anew, as a sentence.
    classes : bool
        Whether targets are classes.
    what : str, default="row"
        What there is one target for.
    """
    if spread is None or n_partitions == 1:
        return
    share = explained_by_partition(spread, classes=classes)
    if share > SORTED:
        yield FitWarning(
            "sorted",
            f"the partition that a {what} is in says much of its target ({share:.0%} of what it "
            f"could say), as where {what}s are sorted: averages of local models are then worse "
            f"than the models. {remedy}; where they must stay, a smaller sync_every may help",
        )
