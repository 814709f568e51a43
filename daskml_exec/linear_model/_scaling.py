r"""A scaler in front of a linear model, as part of the model.

With :math:`z_j = (x_j - c_j) / s_j`, a model :math:`v^\top z + a` is the model
:math:`w^\top x + b` with :math:`w_j = v_j / s_j` and :math:`b = a - w^\top c`, and its penalty
:math:`\|v\|^2` is :math:`\sum_j s_j^2 w_j^2`, that of :math:`\|v\|_1` is
:math:`\sum_j s_j |w_j|`. So rows stay as they are, sparse ones sparse.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.moments import Moments
from daskml_exec.linear_model._problem import Parameters


@dataclass(frozen=True, eq=False)
class Scaling:
    """Centre and scale of the columns.

    Attributes
    ----------
    centre, scale : ndarray of shape (d,)
    by : str
        What has scaled them, in words.
    moments : Moments or None
        Of the columns of rows as they are, where they are known and rows have no weights.
    """

    centre: Array
    scale: Array
    by: str
    moments: Moments | None

    def of_rows(self, *, weighted: bool) -> "Scaling":
        """Return what is known of rows with weights, or without."""
        return replace(self, moments=None) if weighted else self

    @property
    def factors(self) -> Array:
        """Of the squares in the penalty, by column; their roots are those of absolute values."""
        return self.scale**2

    def scaled(self, found: Parameters) -> Parameters:
        """Return parameters for scaled rows, of those for rows as they are."""
        return Parameters(found.coef * self.scale, found.intercept + found.coef @ self.centre)

    def unscaled(self, start: Parameters) -> Parameters:
        """Return parameters for rows as they are, of those for scaled rows."""
        coef = start.coef / self.scale
        return Parameters(coef, start.intercept - coef @ self.centre)

    def setting(self, set_fitted: Callable[..., None]) -> Callable[..., None]:
        """Return what sets an estimator's attributes to those for scaled rows."""
        return partial(_set_scaled, self, set_fitted)

    def in_words(self) -> str:
        """Say what became of it."""
        where = "in the intercept and the penalty"
        return f"centre and scale of {self.by} are {where}; no scaled row was made"


def _set_scaled(
    scaling: Scaling, set_fitted: Callable[..., None], model: Any, parameters: Parameters
) -> None:
    set_fitted(model, scaling.scaled(parameters))
