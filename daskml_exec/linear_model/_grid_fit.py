"""Model parallel fits: a search on the driver, over a grid of cells.

The driver alone holds vectors as long as all columns. A round sends each column block its slice
of the coefficients, and brings back its slice of the gradient; in between, margins of the rows
are added up over the column blocks on the workers.

A search that remembers few steps needs thousands of rounds where columns are correlated. One that
remembers as many as there are columns needs a few hundred at most, so as many are remembered as
have room; and a sample of the rows, of some megabytes, gives directions that save most of these.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskml_exec.executor import LostSchedulerError, single_threaded_blas
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.linear_model._curvature import Sampled
from daskml_exec.linear_model._family import Gaussian
from daskml_exec.linear_model._gradient_rounds import GradientFit, GradientRounds
from daskml_exec.linear_model._grid_rounds import Evaluated, GridRounds
from daskml_exec.linear_model._least_norm import least_norm
from daskml_exec.linear_model._newton import NewtonFit, NewtonRounds
from daskml_exec.linear_model._plan import PRODUCTS, Plan
from daskml_exec.linear_model._problem import GLMProblem, Parameters, parameters_at
from daskml_exec.linear_model._search import SearchFit, iterations
from daskml_exec.partitions import Grid
from daskml_exec.training import (
    Callback,
    FitResult,
    History,
    Measured,
    Reached,
    RoundEvent,
    RoundRecord,
    tell,
)

Array = np.ndarray[Any, np.dtype[np.float64]]

# Steps remembered take so many bytes on the driver at most, and are so many.
_MEMORY_BYTES, _LEAST_MEMORY, _MOST_MEMORY = 128e6, 10, 1000
# Directions from sampled rows cost the driver alone, and a better one saves a round.
_CG_MAX_ITER = 300


def fit_on_grid(
    plan: Plan,
    problem: GLMProblem,
    grid: Grid,
    *,
    tol: float,
    max_iter: int,
    start: Parameters | None,
    callbacks: Sequence[Callback],
    snapshot: Callable[[Any], Callable[[], Any]],
    name: str,
) -> FitResult[Any]:
    """Run rounds until the gradient is within `tol`, or a callback returns True.

    Parameters
    ----------
    plan : Plan
        Of "gradients", or of "hessian-vector products" with a sample of the rows.
    problem : GLMProblem
    grid : Grid
    tol : float
    max_iter : int
        Accepted steps.
    start : Parameters or None
    callbacks, snapshot, name
        As of `run_rounds`.
    """
    with closing(GridRounds(problem, grid, name)) as rounds, single_threaded_blas():
        fit = run_fit(
            plan,
            problem,
            rounds,
            (sum(grid.rows), grid.n_features),
            tol=tol,
            max_iter=max_iter,
            start=start,
            callbacks=callbacks,
            snapshot=snapshot,
        )
    if not fit.least_norm:
        warnings.warn(
            "the coefficients solve the least squares problem, but columns are redundant or nearly "
            "so, and other coefficients of a smaller norm may solve it, too: the search for the "
            "least norm was stopped by max_iter or by rounding. Leave columns out, or use Ridge",
            ConvergenceWarning,
            stacklevel=6,  # where the estimator's `fit` was called
        )
    return FitResult[Any](fit.state, History(tuple(fit.records), len(grid.rows)))


@dataclass(frozen=True)
class GridFit:
    """The last state and the rounds of a fit, and whether no other solution has a lesser norm."""

    state: SearchFit
    records: list[RoundRecord]
    least_norm: bool


class Rounds(Protocol):
    """Sums over all rows and columns, one round each."""

    def moments(self, share: float) -> Evaluated:
        """As `GridRounds.moments`."""

    def gradient(self, at: Parameters, *, homogeneous: bool = False) -> Evaluated:
        """As `GridRounds.gradient`."""


def run_fit(
    plan: Plan,
    problem: GLMProblem,
    rounds: Rounds,
    shape: tuple[int, int],
    *,
    tol: float,
    max_iter: int,
    start: Parameters | None = None,
    callbacks: Sequence[Callback] = (),
    snapshot: Callable[[Any], Callable[[], Any]] = lambda state: lambda: None,
) -> GridFit:
    """Return what comes of a fit to data of this shape, wherever it is."""
    n, d = shape
    reached = partial(iterations, tol=tol)
    fit = _Fit(problem, rounds, d, callbacks, snapshot, reached)
    least_squares = isinstance(problem.family, Gaussian)
    least_norm = True
    state: SearchFit
    if plan.regime == PRODUCTS:
        state = fit.search(NewtonRounds(problem, tol), NewtonFit(start, max_iter, plan=plan))
    else:
        # Where rows cannot determine all coefficients, those of least norm are asked for, which a
        # search in the columns' own units has.
        uniform = least_squares and n < d
        state = GradientFit(start, max_iter, uniform=uniform)
        state = fit.search(GradientRounds(problem, tol), state)
    if least_squares and n >= d and problem.penalty.strength == 0:
        state, least_norm = fit.of_least_norm(state)
    return GridFit(state, fit.records, least_norm)


class _Stopped(Exception):
    """A callback has returned True."""


@dataclass
class _Fit:
    """A fit under way: its rounds so far."""

    problem: GLMProblem
    rounds: Rounds
    n_features: int
    callbacks: Sequence[Callback]
    snapshot: Callable[[Any], Callable[[], Any]]
    reached: Callable[[Any], Reached]

    def __post_init__(self) -> None:
        self.records: list[RoundRecord] = []
        self._stopped = False

    def search(self, algorithm: Any, state: Any) -> Any:
        """Return the state at the end of the search."""
        share = state.plan.pool_share if isinstance(state, NewtonFit) else 0.0
        while not (state.done or self._stopped):
            started = time.perf_counter()
            message, step = algorithm.outgoing(state), state.step
            if isinstance(message, Parameters):
                found = self._answered(partial(self.rounds.gradient, message), state)
                state, measured = algorithm.update(state, found.total)
            else:
                found = self._answered(partial(self.rounds.moments, share), state)
                total = found.total if share else found.total.moments
                state, measured = algorithm.update(state, total)
                if state.failure is not None:
                    raise state.failure
                state = self._with_more_memory(state)
            self._record(started, step, measured, found, state)
        return state

    def _answered(self, ask: Callable[[], Evaluated], state: SearchFit) -> Evaluated:
        try:
            return ask()
        except LostSchedulerError as error:
            if self.records:
                error.keep(state, self.snapshot(state))
            raise

    def _with_more_memory(self, state: Any) -> Any:
        if isinstance(state, NewtonFit) and isinstance(state.curvature, Sampled):
            state = replace(state, curvature=replace(state.curvature, max_iter=_CG_MAX_ITER))
        return replace(state, search=replace(state.search, memory=self._memory))

    def of_least_norm(self, state: SearchFit) -> tuple[SearchFit, bool]:
        """Return the state at the solution of least norm, and whether that was reached.

        A search that has not found any solution, or was stopped, has nothing to go on from, which
        is said elsewhere.
        """
        to, search = state.coordinates, state.search
        if not state.converged or to is None or search is None:
            return state, True
        weights = np.append(to.inverse, 0.0) if to.fit_intercept else to.inverse

        def evaluate(point: Array) -> tuple[float, Array]:
            if self._stopped:
                raise _Stopped
            started = time.perf_counter()
            at = parameters_at(to, point)
            found = self._answered(partial(self.rounds.gradient, at, homogeneous=True), state)
            sums: LossSums = found.total
            value, gradient = self.problem.objective(sums, at, to, state.weight)
            norm = float(np.abs(gradient).max(initial=0.0))
            self._record(started, "project", Measured(None, norm), found, state)
            return value, gradient

        try:
            point, reached = least_norm(
                search.point,
                weights[None],
                evaluate,
                memory=self._memory,
                max_iter=state.max_iter,
            )
        except _Stopped:
            return state, True
        return replace(state, search=replace(search, point=point)), reached

    @property
    def _memory(self) -> int:
        """How many steps have room, by the number of coefficients alone."""
        step = 2 * 8 * self.problem.n_outputs * (self.n_features + 1)
        return int(min(max(_MEMORY_BYTES // step, _LEAST_MEMORY), _MOST_MEMORY))

    def _record(
        self, started: float, step: str, measured: Measured, found: Evaluated, state: SearchFit
    ) -> None:
        outcome = found.outcome
        record = RoundRecord(
            round=len(self.records),
            step=step,
            loss=measured.loss,
            gradient_norm=measured.gradient_norm,
            seconds=time.perf_counter() - started,
            bytes_out=found.bytes_out,
            bytes_back=found.bytes_back,
            workers=len(outcome.seconds_by_worker),
            busiest_seconds=max(outcome.seconds_by_worker.values()),
            workers_lost=outcome.workers_lost,
            tasks_recomputed=outcome.tasks_recomputed,
            retries=outcome.retries,
            bytes_between=found.bytes_between,
        )
        self.records.append(record)
        if self.callbacks and tell(
            self.callbacks, RoundEvent(record, self.snapshot(state), self.reached(state))
        ):
            self._stopped = True
