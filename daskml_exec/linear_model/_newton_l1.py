"""Newton rounds where the penalty has a share of L1: a quadratic model, minimised on the driver.

Like `_newton`: moments and a pooled sample once, then gradients, with Hessians now and then. The
Hessian is kept as a matrix, which the search corrects by its memory of past rounds, and the model
is minimised with the penalty as it is, so that coefficients of zero are exactly that.

Where a Hessian of all columns is too large, a working set has one: the columns of the sample's
own optimum, and those whose gradients violate the conditions of the optimum [1]_. The gradients
of all columns come with each round, so that nothing is taken for granted of the others.

.. [1] Tibshirani et al. (2012), Strong rules for discarding predictors in lasso-type problems,
   Journal of the Royal Statistical Society B 74, section 7.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from daskml_exec.kernels import proximal_newton
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import LOSSES, Target
from daskml_exec.kernels.hessian_sums import HessianSums
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.linear_model._curvature import mean_hessian
from daskml_exec.linear_model._newton import (
    GROWTH,
    SHORT_STEP,
    SURE,
    NewtonBeginning,
    wants_new_hessian,
)
from daskml_exec.linear_model._plan import WORKING_SET, Plan
from daskml_exec.linear_model._problem import (
    GLMProblem,
    MomentsAndPool,
    Parameters,
    parameters_at,
)
from daskml_exec.linear_model._queries import Gradient, Hessian, Moments
from daskml_exec.linear_model._search import Known, Searching
from daskml_exec.partitions import Partition
from daskml_exec.training import Measured

# The sample's optimum is off by its own noise, of which this share is as good as none.
_PRECISION, _POOL_ITER = 0.1, 50
# Columns that a working set begins with, and has in the end, all outputs together; and the share
# of their penalty that gradients of columns have that stay in it.
_FIRST_SET, _LARGEST_SET, _NEAR = 100, 6000, 0.7


@dataclass(frozen=True)
class L1State(Searching):
    """The search between two rounds.

    Attributes
    ----------
    plan : Plan
    features : ndarray of int, or None
        The working set; None for all columns.
    matrix : ndarray or None
        The Hessian of these, in the coordinates.
    next_share : float
        Of rows that the next round takes a Hessian from; zero for a gradient alone.
    last_share : float
    norms : tuple of float
        Gradient norms at the points accepted since the last Hessian.
    misled : bool
        Whether a step with the last Hessian had to be cut short.
    """

    search: proximal_newton.ProximalState
    plan: Plan = field(kw_only=True)
    features: Array | None = None
    matrix: Array | None = None
    next_share: float = 0.0
    last_share: float = 0.0
    norms: tuple[float, ...] = ()
    misled: bool = False

    @property
    def columns(self) -> Array | None:
        """The working set as coordinates of the flattened point, with the intercepts."""
        if self.features is None:
            return None
        return _columns(self.features, self.coordinates, len(self.search.point))

    def ask(self, by: "NewtonL1") -> Gradient | Hessian | None:
        if self.done:
            return None
        loss, point = by.problem.family.loss, self.search.trial
        at = parameters_at(self.coordinates, point)
        if not self.next_share:
            return Gradient(loss, at)
        single = not self.plan.every_round and by.problem.n_outputs == 1
        to = self.coordinates
        if self.features is not None:
            point = point.ravel()[self.columns].reshape(len(point), -1)
            to = to.of_columns(self.features)
        return Hessian(loss, at, point, to, self.next_share, single, self.features)

    def tell(self, by: "NewtonL1", answer: Any) -> tuple["L1State", Measured]:
        if self.next_share:
            state, measured = by.judge(by.renew(self, answer.hessian), answer.sums)
        else:
            state, measured = by.judge(self, answer)
        # A matrix is large, and a task that ran all rounds would send it back.
        return (replace(state, matrix=None) if state.done else state), measured


@dataclass(frozen=True)
class NewtonL1:
    """`Algorithm` of solver "newton" where the penalty has a share of L1.

    Parameters
    ----------
    problem : GLMProblem
    tol : float
    """

    problem: GLMProblem
    tol: float

    states: ClassVar[tuple[type, ...]] = (
        NewtonBeginning,
        L1State,
        Plan,
        Parameters,
        Target,
        Standardisation,
        proximal_newton.ProximalState,
        *LOSSES,
    )

    def ask(self, state: NewtonBeginning | L1State) -> Moments | Gradient | Hessian | None:
        return state.ask(self)

    def tell(
        self, state: NewtonBeginning | L1State, query: Any, answer: Any
    ) -> tuple[L1State, Measured]:
        return state.tell(self, answer)

    def begun(self, before: NewtonBeginning, known: Known, answer: MomentsAndPool) -> L1State:
        """Return the state from which to search, with what the sampled rows say."""
        plan, point = before.plan, known.point
        rows = answer.pool.joined() if answer.pool.pieces else None
        if rows is not None and before.start is None and rows.sample_weight.sum() > 0:
            point = self.pooled(known, plan, rows)
        return self.begin_at(known, plan, point, before.max_iter)

    def begin_at(
        self,
        known: Known,
        plan: Plan,
        point: Array,
        max_iter: int,
        matrix: Array | None = None,
    ) -> L1State:
        """Return the state before the first gradient at `point`."""
        features = None
        if plan.regime == WORKING_SET:
            features = np.flatnonzero((point[:, : len(known.coordinates.scale)] != 0).any(axis=0))
        without = matrix is None and (features is None or len(features) > 0)
        return L1State(
            max_iter=max_iter,
            weight=known.weight,
            target=known.target,
            coordinates=known.coordinates,
            search=proximal_newton.start(
                point, self.problem.l1_of(known.coordinates, known.weight)
            ),
            plan=plan,
            features=features,
            matrix=matrix,
            next_share=plan.hessian_share if without else 0.0,
            last_share=1.0 if matrix is not None else 0.0,
        )

    def pooled(self, known: Known, plan: Plan, rows: Partition) -> Array:
        """Return where the sample's own objective is least, as far as its noise allows to tell."""
        n = rows.X.shape[0]
        if n <= known.point.size and plan.regime != WORKING_SET:
            return known.point  # its optimum would be far from the whole's
        by = replace(self, tol=max(self.tol, _PRECISION / np.sqrt(n)))
        if plan.regime == WORKING_SET:
            # What is noise in so few rows should not be in force, which would be most columns.
            penalty = self.problem.penalty
            more = np.sqrt(max(1.0, known.weight / float(rows.sample_weight.sum())))
            penalty = replace(penalty, strength=penalty.strength * float(more))
            by = replace(by, problem=replace(self.problem, penalty=penalty))
        alone = replace(plan, hessian_share=1.0, every_round=plan.regime != WORKING_SET)
        state = by.begin_at(known, alone, known.point, _POOL_ITER)
        while (query := by.ask(state)) is not None:
            state, _ = by.tell(state, query, query.partial(rows))
        return state.search.point

    def renew(self, state: L1State, hessian: HessianSums) -> L1State:
        """Take in a new Hessian, for which the memory of steps with the old one is worthless."""
        to = state.coordinates
        penalty = to.penalty(self.problem.penalty.by_column(state.weight))
        if state.features is not None:
            penalty = penalty[_columns(state.features, to, 1)]
        matrix = mean_hessian(hessian, penalty)
        if matrix is not None and to.fit_intercept and self.problem.n_outputs > 1:
            hold_the_sum_of_intercepts(matrix, self.problem.n_outputs)
        return replace(
            state,
            matrix=state.matrix if matrix is None else matrix,
            search=state.search if matrix is None else proximal_newton.forget(state.search),
            last_share=state.next_share,
            next_share=state.next_share if state.plan.every_round else 0.0,
            norms=(),
            misled=False,
        )

    def judge(self, state: L1State, sums: LossSums) -> tuple[L1State, Measured]:
        """Take in loss and gradient, and choose where to look next."""
        before, problem = state.search, self.problem
        at = parameters_at(state.coordinates, before.trial)
        smooth, gradient = problem.objective(sums, at, state.coordinates, state.weight)
        with np.errstate(over="ignore", invalid="ignore"):
            value = smooth + float(np.sum(before.l1 * np.abs(before.trial)))
        unit = problem.family.gradient_unit(value, state.target)
        least = proximal_newton.least_subgradient(gradient, before.trial, before.l1)
        norm = float(np.abs(least).max(initial=0.0)) / unit if unit else 0.0
        tol = self.tol * unit if unit else np.inf
        search = proximal_newton.advance(before, smooth, gradient, tol)
        state = replace(state, search=search)
        if search.gradient is gradient:
            short = before.direction is not None and before.step < SHORT_STEP
            state = replace(
                state,
                gradient_norm=norm,
                norms=(*state.norms, norm),
                misled=state.misled or short,
            )
        if search.converged:
            state = self._last_step(state, unit)
        elif search.stuck or (search.needs_direction and state.n_iter < state.max_iter):
            state = self._steer(state)
        return state, Measured(value, norm)

    def _steer(self, state: L1State) -> L1State:
        """Choose the next step, and whether the next round is to bring a Hessian."""
        moved = state.search
        if state.features is not None and state.matrix is not None and not moved.stuck:
            moved = proximal_newton.steer(moved, state.matrix, state.columns)
        grown = self._grown(state, moved.trial)
        if grown is not None:
            if moved.direction is None:
                # Nothing to try before there is the new Hessian: it is taken at this point.
                search = proximal_newton.start(state.search.point, moved.l1)
                moved = replace(search, n_iter=state.n_iter)
            return replace(
                state,
                features=grown,
                matrix=None,
                search=moved,
                next_share=state.plan.hessian_share,
            )
        search = state.search
        if wants_new_hessian(state):
            state = replace(state, next_share=min(1.0, GROWTH * state.last_share))
            if search.stuck:
                search = replace(search, stuck=False)
        if search.stuck:
            return state
        if state.matrix is None:
            return replace(state, search=replace(search, stuck=True))
        if state.features is None:
            moved = proximal_newton.steer(search, state.matrix)
        return replace(state, search=moved)

    def _grown(self, state: L1State, trial: Array) -> Array | None:
        """Return the working set with the columns that violate the optimum's conditions.

        None if none does. `trial` is where the next round goes.
        """
        search, features = state.search, state.features
        if features is None or search.gradient is None:
            return None
        d = len(state.coordinates.scale)
        size = np.abs(search.gradient[:, :d])
        excess = np.where(state.coordinates.inverse > 0, (size - search.l1[:, :d]).max(axis=0), 0.0)
        excess[features] = 0.0
        violating = np.flatnonzero(excess > 0)
        if not len(violating):
            return None
        # Of those that are zero, some are far from being in force, and a Hessian costs squares.
        near = (size > _NEAR * search.l1[:, :d]) | (search.point[:, :d] != 0) | (trial[:, :d] != 0)
        near = near.any(axis=0)
        kept = features[near[features]]
        most = min(_LARGEST_SET // len(search.point) - len(kept), max(_FIRST_SET, len(kept)))
        if most <= 0:
            return None
        first = violating[np.argsort(-excess[violating], kind="stable")[:most]]
        return np.sort(np.concatenate([kept, first]))

    def _last_step(self, state: L1State, unit: float) -> L1State:
        """Take the step from the last gradient, which costs no round, where it is next to none.

        A gradient within `tol` may still be far from the optimum where columns are nearly alike.
        """
        search = state.search
        if state.matrix is None or search.gradient is None:
            return state
        step = proximal_newton.model_step(search, state.matrix, state.columns)
        promised = proximal_newton.promised_change(search, step)
        if not 0.0 < -0.5 * promised <= SURE * unit**2:
            return state
        return replace(state, search=replace(search, point=search.point + step))


def _columns(features: Array, coordinates: Standardisation, outputs: int) -> Array:
    own = np.append(features, len(coordinates.scale)) if coordinates.fit_intercept else features
    columns: Array = (np.arange(outputs)[:, None] * coordinates.size + own).ravel()
    return columns


def hold_the_sum_of_intercepts(matrix: Array, outputs: int) -> None:
    """Give the sum of intercepts, which the softmax does not see, a curvature, in place."""
    last = np.arange(1, outputs + 1) * (len(matrix) // outputs) - 1
    matrix[np.ix_(last, last)] += 1.0 / outputs
