"""What the linear models share: running a plan, warm starts, explaining."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from daskml_exec.executor import Executor
from daskml_exec.linear_model._explain import Explanation
from daskml_exec.linear_model._family import Gaussian
from daskml_exec.linear_model._newton import NewtonFit
from daskml_exec.linear_model._parallel import (
    DATA,
    MODEL,
    SOLVERS_OF_MODEL,
    Choice,
    choose,
)
from daskml_exec.linear_model._plan import Plan, feature_block_plan
from daskml_exec.linear_model._problem import GLMProblem, Parameters
from daskml_exec.linear_model._solve import opening, prepare, shape_of, solve
from daskml_exec.partitions import Grid, Partitions, column_chunks, frame_meta, require_matrix
from daskml_exec.training import History, PartitionedEstimator


class GLM(PartitionedEstimator):
    """Base of the linear models; holds nothing of the cluster."""

    n_features_in_: int
    feature_names_in_: NDArray[Any]
    history_: History

    def explain(self) -> Explanation:
        """Return how the last `fit` was planned, and why, beside what it took: a text to print."""
        check_is_fitted(self)
        return Explanation(self._shape, self._plan, self.history_, self._told())

    def _check_arguments(self, y: Any) -> Executor:
        executor = super()._check_arguments(y)
        if self.parallel == DATA and self.n_blocks != "auto":
            raise ValueError(
                f"n_blocks={self.n_blocks!r} with parallel='data', which does not cut features; "
                "allowed is n_blocks='auto', or parallel='model' or 'auto'"
            )
        if self.parallel == MODEL and self._solver not in SOLVERS_OF_MODEL:
            raise ValueError(
                f"solver={self._solver!r} with parallel='model'; allowed are 'auto' and 'lbfgs', "
                "as other solvers need whole rows"
            )
        return executor

    @property
    def _solver(self) -> str:
        return getattr(self, "solver", "auto")

    def _choose(self, executor: Executor, X: Any) -> Choice:
        """Return whether to cut the features of X."""
        if self.parallel != "auto":
            return Choice(self.parallel, f"parallel={self.parallel!r} was asked for")
        require_matrix(X)
        meta = frame_meta(X)
        n_features = None if meta is None or np.isnan(meta.shape[1]) else int(meta.shape[1])
        limits = [worker.memory_gb * 1e9 for worker in executor.workers()]
        memory = min((limit for limit in limits if limit), default=None)
        return choose(n_features, column_chunks(X), memory, solver=self._solver)

    def _told(self) -> Choice | None:
        """Return the choice of the last fit if there was anything to choose or to say."""
        return None if self.parallel == DATA else self._choice

    def _run(
        self,
        problem: GLMProblem,
        partitions: Partitions | Grid,
        choice: Choice,
        plan_of: Callable[..., Plan],
        fitted: Callable[..., None],
    ) -> Any:
        """Plan, run the rounds, set what `fitted(estimator, parameters)` and they give.

        Returns the last state.
        """
        problem = replace(problem, penalty=problem.penalty.for_weights(partitions.form.exponent))
        try:
            shape = shape_of(partitions, problem)
            if isinstance(partitions, Grid):
                squares = isinstance(problem.family, Gaussian)
                n_blocks = partitions.n_blocks
                plan = feature_block_plan(self._solver, shape, n_blocks, least_squares=squares)
            else:
                plan = plan_of(shape)
            start = self._warm((problem.n_outputs, partitions.n_features))
            with self._listeners(opening(shape, plan, partitions)) as callbacks:
                prepare(partitions, say=self._say)
                result = solve(
                    plan,
                    problem,
                    partitions,
                    tol=self.tol,
                    max_iter=self.max_iter,
                    start=start,
                    callbacks=callbacks,
                    snapshot=lambda state: partial(_snapshot, self, fitted, state.parameters),
                    name=type(self).__name__.lower(),
                )
        finally:
            # A traceback that somebody keeps, as notebooks do, would keep the data on the cluster.
            partitions.release()
        state = result.state
        fitted(self, state.parameters)
        chosen = state.plan if isinstance(state, NewtonFit) else plan
        self._shape, self._plan, self._choice = shape, chosen, choice
        self.n_iter_ = state.n_iter
        self.history_ = result.history
        return state

    def _warm(self, shape: tuple[int, int]) -> Parameters | None:
        """Return the parameters of the last fit if they are to be the start."""
        if not (getattr(self, "warm_start", False) and hasattr(self, "coef_")):
            return None
        coef = np.atleast_2d(self.coef_.toarray() if sp.issparse(self.coef_) else self.coef_)
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
