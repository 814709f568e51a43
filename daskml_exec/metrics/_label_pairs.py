"""Metrics of predicted labels: from the weights of each pair of a true and a predicted label.

The pairs are data with the same metrics as all rows, and so small that scikit-learn's function
tells them: its options, errors and warnings are its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score

from daskml_exec.kernels.array_namespace import dtype_kind, is_host, somewhere, to_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.group_sums import distinct, distinct_of_both, pair_sums
from daskml_exec.metrics._metric import Metric
from daskml_exec.metrics._places import as_column, on_host

MOST_LABELS = 256
"""Of a block on a device: with more, the matrix of all pairs is larger than the rows."""


@dataclass(frozen=True)
class Pairs:
    """Weights of pairs of labels.

    Attributes
    ----------
    labels : array of shape (l,)
        In rising order.
    cells : array of int, shape (p,)
        Rising numbers ``true * l + predicted`` of the pairs that occur.
    weights : array of float64, shape (p,)
        Of each pair; numbers of rows where there are no weights.
    weighted : bool
        Whether rows have weights.
    """

    labels: Array
    cells: Array
    weights: Array
    weighted: bool


def pairs_of(y_true: Any, y_pred: Any, weight: Any) -> Pairs:
    """Return the pairs of a block of rows."""
    y_true, y_pred = as_column(y_true), as_column(y_pred)
    require_labels_alike(y_true, y_pred)
    if not is_host(y_pred):
        return _pairs_there(y_true, y_pred, weight)
    n = len(y_true)
    codes, labels = factorised(np.concatenate([y_true, y_pred]))
    cells = codes[:n] * len(labels) + codes[n:]
    cells, place = _distinct(cells, len(labels) ** 2)
    weights = np.bincount(place, weight, minlength=len(cells)).astype(np.float64)
    return Pairs(labels, cells, weights, weight is not None)


def _pairs_there(y_true: Any, y_pred: Any, weight: Any) -> Pairs:
    """Return the pairs of a block of rows on a device, from the matrix of all of them."""
    codes, guesses, labels = distinct_of_both(y_true, y_pred)
    if len(labels) > MOST_LABELS:
        return pairs_of(*on_host(y_true, y_pred, weight))
    counts = pair_sums(codes, guesses, None, len(labels)).ravel()
    weights = counts if weight is None else pair_sums(codes, guesses, weight, len(labels)).ravel()
    cells = np.flatnonzero(counts)
    return Pairs(labels, cells, weights[cells], weight is not None)


def merged_pairs(left: Pairs, right: Pairs) -> Pairs:
    """Return the pairs of two row ranges together."""
    labels = merged_labels(left.labels, right.labels)
    parts = (_among(left, labels), _among(right, labels))
    cells = np.union1d(*parts)
    weights = np.zeros(len(cells))
    for part, pairs in zip(parts, (left, right), strict=True):
        weights[np.searchsorted(cells, part)] += pairs.weights
    return Pairs(labels, cells, weights, left.weighted)


def of_pairs(function: Callable[..., Any], pairs: Pairs) -> Any:
    """Return what scikit-learn's function says of the pairs."""
    true, predicted = np.divmod(pairs.cells, len(pairs.labels))
    weights = pairs.weights if pairs.weighted else pairs.weights.astype(np.int64)
    found = function(pairs.labels[true], pairs.labels[predicted], sample_weight=weights)
    return float(found) if np.ndim(found) == 0 and not isinstance(found, tuple) else found


def pairs_metric(
    theirs: Callable[..., Any], shape: tuple[float, ...] = (), **options: Any
) -> Metric:
    """Return the record of a function of scikit-learn that takes labels."""
    asked = partial(theirs, **options)
    finalise = partial(of_pairs, asked)
    return Metric(
        theirs.__name__, asked, pairs_of, merged_pairs, finalise, shape=shape, anywhere=True
    )


def factorised(labels: Any) -> tuple[Any, Array]:
    """Return the codes of labels, where these are, and on the host the labels in rising order."""
    if not is_host(labels):
        return distinct(labels)
    codes, found = pd.factorize(labels)
    found = np.asarray(found)
    order = np.argsort(found, kind="stable")
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    return place[codes], found[order]


def merged_labels(left: Array, right: Array) -> Array:
    """Return all labels in rising order.

    Raises
    ------
    ValueError
        Some are texts and some numbers.
    """
    if len(left) == len(right) and left.dtype == right.dtype and (left == right).all():
        return left
    require_labels_alike(left, right)
    return np.union1d(left, right)


def require_labels_alike(y_true: Any, y_pred: Any) -> None:
    """Raise ValueError for labels that scikit-learn refuses, by its own words."""
    if not comparable(y_true, y_pred):
        accuracy_score(to_host(y_true), to_host(y_pred))


def comparable(y: Any, predicted: Any) -> bool:
    """Whether y holds labels of the predictions' kind, without sorting them as scikit-learn does.

    Texts and numbers are never equal, and fractions are no labels: without a look at both, a model
    would just seem to be wrong everywhere.
    """
    if _whole(y):
        return dtype_kind(predicted) in "biuf" and _whole(predicted)
    kinds = dtype_kind(y), dtype_kind(predicted)
    if kinds[0] == "O" and kinds[1] in "OU":
        return pd.api.types.infer_dtype(y, skipna=False) == "string"
    return kinds[0] == kinds[1] and kinds[0] in "US"


def _whole(labels: Any) -> bool:
    kind = dtype_kind(labels)
    return kind in "biu" or (kind == "f" and not somewhere(labels % 1 != 0))


def _distinct(cells: Array, size: int) -> tuple[Array, Array]:
    if size > 4 * len(cells):
        return np.unique(cells, return_inverse=True)
    seen = np.zeros(size, dtype=bool)
    seen[cells] = True
    found = np.flatnonzero(seen)
    place = np.zeros(size, dtype=np.intp)
    place[found] = np.arange(len(found))
    return found, place[cells]


def _among(pairs: Pairs, labels: Array) -> Array:
    if labels is pairs.labels:
        return pairs.cells
    place = np.searchsorted(labels, pairs.labels)
    true, predicted = np.divmod(pairs.cells, len(pairs.labels))
    return place[true] * len(labels) + place[predicted]
