"""What a partition trains by itself in a solve round.

In the first one a partition's problem is its own share of the objective, and the average of the
local models is the one-shot estimate of Zhang, Duchi and Wainwright (2013): close to the optimum
but not it, because the average of minimisers is not the minimiser of the average. Later problems
are corrected by the difference of whole and local gradient, with a proximity term (DANE: Shamir,
Srebro and Zhang 2014):

    minimise  F_i(w) + (grad F(t) - grad F_i(t))' w + mu/2 ||w - t||^2

At the optimum t the corrected gradient is zero at w = t in every partition, so it stays there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskml_exec.kernels import lbfgs
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.kernels.sums import FieldwiseSum
from daskml_exec.linear_model._problem import GLMProblem, parameters_at
from daskml_exec.partitions import Partition

Array = np.ndarray[Any, np.dtype[np.float64]]

_MAX_ITER = 300
# A partition that lacks a class has no minimiser of its own worth averaging. In coordinates of
# curvature one, this much proximity holds it back.
_MISSING_CLASS_PROXIMITY = 1.0


@dataclass(frozen=True)
class LocalProblem:
    """What travels out in a solve round."""

    center: Array
    """Where the local problem starts, in the coordinates: t."""
    gradient: Array | None
    """What the gradient is to be at the center; None in the first solve: the partition's own."""
    proximity: float
    """mu, relative to the curvature of the coordinates, which is about one."""
    tol: float
    weight: float
    """Of all partitions; it sets the share in the penalty."""
    coordinates: Standardisation


@dataclass(frozen=True)
class WeightedModels(FieldwiseSum):
    """What travels back from a solve round: sums of weight times model."""

    weight: float
    models: Array


def solve_locally(
    problem: GLMProblem, n_classes: int, partition: Partition, local: LocalProblem
) -> WeightedModels:
    """Minimise the partition's (corrected) share of the objective; return weight times model."""
    present = np.bincount(partition.y, partition.sample_weight, minlength=n_classes)
    weight = float(present.sum())
    if weight == 0.0:
        return WeightedModels(0.0, np.zeros_like(local.center))
    proximity = local.proximity
    if local.gradient is None:
        proximity = 0.0 if present.all() else _MISSING_CLASS_PROXIMITY
    correction: Array | None = None
    search = lbfgs.start(local.center)
    while not search.done and search.n_iter < _MAX_ITER:
        if search.needs_direction:
            search = lbfgs.steer(search)
        at = parameters_at(local.coordinates, search.trial)
        sums = problem.sums(partition, at)
        value, gradient = problem.objective(sums, at, local.coordinates, local.weight)
        if correction is None:
            wanted = gradient if local.gradient is None else local.gradient
            correction = wanted - gradient
        away = search.trial - local.center
        value += float(np.vdot(correction + 0.5 * proximity * away, away))
        search = lbfgs.advance(search, value, gradient + correction + proximity * away, local.tol)
    return WeightedModels(weight, weight * search.point)
