"""Model parallel fits: the same searches, over a grid of cells.

The driver alone holds vectors as long as all columns. A round sends each column block its slice
of the coefficients, and brings back its slice of the gradient; in between, margins of the rows
are added up over the column blocks on the workers.

A search that remembers few steps needs thousands of rounds where columns are correlated. One that
remembers as many as there are columns needs a few hundred at most, so as many are remembered as
have room; and a sample of the rows, of some megabytes, gives directions that save most of these.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskml_exec.kernels.distributions import Gaussian
from daskml_exec.linear_model import _least_norm
from daskml_exec.linear_model._first_order import Beginning, Gradients
from daskml_exec.linear_model._least_norm import LeastNorm, Projection, Steps
from daskml_exec.linear_model._newton import Newton, NewtonBeginning
from daskml_exec.linear_model._plan import PRODUCTS, Plan
from daskml_exec.linear_model._problem import GLMProblem, Parameters, parameters_at
from daskml_exec.linear_model._queries import Project
from daskml_exec.linear_model._search import SearchState
from daskml_exec.training import Algorithm, FitWarning, Measured

# Steps remembered take so many bytes on the driver at most, and are so many.
_MEMORY_BYTES, _LEAST_MEMORY, _MOST_MEMORY = 128e6, 10, 1000
# Directions from sampled rows cost the driver alone, and a better one saves a round.
_CG_MAX_ITER = 300

NOT_LEAST = FitWarning(
    "least norm",
    "the coefficients solve the least squares problem, but columns are redundant or nearly so, and "
    "other coefficients of a smaller norm may solve it, too: the search for the least norm was "
    "stopped by max_iter or by rounding. Leave columns out, or use Ridge",
    ConvergenceWarning,
)


@dataclass(frozen=True)
class Searching:
    """A search of which it is not known yet whether other solutions have a lesser norm."""

    search: Any
    """The state of the search."""

    @property
    def solution(self) -> Any:
        """The state of the search, to be judged by."""
        return self.search


@dataclass(frozen=True)
class Projecting:
    """The search for the solution of least norm, from one that was found."""

    search: SearchState
    norm: LeastNorm

    @property
    def solution(self) -> SearchState:
        """The state of the search, at the solution that has the least norm so far."""
        if not self.norm.ended:
            return self.search
        moved = replace(self.search.search, point=self.norm.point)
        return replace(self.search, search=moved)


@dataclass(frozen=True)
class WithLeastNorm:
    """`Algorithm` that goes on from a search's solution to the one of least norm.

    Parameters
    ----------
    algorithm : Algorithm
        Of the search.
    problem : GLMProblem
    memory : int
        Steps that each projection remembers.
    """

    algorithm: Algorithm[Any]
    problem: GLMProblem
    memory: int

    @property
    def states(self) -> tuple[type, ...]:
        return (Searching, Projecting, LeastNorm, Projection, Steps, *self.algorithm.states)

    def ask(self, state: Searching | Projecting) -> Any:
        if isinstance(state, Searching):
            return self.algorithm.ask(state.search)
        if state.norm.ended:
            return None
        at = parameters_at(state.search.coordinates, state.norm.trial)
        return Project(self.problem.family.loss, at)

    def tell(
        self, state: Searching | Projecting, query: Any, answer: Any
    ) -> tuple[Searching | Projecting, Measured]:
        if isinstance(state, Searching):
            search, measured = self.algorithm.tell(state.search, query, answer)
            # One that has not found any solution has nothing to go on from, and it is said.
            if search.converged:
                return Projecting(search, self._begin(search)), measured
            return Searching(search), measured
        to, weight = state.search.coordinates, state.search.weight
        value, gradient = self.problem.objective(answer, query.at, to, weight)
        norm = float(np.abs(gradient).max(initial=0.0))
        return replace(state, norm=state.norm.told(value, gradient)), Measured(None, norm)

    def _begin(self, search: SearchState) -> LeastNorm:
        to = search.coordinates
        weights = np.append(to.inverse, 0.0) if to.fit_intercept else to.inverse
        return _least_norm.begin(
            search.search.point, weights[None], memory=self.memory, max_iter=search.max_iter
        )


def on_cells(
    plan: Plan,
    problem: GLMProblem,
    shape: tuple[int, int],
    *,
    tol: float,
    max_iter: int,
    start: Parameters | None = None,
) -> tuple[Algorithm[Any], Any]:
    """Return the algorithm of a plan for cells of data of this shape, and its first state.

    The states have a `solution`, which is the search's.

    Parameters
    ----------
    plan : Plan
        Of "gradients", or of "hessian-vector products" with a sample of the rows.
    problem : GLMProblem
    shape : tuple of int
        Rows and columns.
    tol : float
    max_iter : int
        Accepted steps.
    start : Parameters or None
    """
    n, d = shape
    least_squares = isinstance(problem.family, Gaussian)
    memory = _memory(problem, d)
    algorithm: Any
    state: Any
    if plan.regime == PRODUCTS:
        algorithm = Newton(problem, tol, memory, _CG_MAX_ITER)
        state = NewtonBeginning(plan, max_iter, start)
    else:
        # Where rows cannot determine all coefficients, those of least norm are asked for, which a
        # search in the columns' own units has.
        uniform = least_squares and n < d
        algorithm = Gradients(problem, tol, uniform, memory)
        state = Beginning(max_iter, start)
    if least_squares and n >= d and problem.penalty.strength == 0:
        return WithLeastNorm(algorithm, problem, memory), Searching(state)
    return algorithm, state


def missed_least_norm(state: Any) -> bool:
    """Return whether the search for the solution of least norm has ended without it."""
    return isinstance(state, Projecting) and state.norm.ended and not state.norm.reached


def _memory(problem: GLMProblem, n_features: int) -> int:
    """Return how many steps have room, by the number of coefficients alone."""
    step = 2 * 8 * problem.n_outputs * (n_features + 1)
    return int(min(max(_MEMORY_BYTES // step, _LEAST_MEMORY), _MOST_MEMORY))
