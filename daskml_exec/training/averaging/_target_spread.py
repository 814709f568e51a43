r"""How much a row's partition says of its target: next to nothing, unless rows are sorted."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.moments import Moments, column_moments
from daskml_exec.kernels.sums import FieldwiseSum

SORTED = 0.25
"""From this share on, local models that are averaged are about different things."""


@dataclass(frozen=True)
class TargetSpread(FieldwiseSum):
    """Sums over partitions of what tells them apart.

    Attributes
    ----------
    partitions, weight : float
        Partitions with rows, and the weight of these.
    totals : ndarray or Moments
        Weight per class; of a number, its mean and its sum of squares about it.
    squares : float
        Sum of the squared weights, which says as how many rows of one weight they count.
    within : float
        Weight times entropy of each partition's classes, or the weighted sum of squares about
        each partition's mean.
    """

    partitions: float
    weight: float
    totals: Any
    squares: float
    within: float


SEEN = (TargetSpread, Moments)
"""What a spread may be made of."""


def of_classes(codes: Array, weight: Array | None, n_classes: int) -> TargetSpread:
    """Return one partition's spread of class codes."""
    totals = np.bincount(codes, weight, n_classes).astype(np.float64)
    total = float(totals.sum())
    return TargetSpread(
        float(total > 0), total, totals, _squares(codes, weight), total * _entropy(totals)
    )


def of_numbers(y: Array, weight: Array | None) -> TargetSpread:
    """Return one partition's spread of a real target."""
    moments = column_moments(np.asarray(y, dtype=np.float64)[:, None], weight)
    return TargetSpread(
        float(moments.weight > 0),
        moments.weight,
        moments,
        _squares(y, weight),
        float(moments.spread[0]),
    )


def explained_by_partition(spread: TargetSpread, *, classes: bool) -> float:
    r"""Return the share of the targets' spread that the partition explains, from 0 to 1.

    Of classes, the mutual information of partition and class in units of the smaller of their
    entropies (that of partitions taken as even); of numbers, the variance between partitions over
    the whole variance. Both are corrected by what chance gives with rows as few as they are.

    Source: Cover and Thomas (2006), Elements of information theory, section 2.3; Miller (1955),
    Note on the bias of information estimates; Olejnik and Algina (2003), Generalized eta and
    omega squared statistics; Kish (1965), Survey sampling, on the rows that weights stand for.
    """
    partitions, weight = spread.partitions, spread.weight
    n = weight**2 / spread.squares if spread.squares else 0.0
    if partitions < 2 or n <= 2 * partitions:
        return 0.0
    if classes:
        whole = _entropy(spread.totals)
        present = np.count_nonzero(spread.totals)
        shared = whole - spread.within / weight - (partitions - 1) * (present - 1) / (2 * n)
        unit = min(whole, np.log(partitions))
        return max(0.0, float(shared / unit)) if unit > 0 else 0.0
    whole = float(spread.totals.spread[0])
    between = whole - spread.within
    noise = spread.within / (n - partitions)
    return max(0.0, (between - (partitions - 1) * noise) / (whole + noise)) if whole > 0 else 0.0


def _squares(y: Array, weight: Array | None) -> float:
    return float(len(y)) if weight is None else float(weight @ weight)


def _entropy(weights: Array) -> float:
    p = weights[weights > 0] / (weights.sum() or 1.0)
    return float(-(p * np.log(p)).sum())
