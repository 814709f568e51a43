"""How a step's rows are shared among partitions, and how many steps make an epoch and a round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

LEAST_BATCH = 16
"""Rows that a partition takes per step at least: the optimiser's own work, which does not depend on
the rows, would outweigh that of fewer."""

ROUNDS_PER_EPOCH, ROUNDS_PER_FIT, LEAST_SYNC_STEPS = 4, 40, 16
"""What "auto" asks for: averages per epoch, and in all epochs of a fit that has few, as those of
language models; and steps between two of them at least. More averages gained no accuracy, and steps
of a network of the usual size take less than a tenth of the time that a round needs to get there
and back."""

LEAST_LONG_STEPS = 4
"""Of "auto", where steps are known to take long: then averages cost nothing, and language models
gain by them."""


@dataclass(frozen=True)
class Batching:
    """The batches of all partitions.

    Attributes
    ----------
    rows : tuple of int
        Rows trained on, per partition.
    batches : tuple of int
        Rows per step, per partition.
    learning_rate_factor : float
        What makes up for steps over more rows than were asked for.
    sync_steps : int
        Steps between two averages.
    """

    rows: tuple[int, ...]
    batches: tuple[int, ...]
    learning_rate_factor: float
    sync_steps: int

    @property
    def steps_per_epoch(self) -> int:
        """Those of whoever takes most."""
        return max(self.steps)

    @property
    def steps(self) -> list[int]:
        """Steps per epoch of each partition."""
        return [-(-n // batch) for n, batch in zip(self.rows, self.batches, strict=True)]

    def share(self, partition: int) -> float:
        """Return the partition's part of a step's rows, and so of the penalty.

        Parameters
        ----------
        partition : int
            Its index.

        Returns
        -------
        float
            From 0 to 1.
        """
        return self.batches[partition] / sum(
            batch for batch, n in zip(self.batches, self.rows, strict=True) if n
        )

    def rows_until(self, step: int) -> int:
        """Return how many rows all partitions go through before a step of an epoch.

        Parameters
        ----------
        step : int
            Counted from the begin of the epoch.

        Returns
        -------
        int
            All rows, at its end.
        """
        return sum(min(n, step * batch) for n, batch in zip(self.rows, self.batches, strict=True))

    def row_range(self, partition: int, first_step: int, n_steps: int) -> slice:
        """Return which rows of a partition's epoch these steps go through.

        Parameters
        ----------
        partition : int
            Its index.
        first_step : int
            Counted from the begin of the epoch.
        n_steps : int
            How many steps.

        Returns
        -------
        slice
            Of the rows in the epoch's order.
        """
        batch = self.batches[partition]
        return slice(first_step * batch, (first_step + n_steps) * batch)


def rows_per_step(batch_size: Any, total: int) -> int:
    """Return the rows of a step over all partitions together: at most all; "auto" is 200."""
    return min(200 if batch_size == "auto" else int(batch_size), total)


def batching(
    rows: Sequence[int],
    batch_size: Any,
    sync_every: Any,
    *,
    linear_scaling: bool,
    least: int = LEAST_BATCH,
    epochs: float = math.inf,
    max_steps: int | None = None,
    samples_per_round: float = math.inf,
) -> Batching:
    """Share `batch_size` among the partitions in proportion to their rows.

    Parameters
    ----------
    rows : sequence of int
        Rows trained on, per partition; at least one is positive.
    batch_size : int or "auto"
        Rows per step over all partitions together, at most all; "auto" is 200.
    sync_every : int, "epoch" or "auto"
    linear_scaling : bool
        How the learning rate follows the batch where partitions take more than their share, since
        that would be fewer than `least` rows: linearly, or by the square root.
    least : int
        Rows that a partition takes per step at least, where there are several.
    epochs : float
        Of the fit. Only the few of a short one matter.
    max_steps : int or None
        Steps of the fit, at most.
    samples_per_round : float
        So many that an average after them costs a partition little time, whatever they are for.

    Examples
    --------
    >>> batching([15000, 15000, 7500], 200, "epoch", linear_scaling=False).batches
    (80, 80, 40)
    >>> many = batching([100] * 50, 200, "epoch", linear_scaling=False)
    >>> many.batches[0], many.learning_rate_factor
    (16, 2.0)
    >>> batching([100] * 50, 200, "epoch", linear_scaling=False, least=1).batches[0]
    4
    >>> for samples in (math.inf, 800, 8):  # of short steps, of longer ones, of long ones
    ...     made = batching(
    ...         [15000] * 2, 200, "auto", linear_scaling=False, samples_per_round=samples
    ...     )
    ...     print(made.sync_steps)
    38
    8
    4
    """
    total = sum(rows)
    batch = rows_per_step(batch_size, total)
    shares = [batch * n / total for n in rows]
    if len(rows) == 1:
        least = 1
    # Rounded up, so that partitions of even size take as many steps as one process would.
    batches = tuple(
        min(max(n, 1), max(math.ceil(s - 1e-9), least)) for n, s in zip(rows, shares, strict=True)
    )
    taken = sum(b for b, n in zip(batches, rows, strict=True) if n)
    ratio = max(1.0, taken / batch)
    if ratio < 1.25:
        ratio = 1.0  # rounding alone
    plan = Batching(tuple(rows), batches, ratio if linear_scaling else math.sqrt(ratio), 1)
    steps = steps_of_fit(plan.steps_per_epoch, epochs, max_steps)
    asked = "epoch" if len(rows) == 1 else sync_every
    cheap = samples_per_round / max(batches)
    between = steps_between_averages(asked, plan.steps_per_epoch, steps, cheap)
    return replace(plan, sync_steps=between)


def steps_of_fit(per_epoch: int, epochs: float, max_steps: int | None) -> float:
    """Return how many steps there are in all epochs, at most."""
    return min(per_epoch * epochs, math.inf if max_steps is None else max_steps)


def steps_between_averages(sync_every: Any, per_epoch: int, total: float, cheap: float) -> int:
    """Return how many steps there are between two averages.

    Parameters
    ----------
    sync_every : int, "epoch" or "auto"
    per_epoch : int
        Steps of an epoch.
    total : float
        Of the fit.
    cheap : float
        So many that an average after them costs little time, whatever they are for.
    """
    if sync_every == "epoch":
        return per_epoch
    if sync_every == "auto":
        wanted = math.ceil(min(per_epoch / ROUNDS_PER_EPOCH, total / ROUNDS_PER_FIT))
        cheap = max(cheap, LEAST_LONG_STEPS)
        return math.ceil(min(per_epoch, max(wanted, LEAST_SYNC_STEPS), cheap))
    return min(int(sync_every), per_epoch)
