"""Partitions for a classifier: aligned, checked, with labels replaced by class codes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import compute_class_weight

from daskml_exec.executor import Executor
from daskml_exec.partitions._aligned import aligned_partitions
from daskml_exec.partitions._assemble import (
    Summary,
    check_weights,
    encode,
    summarise,
    unique_labels,
    weigh,
)
from daskml_exec.partitions._gather import gather
from daskml_exec.partitions._kinds import is_collection
from daskml_exec.partitions._memory import partitions_from_memory
from daskml_exec.partitions._partition import Partitions


@dataclass(frozen=True)
class ClassificationData:
    """Partitions whose ``y`` holds indices into ``classes``."""

    partitions: Partitions
    classes: np.ndarray[Any, Any]


def classification_data(
    executor: Executor,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    class_weight: Any,
    feature_names: Any,
) -> ClassificationData:
    """Cut and place the data, or take it where it lives; find the classes; encode the labels.

    Parameters
    ----------
    executor : Executor
    X : ndarray, CSR matrix, Dask array, Dask dataframe or list of futures
        In-memory data must be checked already.
    y, sample_weight : as X, one value per row
        In memory if X is. `sample_weight` may be None.
    class_weight : dict, "balanced" or None
        As in scikit-learn; it multiplies `sample_weight`.
    feature_names : array of str, or None
        Of in-memory data; a Dask dataframe brings its own.

    Raises
    ------
    ValueError
        The number of rows differs, labels are no labels, there are fewer than two classes among
        rows with a positive weight, or weights are negative.
    """
    if is_collection(X):
        return _from_cluster(executor, X, y, sample_weight, class_weight)
    return _from_memory(executor, X, y, sample_weight, class_weight, feature_names)


def _from_memory(
    executor: Executor, X: Any, y: Any, sample_weight: Any, class_weight: Any, feature_names: Any
) -> ClassificationData:
    if sample_weight is None:
        classes, codes = unique_labels(y, where="the data")
        weight_of_class = np.bincount(codes)
    else:
        sample_weight = check_weights(sample_weight, where="the data")
        counted = sample_weight > 0
        classes, counted_codes = unique_labels(y[counted], where="the data")
        weight_of_class = np.bincount(counted_codes, sample_weight[counted], len(classes))
        codes = np.zeros(len(y), dtype=np.intp)
        codes[counted] = counted_codes
    multipliers = _class_multipliers(class_weight, classes, weight_of_class)
    partitions = partitions_from_memory(
        executor,
        X,
        codes,
        weigh(codes, sample_weight, multipliers),
        feature_names=feature_names,
    )
    return ClassificationData(partitions, classes)


def _from_cluster(
    executor: Executor, X: Any, y: Any, sample_weight: Any, class_weight: Any
) -> ClassificationData:
    client = executor.client
    workers_lost_before = len(executor.events.workers_lost)
    executor.check_workers()
    aligned = aligned_partitions(executor, X, y, sample_weight)
    summaries: list[Summary] = gather(
        client,
        client.map(summarise, aligned.futures, aligned.first_blocks, pure=False, key="summarise"),
        {"X": X, "y": y, "sample_weight": sample_weight},
    )
    _check_columns(summaries)
    filled = [summary for summary in summaries if summary.rows] or summaries
    dtype = np.result_type(*(summary.dtype for summary in filled))
    classes, weight_of_class = _merge_classes(summaries)
    multipliers = _class_multipliers(class_weight, classes, weight_of_class)
    n = len(aligned.futures)
    futures = client.map(
        encode,
        aligned.futures,
        [classes] * n,
        [multipliers] * n,
        [dtype] * n,
        pure=False,
        key="partition",
    )
    partitions = Partitions(
        executor=executor,
        futures=tuple(futures),
        rows=tuple(summary.rows for summary in summaries),
        n_features=summaries[0].n_features,
        dtype=dtype,
        feature_names=summaries[0].feature_names,
        workers_lost_before=workers_lost_before,
    )
    return ClassificationData(partitions, classes)


def _check_columns(summaries: list[Summary]) -> None:
    first = summaries[0]
    for index, summary in enumerate(summaries):
        if summary.n_features != first.n_features:
            raise ValueError(
                f"partition {index} of X has {summary.n_features} columns, partition 0 has "
                f"{first.n_features}; all must have the same"
            )
        if summary.feature_names != first.feature_names:
            raise ValueError(
                f"partition {index} of X has the columns {summary.feature_names}, partition 0 has "
                f"{first.feature_names}; all must have the same, in the same order"
            )


def _merge_classes(summaries: list[Summary]) -> tuple[Any, Any]:
    """Return the sorted union of the labels, in the labels' own dtype, and their weights."""
    filled = [summary for summary in summaries if len(summary.classes)]
    if not filled:
        raise ValueError(
            "all sample weights are zero: at least two classes need rows with a positive weight"
            if any(summary.rows for summary in summaries)
            else "X has 0 rows: at least two classes need rows"
        )
    labels = np.concatenate([summary.classes for summary in filled])
    weights = np.concatenate([summary.class_weights for summary in filled])
    classes, codes = unique_labels(labels, where="the data")
    return classes, np.bincount(codes, weights, minlength=len(classes))


def _class_multipliers(class_weight: Any, classes: Any, weight_of_class: Any) -> Any:
    """Return one factor per class, or None for ones; needs at least two classes."""
    if len(classes) < 2:
        found = f"one class: {classes.tolist()[0]!r}" if len(classes) else "no class"
        raise ValueError(
            "This solver needs samples of at least 2 classes in the data, but y contains only "
            f"{found} (rows of weight zero do not count)"
        )
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(
                f"class_weight={class_weight!r}; allowed are a dict from label to weight, "
                "'balanced' and None"
            )
        return weight_of_class.sum() / (len(classes) * weight_of_class)
    return compute_class_weight(class_weight, classes=classes, y=classes)
