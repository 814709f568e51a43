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

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels import lbfgs
from daskml_exec.kernels.hessian_sums import HessianSums, hessian_sums
from daskml_exec.kernels.loss_sums import LossSums
from daskml_exec.kernels.standardisation import Standardisation
from daskml_exec.kernels.sums import FieldwiseSum
from daskml_exec.linear_model._curvature import Curvature, Factorised, factorise, sampled
from daskml_exec.linear_model._plan import PRODUCTS, SPAN, Plan
from daskml_exec.linear_model._pool import Pool, pool_of, pooled_optimum
from daskml_exec.linear_model._problem import (
    GLMProblem,
    Parameters,
    PartitionMoments,
    parameters_at,
    sample_of,
)
from daskml_exec.linear_model._search import SearchFit, informed, judged
from daskml_exec.linear_model._span import spanned_optimum
from daskml_exec.partitions import Partition
from daskml_exec.training import Measured

Array = np.ndarray[Any, np.dtype[np.float64]]

# Vectors as long as a model of hashed features take time on the driver, too.
_MEMORY_OF_PRODUCTS = 10
# A Hessian is taken anew when as many steps with it as the plan says have not divided the
# gradient by so much.
_PROGRESS = 100.0
# Or when a step with it, whose length should be one, had to be this short.
_SHORT_STEP = 0.1
# A new Hessian is taken from so many times the rows.
_GROWTH = 4.0
# The last step is taken without a round to measure it where it gains less than this of f's unit.
_SURE = 1e-10


@dataclass(frozen=True)
class PoolRequest:
    """What travels out in the moments round."""

    share: float


@dataclass(frozen=True)
class MomentsAndPool(FieldwiseSum):
    """What travels back from the moments round."""

    moments: PartitionMoments
    pool: Pool


@dataclass(frozen=True)
class HessianRequest:
    """What travels out in a round that brings a Hessian along with the gradient."""

    at: Parameters
    point: Array
    coordinates: Standardisation
    share: float
    single: bool
    """Whether single precision will do."""


@dataclass(frozen=True)
class GradientAndHessian(FieldwiseSum):
    """What travels back from such a round."""

    sums: LossSums
    hessian: HessianSums


@dataclass(frozen=True)
class NewtonFit(SearchFit):
    """The state between two rounds."""

    plan: Plan = field(kw_only=True)
    curvature: Curvature | None = None
    next_share: float = 0.0
    """Of rows that the next round takes a Hessian from; zero for a gradient alone."""
    last_share: float = 0.0
    norms: tuple[float, ...] = ()
    """Gradient norms at the points accepted since the last Hessian."""
    misled: bool = False
    """Whether a step along the last Hessian's direction had to be cut short."""
    steps_on_driver: int = 0
    """Accepted steps over all rows that took no round."""

    @property
    def n_iter(self) -> int:
        return self.steps_on_driver + super().n_iter

    @property
    def step(self) -> str:
        if self.coordinates is None:
            return "moments"
        return "hessian" if self.next_share else "gradient"


@dataclass(frozen=True)
class NewtonRounds:
    """`Round` of solver "newton"."""

    problem: GLMProblem
    tol: float

    def outgoing(self, state: NewtonFit) -> PoolRequest | HessianRequest | Parameters:
        if state.coordinates is None:
            return PoolRequest(state.plan.pool_share)
        assert state.search is not None
        at = parameters_at(state.coordinates, state.search.trial)
        if not state.next_share:
            return at
        # The softmax's Hessian is a difference, of which single precision leaves nothing where
        # rows are predicted well.
        single = not state.plan.every_round and self.problem.n_outputs == 1
        return HessianRequest(at, state.search.trial, state.coordinates, state.next_share, single)

    def partial(self, partition: Partition, message: Any) -> Any:
        if isinstance(message, PoolRequest):
            pool = pool_of(partition, message.share) if message.share else Pool()
            return MomentsAndPool(self.problem.moments(partition), pool)
        if isinstance(message, HessianRequest):
            sample = sample_of(partition, message.share)
            return GradientAndHessian(
                self.problem.sums(partition, message.at),
                hessian_sums(
                    self.problem.family.loss,
                    sample.X,
                    sample.sample_weight,
                    message.coordinates,
                    message.point,
                    single=message.single,
                ),
            )
        return self.problem.sums(partition, message)

    def combine(self, left: Any, right: Any) -> Any:
        return left + right

    def update(self, state: NewtonFit, total: Any) -> tuple[NewtonFit, Measured]:
        state, measured = self._updated(state, total)
        # A factor is as large as a Hessian, and a task that ran all rounds would send it back.
        return (replace(state, curvature=None) if state.done else state), measured

    def _updated(self, state: NewtonFit, total: Any) -> tuple[NewtonFit, Measured]:
        if isinstance(total, MomentsAndPool):
            return self._begin(state, total), Measured()
        if isinstance(total, GradientAndHessian):
            return self._judge(self._renew(state, total.hessian), total.sums)
        return self._judge(state, total)

    def _begin(self, state: NewtonFit, total: MomentsAndPool) -> NewtonFit:
        warm = state.start is not None
        state = informed(self.problem, state, total.moments)
        if state.failure is not None:
            return state
        assert state.coordinates is not None and state.start is not None
        point = state.coordinates.point(state.start.coef, state.start.intercept)
        rows = total.pool.joined() if total.pool.pieces else None
        spanned = None
        if rows is not None and state.plan.regime == SPAN:
            spanned = self._spanned_optimum(state, rows)
            if spanned is None and state.plan.otherwise is not None:
                state = replace(state, plan=state.plan.otherwise)
                rows = rows if sp.issparse(rows.X) else None  # dense ones are spent
        products = state.plan.regime == PRODUCTS
        if spanned is not None:
            point, curvature, steps = spanned
            state = replace(state, curvature=curvature, steps_on_driver=steps)
        elif rows is not None and rows.sample_weight.sum() > 0:
            # Fewer rows than coordinates have an optimum of their own, far from the whole's.
            if not warm and rows.X.shape[0] > point.size:
                point = self._pooled_optimum(state, rows, point)
            if products:
                state = replace(state, curvature=self._sampled(state, rows))
        memory = _MEMORY_OF_PRODUCTS if products else lbfgs.MEMORY
        return replace(
            state,
            search=lbfgs.start(point, memory=memory),
            next_share=state.plan.hessian_share,
        )

    def _pooled_optimum(self, state: NewtonFit, rows: Partition, point: Array) -> Array:
        assert state.coordinates is not None and state.target is not None
        return pooled_optimum(
            self.problem, rows, state.coordinates, point, state.weight, state.target
        )

    def _spanned_optimum(
        self, state: NewtonFit, rows: Partition
    ) -> tuple[Array, Curvature, int] | None:
        assert state.coordinates is not None and state.target is not None
        assert state.start is not None
        return spanned_optimum(
            self.problem,
            rows,
            state.coordinates,
            state.start,
            state.weight,
            state.target,
            state.max_iter,
        )

    def _sampled(self, state: NewtonFit, rows: Partition) -> Curvature:
        assert state.coordinates is not None and state.target is not None
        return sampled(
            self.problem.family.loss,
            rows.X,
            rows.sample_weight,
            state.coordinates,
            self.problem.penalty.beside_mean(state.weight),
            self.problem.family.curvature(state.target),
        )

    def _renew(self, state: NewtonFit, hessian: HessianSums) -> NewtonFit:
        """Take in a new Hessian, for which the memory of steps with the old one is worthless."""
        assert state.coordinates is not None and state.search is not None
        penalty = state.coordinates.penalty(self.problem.penalty.beside_mean(state.weight))
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

    def _judge(self, state: NewtonFit, sums: LossSums) -> tuple[NewtonFit, Measured]:
        before = state.search
        state, measured, unit = judged(self.problem, self.tol, state, sums)
        search = state.search
        assert before is not None and search is not None
        if search.gradient is not before.gradient:
            short = before.direction is not None and before.step < _SHORT_STEP
            norms = (*state.norms, state.gradient_norm)
            state = replace(state, norms=norms, misled=state.misled or short)
        if search.converged:
            state = self._last_step(state, unit)
        elif search.stuck or (search.needs_direction and state.n_iter < state.max_iter):
            state = self._steer(state)
        return state, measured

    def _steer(self, state: NewtonFit) -> NewtonFit:
        """Choose the next direction, and whether the next round is to bring a Hessian."""
        search = state.search
        assert search is not None and search.gradient is not None
        if self._wants_new_hessian(state):
            state = replace(state, next_share=min(1.0, _GROWTH * state.last_share))
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

    def _wants_new_hessian(self, state: NewtonFit) -> bool:
        assert state.search is not None
        if not state.plan.hessian_share or state.next_share:
            return False
        if state.search.stuck:
            return state.last_share < 1.0 or len(state.norms) > 1
        if state.misled:
            return True
        norms, patience = state.norms, state.plan.patience
        return len(norms) > patience and norms[-1] * _PROGRESS > norms[-1 - patience]

    def _last_step(self, state: NewtonFit, unit: float) -> NewtonFit:
        """Take the Newton step from the last gradient, which costs no round.

        Where only the penalty determines a direction, a gradient within `tol` is still far from
        the optimum. The step is not measured, so it is taken only where it changes next to
        nothing in f.
        """
        search = state.search
        assert search is not None and search.gradient is not None
        if not isinstance(state.curvature, Factorised):
            return state
        step = state.curvature.solve(search.gradient, search.point)
        if not 0.5 * float(np.vdot(step, search.gradient)) <= _SURE * unit**2:
            return state
        return replace(state, search=replace(search, point=search.point - step))
