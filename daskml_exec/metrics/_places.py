"""Where a metric counts: labels and weights follow the predictions, as in scikit-learn."""

from __future__ import annotations

from typing import Any

from sklearn.utils import column_or_1d

from daskml_exec.kernels.array_namespace import (
    array_namespace,
    doubles,
    dtype_kind,
    is_host,
    moved,
    to_host,
)


def beside_predictions(y_true: Any, given: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Return labels, predictions and weights where the predictions are.

    Labels that are no numbers are on the host and stay there.
    """
    if is_host(given):
        return on_host(y_true, given, weight)
    if dtype_kind(y_true) in "biuf":
        y_true = moved(y_true, given)
    return y_true, given, None if weight is None else moved(weight, given)


def on_host(y_true: Any, given: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Return labels, predictions and weights on the host."""
    return to_host(y_true), to_host(given), None if weight is None else to_host(weight)


def as_column(values: Any) -> Any:
    """Return one value per row, of a column or of a matrix with one.

    Raises
    ------
    ValueError
        There are more columns: scikit-learn's words.
    """
    if is_host(values):
        return column_or_1d(values)
    if values.ndim == 1:
        return values
    if values.ndim == 2 and values.shape[1] == 1:
        return array_namespace(values).reshape(values, (-1,))
    raise ValueError(
        f"y should be a 1d array, got an array of shape {tuple(values.shape)} instead."
    )


def as_matrix(values: Any) -> Any:
    """Return a column of one value per row as a matrix with one column, in float64."""
    found = doubles(values)
    return found[:, None] if found.ndim == 1 else found
