"""Regressions of all penalties and folds from one pass over the rows, solved on the driver.

The moments of a training set are the sum of those of the other folds, and the squared errors on
the rows held out follow from the moments of their own fold.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from daskml_exec.executor import in_threads
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.coordinate_descent import descent_path
from daskml_exec.kernels.cross_moments import CrossMoments
from daskml_exec.kernels.fold_moments import squared_errors, trained_on
from daskml_exec.linear_model._fold_totals import FoldTotals
from daskml_exec.linear_model._lasso_rounds import Lasso, LassoBeginning
from daskml_exec.linear_model._least_squares import (
    LeastSquares,
    LeastSquaresBeginning,
    Totals,
    equations,
)
from daskml_exec.linear_model._path_fit import FinalFit, PathFit, Request
from daskml_exec.linear_model._plan import Plan
from daskml_exec.linear_model._problem import GLMProblem, Parameters
from daskml_exec.partitions import not_finite
from daskml_exec.training import Callback, reduce, train

MSE, RMSE, R2 = "neg_mean_squared_error", "neg_root_mean_squared_error", "r2"
# Errors that are a smaller share of the target's spread are summed over the rows held out, as
# moments have too few of their digits.
_LOST = 1e-6


def solve_path(problems: Sequence[GLMProblem], moments: CrossMoments) -> tuple[Array, Array]:
    """Return coefficients (J, d) and intercepts (J,) of the problems' models of some rows.

    Neighbours with the same share of L1 are one path, best from the strongest penalty on.

    Parameters
    ----------
    problems : sequence of GLMProblem
        Alike but for their penalties.
    moments : CrossMoments
        Of the rows.
    """
    coef, intercept = [], []
    for (sparse, _), group in groupby(problems, _path_of):
        for found in (_l1_path if sparse else _one_by_one)(list(group), moments):
            coef.append(found.coef[0])
            intercept.append(found.intercept[0])
    return np.array(coef), np.array(intercept)


def _path_of(problem: GLMProblem) -> tuple[bool, float]:
    return problem.penalty.sparse, problem.penalty.l1_share


def _one_by_one(problems: Sequence[GLMProblem], moments: CrossMoments) -> list[Parameters]:
    beginning, total = LeastSquaresBeginning(1), Totals(moments)
    return [LeastSquares(each, 0.0).solved(beginning, total).parameters for each in problems]


def _l1_path(problems: Sequence[GLMProblem], moments: CrossMoments) -> list[Parameters]:
    # Coordinates without a penalty, so that it is the same matrix for all of them.
    given = equations(problems[0].without_penalty(), Totals(moments))
    to, d = given.coordinates, len(given.right)
    l1, l2 = (
        np.array([np.broadcast_to(f(each.penalty)(given.weight), d) for each in problems])
        for f in (lambda penalty: penalty.l1_by_column, lambda penalty: penalty.by_column)
    )
    points = descent_path(given.matrix, given.right, l1 * to.inverse, l2 * to.inverse**2)
    if problems[0].fit_intercept:
        last = np.full((len(points), 1), given.target.mean * to.intercept_scale)
        points = np.concatenate([points, last], axis=1)
    return [Parameters(*to.parameters(point[None])) for point in points]


def fit_from_moments(
    request: Request,
    plan: Plan,
    totals: FoldTotals,
    partitions: Any,
    *,
    callbacks: Sequence[Callback],
    name: str,
) -> PathFit:
    """Fit and score the models of all penalties and folds, and the chosen one to all rows.

    Parameters
    ----------
    request : Request
    plan : Plan
    totals : FoldTotals
    partitions : Partitions or Pieces
        With folds.
    callbacks : sequence of callables
        Told of the refinements of the chosen model.
    name : str
        What tasks are called.

    Raises
    ------
    ValueError
        A value is not finite, or a fold is without weight, or all rows of weight are in it.
    """
    if totals.place is not None:
        raise not_finite(totals.place)
    F, problems = request.n_folds, request.problems
    training = [_training(totals, k) for k in range(F)]
    found = list(in_threads(partial(solve_path, problems), training))
    coef, intercept = (np.array(each) for each in zip(*found, strict=True))
    scores = _scores(request, totals, coef, intercept)
    if scores is None:
        query = request.scorer.query(coef[:, :, None], intercept[:, :, None])
        scores = query.scores(reduce(query, partitions))
    best = request.choose(scores)
    assert best is not None
    middle = Parameters(coef[:, best].mean(axis=0)[None], intercept[:, best].mean(axis=0)[None])
    final, fitted = refined(
        request, problems[best], plan, totals.all_rows, partitions, middle, callbacks, name
    )
    J = len(problems)
    return PathFit(
        coef[:, :, None],
        intercept[:, :, None],
        scores,
        np.ones((F, J), np.int64),
        np.zeros((F, J)),
        np.ones((F, J), bool),
        best,
        final,
        fitted.history,
        together=True,
        stopped=fitted.stopped == "callback",
    )


def refined(
    request: Request,
    problem: GLMProblem,
    plan: Plan,
    totals: Totals,
    partitions: Any,
    start: Parameters | None,
    callbacks: Sequence[Callback],
    name: str,
) -> tuple[FinalFit, Any]:
    """Return the model of all rows, from their moments, refined by rounds over them."""
    algorithm: Any
    state: Any
    if problem.penalty.sparse:
        algorithm = Lasso(problem, request.tol)
        state, _ = LassoBeginning(plan, request.max_iter, start).tell(algorithm, totals)
    else:
        algorithm = LeastSquares(problem, request.tol)
        state = algorithm.solved(LeastSquaresBeginning(request.max_iter), totals)
    fitted = train(algorithm, state, partitions, callbacks=callbacks, name=name)
    last: Any = fitted.state.solution
    return FinalFit(last.parameters, last.n_iter, last.converged, last.gradient_norm), fitted


def _training(totals: FoldTotals, k: int) -> CrossMoments:
    held_out, training = totals.by_fold[k], trained_on(totals.by_fold, k)
    for moments, of in ((held_out, "rows to test"), (training, "rows to train on")):
        if not moments.weight > 0:
            raise ValueError(
                f"fold {k} has no {of} with a positive weight; allowed are folds that have some"
            )
    return training


def _scores(request: Request, totals: FoldTotals, coef: Array, intercept: Array) -> Array | None:
    """Return the scores, (1, F, J), if moments say them to enough digits."""
    name = request.scorer.names[0]
    if name not in _OF_ERRORS:
        return None
    scores = []
    for k, held_out in enumerate(totals.by_fold[: request.n_folds]):
        errors = squared_errors(held_out, coef[k], intercept[k])
        spread = float(held_out.scatter[-1, -1])
        terms = spread + held_out.weight * (held_out.mean[-1] - intercept[k]) ** 2
        if (errors < _LOST * terms).any() or (name == R2 and not spread > 0):
            return None
        scores.append(_OF_ERRORS[name](errors, held_out.weight, spread))
    return np.array(scores)[None]


_OF_ERRORS: dict[str, Callable[[Array, float, float], Array]] = {
    MSE: lambda errors, weight, spread: -errors / weight,
    RMSE: lambda errors, weight, spread: -np.sqrt(errors / weight),
    R2: lambda errors, weight, spread: 1.0 - errors / spread,
}
