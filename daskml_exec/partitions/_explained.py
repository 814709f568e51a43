r"""How much of the deviance of y predictions explain, from sums that add up over row blocks.

The deviance :math:`\sum_i w_i d(y_i, m)` about the mean m of all rows is needed, but a block does
not know that mean. It adds up about a reference r near its own mean, and the sums move to another
reference exactly, since squared errors and Poisson's deviance come from a convex function
:math:`\varphi` each:

.. math::
    d(y, m) = d(y, r) + d(r, m) + (y - r)(\varphi'(r) - \varphi'(m)).

So little is lost to cancellation where the mean is large and the spread is small.

Source: Banerjee, Merugu, Dhillon and Ghosh (2005), Clustering with Bregman divergences, JMLR 6.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Divergence(Protocol):
    """The d of the formula, elementwise."""

    def of(self, y: Any, m: Any) -> Any:
        """Return ``d(y, m)``."""

    def slope(self, r: float, m: float) -> float:
        """Return ``phi'(r) - phi'(m)``."""


@dataclass(frozen=True)
class SquaredError:
    """``(y - m)**2``."""

    def of(self, y: Any, m: Any) -> Any:
        """Return ``d(y, m)``."""
        return (y - m) ** 2

    def slope(self, r: float, m: float) -> float:
        """Return ``phi'(r) - phi'(m)`` for ``phi(y) = y**2``."""
        return 2 * (r - m)


@dataclass(frozen=True)
class PoissonDeviance:
    """``y log(y / m) - y + m``, half the deviance; y and m are not negative."""

    def of(self, y: Any, m: Any) -> Any:
        """Return ``d(y, m)``: m where y is 0, infinity where m is 0 and y is not."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(y == 0, m, y * np.log1p((y - m) / m) - (y - m))

    def slope(self, r: float, m: float) -> float:
        """Return ``phi'(r) - phi'(m)`` for ``phi(y) = y log y - y``."""
        return float(np.log(r) - np.log(m))


class Sums(NamedTuple):
    """Sums over rows: an array of six numbers on their way to the driver.

    Attributes
    ----------
    rows, weight : float
        Number of rows, those of weight zero too, and the sum of the weights.
    reference, first, total : float
        Weighted sums of the differences from the reference (it is near the mean, so that is next
        to nothing, but not nothing), and of the divergences from it.
    residual : float
        Weighted sum of the divergences from the predictions.
    """

    rows: float
    weight: float
    reference: float
    first: float
    total: float
    residual: float


def block_sums(divergence: Divergence, y: Array, predicted: Array, weight: Array) -> Array:
    """Return the `Sums` of one block of rows."""
    counted = weight > 0
    rows = len(y)
    if not counted.all():
        y, predicted, weight = y[counted], predicted[counted], weight[counted]
    if not len(y):
        return np.array(Sums(rows, 0, 0, 0, 0, 0), dtype=float)
    # Exactly the value of a constant y: it has no deviance, and an average may be a bit off.
    reference = y[0] if (y == y[0]).all() else np.average(y, weights=weight)
    return np.array(
        Sums(
            rows,
            weight.sum(),
            reference,
            weight @ (y - reference),
            weight @ divergence.of(y, reference),
            weight @ divergence.of(y, predicted),
        )
    )


def combine_sums(divergence: Divergence, left: Array, right: Array) -> Array:
    """Return the `Sums` of two row ranges together."""
    a, b = Sums(*left.tolist()), Sums(*right.tolist())
    if not (a.weight and b.weight):
        some = a if a.weight else b
        return np.array(some._replace(rows=a.rows + b.rows))
    weight = a.weight + b.weight
    reference = a.reference
    if a.reference != b.reference:
        reference += (b.reference - a.reference) * (b.weight / weight)
    a, b = _about(divergence, a, reference), _about(divergence, b, reference)
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


def explained_share(divergence: Divergence, sums: Array) -> float:
    """Return one minus the share of the deviance about the mean that the predictions leave.

    As in scikit-learn's `r2_score`, it is 1 for perfect predictions and 0 for others if y is
    constant.
    """
    s = Sums(*sums.tolist())
    total = _about(divergence, s, s.reference + s.first / s.weight).total
    if s.residual == 0:
        return 1.0
    return 1.0 - s.residual / total if total > 0 else 0.0


def _about(divergence: Divergence, s: Sums, m: float) -> Sums:
    """Return the same sums about another reference."""
    if m == s.reference:
        return s
    total = s.total + s.weight * float(divergence.of(s.reference, m))
    if s.first:
        total += s.first * divergence.slope(s.reference, m)
    return s._replace(reference=m, first=s.first + s.weight * (s.reference - m), total=total)
