"""Logistic regression whose penalty is chosen by cross-validation, in the passes of a few fits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV as SklearnLogisticRegressionCV
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from daskml_exec.kernels.distributions import Logistic
from daskml_exec.linear_model._chosen import choice_of
from daskml_exec.linear_model._explain import Explanation
from daskml_exec.linear_model._held_out import ClassResponses
from daskml_exec.linear_model._logistic import LogisticRegression, penalty_of, set_logistic
from daskml_exec.linear_model._parallel import DATA, Choice
from daskml_exec.linear_model._path_fit import PathFit, Request, Scorer, fit_path, plans_of
from daskml_exec.linear_model._path_plot import plot_path
from daskml_exec.linear_model._path_warnings import warnings_of
from daskml_exec.linear_model._problem import GLMProblem, Parameters
from daskml_exec.linear_model._solve import opening, prepare, shape_of
from daskml_exec.metrics import get_scorer
from daskml_exec.partitions import Labels, folded
from daskml_exec.training import Callback, Reached, all_or_nothing, telling, warn_of
from daskml_exec.training.folds import cross_validation

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class LogisticRegressionCV(LogisticRegression):
    r"""`LogisticRegression` whose C is chosen by cross-validation, with scikit-learn's answer.

    The models of all values of C and all folds are trained at once: a round asks the rows for the
    gradients of all of them in one product. First one point for each C serves the models of all
    folds, of which a row's residual is computed once and added to the sum of its fold; then each
    model searches on by itself, with a Hessian that the folds share and the gradients that it has
    seen so far. Models that have converged leave. So that fifty models take the time of a few.

    Parameters
    ----------
    Cs : int or array-like of float, default=10
        Values of C, as of `LogisticRegression`; an integer is that many on a logarithmic scale from
        1e-4 to 1e4.
    l1_ratios : array-like of float, default=(0.0,)
        Shares of L1 in the penalty, from 0 to 1, as `l1_ratio` of `LogisticRegression`; each is
        tried with each value of C.
    fit_intercept : bool, default=True
        Whether there is an intercept b; without, it is zero.
    cv : int, splitter, iterable of pairs, or None, default=None
        Folds: an integer means `StratifiedKFold`, as does None, with five; `KFold`,
        `StratifiedKFold`, `GroupKFold` or `PredefinedSplit` of this package or scikit-learn; or
        pairs of row numbers to train on and to test, in which each row is tested at most once, and
        trained on in all other pairs.
    scoring : str or None, default=None
        A name that `daskml_exec.metrics.get_scorer` knows. None means the share of rows, by weight,
        whose label is predicted; others do not count weights, as in scikit-learn.
    class_weight : dict, "balanced" or None, default=None
        As of `LogisticRegression`; "balanced" of all rows.
    tol : float, default=1e-7
        As of `LogisticRegression`, of each model. With the default, coefficients are within about
        1e-6 of the optimum.
    max_iter : int, default=2000
        Accepted steps of each model at most.
    refit : {True, False, "1se"}, default=True
        Which C is fitted to all rows: that of the best mean score; or with "1se" the smallest whose
        mean score is within one standard error of the best. With False the coefficients are the
        mean over folds of those that score best in each, and C_ and l1_ratio_ are means, too.
    verbose : int, default=0
        As of `LogisticRegression`.
    callbacks : sequence of callables, optional
        As of `LogisticRegression`. The state of an event's round is that of all models.

    Attributes
    ----------
    coef_, intercept_, classes_, n_features_in_, feature_names_in_, history_
        As of `LogisticRegression`. A record's ``scores["models"]`` says how many took part.
    C_ : float
        The value that was chosen.
    l1_ratio_ : float
        Likewise.
    Cs_ : ndarray of shape (n_Cs,)
    l1_ratios_ : ndarray of shape (n_l1_ratios,)
    scores_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        On the rows of each fold, which the models have not seen.
    coefs_paths_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs, 1 or n_classes, n_features + 1)
        Of all models; with the intercept behind the coefficients, if there is one.
    n_iter_ : ndarray of int of shape (n_folds, n_l1_ratios, n_Cs)
        Accepted steps of each model.
    refit_n_iter_ : int
        Of the model of all rows; 0 without `refit`.

    Notes
    -----
    Attributes have the shapes that scikit-learn's have with ``use_legacy_attributes=False``.

    Where a Hessian with a row for each coefficient has no place on the driver, above all for many
    sparse features, models are fitted one after another on the same loaded rows, each from the
    solution of the next stronger penalty; `explain` says which. No rows are copied: folds are two
    bytes a row.

    A scaler in front, in a pipeline, is fitted to all rows, as in scikit-learn;
    `daskml_exec.model_selection.GridSearchCV` fits one for each training set.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, sections 4.4 and
    7.10.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from daskml_exec.linear_model import LogisticRegressionCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = LogisticRegressionCV(Cs=[0.01, 1.0, 100.0], cv=3, scoring="neg_log_loss").fit(X, y)
    >>> model.C_, model.scores_.mean(axis=0).round(3)
    (100.0, array([[-0.127, -0.129, -0.124]]))
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "Cs": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "l1_ratios": ["array-like"],
        "fit_intercept": ["boolean"],
        "cv": ["cv_object"],
        "scoring": [str, None],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "refit": ["boolean", StrOptions({"1se"})],
        "verbose": ["verbose"],
        "callbacks": ["array-like", None],
    }

    # What `LogisticRegression` has as parameters, and this has no choice of.
    parallel = DATA  # type: ignore[assignment]
    n_blocks = "auto"
    l1_ratio = 0.0
    solver = "auto"
    warm_start = False

    C_: float
    l1_ratio_: float
    Cs_: NDArray[np.float64]
    l1_ratios_: NDArray[np.float64]
    scores_: NDArray[np.float64]
    coefs_paths_: NDArray[np.float64]
    refit_n_iter_: int
    _together: bool

    def __init__(
        self,
        *,
        Cs: Any = 10,
        l1_ratios: Any = (0.0,),
        fit_intercept: bool = True,
        cv: Any = None,
        scoring: str | None = None,
        class_weight: Any = None,
        tol: float = 1e-7,
        max_iter: int = 2000,
        refit: bool | Literal["1se"] = True,
        verbose: int = 0,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.scoring = scoring
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.refit = refit
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, groups: Any = None
    ) -> "LogisticRegressionCV":
        """Train the models of all values of C and all folds, choose one, and fit it to all rows.

        Parameters
        ----------
        X, y, sample_weight : as in `LogisticRegression.fit`
            Rows, labels and weights.
        groups : the same kinds, shape (n,), optional
            Of rows, where `cv` wants them.

        Returns
        -------
        LogisticRegressionCV
            This estimator, fitted.

        Raises
        ------
        ValueError
            An argument is not as described; or a training set has no row of a class.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            Some models stopped before `tol`: which, and how many.
        """
        with all_or_nothing(self), telling(self, X, y, sample_weight):
            executor: Any = self._check_arguments(X, y, sample_weight)
            Cs, shares = _values_of(self.Cs), _shares_of(self.l1_ratios)
            if self.scoring is not None:
                get_scorer(self.scoring)
            # As in scikit-learn, of equal scores the first is that of the first value of C.
            penalties = [
                replace(penalty_of(C), l1_share=share) for C in Cs.tolist() for share in shares
            ]
            X, scaling = self._unscaled(X, min(penalties, key=lambda each: each.strength))
            inputs = self._inputs(executor, X, y, sample_weight)
            target = Labels(class_weight=self.class_weight)
            with self._loaded(executor, inputs, target) as data:
                classes: Any = data.classes
                dtype = data.dtype
                cross = cross_validation(
                    self.cv, inputs[0], inputs[1], data, classifier=True, groups=groups
                )
                exponent = data.partitions.form.exponent
                scaling = scaling and scaling.of_rows(weighted=data.weighted)
                problems = tuple(
                    GLMProblem(
                        Logistic(len(classes)),
                        replace(
                            penalty.for_weights(exponent),
                            factors=None if scaling is None else scaling.factors,
                        ),
                        self.fit_intercept,
                        None if scaling is None else scaling.moments,
                    )
                    for penalty in penalties
                )
                request = Request(
                    problems,
                    cross.n_folds,
                    len(classes),
                    self.tol,
                    self.max_iter,
                    Scorer(
                        (self.scoring or "accuracy",),
                        ClassResponses(classes),
                        data.settled.columns,
                        weighted=self.scoring is None,
                    ),
                    choice_of(self.refit, [penalty.strength for penalty in penalties]),
                )
                partitions = folded(data.partitions, cross.column_of)
                try:
                    found = self._fitted(request, partitions)
                finally:
                    partitions.release()
            set_fitted = partial(set_logistic, classes=classes, dtype=dtype)
            if scaling is not None:
                set_fitted = scaling.setting(set_fitted)  # type: ignore[assignment]
            self._scaling = "" if scaling is None else scaling.in_words()
            self._set_path(found, Cs, shares, scaling, set_fitted)
            warn_of(warnings_of(self, found, _names(Cs, shares)))
        return self

    @property
    def _makes_zeros(self) -> bool:
        return bool(getattr(self, "l1_ratio_", 0.0) > 0 and np.isfinite(self.C_))

    def _fitted(self, request: Request, partitions: Any) -> PathFit:
        shape = shape_of(partitions, request.problems[0])
        plans = plans_of(request.problems, shape)
        self._shape, self._plan = shape, plans[0]
        self._choice = Choice(DATA, "models share rows")
        reached = Reached("iteration", 0, self.max_iter)
        callbacks = self._listeners(opening(shape, plans[0], partitions), reached)
        prepare(partitions, say=self._say)
        name = type(self).__name__.lower()
        return fit_path(request, plans, shape, partitions, callbacks=callbacks, name=name)

    def _set_path(
        self,
        found: PathFit,
        Cs: Any,
        shares: Any,
        scaling: Any,
        set_fitted: Callable[..., None],
    ) -> None:
        coef, intercept = found.coef, found.intercept
        if scaling is not None:
            intercept = intercept + coef @ scaling.centre
            coef = coef * scaling.scale
        if coef.shape[2] > 1:
            # L1 sees more than differences between classes, and has zeros to keep.
            smooth = np.tile(shares == 0.0, len(Cs))
            coef = np.where(smooth[:, None, None], coef - coef.mean(axis=2, keepdims=True), coef)
            intercept = intercept - intercept.mean(axis=2, keepdims=True)
        both = [coef, intercept[..., None]] if self.fit_intercept else [coef]

        def by_share(values: Any) -> Any:
            """Return values of penalties (F, J, ...) as (F, n_l1_ratios, n_Cs, ...)."""
            apart = values.reshape(len(values), len(Cs), len(shares), *values.shape[2:])
            return np.ascontiguousarray(np.swapaxes(apart, 1, 2))

        self.coefs_paths_ = by_share(np.concatenate(both, axis=-1))
        self.scores_ = by_share(found.scores[0])
        self.n_iter_ = by_share(found.n_iter).astype(np.int32)
        self.Cs_, self.l1_ratios_ = Cs, shares
        self.history_, self._together = found.history, found.together
        self.refit_n_iter_ = 0 if found.final is None else int(found.final.n_iter)
        if found.best is not None:
            self.C_ = float(Cs[found.best // len(shares)])
            self.l1_ratio_ = float(shares[found.best % len(shares)])
            mean = Parameters(
                found.coef[:, found.best].mean(axis=0), found.intercept[:, found.best].mean(axis=0)
            )
            set_fitted(self, mean if found.final is None else found.final.parameters)
            return
        each = np.argmax(found.scores[0], axis=1)
        folds = np.arange(len(each))
        self.C_ = float(Cs[each // len(shares)].mean())
        self.l1_ratio_ = float(shares[each % len(shares)].mean())
        best = found.coef[folds, each], found.intercept[folds, each]
        set_fitted(self, Parameters(*(part.mean(axis=0) for part in best)))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the score by `scoring`, of predictions for rows.

        Parameters
        ----------
        X, y, sample_weight : as in `LogisticRegression.score`
            Rows, their labels and weights.

        Returns
        -------
        float
            The accuracy where `scoring` is None.
        """
        if self.scoring is None:
            return super().score(X, y, sample_weight)
        check_is_fitted(self)
        return float(get_scorer(self.scoring)(self, X, y, sample_weight))

    def _search_batches(self, candidates: list[dict[str, Any]]) -> list[list[int]]:
        return []  # it has folds of its own

    def _as_searched(self) -> None:
        # Its own folds would count rows that weigh nothing.
        return None

    def explain(self) -> Explanation:
        """Return how the last `fit` was planned, and why, beside what it took.

        Returns
        -------
        Explanation
            A text to print, and in notebooks a table.
        """
        plain = super().explain()
        n_folds, n_shares, n_Cs = self.scores_.shape
        how = "in the same passes" if self._together else "one after another"
        of_shares = f"{n_shares:,} shares of L1 x " if n_shares > 1 else ""
        models = (
            f"{self.scores_.size:,}: {n_Cs:,} values of C x {of_shares}{n_folds:,} folds, {how}"
        )
        return replace(plain, models=models)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the mean score against C, with one standard error, and what was chosen.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib Axes
            With a logarithmic axis for C.

        Raises
        ------
        ImportError
            matplotlib is not installed (``pip install daskml-exec[notebook]``).
        """
        check_is_fitted(self)
        name = self.scoring or "accuracy"
        # Of several shares of L1, that of the best mean score; refit=False has a mean of them.
        nearest = int(np.abs(self.l1_ratios_ - self.l1_ratio_).argmin())
        scores = self.scores_[:, nearest]
        return plot_path(ax, self.Cs_, scores, 1.0 / self.Cs_, self.C_, ("C", name))

    def to_sklearn(self) -> SklearnLogisticRegressionCV:
        """Return the fitted model as scikit-learn's own, which knows nothing of Dask.

        Returns
        -------
        sklearn.linear_model.LogisticRegressionCV
            With copies of the fitted attributes, in the shapes of ``use_legacy_attributes=False``.
        """
        check_is_fitted(self)
        known: dict[str, Any] = {"l1_ratios": self.l1_ratios, "use_legacy_attributes": False}
        settings = {
            "Cs": self.Cs,
            "fit_intercept": self.fit_intercept,
            "cv": self.cv if self.cv is None or isinstance(self.cv, Integral) else None,
            "scoring": self.scoring,
            "class_weight": self.class_weight,
            "refit": bool(self.refit),
        }
        allowed = SklearnLogisticRegressionCV().get_params()
        model = SklearnLogisticRegressionCV(
            **settings, **{name: value for name, value in known.items() if name in allowed}
        )
        names = ("classes_", "coef_", "intercept_", "n_iter_", "C_", "Cs_", "l1_ratio_")
        return self._copy_fitted(model, *names, "l1_ratios_", "scores_", "coefs_paths_")


def _names(Cs: Any, shares: Any) -> list[str]:
    if len(shares) == 1:
        return [f"C={C:g}" for C in Cs]
    return [f"C={C:g}, l1_ratio={share:g}" for C in Cs for share in shares]


def _shares_of(l1_ratios: Any) -> NDArray[np.float64]:
    """Return the shares of L1.

    Raises
    ------
    ValueError
        There is none, or one is none.
    """
    values = np.asarray(l1_ratios, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"l1_ratios={l1_ratios!r}; allowed are one or more numbers from 0, for L2, to 1, for L1"
        )
    return values


def _values_of(Cs: Any) -> NDArray[np.float64]:
    """Return the values of C.

    Raises
    ------
    ValueError
        There is none, or one is none.
    """
    if isinstance(Cs, Integral):
        return np.logspace(-4, 4, int(Cs))
    values = np.asarray(Cs, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not (values > 0).all():
        raise ValueError(
            f"Cs={Cs!r}; allowed are an integer from 1, and one or more numbers above 0, of which "
            "np.inf means no penalty"
        )
    return values
