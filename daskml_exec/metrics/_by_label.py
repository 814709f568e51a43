"""Metrics of probabilities, whose columns' labels are known only once all rows are."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d

from daskml_exec.kernels.arrays import Array
from daskml_exec.metrics._label_pairs import factorised, merged_labels


@dataclass(frozen=True)
class LabelSums:
    """Sums over the rows of each true label.

    Attributes
    ----------
    labels : array of shape (l,)
    values : array of shape (l, columns)
        Sums, by weight, of what a row would count if its label had that column.
    weights : array of shape (l,)
    off : bool
        Whether some rows' probabilities do not sum to one.
    """

    labels: Array
    values: Array
    weights: Array
    off: bool = False


def sums_by_label(y_true: Array, values: Array, weight: Any, off: bool = False) -> LabelSums:
    """Return the sums of a block of rows."""
    codes, labels = factorised(column_or_1d(y_true))
    n = len(labels)
    each = np.ones(len(codes)) if weight is None else weight
    sums = [np.bincount(codes, each * column, minlength=n) for column in values.T]
    return LabelSums(labels, np.stack(sums, axis=1), np.bincount(codes, each, minlength=n), off)


def merged_sums(left: LabelSums, right: LabelSums) -> LabelSums:
    """Return the sums of two row ranges together."""
    if left.values.shape[1] != right.values.shape[1]:
        raise ValueError(
            f"some partitions have {left.values.shape[1]} columns, others have "
            f"{right.values.shape[1]}; all must have the same"
        )
    labels = merged_labels(left.labels, right.labels)
    values, weights = np.zeros((len(labels), left.values.shape[1])), np.zeros(len(labels))
    for part in (left, right):
        place = np.searchsorted(labels, part.labels)
        values[place] += part.values
        weights[place] += part.weights
    return LabelSums(labels, values, weights, left.off or right.off)


def total_of_labels(sums: LabelSums, labels: Any, name: str) -> float:
    """Return the sum over rows, where each label counts by its own column.

    Parameters
    ----------
    sums : LabelSums
    labels : array-like or None
        Of the columns; those that occur if None.
    name : str
        Of the predictions, for messages.

    Raises
    ------
    ValueError
        There are other numbers of labels than of columns, or labels that no column is for.
    """
    width = sums.values.shape[1]
    columns = sums.labels if labels is None else np.unique(np.asarray(labels))
    if labels is not None and len(columns) < 2:
        raise ValueError(f"labels={columns!r} are {len(columns)}; allowed are two or more")
    if labels is None and len(columns) == 1:
        raise ValueError(
            f"y_true contains only one label ({columns[0]}). Please provide the list of all "
            "expected class labels explicitly through the labels argument."
        )
    if len(columns) != width:
        raise ValueError(
            f"y_true and {name} contain different number of classes: {len(columns)} vs {width}. "
            f"The labels are {columns}; give those of the columns as labels="
        )
    unseen = ~np.isin(sums.labels, columns)
    if unseen.any():
        raise ValueError(
            f"y_true contains labels {sums.labels[unseen]} that are not in labels={columns}"
        )
    if sums.off:
        warnings.warn(
            f"The {name} values do not sum to one. Make sure to pass probabilities.",
            UserWarning,
            stacklevel=2,
        )
    return float(
        sums.values[np.arange(len(sums.labels)), np.searchsorted(columns, sums.labels)].sum()
    )
