r"""How much of the deviance of y predictions explain, from sums that add up over row blocks.

The deviance :math:`\sum_i w_i d(y_i, m)` about the mean m of all rows is needed, but a block does
not know that mean. It adds up about a reference r near its own mean, and the sums move to another
reference exactly, since each distribution's deviance comes from a convex function
:math:`\varphi`:

.. math::
    d(y, m) = d(y, r) + d(r, m) + (y - r)(\varphi'(r) - \varphi'(m)).

So little is lost to cancellation where the mean is large and the spread is small.

Source: Banerjee, Merugu, Dhillon and Ghosh (2005), Clustering with Bregman divergences, JMLR 6.
"""

from typing import Any, NamedTuple

import numpy as np

from daskml_exec.kernels.array_namespace import everywhere, number, total
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Distribution


class Sums(NamedTuple):
    """Sums over rows: an array of six numbers on their way to the driver.

    Attributes
    ----------
    rows, weight : float
        Number of rows, those of weight zero too, and the sum of the weights.
    reference, first, total : float
        Weighted sums of the differences from the reference (it is near the mean, so that is next
        to nothing, but not nothing), and of the deviances from it.
    residual : float
        Weighted sum of the deviances from the predictions.
    """

    rows: float
    weight: float
    reference: float
    first: float
    total: float
    residual: float


def block_sums(distribution: Distribution, y: Any, predicted: Any, weight: Any) -> Array:
    """Return the `Sums` of one block of rows: of float64 arrays of one place."""
    counted = weight > 0
    rows = y.shape[0]
    if not everywhere(counted):
        y, predicted, weight = y[counted], predicted[counted], weight[counted]
    if not y.shape[0]:
        return np.array(Sums(rows, 0, 0, 0, 0, 0), dtype=float)
    all_weight = total(weight)
    # Exactly the value of a constant y: it has no deviance, and an average may be a bit off.
    reference = number(y[0]) if everywhere(y == y[0]) else total(y * weight) / all_weight
    return np.array(
        Sums(
            rows,
            all_weight,
            reference,
            number(weight @ (y - reference)),
            number(weight @ distribution.deviance(y, reference)),
            number(weight @ distribution.deviance(y, predicted)),
        )
    )


def combine_sums(distribution: Distribution, left: Array, right: Array) -> Array:
    """Return the `Sums` of two row ranges together."""
    a, b = Sums(*left.tolist()), Sums(*right.tolist())
    if not (a.weight and b.weight):
        some = a if a.weight else b
        return np.array(some._replace(rows=a.rows + b.rows))
    weight = a.weight + b.weight
    reference = a.reference
    if a.reference != b.reference:
        reference += (b.reference - a.reference) * (b.weight / weight)
    a, b = _about(distribution, a, reference), _about(distribution, b, reference)
    return np.array(
        Sums(
            a.rows + b.rows,
            weight,
            reference,
            a.first + b.first,
            a.total + b.total,
            a.residual + b.residual,
        )
    )


def explained_share(distribution: Distribution, sums: Array) -> float:
    """Return one minus the share of the deviance about the mean that the predictions leave.

    As in scikit-learn's `r2_score`, it is 1 for perfect predictions and 0 for others if y is
    constant.
    """
    s = Sums(*sums.tolist())
    total = total_deviance(distribution, sums)
    if s.residual == 0:
        return 1.0
    return 1.0 - s.residual / total if total > 0 else 0.0


def total_deviance(distribution: Distribution, sums: Array) -> float:
    """Return the deviance about the mean."""
    s = Sums(*sums.tolist())
    return _about(distribution, s, s.reference + s.first / s.weight).total


def _about(distribution: Distribution, s: Sums, m: float) -> Sums:
    """Return the same sums about another reference."""
    if m == s.reference:
        return s
    total = s.total + s.weight * float(distribution.deviance(s.reference, m))
    if s.first:
        total += s.first * distribution.deviance_slope(s.reference, m)
    return s._replace(reference=m, first=s.first + s.weight * (s.reference - m), total=total)
