"""Partitions for a classifier: aligned, checked, with labels replaced by class codes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import _get_feature_names

from daskml_exec.executor import Executor
from daskml_exec.partitions._aligned import Aligned, aligned_partitions
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
        As in scikit-learn; it multiplies `sample_weight`. A class of weight zero is no class.
    feature_names : tuple of str, or None
        Of in-memory data; dataframes on the cluster bring their own.

    Raises
    ------
    ValueError
        The number of rows differs, labels are no labels, there are fewer than two classes among
        rows with a positive weight, or weights are negative.
    TypeError
        Partitions have labels of different types, such as strings and numbers.
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
    codes, weight = weigh(codes, sample_weight, multipliers)
    partitions = partitions_from_memory(executor, X, codes, weight, feature_names=feature_names)
    return ClassificationData(partitions, _with_weight(classes, multipliers))


def _from_cluster(
    executor: Executor, X: Any, y: Any, sample_weight: Any, class_weight: Any
) -> ClassificationData:
    workers_lost_before = len(executor.events.workers_lost)
    executor.check_workers()
    arguments = {"X": X, "y": y, "sample_weight": sample_weight}
    aligned = aligned_partitions(executor, X, y, sample_weight)
    try:
        return _encoded(executor, aligned, workers_lost_before, arguments, class_weight)
    except BaseException:
        # A traceback that somebody keeps would keep what was made of the data. The blocks that it
        # was made from may be the user's own.
        for future in aligned.futures:
            future.release()
        raise


def _encoded(
    executor: Executor,
    aligned: Aligned,
    workers_lost_before: int,
    arguments: dict[str, Any],
    class_weight: Any,
) -> ClassificationData:
    client = executor.client
    summaries: list[Summary] = gather(
        client,
        client.map(summarise, aligned.futures, aligned.first_blocks, pure=False, key="summarise"),
        arguments,
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
        feature_names=_names(summaries[0].columns),
        workers_lost_before=workers_lost_before,
    )
    return ClassificationData(partitions, _with_weight(classes, multipliers))


def _check_columns(summaries: list[Summary]) -> None:
    first = summaries[0]
    for index, summary in enumerate(summaries):
        if summary.n_features != first.n_features:
            raise ValueError(
                f"partition {index} of X has {summary.n_features} columns, partition 0 has "
                f"{first.n_features}; all must have the same"
            )
        if summary.columns != first.columns:
            raise ValueError(
                f"partition {index} of X has the columns {summary.columns}, partition 0 has "
                f"{first.columns}; all must have the same, in the same order"
            )


def _names(columns: list[Any] | None) -> tuple[str, ...] | None:
    """Return the columns if they are names to scikit-learn, which takes strings alone."""
    if columns is None:
        return None
    names = _get_feature_names(pd.DataFrame(columns=columns))
    return None if names is None else tuple(names)


def _merge_classes(summaries: list[Summary]) -> tuple[Any, Any]:
    """Return the sorted union of the labels, in the labels' own dtype, and their weights."""
    filled = [summary for summary in summaries if len(summary.classes)]
    if not filled:
        raise ValueError(
            "all sample weights are zero: at least two classes need rows with a positive weight"
            if any(summary.rows for summary in summaries)
            else "X has 0 rows: at least two classes need rows"
        )
    _check_one_type(summaries)
    labels = np.concatenate([summary.classes for summary in filled])
    weights = np.concatenate([summary.class_weights for summary in filled])
    classes, codes = unique_labels(labels, where="the data")
    return classes, np.bincount(codes, weights, minlength=len(classes))


def _check_one_type(summaries: list[Summary]) -> None:
    """Raise TypeError for labels that would be changed by putting them into one array."""
    first: dict[np.dtype[Any], int] = {}
    for index, summary in enumerate(summaries):
        if len(summary.classes):
            first.setdefault(summary.classes.dtype, index)
    numeric = {dtype.kind in "biuf" for dtype in first}
    if len(numeric) > 1:
        allowed = "are strings in all partitions, or numbers in all"
    elif all(dtype.kind in "biu" for dtype in first) and np.result_type(*first).kind == "f":
        allowed = "are integers that one integer dtype can hold"
    else:
        return
    found = ", ".join(f"{dtype} in partition {index}" for dtype, index in first.items())
    raise TypeError(f"y has labels of several types: {found}; allowed {allowed}")


def _class_multipliers(class_weight: Any, classes: Any, weight_of_class: Any) -> Any:
    """Return one factor per class, or None for ones.

    A class whose rows weigh nothing with its factor gets the factor zero. At least two others
    are needed.
    """
    _require_two(classes)
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(
                f"class_weight={class_weight!r}; allowed are a dict from label to weight, "
                "'balanced' and None"
            )
        return weight_of_class.sum() / (len(classes) * weight_of_class)
    multipliers = compute_class_weight(class_weight, classes=classes, y=classes)
    for label, value in zip(classes.tolist(), multipliers.tolist(), strict=True):
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(
                f"class_weight has {value:g} for the label {label!r}; allowed are finite values "
                "from 0"
            )
    multipliers[multipliers * weight_of_class == 0] = 0
    _require_two(_with_weight(classes, multipliers))
    return multipliers


def _with_weight(classes: Any, multipliers: Any) -> Any:
    return classes if multipliers is None else classes[multipliers > 0]


def _require_two(classes: Any) -> None:
    if len(classes) < 2:
        found = f"one class: {classes.tolist()[0]!r}" if len(classes) else "no class"
        raise ValueError(
            "This solver needs samples of at least 2 classes in the data, but y contains only "
            f"{found} (rows of weight zero do not count)"
        )
