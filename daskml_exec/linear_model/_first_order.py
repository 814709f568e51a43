"""First-order methods: moments once, then gradients, with solves of local problems if averaging.

Both are one quasi-Newton search on the driver, in the coordinates that the moments give. They
differ in where it starts and in its initial inverse Hessian. `Gradients` starts at the given
parameters and uses a multiple of the identity. `Averaging` starts at the average of the local
models and uses the averaged answers of the corrected local problems; the search's memory of past
rounds makes up for what local problems know wrongly of the whole, so that heterogeneous
partitions cost a few rounds instead of convergence.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.kernels import lbfgs
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Target
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._local_models import Solve, WeightedModels
from daskml_exec.linear_model._problem import (
    GLMProblem,
    MomentsAndPool,
    Parameters,
    parameters_at,
)
from daskml_exec.linear_model._queries import Gradient, Moments
from daskml_exec.linear_model._search import MADE_OF, Known, SearchState, judged, known_from
from daskml_exec.training import Measured

# Local problems are solved to this share of the gradient: what more precision would bring is lost
# in the difference between the local and the whole problem.
_LOCAL_PRECISION = 1e-2
_FIRST_PROXIMITY = 1e-2
_LEAST_PROXIMITY, _LARGEST_PROXIMITY = 1e-4, 1.0


@dataclass(frozen=True)
class Beginning:
    """Before anything is known of the rows.

    Attributes
    ----------
    max_iter : int
    start : Parameters or None
        Where to start; None if that is not given.
    """

    max_iter: int
    start: Parameters | None = None

    def ask(self, by: "Gradients | Averaging") -> Moments:
        return Moments(columns=by.problem.columns)

    def tell(self, by: "Gradients | Averaging", answer: MomentsAndPool) -> tuple[Any, Measured]:
        known = known_from(by.problem, answer.moments, self.start)
        return by.begun(self.max_iter, known), Measured()


@dataclass(frozen=True)
class GradientState(SearchState):
    """The search by gradients alone, between two rounds."""

    def ask(self, by: "Gradients") -> Gradient | None:
        if self.done:
            return None
        at = parameters_at(self.coordinates, self.search.trial)
        return Gradient(by.problem.family.loss, at)

    def tell(self, by: "Gradients", answer: LossSums) -> tuple["GradientState", Measured]:
        state, measured, _ = judged(by.problem, by.tol, self, answer)
        search = state.search
        if search.needs_direction and search.n_iter < state.max_iter:
            state = replace(state, search=lbfgs.steer(search))
        return state, measured


@dataclass(frozen=True)
class Gradients:
    """`Algorithm` of solver "lbfgs".

    Parameters
    ----------
    problem : GLMProblem
    tol : float
    uniform : bool
        Whether columns keep their own units, for the solution of least norm.
    memory : int
        Steps that the search remembers.
    """

    problem: GLMProblem
    tol: float
    uniform: bool = False
    memory: int = lbfgs.MEMORY

    states = (Beginning, GradientState, *MADE_OF)

    def ask(self, state: Beginning | GradientState) -> Moments | Gradient | None:
        return state.ask(self)

    def tell(
        self, state: Beginning | GradientState, query: Any, answer: Any
    ) -> tuple[GradientState, Measured]:
        return state.tell(self, answer)

    def begun(self, max_iter: int, known: Known) -> GradientState:
        """Return the state from which to search."""
        if self.uniform:
            known = replace(known, coordinates=known.coordinates.uniform())
        return GradientState(
            max_iter=max_iter,
            weight=known.weight,
            target=known.target,
            coordinates=known.coordinates,
            search=lbfgs.start(known.point, memory=self.memory),
        )


@dataclass(frozen=True)
class FirstAverage:
    """Before the first average, where there is no search yet."""

    max_iter: int
    known: Known

    converged = False
    stuck = False
    n_iter = 0
    gradient_norm = np.inf

    @property
    def weight(self) -> float:
        return self.known.weight

    @property
    def target(self) -> Target:
        return self.known.target

    @property
    def coordinates(self) -> Standardisation:
        return self.known.coordinates

    @property
    def solution(self) -> "FirstAverage":
        """What a fit is judged by."""
        return self

    @property
    def parameters(self) -> Parameters:
        """Where local problems start."""
        return self.known.start

    def ask(self, by: "Averaging") -> Solve:
        return by.solve(self.known.point, None, 0.0, by.tol, self)

    def tell(self, by: "Averaging", answer: WeightedModels) -> tuple["AverageState", Measured]:
        return AverageState(
            max_iter=self.max_iter,
            weight=self.weight,
            target=self.target,
            coordinates=self.coordinates,
            search=lbfgs.start(answer.models / answer.weight),
            averages=1,
        ), Measured()


@dataclass(frozen=True)
class AverageState(SearchState):
    """The search by averages, between two rounds.

    Attributes
    ----------
    averages : int
    proximity : float
        Of the next local problems to the last average.
    """

    averages: int = 0
    proximity: float = _FIRST_PROXIMITY

    @property
    def n_iter(self) -> int:
        return self.averages

    def ask(self, by: "Averaging") -> Solve | Gradient | None:
        if self.done:
            return None
        if not self.search.needs_direction:
            at = parameters_at(self.coordinates, self.search.trial)
            return Gradient(by.problem.family.loss, at)
        wanted = lbfgs.residual(self.search)
        tol = _LOCAL_PRECISION * float(np.abs(wanted).max())
        return by.solve(self.search.point, wanted, self.proximity, tol, self)

    def tell(self, by: "Averaging", answer: Any) -> tuple["AverageState", Measured]:
        if self.search.needs_direction:
            return self._averaged(answer), Measured()
        step = self.search.step
        state, measured, _ = judged(by.problem, by.tol, self, answer)
        proximity = state.proximity
        if state.search.needs_direction:
            # Steps that had to be shortened mean that local problems lack curvature.
            proximity *= 4.0 if step < 0.5 else 0.5
        proximity = min(max(proximity, _LEAST_PROXIMITY), _LARGEST_PROXIMITY)
        return replace(state, proximity=proximity), measured

    def _averaged(self, answer: WeightedModels) -> "AverageState":
        average = answer.models / answer.weight
        search = lbfgs.steer(self.search, self.search.point - average)
        return replace(self, search=search, averages=self.averages + 1)


@dataclass(frozen=True)
class Averaging:
    """`Algorithm` of solver "averaging".

    Parameters
    ----------
    problem : GLMProblem
    tol : float
    n_classes : int
    """

    problem: GLMProblem
    tol: float
    n_classes: int

    states = (Beginning, FirstAverage, AverageState, Known, *MADE_OF)

    def ask(self, state: Any) -> Moments | Solve | Gradient | None:
        asked: Moments | Solve | Gradient | None = state.ask(self)
        return asked

    def tell(self, state: Any, query: Any, answer: Any) -> tuple[Any, Measured]:
        told: tuple[Any, Measured] = state.tell(self, answer)
        return told

    def begun(self, max_iter: int, known: Known) -> FirstAverage:
        """Return the state before the first average."""
        return FirstAverage(max_iter, known)

    def solve(
        self,
        center: Array,
        gradient: Array | None,
        proximity: float,
        tol: float,
        state: FirstAverage | AverageState,
    ) -> Solve:
        """Return the query for weighted local models."""
        return Solve(
            self.problem,
            self.n_classes,
            center,
            gradient,
            proximity,
            tol,
            state.weight,
            state.coordinates,
        )
