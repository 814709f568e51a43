"""Labels of classes, and the codes that stand for them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from daskml_exec.partitions._partition import Partition
from daskml_exec.partitions._relative import scaled

FEW = 16
"""Up to so many numeric classes, comparing all labels with each is faster than a search."""

SAMPLE = 1000
"""Number of labels that are looked at for the few values that all labels may have."""


@dataclass(frozen=True)
class LabelCounts:
    """Sorted labels of the rows with a positive weight, and the sum of the weights of each."""

    classes: Any
    weights: Any


def count_labels(partition: Partition, where: str) -> LabelCounts:
    """Find the labels of one partition; they are checked to be labels."""
    y, weight = partition.y, partition.sample_weight
    if weight is not None:
        y, weight = y[weight > 0], weight[weight > 0]
    classes, codes = unique_labels(y, where=where)
    return LabelCounts(classes, np.bincount(codes, weight, minlength=len(classes)))


def unique_labels(y: Any, *, where: str) -> tuple[Any, Any]:
    """Return the sorted labels and each row's index among them."""
    try:
        classes, codes = _few_numbers(y) or np.unique(y, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in y})
        raise TypeError(
            f"y has labels of types that have no order in {where}: {', '.join(kinds)}; allowed "
            "are labels of one type"
        ) from error
    if len(classes):
        try:
            # Each twice: of many values that are all different, scikit-learn warns.
            check_classification_targets(np.repeat(classes, 2))
        except ValueError as error:
            error.add_note(f"in {where} of y")
            raise
    return classes, codes


def _few_numbers(y: Any) -> tuple[Any, Any] | None:
    """Do without sorting all labels what `unique_labels` does; None where that does not work.

    It works where a sample has all of the values, and these are few. NaN equals nothing, so it is
    never found among them.
    """
    if y.dtype.kind not in "biuf":
        return None
    classes = np.unique(y[:: max(1, len(y) // SAMPLE)])
    if not 0 < len(classes) <= FEW:
        return None
    found = sum(np.count_nonzero(y == label) for label in classes)
    return (classes, codes_among(classes, y)) if found == len(y) else None


def codes_among(classes: Any, y: Any) -> Any:
    """Return each label's index among the sorted classes, which must have it."""
    if len(classes) > FEW or {classes.dtype.kind, y.dtype.kind} - set("biuf"):
        return np.searchsorted(classes, y)
    codes = np.zeros(len(y), dtype=np.intp)
    for label in classes[1:]:
        codes += y >= label
    return codes


@dataclass(frozen=True)
class Encoding:
    """Replaces the labels of a partition by codes, and multiplies in the class weights.

    `class_weight` has one factor per class, or is None for ones. Rows of weight zero may have
    labels that are no class; they get code 0, which their weight silences.
    """

    classes: Any
    class_weight: Any
    exponent: int = 0
    """Weights are multiplied by ``2**-exponent``."""

    def __call__(self, partition: Partition) -> tuple[Any, Any]:
        y, weight = partition.y, partition.sample_weight
        if weight is None or (weight > 0).all():
            # An empty y may have a dtype that does not compare with the classes.
            codes = codes_among(self.classes, y) if len(y) else np.zeros(0, dtype=np.intp)
        else:
            counted = weight > 0
            codes = np.zeros(len(y), dtype=np.intp)
            if counted.any():
                codes[counted] = codes_among(self.classes, y[counted])
        codes, weight = weigh(codes, weight, self.class_weight)
        return codes, scaled(weight, self.exponent)

    def given(self, partition: Partition) -> tuple[Any, Any]:
        codes, weight = partition.y, scaled(partition.sample_weight, -self.exponent)
        if self.class_weight is None:
            return self.classes[codes], weight
        if not self.class_weight.all():
            silent = self.classes[self.class_weight == 0].tolist()
            raise ValueError(
                f"X is a Data that was loaded with a class_weight of 0 for the labels {silent}, "
                "whose rows it does not tell apart; allowed are positive ones, and "
                "score(X, y, sample_weight)"
            )
        return self.classes[codes], weight / self.class_weight[codes]


def weigh(codes: Any, sample_weight: Any, class_weight: Any) -> tuple[Any, Any]:
    """Return codes among the classes of positive weight, and the products of row and class weights.

    Rows of the other classes get code 0, which their weight silences. The weights are None where
    all are one.
    """
    if class_weight is None:
        return codes, sample_weight
    weight = class_weight[codes]
    present = class_weight > 0
    renumbered = np.where(present, np.cumsum(present) - 1, 0)
    return renumbered[codes], weight if sample_weight is None else weight * sample_weight
