"""Metrics that are means over rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from daskml_exec.kernels.array_namespace import to_host, total_weight
from daskml_exec.kernels.row_scores import weighted_columns
from daskml_exec.metrics._metric import Metric

RowScores = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class MeanSums:
    """Sums of the values of rows by column, and of their weights."""

    values: Any
    weight: float

    def __add__(self, other: MeanSums) -> MeanSums:
        return MeanSums(self.values + other.values, self.weight + other.weight)


def mean_metric(
    name: str,
    theirs: Callable[..., Any],
    rows: RowScores,
    finish: Callable[[Any], Any],
    *,
    takes: str = "y_pred",
    shape: tuple[float, ...] = (),
    anywhere: bool = True,
) -> Metric:
    """Return the record of a mean.

    Parameters
    ----------
    name, theirs, takes, shape, anywhere : as of `Metric`
    rows : callable
        Returns the value of each row, or several in columns, of y_true and predictions.
    finish : callable
        Returns the metric of the means of the columns.
    """
    return Metric(
        name,
        theirs,
        partial(_sums_of_rows, rows),
        added,
        partial(mean_of, finish, False),
        takes=takes,
        shape=shape,
        anywhere=anywhere,
    )


def _sums_of_rows(rows: RowScores, y_true: Any, given: Any, weight: Any) -> MeanSums:
    values = rows(y_true, given)
    values = values[:, None] if values.ndim == 1 else values
    sums = to_host(weighted_columns(values, weight))
    return MeanSums(sums, total_weight(values, weight))


def added(left: MeanSums, right: MeanSums) -> MeanSums:
    """Return the sums of two row ranges together."""
    if left.values.shape != right.values.shape:
        raise ValueError(
            f"some partitions have {left.values.shape[0]} columns, others have "
            f"{right.values.shape[0]}; all must have the same"
        )
    return left + right


def mean_of(finish: Callable[[Any], Any], total: bool, sums: MeanSums) -> Any:
    """Return the metric of the means of the columns, or of their sums if the total is wanted."""
    if total:
        return finish(sums.values)
    return finish(sums.values / require_weight(sums.weight))


def first(means: Any) -> float:
    """Return the only column's."""
    return float(means[0])


def averaged(multioutput: Any, root: bool, means: Any) -> Any:
    """Return the mean of outputs as scikit-learn's regression metrics do.

    Raises
    ------
    ValueError
        Weights of outputs are not as many as these.
    """
    values = np.sqrt(means) if root else means
    if isinstance(multioutput, str):
        return values if multioutput == "raw_values" else float(values.mean())
    weights = np.asarray(multioutput, dtype=np.float64)
    if weights.shape != values.shape:
        raise ValueError(
            f"There must be equally many custom weights ({len(weights)}) as outputs "
            f"({len(values)})."
        )
    return float(np.average(values, weights=weights))


def require_weight(weight: float) -> float:
    """Return the weight of all rows, unless it is zero, which raises ValueError."""
    if not weight:
        raise ValueError(
            "sample_weight sums to zero: Sample weights must contain at least one non-zero number; "
            "allowed are values from 0 with one or more above"
        )
    return weight
