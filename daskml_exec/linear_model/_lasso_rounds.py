"""Least squares with a share of L1 in the penalty: the normal equations in one pass.

Their minimiser with the penalty is found on the driver. It has half the digits that the rows
determine, and the gradient at it, summed over the rows, says what is missing, as in
`_least_squares`.
"""

from dataclasses import dataclass, replace

import numpy as np

from daskml_exec.kernels.coordinate_descent import coordinate_descent
from daskml_exec.linear_model._least_squares import Normal, Totals, equations
from daskml_exec.linear_model._newton_l1 import L1State, NewtonL1
from daskml_exec.linear_model._plan import Plan
from daskml_exec.linear_model._problem import Parameters
from daskml_exec.linear_model._search import Known
from daskml_exec.training import Measured


@dataclass(frozen=True)
class LassoBeginning:
    """Before anything is known of the rows.

    Attributes
    ----------
    plan : Plan
    max_iter : int
    start : Parameters or None
        Near which the minimiser is thought to be; None if that is not given.
    """

    plan: Plan
    max_iter: int
    start: Parameters | None = None

    def ask(self, by: NewtonL1) -> Normal:
        return Normal()

    def tell(self, by: NewtonL1, answer: Totals) -> tuple[L1State, Measured]:
        problem = by.problem
        given = equations(problem, answer)
        to, d = given.coordinates, len(given.right)
        matrix = np.eye(to.size)
        matrix[:d, :d] = given.matrix + np.diag(given.penalty)
        costs = problem.l1_of(to, given.weight)
        near = None if self.start is None else self.start.coef[0] * to.scale
        point = coordinate_descent(matrix[:d, :d], given.right, costs[0, :d], start=near)
        if problem.fit_intercept:
            point = np.append(point, given.target.mean * to.intercept_scale)
        nothing = Parameters(np.zeros((1, d)), np.zeros(1))
        known = Known(given.weight, given.target, to, nothing)
        state = by.begin_at(known, self.plan, point[None], self.max_iter, matrix)
        # The first step is done.
        return replace(state, search=replace(state.search, n_iter=1)), Measured()


@dataclass(frozen=True)
class Lasso(NewtonL1):
    """`Algorithm` of the normal equations with a share of L1 in the penalty."""

    states = (LassoBeginning, *NewtonL1.states)
