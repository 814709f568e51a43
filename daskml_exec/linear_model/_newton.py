"""Newton rounds: moments and a pooled sample once, then gradients, with Hessians now and then.

One quasi-Newton search on the driver. It starts at the optimum of a small pooled sample; its
initial inverse Hessian comes from more of the rows, once, together with the first gradient; and
its memory of the rounds since corrects what that Hessian knows wrongly. Subsampled Newton methods
alone converge linearly, at the rate of the Hessian's error [1]_; with the memory [2]_ a handful
of gradients reach the optimum to rounding.

.. [1] Roosta-Khorasani and Mahoney (2019), Sub-sampled Newton methods, Mathematical Programming
   174.
.. [2] Nocedal and Wright (2006), Numerical Optimization, section 7.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels import lbfgs
from daskml_exec.kernels.distributions import LOSSES
from daskml_exec.kernels.hessian_sums import HessianSums
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.kernels.row_span import InnerSolver, RowSpan
from daskml_exec.linear_model._curvature import (
    CG_MAX_ITER,
    Curvature,
    Factorised,
    Sampled,
    factorise,
    sampled,
)
from daskml_exec.linear_model._plan import PRODUCTS, SPAN, Plan
from daskml_exec.linear_model._pool import pooled_optimum
from daskml_exec.linear_model._problem import (
    GLMProblem,
    MomentsAndPool,
    Parameters,
    parameters_at,
)
from daskml_exec.linear_model._queries import Gradient, Hessian, Moments
from daskml_exec.linear_model._search import (
    MADE_OF,
    Known,
    Search,
    SearchState,
    judged,
    known_from,
)
from daskml_exec.linear_model._span import Spanned, spanned_optimum
from daskml_exec.partitions import Partition
from daskml_exec.training import Measured

# Vectors as long as a model of hashed features take time on the driver, too.
_MEMORY_OF_PRODUCTS = 10
# A Hessian is taken anew when as many steps with it as the plan says have not divided the
# gradient by so much.
_PROGRESS = 100.0
# Or when a step with it, whose length should be one, had to be this short.
SHORT_STEP = 0.1
# A new Hessian is taken from so many times the rows.
GROWTH = 4.0
# The last step is taken without a round to measure it where it gains less than this of f's unit.
SURE = 1e-10


class Begins(Protocol):
    """An `Algorithm` of Newton rounds, with a smooth penalty or another."""

    @property
    def problem(self) -> GLMProblem:
        """What is minimised."""

    def begun(self, before: "NewtonBeginning", known: Known, answer: MomentsAndPool) -> Any:
        """Return the state from which to search, with what the sampled rows say."""


@dataclass(frozen=True)
class NewtonBeginning:
    """Before anything is known of the rows.

    Attributes
    ----------
    plan : Plan
    max_iter : int
    start : Parameters or None
        Where to start; None if that is not given.
    """

    plan: Plan
    max_iter: int
    start: Parameters | None = None

    def ask(self, by: Begins) -> Moments:
        return Moments(self.plan.pool_share, by.problem.columns)

    def tell(self, by: Begins, answer: MomentsAndPool) -> tuple[Any, Measured]:
        known = known_from(by.problem, answer.moments, self.start)
        return by.begun(self, known, answer), Measured()


@dataclass(frozen=True)
class NewtonState(SearchState):
    """The search between two rounds.

    Attributes
    ----------
    plan : Plan
    curvature : Curvature or None
    next_share : float
        Of rows that the next round takes a Hessian from; zero for a gradient alone.
    last_share : float
    norms : tuple of float
        Gradient norms at the points accepted since the last Hessian.
    misled : bool
        Whether a step along the last Hessian's direction had to be cut short.
    steps_on_driver : int
        Accepted steps over all rows that took no round.
    """

    plan: Plan = field(kw_only=True)
    curvature: Curvature | None = None
    next_share: float = 0.0
    last_share: float = 0.0
    norms: tuple[float, ...] = ()
    misled: bool = False
    steps_on_driver: int = 0

    @property
    def n_iter(self) -> int:
        return self.steps_on_driver + super().n_iter

    def ask(self, by: "Newton") -> Gradient | Hessian | None:
        if self.done:
            return None
        at = parameters_at(self.coordinates, self.search.trial)
        if not self.next_share:
            return Gradient(by.problem.family.loss, at)
        # The softmax's Hessian is a difference, of which single precision leaves nothing where
        # rows are predicted well.
        single = not self.plan.every_round and by.problem.n_outputs == 1
        return Hessian(
            by.problem.family.loss,
            at,
            self.search.trial,
            self.coordinates,
            self.next_share,
            single,
        )

    def tell(self, by: "Newton", answer: Any) -> tuple["NewtonState", Measured]:
        if self.next_share:
            state, measured = by.judge(by.renew(self, answer.hessian), answer.sums)
        else:
            state, measured = by.judge(self, answer)
        # A factor is as large as a Hessian, and a task that ran all rounds would send it back.
        return (replace(state, curvature=None) if state.done else state), measured


@dataclass(frozen=True)
class Newton:
    """`Algorithm` of solver "newton".

    Parameters
    ----------
    problem : GLMProblem
    tol : float
    memory : int, optional
        Steps that the search remembers; by default few where directions come from products.
    cg_max_iter : int
        Of conjugate gradients on sampled rows.
    """

    problem: GLMProblem
    tol: float
    memory: int | None = None
    cg_max_iter: int = CG_MAX_ITER

    states = (
        NewtonBeginning,
        NewtonState,
        Plan,
        *MADE_OF,
        Factorised,
        Sampled,
        Spanned,
        RowSpan,
        InnerSolver,
        *LOSSES,
    )

    def ask(self, state: NewtonBeginning | NewtonState) -> Moments | Gradient | Hessian | None:
        return state.ask(self)

    def tell(
        self, state: NewtonBeginning | NewtonState, query: Any, answer: Any
    ) -> tuple[NewtonState, Measured]:
        return state.tell(self, answer)

    def begun(self, before: NewtonBeginning, known: Known, answer: MomentsAndPool) -> NewtonState:
        """Return the state from which to search, with what the sampled rows say."""
        plan, point = before.plan, known.point
        rows = answer.pool.joined() if answer.pool.pieces else None
        curvature: Curvature | None = None
        spanned, steps = None, 0
        if rows is not None and plan.regime == SPAN:
            spanned = spanned_optimum(
                self.problem,
                rows,
                known.coordinates,
                known.start,
                known.weight,
                known.target,
                before.max_iter,
            )
            if spanned is None and plan.otherwise is not None:
                plan = plan.otherwise
                rows = rows if sp.issparse(rows.X) else None  # dense ones are spent
        products = plan.regime == PRODUCTS
        if spanned is not None:
            point, curvature, steps = spanned
        elif rows is not None and rows.sample_weight.sum() > 0:
            # Fewer rows than coordinates have an optimum of their own, far from the whole's.
            if before.start is None and rows.X.shape[0] > point.size:
                point = pooled_optimum(
                    self.problem, rows, known.coordinates, point, known.weight, known.target
                )
            if products:
                curvature = self._sampled(known, rows)
        memory = self.memory or (_MEMORY_OF_PRODUCTS if products else lbfgs.MEMORY)
        return NewtonState(
            max_iter=before.max_iter,
            weight=known.weight,
            target=known.target,
            coordinates=known.coordinates,
            search=lbfgs.start(point, memory=memory),
            plan=plan,
            curvature=curvature,
            next_share=plan.hessian_share,
            steps_on_driver=steps,
        )

    def _sampled(self, known: Known, rows: Partition) -> Curvature:
        return sampled(
            self.problem.family.loss,
            rows.X,
            rows.sample_weight,
            known.coordinates,
            self.problem.penalty.by_column(known.weight),
            self.problem.family.curvature(known.target),
            self.cg_max_iter,
        )

    def renew(self, state: NewtonState, hessian: HessianSums) -> NewtonState:
        """Take in a new Hessian, for which the memory of steps with the old one is worthless."""
        penalty = state.coordinates.penalty(self.problem.penalty.by_column(state.weight))
        curvature = factorise(hessian, penalty)
        return replace(
            state,
            curvature=state.curvature if curvature is None else curvature,
            search=state.search if curvature is None else lbfgs.forget(state.search),
            last_share=state.next_share,
            next_share=state.next_share if state.plan.every_round else 0.0,
            norms=(),
            misled=False,
        )

    def judge(self, state: NewtonState, sums: LossSums) -> tuple[NewtonState, Measured]:
        """Take in loss and gradient, and choose where to look next."""
        before = state.search
        state, measured, unit = judged(self.problem, self.tol, state, sums)
        search = state.search
        if search.gradient is not before.gradient:
            short = before.direction is not None and before.step < SHORT_STEP
            norms = (*state.norms, state.gradient_norm)
            state = replace(state, norms=norms, misled=state.misled or short)
        if search.converged:
            state = self._last_step(state, unit)
        elif search.stuck or (search.needs_direction and state.n_iter < state.max_iter):
            state = self._steer(state)
        return state, measured

    def _steer(self, state: NewtonState) -> NewtonState:
        """Choose the next direction, and whether the next round is to bring a Hessian."""
        search = state.search
        if wants_new_hessian(state):
            state = replace(state, next_share=min(1.0, GROWTH * state.last_share))
            if search.stuck:
                search = replace(search, stuck=False)
        if search.stuck:
            if state.curvature is None or state.plan.hessian_share:
                return state
            # Few rows may be wrong by the inverse of the penalty: their directions led
            # nowhere, and the gradient does not unless it is rounding.
            state, search = replace(state, curvature=None), replace(search, stuck=False)
        if state.curvature is None:
            return replace(state, search=lbfgs.steer(search))
        solve = partial(state.curvature.solve, point=search.point)
        return replace(state, search=lbfgs.steer_by(search, solve))

    def _last_step(self, state: NewtonState, unit: float) -> NewtonState:
        """Take the Newton step from the last gradient, which costs no round.

        Where only the penalty determines a direction, a gradient within `tol` is still far from
        the optimum. The step is not measured, so it is taken only where it changes next to
        nothing in f.
        """
        search = state.search
        if search.gradient is None or not isinstance(state.curvature, Factorised):
            return state
        step = state.curvature.solve(search.gradient, search.point)
        if not 0.5 * float(np.vdot(step, search.gradient)) <= SURE * unit**2:
            return state
        return replace(state, search=replace(search, point=search.point - step))


class StepsSince(Protocol):
    """What is known of the steps since the last Hessian: a `NewtonState`, or another."""

    @property
    def search(self) -> Search:
        """The search."""

    @property
    def plan(self) -> Plan:
        """How often a Hessian may be taken, and from which share of rows first."""

    @property
    def next_share(self) -> float:
        """The share of rows from which the next round takes one."""

    @property
    def last_share(self) -> float:
        """That of the last Hessian."""

    @property
    def norms(self) -> tuple[float, ...]:
        """Of gradients at the points accepted since."""

    @property
    def misled(self) -> bool:
        """Whether a step had to be cut short."""


def wants_new_hessian(state: StepsSince) -> bool:
    """Return whether the next round is to bring a Hessian that was not planned for it."""
    if not state.plan.hessian_share or state.next_share:
        return False
    if state.search.stuck:
        return state.last_share < 1.0 or len(state.norms) > 1
    if state.misled:
        return True
    norms, patience = state.norms, state.plan.patience
    return slow(norms, patience)


def slow(norms: Sequence[float], patience: int) -> bool:
    """Whether as many steps as this have not divided the gradient by what a Hessian is worth."""
    return len(norms) > patience and norms[-1] * _PROGRESS > norms[-1 - patience]
