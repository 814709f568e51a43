"""The rounds of logistic regression: moments once, then gradients, with solves if averaging.

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
from daskml_exec.kernels.logistic_loss import LossSums
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._local_models import LocalProblem, WeightedModels, solve_locally
from daskml_exec.linear_model._problem import (
    LogisticProblem,
    Parameters,
    PartitionMoments,
)
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
class Fit:
    """The state between two rounds."""

    start: Parameters
    max_iter: int
    averaging: bool
    weight: float = 0.0
    coordinates: Standardisation | None = None
    search: lbfgs.LBFGSState | None = None
    gradient_norm: float = np.inf
    """At the accepted point, in the problem's unit."""
    averages: int = 0
    proximity: float = _FIRST_PROXIMITY
    failure: str = ""

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
    def done(self) -> bool:
        if self.search is None:
            return bool(self.failure)
        exhausted = self.n_iter >= self.max_iter and self.search.direction is None
        return self.search.done or (exhausted and self.search.gradient is not None)

    @property
    def n_iter(self) -> int:
        if self.averaging:
            return self.averages
        return self.search.n_iter if self.search else 0

    @property
    def converged(self) -> bool:
        return self.search is not None and self.search.converged

    @property
    def stuck(self) -> bool:
        return self.search is not None and self.search.stuck

    @property
    def parameters(self) -> Parameters:
        """The best parameters so far."""
        if self.coordinates is None or self.search is None:
            return self.start
        return Parameters(*self.coordinates.parameters(self.search.point))


@dataclass(frozen=True)
class LogisticRounds:
    """`Round` of both solvers."""

    problem: LogisticProblem
    tol: float

    def outgoing(self, state: Fit) -> Message:
        if state.coordinates is None:
            return None
        if state.search is None:
            center = state.coordinates.point(state.start.coef, state.start.intercept)
            return LocalProblem(center, None, 0.0, self.tol, state.weight, state.coordinates)
        if not state._solves_next:
            return Parameters(*state.coordinates.parameters(state.search.trial))
        wanted = lbfgs.residual(state.search)
        tol = _LOCAL_PRECISION * float(np.abs(wanted).max())
        return LocalProblem(
            state.search.point, wanted, state.proximity, tol, state.weight, state.coordinates
        )

    def partial(self, partition: Partition, message: Message) -> Any:
        if message is None:
            return self.problem.moments(partition)
        if isinstance(message, LocalProblem):
            return solve_locally(self.problem, partition, message)
        return self.problem.sums(partition, message)

    def combine(self, left: Any, right: Any) -> Any:
        return left + right

    def update(self, state: Fit, total: Any) -> tuple[Fit, Measured]:
        if isinstance(total, PartitionMoments):
            return self._standardise(state, total), Measured()
        if isinstance(total, WeightedModels):
            return self._average(state, total), Measured()
        return self._judge(state, total)

    def _standardise(self, state: Fit, total: PartitionMoments) -> Fit:
        if total.not_finite:
            return replace(state, failure=total.not_finite)
        moments = total.moments
        coordinates = self.problem.standardise(moments)
        search = None
        if not state.averaging:
            search = lbfgs.start(coordinates.point(state.start.coef, state.start.intercept))
        return replace(state, weight=moments.weight, coordinates=coordinates, search=search)

    def _average(self, state: Fit, total: WeightedModels) -> Fit:
        average = total.models / total.weight
        if state.search is None:
            search = lbfgs.start(average)
        else:
            search = lbfgs.steer(state.search, state.search.point - average)
        return replace(state, search=search, averages=state.averages + 1)

    def _judge(self, state: Fit, sums: LossSums) -> tuple[Fit, Measured]:
        assert state.coordinates is not None and state.search is not None
        at = Parameters(*state.coordinates.parameters(state.search.trial))
        value, gradient = self.problem.objective(sums, at, state.coordinates, state.weight)
        unit = self.problem.gradient_unit(value)
        # An objective of zero, its lower bound, is the optimum whatever is left of the gradient.
        norm = float(np.abs(gradient).max(initial=0.0)) / unit if unit else 0.0
        search = lbfgs.advance(state.search, value, gradient, self.tol * unit if unit else np.inf)
        proximity = state.proximity
        if search.needs_direction:
            # Steps that had to be shortened mean that local problems lack curvature.
            proximity *= 4.0 if state.search.step < 0.5 else 0.5
        proximity = min(max(proximity, _LEAST_PROXIMITY), _LARGEST_PROXIMITY)
        at_point = norm if search.gradient is gradient else state.gradient_norm
        if search.needs_direction and not state.averaging and search.n_iter < state.max_iter:
            search = lbfgs.steer(search)  # averaging asks the partitions for the direction
        judged = replace(state, search=search, gradient_norm=at_point, proximity=proximity)
        return judged, Measured(value, norm)
