"""What the linear models share: running a plan, warm starts, explaining."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from daskml_exec.linear_model._explain import Explanation
from daskml_exec.linear_model._plan import Plan
from daskml_exec.linear_model._problem import GLMProblem, Parameters
from daskml_exec.linear_model._solve import shape_of, solve
from daskml_exec.partitions import Partitions
from daskml_exec.training import PartitionedEstimator


class GLM(PartitionedEstimator):
    """Base of the linear models; holds nothing of the cluster."""

    def explain(self) -> Explanation:
        """Return how the last `fit` was planned, and why, beside what it took: a text to print."""
        check_is_fitted(self)
        return Explanation(self._shape, self._plan, self.history_)

    def _run(
        self,
        problem: GLMProblem,
        partitions: Partitions,
        plan_of: Callable[..., Plan],
        fitted: Callable[..., None],
    ) -> Any:
        """Plan, run the rounds, set what `fitted(estimator, parameters)` and they give.

        Returns the last state.
        """
        try:
            shape = shape_of(partitions, problem)
            plan = plan_of(shape)
            start = self._warm((problem.n_outputs, partitions.n_features))
            result = solve(
                plan,
                problem,
                partitions,
                tol=self.tol,
                max_iter=self.max_iter,
                start=start,
                callbacks=self._callbacks(),
                snapshot=lambda state: partial(_snapshot, self, fitted, state.parameters),
                name=type(self).__name__.lower(),
            )
        finally:
            # A traceback that somebody keeps, as notebooks do, would keep the data on the cluster.
            partitions.release()
        state = result.state
        fitted(self, state.parameters)
        self._shape, self._plan = shape, plan
        self.n_iter_ = state.n_iter
        self.history_ = result.history
        return state

    def _warm(self, shape: tuple[int, int]) -> Parameters | None:
        """Return the parameters of the last fit if they are to be the start."""
        if not (getattr(self, "warm_start", False) and hasattr(self, "coef_")):
            return None
        coef = np.atleast_2d(self.coef_)
        if coef.shape != shape:
            raise ValueError(
                f"warm_start=True, but coef_ of the last fit has shape {coef.shape}; this "
                f"data needs {shape}"
            )
        intercept = np.atleast_1d(self.intercept_)
        return Parameters(coef.astype(np.float64), intercept.astype(np.float64))

    def _warn_unless_converged(self, state: Any) -> None:
        """Warn where `fit`, which calls this, was called."""
        if state.converged or not state.done:  # a callback may have stopped the fit
            return
        reason = "rounding stopped progress" if state.stuck else f"max_iter={self.max_iter}"
        remedy = "Raise tol" if state.stuck else "Raise max_iter or tol"
        solver = f"solver={self.solver!r}" if hasattr(self, "solver") else ""
        warnings.warn(
            f"{type(self).__name__}({solver}) stopped before it converged ({reason}): "
            f"after {state.n_iter} iterations the gradient norm is {state.gradient_norm:.2e}, "
            f"above tol={self.tol:.2e}. {remedy}",
            ConvergenceWarning,
            stacklevel=3,
        )


def _snapshot(estimator: GLM, fitted: Callable[..., None], parameters: Parameters) -> GLM:
    """Return an estimator like this one, fitted with these parameters."""
    other: GLM = estimator._like_this()
    fitted(other, parameters)
    return other
