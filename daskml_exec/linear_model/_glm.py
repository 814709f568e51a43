"""What the linear models share: bringing data in, running a plan, predicting, explaining."""

import copy
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from daskml_exec.executor import Executor
from daskml_exec.linear_model._explain import Explanation
from daskml_exec.linear_model._plan import Plan
from daskml_exec.linear_model._problem import GLMProblem, Parameters
from daskml_exec.linear_model._solve import shape_of, solve
from daskml_exec.partitions import (
    Partitions,
    frame_meta,
    is_collection,
    map_rows,
    refuse_dates,
    require_matrix,
    to_memory,
)
from daskml_exec.training import Callback, RoundEvent


class GLM(BaseEstimator):
    """Base of the linear models; holds nothing of the cluster."""

    def explain(self) -> Explanation:
        """Return how the last `fit` was planned, and why, beside what it took: a text to print."""
        check_is_fitted(self)
        return Explanation(self._shape, self._plan, self.history_)

    def _check_arguments(self, y: Any) -> Executor:
        """Check what needs no data, and return the Executor to train on."""
        self._validate_params()
        self._callbacks()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: give "
                "one value per row"
            )
        return Executor.current()

    def _inputs(
        self, executor: Executor, X: Any, y: Any, sample_weight: Any, **checks: Any
    ) -> tuple[Any, Any, Any, tuple[str, ...] | None]:
        """Return data in memory checked, with its feature names; collections as they are."""
        refuse_dates(X, "X")
        if is_collection(X):
            return X, y, sample_weight, None
        y, sample_weight = to_memory(y, executor), to_memory(sample_weight, executor)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
            **checks,
        )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        names = getattr(self, "feature_names_in_", None)
        return X, y, sample_weight, None if names is None else tuple(names)

    def _learn_features(self, X: Any, partitions: Partitions) -> None:
        if is_collection(X):
            self.n_features_in_ = partitions.n_features
            names = partitions.feature_names
            frame = None if names is None else pd.DataFrame(columns=list(names))
            _check_feature_names(self, frame, reset=True)

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

    def _callbacks(self) -> list[Callback]:
        given = list(self.callbacks or [])
        for callback in given:
            if not callable(callback):
                raise TypeError(
                    f"callbacks has {callback!r}, which cannot be called; allowed are functions "
                    "of a RoundEvent"
                )
        return [_print_round, *given] if getattr(self, "verbose", 0) else given

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

    def _copy_fitted(self, model: Any, *names: str) -> Any:
        """Copy fitted attributes to scikit-learn's model."""
        for name in (*names, "n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(model, name, copy.copy(getattr(self, name)))
        return model

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

    def _score(self, X: Any, y: Any, sample_weight: Any) -> float:
        """Score in memory, or where the rows of a collection live."""
        if not is_collection(X):
            here = Executor.current() if is_collection(y) or is_collection(sample_weight) else None
            y, sample_weight = to_memory(y, here), to_memory(sample_weight, here)
            return float(self._score_in_memory(X, y, sample_weight))
        check_is_fitted(self)
        self._check_features(X)
        return self._score_on_cluster(Executor.current(), X, y, sample_weight)

    def _score_in_memory(self, X: Any, y: Any, sample_weight: Any) -> float:
        raise NotImplementedError

    def _score_on_cluster(self, executor: Executor, X: Any, y: Any, sample_weight: Any) -> float:
        raise NotImplementedError

    def _map(self, function: Any, X: Any, columns: Any, dtype: Any, *, floating: bool) -> Any:
        if not is_collection(X):
            X = validate_data(
                self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False
            )
            return function(X)
        self._check_features(X)
        return map_rows(function, X, columns=columns, dtype=dtype, promote=floating)

    def _check_features(self, X: Any) -> None:
        require_matrix(X)
        meta = frame_meta(X)
        _check_feature_names(self, meta, reset=False)
        if hasattr(meta, "shape"):
            _check_n_features(self, meta, reset=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _snapshot(estimator: GLM, fitted: Callable[..., None], parameters: Parameters) -> GLM:
    """Return an estimator like this one, fitted with these parameters."""
    other = type(estimator)(**estimator.get_params(deep=False))
    fitted(other, parameters)
    other.n_features_in_ = estimator.n_features_in_
    if hasattr(estimator, "feature_names_in_"):
        other.feature_names_in_ = estimator.feature_names_in_
    return other


def _print_round(event: RoundEvent) -> None:
    record = event.record
    found = (
        ""
        if record.loss is None
        else f"  loss {record.loss:.8f}  gradient {record.gradient_norm:.2e}"
    )
    print(f"round {record.round:>4}  {record.step:8}{found}  {record.seconds * 1e3:.1f} ms")
