"""From penalties and folds to models and scores: in the same passes, or one after another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.linear_model._held_out import ClassResponses, HeldOut, MeanResponses
from daskml_exec.linear_model._path import LostCodeError, Path
from daskml_exec.linear_model._path_states import CommonRounds, OwnRounds, PathBeginning, Refit
from daskml_exec.linear_model._plan import HESSIAN, Plan, Shape, plan_for
from daskml_exec.linear_model._problem import GLMProblem, Parameters
from daskml_exec.linear_model._solve import FittedLinear, solve
from daskml_exec.partitions import without_fold
from daskml_exec.training import Callback, History, reduce, train
from daskml_exec.training.folds import LostClassError

# Hessians of all penalties, on the driver and in each answer.
_HESSIAN_BYTES = 512e6
# Rows per coordinate that Hessians come from: of those of many models the error costs more rounds.
_HESSIAN_ROWS = 100
# Below so many floating-point operations, Hessians of all models cost no more than their round.
_FREE_FLOPS = 4e8


@dataclass(frozen=True)
class Scorer:
    """How models are scored on the fold that they have not seen.

    Attributes
    ----------
    names : tuple of str
        Of scorings; by the first one is chosen.
    responses : ClassResponses or MeanResponses
    columns : object
        Gives back y and weights as the user gave them.
    weighted : bool
        Whether weights count.
    """

    names: tuple[str, ...]
    responses: ClassResponses | MeanResponses
    columns: Any
    weighted: bool

    def query(self, coef: Array, intercept: Array) -> HeldOut:
        """Return the query for coefficients (F, J, K, d) and intercepts (F, J, K)."""
        return HeldOut(self.names, self.responses, self.columns, self.weighted, coef, intercept)


@dataclass(frozen=True)
class Request:
    """What is to be fitted.

    Attributes
    ----------
    problems : tuple of GLMProblem
        One for each penalty.
    n_folds, n_classes : int
    tol : float
    max_iter : int
    scorer : Scorer
    choose : callable
        Returns which penalty is fitted again to all rows, of scores (S, F, J); None if none is.
    """

    problems: tuple[GLMProblem, ...]
    n_folds: int
    n_classes: int
    tol: float
    max_iter: int
    scorer: Scorer
    choose: Callable[[Array], int | None]


@dataclass(frozen=True)
class PathFit:
    """What came of it.

    Attributes
    ----------
    coef : ndarray of shape (F, J, K, d)
    intercept : ndarray of shape (F, J, K)
    scores : ndarray of shape (S, F, J)
    n_iter : ndarray of int of shape (F, J)
    norms : ndarray of shape (F, J)
        Of the gradients, in their unit.
    converged : ndarray of bool of shape (F, J)
    best : int or None
        The penalty that was fitted again.
    final : FinalFit or None
        What came of that.
    history : History
    together : bool
        Whether models shared passes.
    stopped : bool
        Whether a callback stopped it.
    """

    coef: Array
    intercept: Array
    scores: Array
    n_iter: Array
    norms: Array
    converged: Array
    best: int | None
    final: "FinalFit | None"
    history: History
    together: bool
    stopped: bool


@dataclass(frozen=True)
class FinalFit:
    """The chosen penalty's model, of all rows."""

    parameters: Parameters
    n_iter: int
    converged: bool
    norm: float


def share_passes(plans: Sequence[Plan], shape: Shape) -> bool:
    """Whether the models of a path can share passes: where all their Hessians have room."""
    room = 8 * len(plans) * shape.coordinates**2 <= _HESSIAN_BYTES
    return room and all(plan.regime == HESSIAN for plan in plans)


def plans_of(problems: Sequence[GLMProblem], shape: Shape) -> tuple[Plan, ...]:
    """Return the plan of each by itself."""
    penalised = all(problem.penalty.strength > 0 for problem in problems)
    return tuple(
        plan_for("auto", penalised, shape, sparse=problem.penalty.sparse) for problem in problems
    )


def fit_path(
    request: Request,
    plans: Sequence[Plan],
    shape: Shape,
    partitions: Any,
    *,
    callbacks: Sequence[Callback],
    name: str,
) -> PathFit:
    """Fit and score the models of all penalties and folds, and the chosen one to all rows.

    Parameters
    ----------
    request : Request
    plans : sequence of Plan
        Of each model by itself.
    shape : Shape
    partitions : Partitions or Pieces
        With folds.
    callbacks : sequence of callables
    name : str
        What tasks are called.
    """
    if share_passes(plans, shape):
        try:
            return _together(request, plans, shape, partitions, callbacks, name)
        except LostCodeError as error:
            classes = getattr(request.scorer.responses, "classes", [error.code])
            raise LostClassError(error.fold, np.asarray(classes).tolist()[error.code]) from None
    return fit_one_by_one(request, plans, partitions, callbacks=callbacks, name=name)


def _together(
    request: Request,
    plans: Sequence[Plan],
    shape: Shape,
    partitions: Any,
    callbacks: Sequence[Callback],
    name: str,
) -> PathFit:
    rows = max(1, shape.rows)
    share = max(plan.hessian_share for plan in plans)
    by = Path(
        request.problems,
        request.n_folds,
        request.n_classes,
        request.tol,
        request.max_iter,
        min(1.0, max(share, _HESSIAN_ROWS * shape.coordinates / rows)),
        max(plan.pool_share for plan in plans),
        not plans[0].every_round and shape.outputs == 1,
        request.n_folds * len(request.problems) * rows * shape.coordinates**2 <= _FREE_FLOPS,
        plans[0].patience,
        request.scorer.query,
        request.choose,
    )
    fitted = train(by, PathBeginning(), partitions, callbacks=callbacks, name=name)
    state: Any = fitted.state
    own = getattr(state, "own", state)
    if isinstance(state, CommonRounds):  # stopped there
        own = by.apart(state)
    assert isinstance(own, OwnRounds)
    scores, best = getattr(state, "scores", None), None
    if scores is None:
        query = by.held_out(own)
        scores = query.scores(reduce(query, partitions))
        best = request.choose(scores)
    final = None
    if isinstance(state, Refit):
        model = state.model
        best, search = model.penalty, model.search
        at = own.ground.coordinates[best].parameters(search.point)
        final = FinalFit(Parameters(*at), search.n_iter, search.converged, model.norm)
    coef, intercept = by.by_fold(own)

    def by_fold(values: Any) -> Array:
        return np.ascontiguousarray(np.array(values).reshape(-1, request.n_folds).T)

    return PathFit(
        coef,
        intercept,
        scores,
        by_fold([each.search.n_iter for each in own.models]),
        by_fold([each.norm for each in own.models]),
        by_fold([each.search.converged for each in own.models]),
        best,
        final,
        fitted.history,
        together=True,
        stopped=fitted.stopped == "callback",
    )


def fit_one_by_one(
    request: Request,
    plans: Sequence[Plan],
    partitions: Any,
    *,
    callbacks: Sequence[Callback],
    name: str,
) -> PathFit:
    """Fit each model by itself on the same rows, those of its fold silenced.

    Parameters are those of `fit_path`.
    """
    problems, F = request.problems, request.n_folds
    # From the strongest penalty on: each solution is a start for the next.
    order = sorted(range(len(problems)), key=lambda j: -problems[j].penalty.strength)
    found: dict[tuple[int, int], FittedLinear] = {}
    records: list[Any] = []

    def fit(j: int, rows: Any, start: Parameters | None) -> FittedLinear:
        fitted = solve(
            plans[j],
            problems[j],
            rows,
            tol=request.tol,
            max_iter=request.max_iter,
            start=start,
            callbacks=callbacks,
            view=_parameters_alone,
            name=name,
        )
        records.extend(fitted.history)
        return fitted

    for k in range(F):
        rows = without_fold(partitions, k)
        start = None
        try:
            for j in order:
                found[k, j] = fit(j, rows, start)
                start = found[k, j].state.parameters
        finally:
            rows.release()

    def all_of(value: Callable[[FittedLinear], Any]) -> Array:
        return np.array([[value(found[k, j]) for j in range(len(problems))] for k in range(F)])

    coef = all_of(lambda each: each.state.parameters.coef)
    intercept = all_of(lambda each: each.state.parameters.intercept)
    query = request.scorer.query(coef, intercept)
    scores = query.scores(reduce(query, partitions))
    best, final = request.choose(scores), None
    if best is not None:
        middle = Parameters(coef[:, best].mean(axis=0), intercept[:, best].mean(axis=0))
        state = fit(best, partitions, middle).state
        final = FinalFit(state.parameters, state.n_iter, state.converged, state.gradient_norm)
    numbered = tuple(replace(record, round=n) for n, record in enumerate(records))
    return PathFit(
        coef,
        intercept,
        scores,
        all_of(lambda each: each.state.n_iter),
        all_of(lambda each: each.state.gradient_norm),
        all_of(lambda each: each.state.converged),
        best,
        final,
        History(numbered, len(partitions.rows)),
        together=False,
        stopped=any(each.stopped for each in found.values()),
    )


def _parameters_alone(parameters: Parameters) -> Callable[[Any], Parameters]:
    return lambda units: parameters
