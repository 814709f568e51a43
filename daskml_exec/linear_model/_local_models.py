"""What a partition trains by itself.

In the first one a partition's problem is its own share of the objective, and the average of the
local models is the one-shot estimate of Zhang, Duchi and Wainwright (2013): close to the optimum
but not it, because the average of minimisers is not the minimiser of the average. Later problems
are corrected by the difference of whole and local gradient, with a proximity term (DANE: Shamir,
Srebro and Zhang 2014):

    minimise  F_i(w) + (grad F(t) - grad F_i(t))' w + mu/2 ||w - t||^2

At the optimum t the corrected gradient is zero at w = t in every partition, so it stays there.
"""

from dataclasses import dataclass

import numpy as np

from daskml_exec.executor import Query
from daskml_exec.kernels import lbfgs
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.kernels.sums import FieldwiseSum
from daskml_exec.linear_model._problem import GLMProblem, parameters_at
from daskml_exec.partitions import Partition

_MAX_ITER = 300
# A partition that lacks a class has no minimiser of its own worth averaging. In coordinates of
# curvature one, this much proximity holds it back.
_MISSING_CLASS_PROXIMITY = 1.0


@dataclass(frozen=True)
class WeightedModels(FieldwiseSum):
    """Sums of weight times model."""

    weight: float
    models: Array


@dataclass(frozen=True)
class Solve(Query[WeightedModels]):
    """The query for what partitions train by themselves.

    Attributes
    ----------
    problem : GLMProblem
    n_classes : int
    center : ndarray
        Where the local problem starts, in the coordinates: t.
    gradient : ndarray or None
        What the gradient is to be at the center; None in the first solve: the partition's own.
    proximity : float
        mu, relative to the curvature of the coordinates, which is about one.
    tol : float
    weight : float
        Of all partitions; it sets the share in the penalty.
    coordinates : Standardisation
    """

    problem: GLMProblem
    n_classes: int
    center: Array
    gradient: Array | None
    proximity: float
    tol: float
    weight: float
    coordinates: Standardisation

    def partial(self, partition: Partition) -> WeightedModels:
        """Minimise the partition's (corrected) share of the objective."""
        present = np.bincount(partition.y, partition.sample_weight, minlength=self.n_classes)
        weight = float(present.sum())
        if weight == 0.0:
            return WeightedModels(0.0, np.zeros_like(self.center))
        proximity = self.proximity
        if self.gradient is None:
            proximity = 0.0 if present.all() else _MISSING_CLASS_PROXIMITY
        correction: Array | None = None
        search = lbfgs.start(self.center)
        while not search.done and search.n_iter < _MAX_ITER:
            if search.needs_direction:
                search = lbfgs.steer(search)
            at = parameters_at(self.coordinates, search.trial)
            sums = self.problem.sums(partition, at)
            value, gradient = self.problem.objective(sums, at, self.coordinates, self.weight)
            if correction is None:
                wanted = gradient if self.gradient is None else self.gradient
                correction = wanted - gradient
            away = search.trial - self.center
            value += float(np.vdot(correction + 0.5 * proximity * away, away))
            search = lbfgs.advance(
                search, value, gradient + correction + proximity * away, self.tol
            )
        return WeightedModels(weight, weight * search.point)
