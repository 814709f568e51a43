"""What first-order and Newton's method share: a search on the driver, and its states."""

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from daskml_exec.kernels import lbfgs
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Target
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._problem import (
    GLMProblem,
    Parameters,
    PartitionMoments,
    measured_at,
)
from daskml_exec.partitions import not_finite
from daskml_exec.training import Measured, Reached


class Search(Protocol):
    """What the searches of `lbfgs` and `proximal_newton` have in common."""

    @property
    def trial(self) -> Array:
        """Where the function is to be evaluated next."""

    @property
    def point(self) -> Array:
        """The last one accepted."""

    @property
    def gradient(self) -> Array | None:
        """At `point`; None if nothing was evaluated."""

    @property
    def direction(self) -> Array | None:
        """Of the line search under way."""

    @property
    def n_iter(self) -> int:
        """Accepted steps."""

    @property
    def done(self) -> bool:
        """Whether there is nothing left to evaluate."""

    @property
    def converged(self) -> bool:
        """Whether the gradient is within the tolerance."""

    @property
    def stuck(self) -> bool:
        """Whether rounding stopped progress."""


@dataclass(frozen=True)
class Searching:
    """A search of either kind between two rounds.

    Attributes
    ----------
    max_iter : int
        Accepted steps at most.
    weight : float
        Of all rows.
    target : Target
    coordinates : Standardisation
    search : LBFGSState or ProximalState
    gradient_norm : float
        At the accepted point, in the problem's unit.
    """

    max_iter: int
    weight: float
    target: Target
    coordinates: Standardisation
    search: Search
    gradient_norm: float = np.inf

    @property
    def done(self) -> bool:
        """Whether no further round is needed."""
        exhausted = self.n_iter >= self.max_iter and self.search.direction is None
        return self.search.done or (exhausted and self.search.gradient is not None)

    @property
    def n_iter(self) -> int:
        """Accepted steps."""
        return self.search.n_iter

    @property
    def converged(self) -> bool:
        """Whether the gradient is within ``tol``."""
        return self.search.converged

    @property
    def stuck(self) -> bool:
        """Whether rounding stopped progress."""
        return self.search.stuck

    @property
    def solution(self) -> Self:
        """What a fit is judged by."""
        return self

    @property
    def parameters(self) -> Parameters:
        """The best parameters so far."""
        return Parameters(*self.coordinates.parameters(self.search.point))


@dataclass(frozen=True)
class SearchState(Searching):
    """A search by L-BFGS between two rounds."""

    search: lbfgs.LBFGSState


State = TypeVar("State", bound=SearchState)

MADE_OF = (Parameters, Target, Standardisation, lbfgs.LBFGSState)
"""What all states of searches are made of."""


@dataclass(frozen=True)
class Known:
    """What the moments say: coordinates, and parameters to start from."""

    weight: float
    target: Target
    coordinates: Standardisation
    start: Parameters

    @property
    def point(self) -> Array:
        """The start, in the coordinates."""
        return self.coordinates.point(self.start.coef, self.start.intercept)


def known_from(problem: GLMProblem, moments: PartitionMoments, start: Parameters | None) -> Known:
    """Return what the moments say.

    Raises
    ------
    ValueError
        There is nothing to train on.
    """
    if moments.place is not None:
        raise not_finite(moments.place)
    problem.require_usable(moments.columns, moments.target)
    target = problem.target(moments.target)
    coordinates = problem.standardise(moments.columns, target)
    return Known(
        moments.columns.weight,
        target,
        coordinates,
        start or problem.null_parameters(len(coordinates.scale), target),
    )


def judged(
    problem: GLMProblem, tol: float, state: State, sums: LossSums
) -> tuple[State, Measured, float]:
    """Take in loss and gradient at the trial; return state, record, and the gradient's unit."""
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
