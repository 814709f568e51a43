r"""Sorted scores with their weights by class, merged within a bounded size.

A score is kept as a 64-bit integer of the same order. Where there are more distinct ones than
allowed, the last bits are dropped, the fewest that make them fit. A part of the rows never needs
more bits dropped than the whole, so that the result is the same however rows were cut: the
histogram of all rows at that resolution. Nothing is dropped as long as the scores fit.

Curves are then off by no more than the ranks within each bin can change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array


@dataclass(frozen=True)
class Run:
    """Distinct scores in rising order.

    Attributes
    ----------
    keys : array of uint64, shape (d,)
    weights : array of float64, shape (d, classes)
        Of the rows with that score, by class.
    dropped : int
        Last bits of the keys that were dropped; 0 if each key is one score.
    """

    keys: Array
    weights: Array
    dropped: int


def run_of(scores: Array, codes: Array, weight: Any, n_classes: int, limit: int) -> Run:
    """Return the run of a block of rows.

    Parameters
    ----------
    scores : array of shape (n,)
        Finite.
    codes : array of int, shape (n,)
        Classes, from 0.
    weight : array of shape (n,), or None
    n_classes : int
    limit : int
        Most distinct keys.
    """
    order = np.argsort(scores, kind="stable")
    keys, place = _distinct_sorted(_ordered_integers(scores[order]))
    cells = place * n_classes + codes[order]
    sums = np.bincount(
        cells,
        None if weight is None else weight[order],
        minlength=len(keys) * n_classes,
    )
    return _within(Run(keys, sums.astype(np.float64).reshape(-1, n_classes), 0), limit)


def merged(left: Run, right: Run, limit: int) -> Run:
    """Return two runs of the same classes together."""
    dropped = max(left.dropped, right.dropped)
    left, right = _coarser(left, dropped), _coarser(right, dropped)
    keys = np.union1d(left.keys, right.keys)
    weights = np.zeros((len(keys), left.weights.shape[1]))
    weights[np.searchsorted(keys, left.keys)] = left.weights
    weights[np.searchsorted(keys, right.keys)] += right.weights
    return _within(Run(keys, weights, dropped), limit)


def area_slack(negative: Array, positive: Array) -> float:
    """Return the most that the area under the ROC curve can be off, if bins hold several scores.

    Within a bin the curve lies somewhere in a rectangle, of which its chord takes half.
    """
    whole = negative.sum() * positive.sum()
    return float(negative @ positive / whole / 2) if whole else 0.0


def precision_slack(negative: Array, positive: Array) -> float:
    """Return the most that the average precision can be off, if bins hold several scores.

    The precision at any positive of a bin lies between that with all its negatives before and none
    of its positives, and that with all its positives and none of its negatives.
    """
    true, false = np.cumsum(positive[::-1]), np.cumsum(negative[::-1])
    before, wrong_before = true - positive[::-1], false - negative[::-1]
    if not len(true) or not true[-1]:
        return 0.0
    found = np.divide(true, true + false, out=np.zeros_like(true), where=true + false > 0)
    highest = np.divide(true, true + wrong_before, out=found.copy(), where=true + wrong_before > 0)
    lowest = np.divide(before, before + false, out=found.copy(), where=before + false > 0)
    off = np.maximum(highest - found, found - lowest)
    return float((positive[::-1] / true[-1]) @ off)


def _ordered_integers(scores: Array) -> Array:
    bits = (scores.astype(np.float64) + 0.0).view(np.uint64)  # one zero, not two
    top = np.uint64(1 << 63)
    ordered: Array = np.where(bits & top, ~bits, bits | top)
    return ordered


def _distinct_sorted(keys: Array) -> tuple[Array, Array]:
    """Return the distinct ones of keys that rise, and the place of each key among them."""
    begins = np.ones(len(keys), dtype=bool)
    begins[1:] = keys[1:] != keys[:-1]
    return keys[begins], np.cumsum(begins) - 1


def _coarser(run: Run, dropped: int) -> Run:
    if dropped == run.dropped:
        return run
    keys, place = _distinct_sorted(run.keys >> np.uint64(dropped - run.dropped))
    starts = np.searchsorted(place, np.arange(len(keys)))
    return Run(keys, np.add.reduceat(run.weights, starts, axis=0), dropped)


def _within(run: Run, limit: int) -> Run:
    """Drop the fewest bits that leave no more keys than allowed."""
    if len(run.keys) <= limit:
        return run
    # Two neighbours stay apart until the highest bit in which they differ is dropped.
    apart = run.keys[1:] ^ run.keys[:-1]
    # As a float it may round up to one bit more, never to fewer.
    bits = np.minimum(np.frexp(apart.astype(np.float64))[1], 64)
    exact = (apart >> (bits - 1).astype(np.uint64)) > 0
    bits = np.where(exact, bits, bits - 1)
    more = np.sort(bits)[::-1][limit - 1]
    return _coarser(run, run.dropped + int(more))
