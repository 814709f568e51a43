"""Look at the weights of the rows before the first round: only their ratios count.

Weights are floats of any size, and what is trained with them may be in single precision, in which
1e-50 is zero and 1e39 is infinite. They are measured in a unit near the largest, a power of two, so
that no bit of a fit depends on it.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.executor import Query
from daskml_exec.neural_network._problem import NetworkProblem
from daskml_exec.partitions import Partition, Partitions, Pieces
from daskml_exec.training import reduce


@dataclass(frozen=True)
class Largest:
    """The largest weights of rows: zero where there are none.

    Attributes
    ----------
    trained_on, held_out : float
    """

    trained_on: float
    held_out: float

    def __or__(self, other: "Largest") -> "Largest":
        return Largest(max(self.trained_on, other.trained_on), max(self.held_out, other.held_out))


def weighed(problem: NetworkProblem, partitions: Partitions | Pieces) -> NetworkProblem:
    """Return the problem with a unit in which to measure weights.

    Parameters
    ----------
    problem : NetworkProblem
    partitions : Partitions or Pieces
        With weights.

    Raises
    ------
    ValueError
        No row that is to be trained on has a positive weight, or none of those held out.
    """
    largest = reduce(LargestWeights(problem), partitions, name="weights")
    if not largest.trained_on:
        raise ValueError(
            "sample_weight is zero in all rows that are to be trained on; allowed are weights of "
            "which one at least is positive"
        )
    if problem.validation_fraction and not largest.held_out:
        raise ValueError(
            f"sample_weight is zero in all rows that validation_fraction="
            f"{problem.validation_fraction:g} holds out: there is nothing to score; a larger "
            "validation_fraction, another random_state, or data without the rows of weight zero "
            "may hold some out"
        )
    unit = math.ldexp(1.0, math.frexp(largest.trained_on)[1] - 1)
    # Partitions have brought weights of very unusual sizes nearer to one, too.
    with np.errstate(over="ignore"):
        alpha = float(np.ldexp(problem.alpha / unit, -partitions.form.exponent))
    return replace(problem, alpha=alpha, weight_unit=unit)


@dataclass(frozen=True)
class LargestWeights(Query[Largest]):
    """Which weights of rows are the largest.

    Attributes
    ----------
    problem : NetworkProblem
    """

    problem: NetworkProblem

    def partial(self, partition: Partition) -> Largest:
        """Return the largest weights of a partition's rows."""
        trained_on, held_out = self.problem.split(partition)
        weight: Any = partition.sample_weight
        return Largest(
            float(weight[trained_on].max(initial=0.0)), float(weight[held_out].max(initial=0.0))
        )

    def combine(self, left: Largest, right: Largest) -> Largest:
        """Return the larger ones."""
        return left | right
