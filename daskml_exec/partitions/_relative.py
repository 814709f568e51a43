"""What only matters relative to the whole: the size of weights, and the level of targets."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.moments import Moments

# Mean weights from 4**-15 to 4**15 are left alone: products and sums have room above and below,
# in single precision as well.
_USUAL = 15
# Targets whose mean is so many standard deviations from zero lose digits beside it.
_FAR = 1e3


def weight_exponent(weight: float, rows: int) -> int:
    """Return the e for which weights times ``2**-e`` have a mean of about one; 0 for usual weights.

    It is even, so that square roots of the weights keep their bits, too.

    Raises
    ------
    ValueError
        The weight of all rows is more than float64 holds.

    Examples
    --------
    >>> weight_exponent(150.0, 100), weight_exponent(2.0**101, 2)
    (0, 100)
    """
    if not math.isfinite(weight):
        raise ValueError(
            "sample_weight has values whose sum overflows float64; only their ratios, and their "
            "sum beside a penalty, matter: divide all by the largest"
        )
    quarters = math.floor(math.log2(weight / max(1, rows)) / 2) if weight > 0 else 0
    return 2 * quarters if abs(quarters) > _USUAL else 0


def scaled(sample_weight: Any, exponent: int) -> Any:
    """Return the weights times ``2**-exponent``; None stands for ones."""
    if sample_weight is None or not exponent:
        return sample_weight
    return np.ldexp(sample_weight, -exponent)


@dataclass(frozen=True)
class TargetForm:
    """How targets and weights are brought to usual sizes."""

    exponent: int = 0
    """As of `weight_exponent`."""
    level: float = 0.0
    """What is taken from each target."""

    def __call__(self, y: Any, sample_weight: Any) -> tuple[Any, Any]:
        return y - self.level if self.level else y, scaled(sample_weight, self.exponent)

    def given(self, y: Any, sample_weight: Any) -> tuple[Any, Any]:
        """Return targets and weights of the sizes that they had."""
        return y + self.level if self.level else y, scaled(sample_weight, -self.exponent)


AS_GIVEN = TargetForm()


def target_level(target: Moments) -> float:
    """Return what to take from targets that are far from zero relative to their spread; else 0.

    It is a round number, so that next to nothing is lost, and the same for any cuts of the rows.

    Examples
    --------
    >>> moments = Moments(weight=4.0, mean=np.array([1e6 + 0.3]), spread=np.array([4.0]))
    >>> target_level(moments)
    1000000.0
    """
    mean = float(target.mean[0])
    spread = math.sqrt(float(target.spread[0]) / target.weight)
    if not (math.isfinite(mean) and math.isfinite(spread)) or abs(mean) <= _FAR * spread:
        return 0.0
    if spread <= np.finfo(np.float64).eps * abs(mean):
        return mean
    unit = 2.0 ** math.ceil(math.log2(spread))
    return round(mean / unit) * unit
