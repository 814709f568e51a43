"""Replicas of a group of units: which partitions each has, and when they are averaged."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Stint(NamedTuple):
    """Steps of an epoch, of all replicas, until these are averaged or a segment ends.

    Attributes
    ----------
    first, last : int
        The first step, and the first one that is not among them.
    ends_epoch : bool
    averages : bool
        Whether replicas are averaged after them.
    """

    first: int
    last: int
    ends_epoch: bool
    averages: bool


def stints_of(first_step: int, n_steps: int, epoch: int, sync: int | None) -> Iterator[Stint]:
    """Yield these steps of an epoch, cut where replicas are averaged.

    Parameters
    ----------
    first_step : int
        Counted from the begin of the epoch.
    n_steps : int
        How many there are.
    epoch : int
        Steps of the epoch: the average after the last of them comes in any case.
    sync : int or None
        Steps between two averages; None for none.

    Yields
    ------
    Stint
        At least one step.

    Examples
    --------
    >>> for stint in stints_of(0, 3, epoch=3, sync=2):
    ...     print(stint)
    Stint(first=0, last=2, ends_epoch=False, averages=True)
    Stint(first=2, last=3, ends_epoch=True, averages=True)
    """
    begin, end = first_step, first_step + n_steps
    while begin < end:
        stop = end if sync is None else min(end, (begin // sync + 1) * sync)
        ends = stop >= epoch
        yield Stint(begin, stop, ends, sync is not None and (ends or stop % sync == 0))
        begin = stop


def partitions_of_replicas(rows: Sequence[int], n_replicas: int) -> tuple[tuple[int, ...], ...]:
    """Share partitions among replicas, in consecutive ranges of about as many rows.

    Parameters
    ----------
    rows : sequence of int
        Of each partition.
    n_replicas : int

    Raises
    ------
    ValueError
        There are fewer partitions than replicas.

    Examples
    --------
    >>> partitions_of_replicas([300, 500, 400], 2)
    ((0, 1), (2,))
    """
    if n_replicas > len(rows):
        few = f"allowed are 2 to {len(rows)}" if len(rows) > 1 else "one partition has none"
        raise ValueError(
            f"n_replicas={n_replicas} with {len(rows)} partition{'s' * (len(rows) != 1)}: each "
            f"replica trains on partitions of its own; {few}. A Dask array has as many partitions "
            "as chunks of rows: da.from_array(X, chunks=(rows, -1)) has more chunks of fewer rows"
        )
    return tuple(tuple(range(a, b)) for a, b in itertools.pairwise(_bounds(rows, n_replicas)))


def _bounds(rows: Sequence[int], n_replicas: int) -> list[int]:
    """Cut the partitions where the rows so far come nearest to equal shares; none stays empty."""
    ends = np.cumsum(rows)
    bounds = [0]
    for replica in range(1, n_replicas):
        wanted = ends[-1] * replica / n_replicas
        at = int(np.abs(ends - wanted).argmin()) + 1
        left = n_replicas - replica
        bounds.append(min(max(at, bounds[-1] + 1), len(rows) - left))
    return [*bounds, len(rows)]
