"""First-order rounds: moments once, then gradients, with solves if averaging.

Both solvers are one quasi-Newton search on the driver, in the coordinates that the moments give.
They differ in where it starts and in its initial inverse Hessian. "lbfgs" starts at the given
parameters and uses a multiple of the identity. "averaging" starts at the average of the local
models and uses the averaged answers of the corrected local problems; the search's memory of past
rounds makes up for what local problems know wrongly of the whole, so that heterogeneous
partitions cost a few rounds instead of convergence.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.kernels import lbfgs
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.linear_model._family import Logistic
from daskml_exec.linear_model._local_models import LocalProblem, WeightedModels, solve_locally
from daskml_exec.linear_model._problem import (
    GLMProblem,
    Parameters,
    PartitionMoments,
    parameters_at,
)
from daskml_exec.linear_model._search import SearchFit, informed, judged
from daskml_exec.partitions import Partition
from daskml_exec.training import Measured

Array = np.ndarray[Any, np.dtype[np.float64]]
Message = Parameters | LocalProblem | None

# Local problems are solved to this share of the gradient: what more precision would bring is lost
# in the difference between the local and the whole problem.
_LOCAL_PRECISION = 1e-2
_FIRST_PROXIMITY = 1e-2
_LEAST_PROXIMITY, _LARGEST_PROXIMITY = 1e-4, 1.0


@dataclass(frozen=True)
class GradientFit(SearchFit):
    """The state between two rounds."""

    averaging: bool = False
    uniform: bool = False
    """Whether columns keep their own units, for the solution of least norm."""
    averages: int = 0
    proximity: float = _FIRST_PROXIMITY

    @property
    def step(self) -> str:
        if self.coordinates is None:
            return "moments"
        return "solve" if self._solves_next else "gradient"

    @property
    def _solves_next(self) -> bool:
        if not self.averaging:
            return False
        return self.search is None or self.search.needs_direction

    @property
    def n_iter(self) -> int:
        return self.averages if self.averaging else super().n_iter


@dataclass(frozen=True)
class GradientRounds:
    """`Round` of both solvers."""

    problem: GLMProblem
    tol: float

    def outgoing(self, state: GradientFit) -> Message:
        if state.coordinates is None:
            return None
        if state.search is None:
            assert state.start is not None
            center = state.coordinates.point(state.start.coef, state.start.intercept)
            return LocalProblem(center, None, 0.0, self.tol, state.weight, state.coordinates)
        if not state._solves_next:
            return parameters_at(state.coordinates, state.search.trial)
        wanted = lbfgs.residual(state.search)
        tol = _LOCAL_PRECISION * float(np.abs(wanted).max())
        return LocalProblem(
            state.search.point, wanted, state.proximity, tol, state.weight, state.coordinates
        )

    def partial(self, partition: Partition, message: Message) -> Any:
        if message is None:
            return self.problem.moments(partition)
        if isinstance(message, LocalProblem):
            assert isinstance(self.problem.family, Logistic), "averaging is for classifiers"
            return solve_locally(self.problem, self.problem.family.n_classes, partition, message)
        return self.problem.sums(partition, message)

    def combine(self, left: Any, right: Any) -> Any:
        return left + right

    def update(self, state: GradientFit, total: Any) -> tuple[GradientFit, Measured]:
        if isinstance(total, PartitionMoments):
            return self._standardise(state, total), Measured()
        if isinstance(total, WeightedModels):
            return self._average(state, total), Measured()
        return self._judge(state, total)

    def _standardise(self, state: GradientFit, total: PartitionMoments) -> GradientFit:
        state = informed(self.problem, state, total)
        if state.failure is not None:
            return state
        assert state.coordinates is not None and state.start is not None
        coordinates = state.coordinates
        if state.uniform:
            coordinates = coordinates.uniform()
        search = None
        if not state.averaging:
            search = lbfgs.start(coordinates.point(state.start.coef, state.start.intercept))
        return replace(state, coordinates=coordinates, search=search)

    def _average(self, state: GradientFit, total: WeightedModels) -> GradientFit:
        average = total.models / total.weight
        if state.search is None:
            search = lbfgs.start(average)
        else:
            search = lbfgs.steer(state.search, state.search.point - average)
        return replace(state, search=search, averages=state.averages + 1)

    def _judge(self, state: GradientFit, sums: LossSums) -> tuple[GradientFit, Measured]:
        assert state.search is not None
        step = state.search.step
        state, measured, _ = judged(self.problem, self.tol, state, sums)
        search, proximity = state.search, state.proximity
        assert search is not None
        if search.needs_direction:
            # Steps that had to be shortened mean that local problems lack curvature.
            proximity *= 4.0 if step < 0.5 else 0.5
        proximity = min(max(proximity, _LEAST_PROXIMITY), _LARGEST_PROXIMITY)
        if search.needs_direction and not state.averaging and search.n_iter < state.max_iter:
            search = lbfgs.steer(search)  # averaging asks the partitions for the direction
        return replace(state, search=search, proximity=proximity), measured
