"""What explanations say of averaged steps: how they were planned, and what their rounds took."""

from daskml_exec.executor import Table, bytes_text
from daskml_exec.training._history import History
from daskml_exec.training.averaging._batching import LEAST_BATCH, Batching


def rows_in_words(rows: tuple[int, ...], what: str = "rows") -> str:
    """Return how many rows there are to train on, and in how many partitions.

    Examples
    --------
    >>> rows_in_words((600, 400))
    '1,000 rows to train on in 2 partitions'
    """
    n = len(rows)
    return f"{sum(rows):,} {what} to train on in {n} partition{'s' * (n != 1)}"


def steps_in_words(plan: Batching, what: str = "rows", least: int = LEAST_BATCH) -> str:
    """Return how many rows a step takes, how many steps an epoch has, and at which rate.

    Examples
    --------
    >>> from daskml_exec.training.averaging import batching
    >>> steps_in_words(batching([600, 400], 50, "auto", linear_scaling=False))
    '50 rows each, 20 to 30 per partition; 20 steps an epoch'
    """
    taken = [batch for batch, n in zip(plan.batches, plan.rows, strict=True) if n]
    each = f"{min(taken)}" if min(taken) == max(taken) else f"{min(taken)} to {max(taken)}"
    text = (
        f"{sum(taken):,} {what} each, {each} per partition; {plan.steps_per_epoch:,} steps an epoch"
    )
    if plan.learning_rate_factor > 1:
        text += (
            f"; learning rate x {plan.learning_rate_factor:.3g}, since {least} {what} per "
            "partition at least are more than were asked for"
        )
    return text


def averages_in_words(plan: Batching, compression: str | None) -> str:
    """Return how often local models are averaged, and in which codec their changes travel.

    Examples
    --------
    >>> from daskml_exec.training.averaging import batching
    >>> averages_in_words(batching([600, 400], 50, 8, linear_scaling=False), "fp16")
    'every 8 steps, 3 an epoch, fp16'
    """
    if len(plan.rows) == 1:
        return "none: one partition"
    rounds = -(-plan.steps_per_epoch // plan.sync_steps)
    codec = "uncompressed" if compression is None else compression
    return f"every {plan.sync_steps:,} steps, {rounds:,} an epoch, {codec}"


def measured(history: History, unit: str = "rounds") -> Table:
    """Return what the rounds of each kind took together."""
    return Table(
        ("measured", unit, "seconds", "computing", "moved"),
        [
            (
                step,
                f"{len(part):,}",
                f"{part.seconds:.3f}",
                f"{sum(record.busiest_seconds for record in part):.3f}",
                bytes_text(part.bytes),
            )
            for step, part in history.by_step().items()
        ],
        words=("measured",),
    )
