"""Ridge regression whose penalty is chosen by leaving rows out, one by one or by folds."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV as SklearnRidgeCV
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from daskml_exec.executor import in_threads
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.leave_one_out import LeftOut, Ridges
from daskml_exec.linear_model._chosen import choice_of
from daskml_exec.linear_model._fold_totals import LeaveOneOut
from daskml_exec.linear_model._least_squares import Normal, Totals
from daskml_exec.linear_model._moment_path import MSE, R2, RMSE, refined, solve_path
from daskml_exec.linear_model._path_fit import Request
from daskml_exec.linear_model._path_warnings import not_refined
from daskml_exec.linear_model._plan import GRAM, least_squares_plan
from daskml_exec.linear_model._problem import GLMProblem, Penalty
from daskml_exec.linear_model._regression_cv import (
    Choosing,
    ChosenRegressor,
    LoadedRows,
    penalty_values,
)
from daskml_exec.metrics import get_scorer
from daskml_exec.partitions import not_finite
from daskml_exec.training import Callback, all_or_nothing, reduce, telling, warn_of

_LEFT_ONE_BY_ONE = (None, MSE, RMSE, R2)


class RidgeCV(ChosenRegressor):
    r"""`Ridge` whose alpha is chosen on rows that training has not seen, in two passes or one.

    Without `cv` each row is left out by itself, exactly and in closed form: one pass over the rows
    sums the normal equations, and a second one the squared errors
    :math:`((y_i - \hat y_i) / (1 - h_i))^2` for all alphas at once. With `cv` one pass sums the
    moments of each fold, and models and their errors follow on the driver.

    Parameters
    ----------
    alphas : float or array-like of float, default=(0.1, 1.0, 10.0)
        Values of alpha, as of `Ridge`; above 0, or from 0 with `cv`.
    fit_intercept : bool, default=True
        Whether there is an intercept b; without, it is zero.
    scoring : str or None, default=None
        A name that `daskml_exec.metrics.get_scorer` knows; without `cv` one of
        "neg_mean_squared_error", "neg_root_mean_squared_error" and "r2". None means the mean of
        weight times squared error over rows without `cv`, and "r2" with it. Weights count in all.
    cv : int, splitter, iterable of pairs, or None, default=None
        Folds as of `ElasticNetCV`; None leaves each row out by itself.
    tol : float, default=1e-10
        As of `Ridge`, of the model of all rows.
    max_iter : int, default=2000
        As of `Ridge`, of the model of all rows.
    refit : {True, "1se"}, default=True
        Which alpha is fitted to all rows: that of the best score; or with "1se", which needs `cv`,
        the largest whose mean score is within one standard error of the best.
    verbose : int, default=0
        As of `LogisticRegression`.
    callbacks : sequence of callables, optional
        As of `Ridge`: they are told of the model of all rows.

    Attributes
    ----------
    alpha_ : float
        That was chosen.
    best_score_ : float
        Its score.
    scores_ : ndarray of shape (n_alphas,), or (n_folds, n_alphas)
        Of all alphas; with `cv` by fold.
    alphas_ : ndarray of shape (n_alphas,)
    coef_, intercept_, n_iter_, n_features_in_, feature_names_in_, history_
        As of `Ridge`.

    Notes
    -----
    A row of weight zero counts as a row that is not there, also in the mean over rows. With more
    than 6,000 features (1,000 sparse ones) models are fitted one after another on the same loaded
    rows, which needs `cv`.

    References
    ----------
    Golub, Heath and Wahba (1979), Generalized cross-validation as a method for choosing a good
    ridge parameter, Technometrics 21; Hastie, Tibshirani and Friedman (2009), The Elements of
    Statistical Learning, section 7.10.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from daskml_exec.linear_model import RidgeCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = RidgeCV(alphas=[1e-3, 1e-2, 1e-1, 1]).fit(X, y)
    >>> model.alpha_, round(model.score(X, y), 3)
    (0.01, 0.517)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "alphas": [Interval(Real, 0, None, closed="neither"), "array-like"],
        "fit_intercept": ["boolean"],
        "scoring": [str, None],
        "cv": ["cv_object"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "refit": [Options(bool, {True}), StrOptions({"1se"})],
        "verbose": ["verbose"],
        "callbacks": ["array-like", None],
    }

    alpha_: float
    best_score_: float
    scores_: NDArray[np.float64]
    alphas_: NDArray[np.float64]

    def __init__(
        self,
        alphas: Any = (0.1, 1.0, 10.0),
        *,
        fit_intercept: bool = True,
        scoring: str | None = None,
        cv: Any = None,
        tol: float = 1e-10,
        max_iter: int = 2000,
        refit: Literal[True, "1se"] = True,
        verbose: int = 0,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv
        self.tol = tol
        self.max_iter = max_iter
        self.refit = refit
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, groups: Any = None
    ) -> "RidgeCV":
        """Score all alphas, choose one, and fit it to all rows.

        Parameters
        ----------
        X, y, sample_weight : as in `Ridge.fit`
            Rows, targets and weights.
        groups : the same kinds, shape (n,), optional
            Of rows, where `cv` wants them.

        Returns
        -------
        RidgeCV
            This estimator, fitted.

        Raises
        ------
        ValueError
            An argument is not as described; the message names it, what came and what is allowed.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            Models stopped before `tol`: which, and how many.
        """
        with all_or_nothing(self), telling(self, X, y, sample_weight):
            alphas = penalty_values("alphas", np.atleast_1d(self.alphas), zero=self.cv is not None)
            self._check_scoring()
            penalties = [Penalty(alpha, of_sum=True) for alpha in alphas.tolist()]
            choose = choice_of(self.refit, alphas.tolist())
            weakest = min(penalties, key=lambda each: each.strength)
            with self._loaded_rows(X, y, sample_weight, weakest) as rows:
                if self.cv is None:
                    best = self._fit_leaving_one_out(rows, penalties)
                else:
                    by = Choosing(
                        lambda totals, scaling: penalties,
                        self._plan_of(penalties),
                        self.scoring or R2,
                        choose,
                        lambda j: f"alpha={alphas[j]:g}",
                    )
                    found = self._fit_folds(rows, self.cv, groups, by)
                    best, self.scores_ = int(found.best or 0), found.scores[0]
                    self.best_score_ = float(self.scores_[:, best].mean())
            self.alpha_, self.alphas_ = float(alphas[best]), alphas
        return self

    def _check_scoring(self) -> None:
        if self.cv is None:
            if self.scoring not in _LEFT_ONE_BY_ONE:
                raise ValueError(
                    f"scoring={self.scoring!r} with cv=None, which leaves out rows one by one; "
                    f"allowed are {_LEFT_ONE_BY_ONE}, or folds, such as cv=5"
                )
            if self.refit != True:  # noqa: E712
                raise ValueError(
                    f"refit={self.refit!r} with cv=None; allowed is refit=True, or folds, such as "
                    "cv=5"
                )
        elif self.scoring is not None:
            get_scorer(self.scoring)

    def _plan_of(self, penalties: Sequence[Penalty]) -> Any:
        penalised = all(each.strength > 0 for each in penalties)
        return lambda shape: least_squares_plan(shape, penalised=penalised)

    def _fit_leaving_one_out(self, rows: LoadedRows, penalties: Sequence[Penalty]) -> int:
        """Train and score the models, set the best one, and return which it is."""
        callbacks = self._begin(rows, self._plan_of(penalties))
        if self._plan.regime != GRAM:
            raise ValueError(
                f"cv=None for {self._shape.features:,} features, whose normal equations are too "
                "large; allowed are folds, such as cv=5"
            )
        totals = reduce(Normal(), rows.partitions)
        if totals.place is not None:
            raise not_finite(totals.place)
        problems = tuple(map(rows.problem, penalties))
        (ridges,) = in_threads(lambda given: _ridges(problems, given), [totals])
        left_out = reduce(LeaveOneOut(ridges), rows.partitions)
        exponent = rows.partitions.form.exponent
        self.scores_ = _scores(self.scoring, left_out, totals, exponent)
        best = int(np.argmax(self.scores_))
        request = Request(problems, 0, 1, self.tol, self.max_iter, rows.scorer(MSE), np.argmax)
        name = type(self).__name__.lower()
        final, fitted = refined(
            request, problems[best], self._plan, totals, rows.partitions, None, callbacks, name
        )
        rows.set_fitted(self, final.parameters)
        self.n_iter_, self.history_ = int(final.n_iter), fitted.history
        self.best_score_ = float(self.scores_[best])
        self._models = f"{len(penalties):,} penalties, each row left out by itself"
        if fitted.stopped != "callback":
            warn_of(not_refined(self, final, f"alpha={penalties[best].strength:g}"))
        return best

    def to_sklearn(self) -> SklearnRidgeCV:
        """Return the fitted model as scikit-learn's own, which knows nothing of Dask.

        Returns
        -------
        sklearn.linear_model.RidgeCV
            With copies of the fitted attributes.
        """
        check_is_fitted(self)
        cv = self.cv if self.cv is None or isinstance(self.cv, Integral) else None
        model = SklearnRidgeCV(
            alphas=self.alphas, fit_intercept=self.fit_intercept, scoring=self.scoring, cv=cv
        )
        return self._copy_fitted(model, "alpha_", "best_score_", "coef_", "intercept_")


def _ridges(problems: Sequence[GLMProblem], totals: Totals) -> Ridges:
    """Return the models, and the eigenvectors that leverages come from."""
    moments, problem = totals.moments, problems[0]
    coef, intercept = solve_path(problems, moments)
    scatter, mean = moments.scatter[:-1, :-1], moments.mean[:-1]
    centre = mean if problem.fit_intercept else np.zeros_like(mean)
    if not problem.fit_intercept:
        scatter = scatter + moments.weight * np.outer(mean, mean)
    factors = problem.penalty.factors
    inverse = np.ones_like(mean) if factors is None else 1.0 / np.sqrt(factors)
    values, vectors = scipy.linalg.eigh(scatter * np.outer(inverse, inverse), check_finite=False)
    strengths = np.array([each.penalty.strength for each in problems])
    return Ridges(
        centre,
        coef,
        intercept + coef @ centre,
        inverse[:, None] * vectors,
        1.0 / (np.maximum(values, 0.0)[:, None] + strengths),
        1.0 / moments.weight if problem.fit_intercept else 0.0,
    )


def _scores(scoring: str | None, left_out: LeftOut, totals: Totals, exponent: int) -> Array:
    scores: Array
    if scoring is None:  # scikit-learn's: a sum with weights over a count without
        scores = -np.ldexp(left_out.errors, exponent) / left_out.rows
    elif scoring == R2:
        scores = 1.0 - left_out.errors / float(totals.moments.scatter[-1, -1])
    else:
        means = left_out.errors / totals.moments.weight
        scores = -means if scoring == MSE else -np.sqrt(means)
    return scores
