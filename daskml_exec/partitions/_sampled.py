"""What is known of samples once they were loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.partitions._partition import Partition, Partitions, Pieces
from daskml_exec.partitions._sample_trees import in_common, in_dtypes
from daskml_exec.partitions._target import NO_TARGET, Settled, require_weight


@dataclass(frozen=True)
class Sampled:
    """Partitions of samples, and what they have in common.

    Attributes
    ----------
    partitions : Partitions or Pieces
    settled : Settled
        Of weights alone: nothing is known of y.
    like : Partition
        Without rows, with the dtypes and shapes of X and y.
    """

    partitions: Partitions | Pieces
    settled: Settled
    like: Partition


def settled_samples(found: list[float], rows: int, *, weighted: bool) -> Settled:
    """Return how weights are brought to a usual size.

    Parameters
    ----------
    found : list of float
        The weight of all samples of each partition.
    rows : int
        Samples of all partitions.
    weighted : bool
        Whether they have weights of their own.

    Raises
    ------
    ValueError
        There are no samples, or all weights are zero.
    """
    require_weight(rows, sum(found), needed="training needs at least one sample")
    return NO_TARGET.settle(found, rows, weighted=weighted)


def like_all(trees: Sequence[tuple[Any, Any]], places: Sequence[str]) -> Partition:
    """Return the partition without rows that all agree to, of their X and y.

    Raises
    ------
    ValueError
        They do not agree.
    """
    with_y = [place for (_, y), place in zip(trees, places, strict=True) if y is not None]
    if with_y and len(with_y) < len(trees):
        without = next(place for place in places if place not in with_y)
        raise ValueError(
            f"samples have y in {with_y[0]}, and none in {without}; allowed are pairs of X and y "
            "in all partitions or in none"
        )
    X = in_common([X for X, _ in trees], places, "X")
    y = in_common([y for _, y in trees], places, "y") if with_y else None
    return Partition(0, 0, X, y, None)


def in_form(partition: Partition, like: Partition) -> Partition:
    """Return samples in the dtypes that all partitions agree to."""
    X = in_dtypes(partition.X, like.X)
    return replace(partition, X=X, y=None if like.y is None else in_dtypes(partition.y, like.y))


def require_no_second_y(y: Any) -> None:
    """Raise ValueError for a y beside samples that are pairs."""
    if y is not None:
        raise ValueError(
            "y is given, and the items of from_dataset are pairs of X and y; allowed is one of both"
        )


NO_MATRIX: dict[str, Any] = {
    "n_features": 0,
    "nonzeros": None,
    "dtype": np.dtype(object),
    "feature_names": None,
}
"""What `Partitions` and `Pieces` say of X where it is no matrix of numbers."""
