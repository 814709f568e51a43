"""Metrics of probabilities, whose columns' labels are known only once all rows are."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels.array_namespace import is_host, moved, to_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.group_sums import group_sums, group_weights
from daskml_exec.metrics._label_pairs import factorised, merged_labels
from daskml_exec.metrics._places import as_column


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


def sums_by_label(y_true: Any, values: Any, weight: Any, off: bool = False) -> LabelSums:
    """Return the sums of a block of rows, whose values and weights are on one place.

    Labels are there or on the host.
    """
    codes, labels = factorised(as_column(y_true))
    n = len(labels)
    if n > values.shape[1] and not is_host(values):
        # There is no column for some, which is said when all labels are known.
        values, weight, codes = (
            each if each is None else to_host(each) for each in (values, weight, codes)
        )
    codes = moved(codes, values)
    sums = group_sums(codes, values, weight, n)
    return LabelSums(labels, sums, group_weights(codes, weight, n), off)


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
