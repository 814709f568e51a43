"""Which rows of a partition make up its batches, in which order."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from daskml_exec.kernels.arrays import Array

_VALIDATION = -1
# Names the random stream that chooses the rows held out; epochs count from zero.


@dataclass(frozen=True)
class RowOrder:
    """How the rows of one partition are gone through.

    Attributes
    ----------
    seed : int or None
        None for the rows' own order.
    partition : int
        Its index: each has a stream of its own.
    """

    seed: int | None
    partition: int

    def of_epoch(self, rows: Array, epoch: int, sample_weight: Array | None = None) -> Array:
        """Return these rows in the order of an epoch, without those whose weight is zero.

        Parameters
        ----------
        rows : ndarray of int
        epoch : int
        sample_weight : ndarray of shape (n_rows,), optional
            Of all rows of the partition.

        Examples
        --------
        >>> RowOrder(None, 0).of_epoch(np.array([0, 1, 3]), 0, np.array([2.0, 0.0, 1.0, 1.0]))
        array([0, 3])
        """
        if sample_weight is not None:
            rows = rows[sample_weight[rows] > 0]
        if self.seed is None:
            return rows
        return rows[_permutation(self.seed, self.partition, epoch, len(rows))]


def rows_trained_on(rows: Sequence[int], fraction: float) -> list[int]:
    """Return how many rows of each partition are left if `held_out` takes its part."""
    starts = itertools.accumulate(rows, initial=0)
    return [n - _n_held_out(start, n, fraction) for start, n in zip(starts, rows, strict=False)]


def held_out(
    start: int, n: int, fraction: float, *, seed: int, partition: int
) -> tuple[Array, Array]:
    """Return which of a partition's n rows are trained on and which are held out, both sorted.

    The counts are those of the whole data's rows cut at the same places, so that the partitions
    together hold out the fraction, however small each is.
    """
    if not fraction:
        return np.arange(n), np.arange(0)
    count = _n_held_out(start, n, fraction)
    order = _permutation(seed, partition, _VALIDATION, n)
    return np.sort(order[count:]), np.sort(order[:count])


def _n_held_out(start: int, n: int, fraction: float) -> int:
    # A product that is a whole number but for its rounding is that number.
    return int(fraction * (start + n) + 1e-9) - int(fraction * start + 1e-9)


# A round is a few steps of an epoch; the permutation is that of all rows. A worker goes through its
# partitions in turn, so that it pays to remember one for each.
@lru_cache(maxsize=64)
def _permutation(seed: int, partition: int, epoch: int, n: int) -> Array:
    stream = np.random.SeedSequence((seed, partition, epoch + 1))
    order = np.random.default_rng(stream).permutation(n)
    order.setflags(write=False)
    return order
