"""Shares of a deviance that predictions explain."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from daskml_exec.kernels.array_namespace import array_namespace, number, ones, somewhere
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Distribution
from daskml_exec.metrics._places import as_matrix
from daskml_exec.metrics._row_means import require_weight
from daskml_exec.partitions import block_sums, combine_sums, explained_share, total_deviance


@dataclass(frozen=True)
class Explained:
    """How much of the deviance of y predictions explain, per output.

    Attributes
    ----------
    distribution : Distribution or None
        None where there is none of this power, which is refused.
    multioutput : str or array-like
    force_finite : bool
    power : float
    """

    distribution: Distribution | None
    multioutput: Any
    force_finite: bool
    power: float = 0

    def __call__(self, y_true: Any, y_pred: Any, weight: Any) -> Array:
        """Return the sums of a block of rows, one row per output."""
        distribution = self._known()
        y, predicted = as_matrix(y_true), as_matrix(y_pred)
        if y.shape != predicted.shape:
            raise ValueError(
                f"y_true and y_pred have different number of output ({y.shape[1]}!="
                f"{predicted.shape[1]})"
            )
        if self.power == 1 and (somewhere(y < 0) or somewhere(predicted <= 0)):
            xp = array_namespace(y)
            raise ValueError(
                "When power=1, d2_tweedie_score can only be used with non-negative y and strictly "
                f"positive y_pred; smallest are {number(xp.min(y)):g} and "
                f"{number(xp.min(predicted)):g}"
            )
        weights = ones((y.shape[0],), y) if weight is None else weight
        columns = [(y[:, j], predicted[:, j]) for j in range(y.shape[1])]
        return np.stack([block_sums(distribution, *pair, weights) for pair in columns])

    def combine(self, left: Array, right: Array) -> Array:
        """Return the sums of two row ranges together."""
        pairs = zip(left, right, strict=True)
        return np.stack([combine_sums(self._known(), a, b) for a, b in pairs])

    def finalise(self, sums: Array) -> Any:
        """Return the share, or that of each output."""
        distribution = self._known()
        if sums[0, 0] < 2:
            warn_of_too_few(distribution, stacklevel=2)
            return float("nan")
        require_weight(float(sums[0, 1]))
        shares = np.array([self._share(distribution, output) for output in sums])
        if isinstance(self.multioutput, str):
            if self.multioutput == "raw_values":
                return shares
            if self.multioutput == "uniform_average":
                return float(shares.mean())
            weights = np.array([total_deviance(distribution, output) for output in sums])
            return float(np.average(shares, weights=weights if weights.any() else None))
        return float(np.average(shares, weights=self.multioutput))

    def _share(self, distribution: Distribution, sums: Array) -> float:
        if self.force_finite or total_deviance(distribution, sums) > 0:
            return explained_share(distribution, sums)
        return float("nan") if sums[-1] == 0 else float("-inf")

    def _known(self) -> Distribution:
        if self.distribution is None:
            raise ValueError(
                f"power={self.power}; allowed on a cluster are 0 and 1, whose deviance about the "
                "mean needs one pass"
            )
        return self.distribution


def warn_of_too_few(distribution: Distribution, stacklevel: int) -> None:
    """Warn as scikit-learn does of fewer than two rows, whose score is NaN."""
    warnings.warn(
        f"{distribution.score_name} score is not well-defined with less than two samples.",
        UndefinedMetricWarning,
        stacklevel=stacklevel + 1,
    )
