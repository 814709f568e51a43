"""Labels: as codes for a criterion, from the outputs of a module, and counted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from daskml_exec.executor import Query
from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions import Data, Partition, class_multipliers
from daskml_exec.torch._outputs import OutputsOf, call
from daskml_exec.torch._supervised import CriterionLoss
from daskml_exec.training import reduce


@dataclass(frozen=True)
class Accuracy:
    """How many of a batch are right, and what they lose: scores of rows held out."""

    loss: CriterionLoss

    def __call__(self, module: Any, batch: Any) -> dict[str, tuple[Any, Any]]:
        """Return sums and weights."""
        X, y, *weight = batch
        outputs = self.loss.outputs(module, X, y)
        each = weight[0] if weight else torch.ones(len(y), device=y.device)
        right = ((outputs.argmax(dim=1) == y) * each).sum()
        return {
            "accuracy": (right, each.sum()),
            "validation_loss": self.loss.sums(outputs, y, *weight),
        }


@dataclass(frozen=True)
class LabelsOf:
    """The label of the largest output."""

    classes: Array

    def __call__(self, module: nn.Module, X: Any) -> Array:
        """Return a label for each sample."""
        labels: Array = self.classes[call(module, X).argmax(dim=1).cpu().numpy()]
        return labels


def probabilities(module: nn.Module, X: Any) -> torch.Tensor:
    """Return the share of each class: the softmax of outputs, or of logarithms of probabilities."""
    return call(module, X).softmax(dim=1)


@dataclass(frozen=True)
class Right(Query[Array]):
    """How many samples are given their label, by weight, and the weights of all."""

    labels: OutputsOf

    def partial(self, partition: Partition) -> Array:
        if not partition.n_rows:
            return np.zeros(2)
        right = self.labels(partition.X) == partition.y
        weight = partition.sample_weight
        weight = np.ones(len(right)) if weight is None else weight
        return np.array([float(weight[right].sum()), float(weight.sum())])


@dataclass(frozen=True)
class Codes:
    """Labels as their places among the sorted classes.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
    class_weight : ndarray of shape (n_classes,), or None
        Positive factors on the weights of the samples of each.
    """

    classes: Array
    class_weight: Array | None = None

    def __call__(self, y: Array, sample_weight: Array | None) -> tuple[Array, Array | None]:
        """Return a code for each label, and the weights, if there are any.

        Raises
        ------
        ValueError
            A label is not among the classes.
        """
        codes = np.minimum(np.searchsorted(self.classes, y), len(self.classes) - 1)
        other = self.classes[codes] != y
        if other.any():
            raise ValueError(
                f"y has the label {y[other].tolist()[0]!r}, which is not among the classes "
                f"{self.classes.tolist()}"
            )
        if self.class_weight is not None:
            weight = self.class_weight[codes]
            sample_weight = weight if sample_weight is None else weight * sample_weight
        return codes.astype(np.int64), sample_weight


@dataclass(frozen=True)
class Labels(Query[Array]):
    """The sorted labels of all samples."""

    def partial(self, partition: Partition) -> Array:
        return np.unique(partition.y)

    def combine(self, left: Array, right: Array) -> Array:
        return np.union1d(left, right)


@dataclass(frozen=True)
class ClassWeights(Query[Array]):
    """What the samples of each class weigh."""

    classes: Array

    def partial(self, partition: Partition) -> Array:
        codes, weight = Codes(self.classes)(partition.y, partition.sample_weight)
        return np.bincount(codes, weight, minlength=len(self.classes)).astype(np.float64)


def codes_of(classes: Array, class_weight: Any, data: Data) -> Codes:
    """Return what makes of labels and weights what a criterion gets.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
    class_weight : dict, "balanced" or None
    data : Data

    Raises
    ------
    ValueError
        A class would weigh nothing: the module has an output for each.
    """
    if class_weight is None:
        return Codes(classes)
    of_samples = np.ones(len(classes))
    if isinstance(class_weight, str):
        of_samples = reduce(ClassWeights(classes), data, name="weights")
    with np.errstate(divide="ignore"):
        factors = class_multipliers(class_weight, classes, of_samples)
    if not ((factors > 0) & np.isfinite(factors)).all():
        told = dict(zip(classes.tolist(), factors.tolist(), strict=True))
        raise ValueError(
            f"class_weight={class_weight!r} makes the weights of classes {told}; allowed are "
            "positive and finite ones, as the module has an output for each class"
        )
    return Codes(classes, factors)
