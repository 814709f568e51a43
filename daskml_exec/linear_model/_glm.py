"""What the linear models share: running a plan, warm starts, explaining."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from daskml_exec.executor import Capacity, Executor, workers_now
from daskml_exec.kernels.distributions import Gaussian
from daskml_exec.linear_model._batches import fit_batch
from daskml_exec.linear_model._explain import Explanation
from daskml_exec.linear_model._parallel import (
    DATA,
    MODEL,
    SOLVERS_OF_L1,
    SOLVERS_OF_MODEL,
    Choice,
    choose,
)
from daskml_exec.linear_model._plan import Plan, Shape, feature_block_plan
from daskml_exec.linear_model._problem import GLMProblem, Parameters, Penalty
from daskml_exec.linear_model._scaling import Scaling
from daskml_exec.linear_model._solve import FittedLinear, opening, prepare, shape_of, solve
from daskml_exec.partitions import (
    ROWS,
    Cells,
    Cut,
    Data,
    Grid,
    Partitions,
    Pieces,
    column_chunks,
    frame_meta,
    require_matrix,
    scaled_of,
)
from daskml_exec.training import FitWarning, History, PartitionedEstimator, Reached
from daskml_exec.training.folds import BatchResult


class GLM(PartitionedEstimator):
    """Base of the linear models; holds nothing of the cluster."""

    n_features_in_: int
    feature_names_in_: NDArray[Any]
    history_: History
    coef_: Any
    _shape: Shape
    _plan: Plan
    _choice: Choice
    _scaling: str = ""
    n_blocks: Any

    def explain(self) -> Explanation:
        """Return how the last `fit` was planned, and why, beside what it took.

        Returns
        -------
        Explanation
            A text to print, and in notebooks a table.
        """
        check_is_fitted(self)
        return Explanation(
            self._shape,
            self._plan,
            self.history_,
            self._told(),
            self._scaling,
            coefficients=self._zeros() if self._makes_zeros else "",
        )

    def _zeros(self) -> str:
        """Say how many coefficients are zero."""
        coef, size = self.coef_, int(np.prod(self.coef_.shape))
        kept = coef.count_nonzero() if sp.issparse(coef) else np.count_nonzero(coef)
        return f"{size - kept:,} of {size:,} are zero"

    def _check_arguments(self, X: Any, y: Any, sample_weight: Any) -> Executor | None:
        executor = super()._check_arguments(X, y, sample_weight)
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
        if self._makes_zeros:
            self._refuse_beside_l1()
        return executor

    def _refuse_beside_l1(self) -> None:
        share = getattr(self, "l1_ratio", 1.0)
        if self._solver not in SOLVERS_OF_L1:
            raise ValueError(
                f"l1_ratio={share!r} with solver={self._solver!r}, which needs a penalty that is "
                "smooth; allowed are solver='auto' and 'newton', or l1_ratio=0"
            )
        if self.parallel == MODEL:
            raise ValueError(
                f"l1_ratio={share!r} with parallel='model', which needs a penalty that is smooth; "
                "allowed are parallel='data' and 'auto', or l1_ratio=0"
            )

    @property
    def _makes_zeros(self) -> bool:
        """Whether the penalty has a share of L1."""
        return False

    @property
    def _solver(self) -> str:
        return getattr(self, "solver", "auto")

    def _choose(self, executor: Executor | None, X: Any) -> Choice:
        """Return whether to cut the features of X."""
        if self.parallel != "auto" or executor is None:
            return Choice(self.parallel, f"parallel={self.parallel!r} was asked for")
        if isinstance(X, Data):
            if X.cut == "cells" and self._makes_zeros:
                raise ValueError(
                    "X was loaded in cells, and a penalty with a share of L1 needs whole rows; "
                    "allowed is a Data that was loaded in rows, or l1_ratio=0"
                )
            return Choice(MODEL if X.cut == "cells" else DATA, f"X was loaded in {X.cut}")
        if self._makes_zeros:
            return Choice(DATA, "a penalty with a share of L1 needs whole rows")
        require_matrix(X)
        meta = frame_meta(X)
        n_features = None if meta is None or np.isnan(meta.shape[1]) else int(meta.shape[1])
        workers = workers_now(executor.client).values()
        capacity = Capacity.of_workers(workers)
        return choose(n_features, column_chunks(X), capacity, solver=self._solver)

    def _cut(self, choice: Choice) -> Cut:
        """Return how the data is cut for that."""
        return Cells(self.n_blocks) if choice.parallel == MODEL else ROWS

    def _told(self) -> Choice | None:
        """Return the choice of the last fit if there was anything to choose or to say."""
        return None if self.parallel == DATA else self._choice

    def _unscaled(self, X: Any, penalty: Penalty) -> tuple[Any, Scaling | None]:
        """Return what X was made of by scaling, with the scaling, if it can be part of the model.

        Without a penalty, or an intercept to take up a centre, scaled rows are made lazily.
        """
        known = scaled_of(X)
        if known is None or not penalty.strength > 0:
            return X, None
        if known.centre.any() and not self.fit_intercept:
            return X, None
        return known.source, Scaling(known.centre, known.scale, known.by, known.moments)

    def _run(
        self,
        problem: GLMProblem,
        partitions: Partitions | Pieces | Grid,
        choice: Choice,
        plan_of: Callable[..., Plan],
        set_fitted: Callable[..., None],
        scaling: Scaling | None,
    ) -> FittedLinear:
        """Plan and train; set what `set_fitted(estimator, parameters)` and that give."""
        penalty = problem.penalty.for_weights(partitions.form.exponent)
        if scaling is not None:
            penalty = replace(penalty, factors=scaling.factors)
            set_fitted = scaling.setting(set_fitted)
            problem = replace(problem, columns=scaling.moments)
        problem = replace(problem, penalty=penalty)
        shape = shape_of(partitions, problem)
        if isinstance(partitions, Grid):
            squares = isinstance(problem.family, Gaussian)
            n_blocks = partitions.n_blocks
            plan = feature_block_plan(self._solver, shape, n_blocks, least_squares=squares)
        else:
            plan = plan_of(shape)
        start = self._warm((problem.n_outputs, partitions.n_features))
        if start is not None and scaling is not None:
            start = scaling.unscaled(start)
        reached = Reached("iteration", 0, self.max_iter)
        callbacks = self._listeners(opening(shape, plan, partitions), reached)
        prepare(partitions, say=self._say)
        fitted = solve(
            plan,
            problem,
            partitions,
            tol=self.tol,
            max_iter=self.max_iter,
            start=start,
            callbacks=callbacks,
            view=lambda parameters: partial(_snapshot, self, set_fitted, parameters),
            name=type(self).__name__.lower(),
        )
        set_fitted(self, fitted.state.parameters)
        self._shape, self._plan, self._choice = shape, fitted.plan, choice
        self._scaling = "" if scaling is None else scaling.in_words()
        self.n_iter_ = fitted.state.n_iter
        self.history_ = fitted.history
        return replace(fitted, warnings=(*fitted.warnings, *_not_converged(self, fitted)))

    def _search_batches(self, candidates: list[dict[str, Any]]) -> list[list[int]]:
        return []

    def _fit_batch(
        self,
        candidates: list[dict[str, Any]],
        data: Data,
        n_folds: int,
        scorings: Sequence[Any],
        *,
        weighted: bool,
    ) -> BatchResult:
        return fit_batch(self, candidates, data, n_folds, scorings, weighted=weighted)

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


def _not_converged(model: GLM, fitted: FittedLinear) -> list[FitWarning]:
    state = fitted.state
    if state.converged or fitted.stopped:
        return []
    reason = "rounding stopped progress" if state.stuck else f"max_iter={model.max_iter}"
    remedy = "Raise tol" if state.stuck else "Raise max_iter or tol"
    solver = f"solver={model.solver!r}" if hasattr(model, "solver") else ""
    message = (
        f"{type(model).__name__}({solver}) stopped before it converged ({reason}): "
        f"after {state.n_iter} iterations the gradient norm is {state.gradient_norm:.2e}, "
        f"above tol={model.tol:.2e}. {remedy}"
    )
    return [FitWarning("convergence", message, ConvergenceWarning)]


def _snapshot(
    estimator: GLM, set_fitted: Callable[..., None], parameters: Parameters, units: Any
) -> GLM:
    """Return an estimator like this one, fitted with these parameters."""
    other: GLM = estimator._like_this()
    set_fitted(other, parameters)
    return other
