"""Partitions for a classifier: aligned, checked, with labels replaced by class codes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import compute_class_weight

from daskml_exec.executor import Executor
from daskml_exec.partitions._assemble import check_weights
from daskml_exec.partitions._from_cluster import described, require_weight
from daskml_exec.partitions._kinds import is_collection
from daskml_exec.partitions._labels import (
    Encoding,
    LabelCounts,
    count_labels,
    unique_labels,
    weigh,
)
from daskml_exec.partitions._memory import partitions_from_memory
from daskml_exec.partitions._partition import Partitions
from daskml_exec.partitions._recipes import with_recipe
from daskml_exec.partitions._relative import AS_GIVEN, TargetForm, scaled, weight_exponent


@dataclass(frozen=True)
class ClassificationData:
    """Partitions whose ``y`` holds indices into ``classes``."""

    partitions: Partitions
    classes: np.ndarray[Any, Any]


@with_recipe
def classification_data(
    executor: Executor,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    class_weight: Any,
    feature_names: Any,
    known_classes: np.ndarray[Any, Any] | None = None,
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
    known_classes : ndarray, optional
        The sorted labels that there are, of which this data may lack some; found in the data by
        default.

    Raises
    ------
    ValueError
        The number of rows differs, labels are no labels, there are fewer than two classes among
        rows with a positive weight, a label is none of those known, or weights are negative.
    TypeError
        Partitions have labels of different types, such as strings and numbers.
    """
    if is_collection(X):
        return _from_cluster(executor, X, y, sample_weight, class_weight, known_classes)
    return _from_memory(executor, X, y, sample_weight, class_weight, feature_names, known_classes)


def _from_memory(
    executor: Executor,
    X: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    feature_names: Any,
    known_classes: Any,
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
    if known_classes is not None:
        codes = _among_known(known_classes, classes)[codes]
        classes, weight_of_class = known_classes, np.bincount(codes)
    multipliers = _class_multipliers(class_weight, classes, weight_of_class)
    form = _form(sample_weight, multipliers, weight_of_class, len(y))
    codes, weight = weigh(codes, sample_weight, multipliers)
    partitions = partitions_from_memory(
        executor, X, codes, scaled(weight, form.exponent), feature_names=feature_names, form=form
    )
    return ClassificationData(partitions, _with_weight(classes, multipliers))


def _from_cluster(
    executor: Executor,
    X: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    known_classes: Any,
) -> ClassificationData:
    with described(executor, X, y, sample_weight, count_labels) as found:
        classes, weight_of_class = _merge_classes(found.targets, sum(found.rows))
        if known_classes is not None:
            _among_known(known_classes, classes)
            classes, weight_of_class = known_classes, np.ones(len(known_classes))
        multipliers = _class_multipliers(class_weight, classes, weight_of_class)
        form = _form(sample_weight, multipliers, weight_of_class, sum(found.rows))
        partitions = found.finished(Encoding(classes, multipliers, form.exponent), form)
    return ClassificationData(partitions, _with_weight(classes, multipliers))


def _form(sample_weight: Any, multipliers: Any, weight_of_class: Any, rows: int) -> TargetForm:
    """Return how to bring the weights to a usual size; without any, there is nothing to bring."""
    if sample_weight is None and multipliers is None:
        return AS_GIVEN
    with np.errstate(over="ignore"):
        weight = weight_of_class if multipliers is None else weight_of_class * multipliers
        return TargetForm(weight_exponent(float(np.sum(weight)), rows))


def _among_known(known: Any, found: Any) -> Any:
    """Return the index of each label found among those known."""
    strange = np.setdiff1d(found, known)
    if len(strange):
        raise ValueError(
            f"y has labels that are not among the classes: {strange.tolist()[:10]}; allowed are "
            f"{known.tolist()[:20]}"
        )
    return np.searchsorted(known, found)


def _merge_classes(counts: list[LabelCounts], rows: int) -> tuple[Any, Any]:
    """Return the sorted union of the labels, in the labels' own dtype, and their weights."""
    filled = [count for count in counts if len(count.classes)]
    require_weight(rows, len(filled), needed="at least two classes need rows")
    _check_one_type(counts)
    labels = np.concatenate([count.classes for count in filled])
    weights = np.concatenate([count.weights for count in filled])
    classes, codes = unique_labels(labels, where="the data")
    return classes, np.bincount(codes, weights, minlength=len(classes))


def _check_one_type(counts: list[LabelCounts]) -> None:
    """Raise TypeError for labels that would be changed by putting them into one array."""
    first: dict[np.dtype[Any], int] = {}
    for index, count in enumerate(counts):
        if len(count.classes):
            first.setdefault(count.classes.dtype, index)
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
