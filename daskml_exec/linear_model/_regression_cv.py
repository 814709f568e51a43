"""What regressions share whose penalty is chosen by errors on rows that training has not seen."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from daskml_exec.executor import as_dask_futures
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.distributions import Gaussian
from daskml_exec.linear_model._fold_totals import NormalByFold
from daskml_exec.linear_model._held_out import MeanResponses
from daskml_exec.linear_model._moment_path import fit_from_moments
from daskml_exec.linear_model._parallel import DATA, Choice
from daskml_exec.linear_model._path_fit import PathFit, Request, Scorer, fit_one_by_one
from daskml_exec.linear_model._path_warnings import warnings_of
from daskml_exec.linear_model._plan import GRAM, Plan, Shape
from daskml_exec.linear_model._problem import GLMProblem, Penalty
from daskml_exec.linear_model._regression import LinearRegressor, Shapes, set_regressor
from daskml_exec.linear_model._scaling import Scaling
from daskml_exec.linear_model._solve import opening, prepare, shape_of
from daskml_exec.partitions import Data, Numbers, folded, is_matrix, levelled
from daskml_exec.training import Callback, Reached, reduce, warn_of
from daskml_exec.training.folds import cross_validation

# Moments of all folds, on the driver and in each answer.
_MOMENT_BYTES = 2e9


@dataclass(frozen=True)
class LoadedRows:
    """Rows to be trained on many times.

    Attributes
    ----------
    data : Data
    inputs : tuple
        X, y and weights, as given and checked.
    partitions : Partitions or Pieces
        With targets near zero.
    fit_intercept : bool
    scaling : Scaling or None
    set_fitted : callable
        Sets an estimator's attributes to parameters.
    """

    data: Data
    inputs: Any
    partitions: Any
    fit_intercept: bool
    scaling: Scaling | None
    set_fitted: Callable[..., None]

    def problem(self, penalty: Penalty) -> GLMProblem:
        """Return what is to be solved for a penalty."""
        given = penalty.for_weights(self.partitions.form.exponent)
        if self.scaling is None:
            return GLMProblem(Gaussian(), given, self.fit_intercept)
        given = replace(given, factors=self.scaling.factors)
        return GLMProblem(Gaussian(), given, self.fit_intercept, self.scaling.moments)

    def scorer(self, name: str) -> Scorer:
        """Return how models are scored."""
        form = self.partitions.form
        columns: Any = self.data.settled.columns
        responses = MeanResponses(Gaussian(), form.level)
        return Scorer((name,), responses, replace(columns, form=form), weighted=True)


@dataclass(frozen=True)
class Choosing:
    """Among which penalties is chosen, and how.

    Attributes
    ----------
    penalties_of : callable
        Returns the penalties, of moments of all rows; of None where there are none.
    plan_of : callable
        Returns the plan of one of them, of a `Shape`.
    scoring : str
    choose : callable
        Returns which penalty is fitted to all rows, of scores (S, F, J).
    in_words : callable
        Returns the name of a penalty.
    """

    penalties_of: Callable[[Any, Scaling | None], list[Penalty]]
    plan_of: Callable[[Shape], Plan]
    scoring: str
    choose: Callable[[Array], Any]
    in_words: Callable[[int], str]


class ChosenRegressor(LinearRegressor):
    """Base of regressions that choose their penalty."""

    # What other linear models have as parameters, and these have no choice of.
    parallel = DATA
    n_blocks = "auto"
    fit_intercept: bool
    tol: float
    max_iter: int
    _models: str

    @contextmanager
    def _loaded_rows(
        self, X: Any, y: Any, sample_weight: Any, penalty: Penalty
    ) -> Iterator[LoadedRows]:
        """Yield the rows; `penalty` says whether a scaler can be part of the model."""
        executor: Any = self._check_arguments(X, y, sample_weight)
        X, scaling = self._unscaled(X, penalty)
        y = as_dask_futures(y)
        shapes = Shapes(intercept_array=y is not None and is_matrix(y))
        inputs = self._inputs(executor, X, y, sample_weight, y_numeric=True, multi_output=False)
        target = Numbers(distribution=self._distribution, several=False)
        with ExitStack() as stack:
            data = stack.enter_context(self._loaded(executor, inputs, target))
            partitions = data.partitions
            if self.fit_intercept:
                partitions = stack.enter_context(levelled(partitions, data.settled))
            set_fitted = partial(
                set_regressor, dtype=data.dtype, level=partitions.form.level, shapes=shapes
            )
            scaling = scaling and scaling.of_rows(weighted=data.weighted)
            if scaling is not None:
                set_fitted = scaling.setting(set_fitted)  # type: ignore[assignment]
            self._scaling = "" if scaling is None else scaling.in_words()
            self._choice = Choice(DATA, "models share rows")
            yield LoadedRows(data, inputs, partitions, self.fit_intercept, scaling, set_fitted)

    def _begin(self, rows: LoadedRows, plan_of: Callable[[Shape], Plan]) -> list[Callback]:
        """Plan, and return who listens."""
        shape = shape_of(rows.partitions, rows.problem(Penalty(0.0, of_sum=False)))
        self._shape, self._plan = shape, plan_of(shape)
        prepare(rows.partitions, say=self._say)
        reached = Reached("iteration", 0, self.max_iter)
        listeners = self._listeners(opening(shape, self._plan, rows.partitions), reached)
        return list(listeners)

    def _fit_folds(self, rows: LoadedRows, cv: Any, groups: Any, by: Choosing) -> PathFit:
        """Train the models of all penalties and folds, and set the chosen one."""
        callbacks = self._begin(rows, by.plan_of)
        X, y = rows.inputs[:2]
        cross = cross_validation(cv, X, y, rows.data, classifier=False, groups=groups)
        partitions = folded(rows.partitions, cross.column_of)
        name = type(self).__name__.lower()
        d, F = self._shape.features, cross.n_folds
        together = self._plan.regime == GRAM and 8 * (F + 1) * (d + 1) ** 2 <= _MOMENT_BYTES
        try:
            totals = reduce(NormalByFold(F), partitions) if together else None
            penalties = by.penalties_of(totals, rows.scaling)
            request = Request(
                tuple(map(rows.problem, penalties)),
                F,
                1,
                self.tol,
                self.max_iter,
                rows.scorer(by.scoring),
                by.choose,
            )
            given: dict[str, Any] = {"callbacks": callbacks, "name": name}
            if totals is not None:
                found = fit_from_moments(request, self._plan, totals, partitions, **given)
            else:
                plans = [self._plan] * len(penalties)
                found = fit_one_by_one(request, plans, partitions, **given)
        finally:
            partitions.release()
        assert found.final is not None
        rows.set_fitted(self, found.final.parameters)
        self.n_iter_ = int(found.final.n_iter)
        self.history_ = found.history
        how = "from one pass" if found.together else "one after another"
        self._models = f"{F * len(penalties):,}: {len(penalties):,} penalties x {F:,} folds, {how}"
        warn_of(warnings_of(self, found, [by.in_words(j) for j in range(len(penalties))]))
        return found

    def _as_searched(self) -> None:
        # Its own folds would count rows that weigh nothing.
        return None

    def explain(self) -> Any:
        """Return how the last `fit` was planned, and why, beside what it took.

        Returns
        -------
        Explanation
            A text to print, and in notebooks a table.
        """
        return replace(super().explain(), models=self._models)


def penalty_values(name: str, given: Any, *, zero: bool) -> Array:
    """Return penalties that a user gave.

    Raises
    ------
    ValueError
        There is none, or one is none.
    """
    values = np.asarray(given, dtype=np.float64)
    allowed = np.isfinite(values) & ((values >= 0) if zero else (values > 0))
    if values.ndim != 1 or not len(values) or not allowed.all():
        bound = "from" if zero else "above"
        raise ValueError(f"{name}={given!r}; allowed are one or more numbers {bound} 0")
    return values
