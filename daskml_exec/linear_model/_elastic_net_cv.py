"""Regression with a share of L1 whose penalty is chosen by cross-validation, from one pass."""

from collections.abc import Sequence
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import ElasticNetCV as SklearnElasticNetCV
from sklearn.linear_model import LassoCV as SklearnLassoCV
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from daskml_exec.kernels.arrays import Array
from daskml_exec.linear_model._chosen import choice_of
from daskml_exec.linear_model._fold_totals import FoldTotals
from daskml_exec.linear_model._moment_path import MSE
from daskml_exec.linear_model._path_plot import plot_path
from daskml_exec.linear_model._plan import l1_plan, least_squares_plan
from daskml_exec.linear_model._problem import Penalty
from daskml_exec.linear_model._regression_cv import Choosing, ChosenRegressor, penalty_values
from daskml_exec.linear_model._scaling import Scaling
from daskml_exec.partitions import not_finite
from daskml_exec.training import Callback, all_or_nothing, telling

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RESOLUTION = float(np.finfo(np.float64).resolution)


class ElasticNetCV(ChosenRegressor):
    r"""`ElasticNet` whose alpha and l1_ratio are chosen by cross-validation, from one pass.

    One pass over the rows sums the moments of each fold. All models of all penalties and folds are
    solved from them on the driver, to rounding, and so are their errors on the rows held out.

    Parameters
    ----------
    l1_ratio : float or array-like of float, default=0.5
        The share of L1 in the penalty, from 0 to 1; of several the best is chosen.
    eps : float, default=1e-3
        The smallest alpha of a grid, as a share of the largest.
    alphas : int or array-like of float, default=100
        Values of alpha, as of `ElasticNet`; an integer is that many for each `l1_ratio`, on a
        logarithmic scale down from the least for which no coefficient is in force.
    fit_intercept : bool, default=True
        Whether there is an intercept b; without, it is zero.
    cv : int, splitter, iterable of pairs, or None, default=None
        Folds: an integer means `KFold`, as does None, with five; `KFold`, `GroupKFold` or
        `PredefinedSplit` of this package or scikit-learn; or pairs of row numbers to train on and
        to test, in which each row is tested at most once, and trained on in all other pairs.
    tol : float, default=1e-10
        As of `ElasticNet`, of the model of all rows.
    max_iter : int, default=2000
        As of `ElasticNet`, of the model of all rows.
    refit : {True, "1se"}, default=True
        Which penalty is fitted to all rows: that of the least mean error; or with "1se" that with
        the largest alpha whose mean error is within one standard error of the least.
    verbose : int, default=0
        As of `LogisticRegression`.
    callbacks : sequence of callables, optional
        As of `ElasticNet`: they are told of the model of all rows.

    Attributes
    ----------
    alpha_ : float
    l1_ratio_ : float
        That were chosen.
    mse_path_ : ndarray of shape (n_l1_ratio, n_alphas, n_folds), or (n_alphas, n_folds)
        Mean squared errors on the rows of each fold, by weight; without axes of length one.
    alphas_ : ndarray of shape (n_alphas,), or (n_l1_ratio, n_alphas)
        From the largest. With an axis for several `l1_ratio` whose grids were computed.
    coef_, intercept_, n_iter_, n_features_in_, feature_names_in_, history_
        As of `ElasticNet`, of the model of all rows.

    Notes
    -----
    With more than 6,000 features (1,000 sparse ones) models are fitted one after another on the
    same loaded rows; then `alphas` must be values, and `explain` says so.

    References
    ----------
    Friedman, Hastie and Tibshirani (2010), Regularization paths for generalized linear models via
    coordinate descent, Journal of Statistical Software 33; Hastie, Tibshirani and Friedman (2009),
    The Elements of Statistical Learning, section 7.10.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from daskml_exec.linear_model import ElasticNetCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = ElasticNetCV(l1_ratio=[0.5, 0.9], alphas=20, cv=3).fit(X, y)
    >>> model.l1_ratio_, model.mse_path_.shape
    (0.9, (2, 20, 3))
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), "array-like"],
        "eps": [Interval(Real, 0, 1, closed="neither")],
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "fit_intercept": ["boolean"],
        "cv": ["cv_object"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "refit": [Options(bool, {True}), StrOptions({"1se"})],
        "verbose": ["verbose"],
        "callbacks": ["array-like", None],
    }

    alpha_: float
    l1_ratio_: float
    mse_path_: NDArray[np.float64]
    alphas_: NDArray[np.float64]

    def __init__(
        self,
        *,
        l1_ratio: Any = 0.5,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        cv: Any = None,
        tol: float = 1e-10,
        max_iter: int = 2000,
        refit: Literal[True, "1se"] = True,
        verbose: int = 0,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.l1_ratio = l1_ratio
        self.eps = eps
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.tol = tol
        self.max_iter = max_iter
        self.refit = refit
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, groups: Any = None
    ) -> "ElasticNetCV":
        """Train the models of all penalties and folds, choose one, and fit it to all rows.

        Parameters
        ----------
        X, y, sample_weight : as in `ElasticNet.fit`
            Rows, targets and weights.
        groups : the same kinds, shape (n,), optional
            Of rows, where `cv` wants them.

        Returns
        -------
        ElasticNetCV
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
            ratios = _ratios(self.l1_ratio)
            given = None
            if not isinstance(self.alphas, Integral):
                given = np.sort(penalty_values("alphas", self.alphas, zero=True))[::-1]
            elif not ratios.all():
                raise ValueError(
                    f"l1_ratio={self.l1_ratio!r} with alphas={self.alphas!r}: where there is no "
                    "L1 no alpha is the least without coefficients in force; allowed are values of "
                    "alphas, or l1_ratio above 0"
                )
            weakest = Penalty(1.0 if given is None else float(given[-1]), of_sum=False)
            grids: list[Array] = []

            def penalties_of(totals: FoldTotals | None, scaling: Scaling | None) -> list[Penalty]:
                grids.extend(self._grids(ratios, given, totals, scaling))
                penalties = [
                    Penalty(alpha, of_sum=False, l1_share=ratio)
                    for ratio, grid in zip(ratios.tolist(), grids, strict=True)
                    for alpha in grid.tolist()
                ]
                sparse = {each.sparse for each in penalties}
                if totals is None and len(sparse) > 1:
                    raise ValueError(
                        f"l1_ratio={self.l1_ratio!r} with alphas={self.alphas!r}, and features too "
                        "many for one pass; allowed are penalties that all have a share of L1"
                    )
                return penalties

            def choose(scores: Array) -> Any:
                return choice_of(self.refit, np.concatenate(grids).tolist())(scores)

            def in_words(j: int) -> str:
                k, i = divmod(j, len(grids[0]))
                return f"alpha={grids[k][i]:g}, l1_ratio={ratios[k]:g}"

            plan_of = partial(l1_plan, least_squares=True)
            if not ratios.any():
                plan_of = partial(least_squares_plan, penalised=True)
            with self._loaded_rows(X, y, sample_weight, weakest) as rows:
                by = Choosing(penalties_of, plan_of, MSE, choose, in_words)
                found = self._fit_folds(rows, self.cv, groups, by)
            alphas = np.array(grids)
            k, i = divmod(int(found.best or 0), alphas.shape[1])
            self._errors = np.moveaxis(-found.scores[0].reshape(-1, *alphas.shape), 0, 2)
            self.alpha_, self.l1_ratio_ = float(alphas[k, i]), float(ratios[k])
            self.mse_path_ = np.squeeze(self._errors)
            self.alphas_ = alphas if given is None and len(ratios) > 1 else alphas[0]
            self._chosen_path = k
        return self

    _errors: NDArray[np.float64]
    _chosen_path: int

    def _grids(
        self, ratios: Array, given: Array | None, totals: FoldTotals | None, scaling: Any
    ) -> list[Array]:
        if given is not None:
            return [given for _ in ratios]
        if totals is None:
            raise ValueError(
                f"alphas={self.alphas!r} for {self._shape.features:,} features, whose moments are "
                "too many; allowed are values of alphas, or fewer features"
            )
        if totals.place is not None:
            raise not_finite(totals.place)
        moments = totals.all_rows.moments
        cross = moments.scatter[:-1, -1] / moments.weight
        if not self.fit_intercept:
            cross = cross + moments.mean[:-1] * moments.mean[-1]
        if scaling is not None:
            cross = cross / np.sqrt(scaling.factors)
        largest = float(np.abs(cross).max(initial=0.0))
        return [_grid(largest / ratio, self.eps, int(self.alphas)) for ratio in ratios.tolist()]

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the mean error against alpha, with one standard error, and what was chosen.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib Axes
            With a logarithmic axis for alpha; for the `l1_ratio` that was chosen.

        Raises
        ------
        ImportError
            matplotlib is not installed (``pip install daskml-exec[notebook]``).
        """
        check_is_fitted(self)
        alphas = self.alphas_ if self.alphas_.ndim == 1 else self.alphas_[self._chosen_path]
        scores = -self._errors[self._chosen_path].T
        return plot_path(ax, alphas, scores, alphas, self.alpha_, ("alpha", MSE))

    def to_sklearn(self) -> SklearnElasticNetCV:
        """Return the fitted model as scikit-learn's own, which knows nothing of Dask.

        Returns
        -------
        sklearn.linear_model.ElasticNetCV
            With copies of the fitted attributes.
        """
        check_is_fitted(self)
        model = SklearnElasticNetCV(l1_ratio=self.l1_ratio, **self._settings())
        return self._copy_fitted(model, *_FITTED, "l1_ratio_")

    def _settings(self) -> dict[str, Any]:
        cv = self.cv if self.cv is None or isinstance(self.cv, Integral) else None
        # Before scikit-learn 1.7 `alphas` was no number of them.
        integer = isinstance(self.alphas, Integral)
        named = integer and SklearnLassoCV().alphas is None
        return {
            "eps": self.eps,
            "n_alphas" if named else "alphas": self.alphas,
            "fit_intercept": self.fit_intercept,
            "cv": cv,
        }


_FITTED = ("alpha_", "mse_path_", "alphas_", "coef_", "intercept_", "n_iter_")


class LassoCV(ElasticNetCV):
    r"""`Lasso` whose alpha is chosen by cross-validation, from one pass over the rows.

    Parameters
    ----------
    eps, alphas, fit_intercept, cv, tol, max_iter, refit, verbose, callbacks : as of `ElasticNetCV`
        With an `l1_ratio` of one.

    Attributes
    ----------
    alpha_ : float
        That was chosen.
    mse_path_ : ndarray of shape (n_alphas, n_folds)
    alphas_ : ndarray of shape (n_alphas,)
    coef_, intercept_, n_iter_, n_features_in_, feature_names_in_, history_
        As of `ElasticNetCV`.

    Notes
    -----
    It is `ElasticNetCV` with ``l1_ratio=1``, which says how it is solved.

    References
    ----------
    Tibshirani (1996), Regression shrinkage and selection via the lasso, Journal of the Royal
    Statistical Society B 58.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from daskml_exec.linear_model import LassoCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LassoCV(alphas=[1.0, 0.1, 0.01]).fit(X, y)
    >>> model.alpha_, model.mse_path_.mean(axis=1).round()
    (0.01, array([3851., 3009., 3000.]))
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        name: given
        for name, given in ElasticNetCV._parameter_constraints.items()
        if name != "l1_ratio"
    }

    l1_ratio = 1.0

    def __init__(
        self,
        *,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        cv: Any = None,
        tol: float = 1e-10,
        max_iter: int = 2000,
        refit: Literal[True, "1se"] = True,
        verbose: int = 0,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.eps = eps
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.tol = tol
        self.max_iter = max_iter
        self.refit = refit
        self.verbose = verbose
        self.callbacks = callbacks

    def to_sklearn(self) -> SklearnLassoCV:
        """Return the fitted model as scikit-learn's own, which knows nothing of Dask.

        Returns
        -------
        sklearn.linear_model.LassoCV
            With copies of the fitted attributes.
        """
        check_is_fitted(self)
        return self._copy_fitted(SklearnLassoCV(**self._settings()), *_FITTED)


def _ratios(given: Any) -> Array:
    values = np.atleast_1d(np.asarray(given, dtype=np.float64))
    if values.ndim != 1 or not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"l1_ratio={given!r}; allowed are one or more numbers from 0 to 1")
    return values


def _grid(largest: float, eps: float, n: int) -> Array:
    """Return alphas from the largest down, as scikit-learn's."""
    if largest <= _RESOLUTION:
        return np.full(n, _RESOLUTION)
    return np.geomspace(largest, largest * eps, num=n)
