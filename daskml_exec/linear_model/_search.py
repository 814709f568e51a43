"""What the first-order and the Newton rounds share: a search on the driver, and its state."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from daskml_exec.kernels import lbfgs
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._family import Target
from daskml_exec.linear_model._problem import (
    GLMProblem,
    Parameters,
    PartitionMoments,
    measured_at,
)
from daskml_exec.training import Measured, Reached

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class SearchFit:
    """The state of a search between two rounds."""

    start: Parameters | None
    """Where to start; None until the first round, if the solver is to choose."""
    max_iter: int
    weight: float = 0.0
    target: Target | None = None
    coordinates: Standardisation | None = None
    search: lbfgs.LBFGSState | None = None
    gradient_norm: float = np.inf
    """At the accepted point, in the problem's unit."""
    failure: ValueError | None = None

    @property
    def done(self) -> bool:
        """Whether no further round is needed."""
        if self.search is None:
            return self.failure is not None
        exhausted = self.n_iter >= self.max_iter and self.search.direction is None
        return self.search.done or (exhausted and self.search.gradient is not None)

    @property
    def n_iter(self) -> int:
        """Accepted steps."""
        return self.search.n_iter if self.search else 0

    @property
    def converged(self) -> bool:
        """Whether the gradient is within ``tol``."""
        return self.search is not None and self.search.converged

    @property
    def stuck(self) -> bool:
        """Whether rounding stopped progress."""
        return self.search is not None and self.search.stuck

    @property
    def parameters(self) -> Parameters:
        """The best parameters so far."""
        if self.coordinates is None or self.search is None:
            assert self.start is not None, "nothing is known before the first round"
            return self.start
        return Parameters(*self.coordinates.parameters(self.search.point))


State = TypeVar("State", bound=SearchFit)


def informed(problem: GLMProblem, state: State, total: PartitionMoments) -> State:
    """Return the state with what the moments say: coordinates, and parameters to start from.

    Or with a failure, if they say that there is nothing to train on.
    """
    if refusal := total.not_finite or problem.refusal(total.columns, total.target):
        return replace(state, failure=ValueError(refusal))
    target = problem.target(total.target)
    coordinates = problem.standardise(total.columns, target)
    return replace(
        state,
        start=state.start or problem.null_parameters(len(coordinates.scale), target),
        weight=total.columns.weight,
        target=target,
        coordinates=coordinates,
    )


def judged(
    problem: GLMProblem, tol: float, state: State, sums: LossSums
) -> tuple[State, Measured, float]:
    """Take in loss and gradient at the trial; return state, record, and the gradient's unit."""
    assert state.coordinates is not None and state.search is not None
    assert state.target is not None
    value, gradient, norm, unit = measured_at(
        problem, sums, state.coordinates, state.search.trial, state.weight, state.target
    )
    search = lbfgs.advance(state.search, value, gradient, tol * unit if unit else np.inf)
    accepted = search.gradient is gradient
    state = replace(state, search=search, gradient_norm=norm if accepted else state.gradient_norm)
    return state, Measured(value, norm), unit


def iterations(state: Any, tol: float) -> Reached:
    """Return how many iterations were done, of how many at most."""
    return Reached("iteration", state.n_iter, state.max_iter, tol)
