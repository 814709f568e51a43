"""Poisson regression over partitions."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.linear_model import PoissonRegressor as SklearnPoissonRegressor
from sklearn.metrics import d2_tweedie_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from daskml_exec.kernels.distributions import Poisson
from daskml_exec.linear_model._batches import batches_of
from daskml_exec.linear_model._plan import plan_for
from daskml_exec.linear_model._problem import Penalty
from daskml_exec.linear_model._regression import LinearRegressor
from daskml_exec.training import Callback, all_or_nothing, telling, warn_of


class PoissonRegressor(LinearRegressor):
    r"""Poisson regression with the log link and scikit-learn's objective, over partitions.

    Minimises, over coefficients w and intercept b, with :math:`z_i = w^\top x_i + b`,

    .. math:: \frac{1}{\sum_i s_i} \sum_i s_i (e^{z_i} - y_i z_i)
              + \alpha \bigl(\tfrac{1 - \rho}{2} \|w\|_2^2 + \rho \|w\|_1\bigr)

    with :math:`\rho` for `l1_ratio`, which scikit-learn's does not have. The intercept is not
    penalised.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, from 0.
    l1_ratio : float, default=0.0
        The share of L1 in the penalty, from 0 to 1. With any, coefficients of columns that do not
        help are exactly zero.
    fit_intercept : bool, default=True
        Whether there is an intercept b; without, it is zero.
    tol : float, default=1e-10
        Training stops when no component of the gradient of the objective is larger than ``tol``
        times the square root of the mean of y, in standardised coordinates. These are
        :math:`u_j = w_j \sqrt{\bar y\,\mathrm{var}_j + \alpha (1 - \rho)}`. With a share of L1 it
        is the subgradient of least norm.
    max_iter : int, default=2000
        Accepted steps at most.
    solver : {"auto", "newton", "lbfgs"}, default="auto"
        As in `LogisticRegression`.
    warm_start : bool, default=False
        Start from the coefficients of the last `fit`, which must have the same shape.
    verbose : int, default=0
        If positive, print what is solved before the first round, and a line for each round with the
        iteration and the time left; where a round takes long, signs of life.
    parallel : {"data", "model", "auto"}, default="data"
        - "data": Workers hold whole rows, and all coefficients in each round.
        - "model": X is cut along its features, too. A Worker holds cells of rows and features,
          and is sent the coefficients of its features alone; only the margins of rows are added
          up over the features. The optimum is the same. X may be a Dask array of NumPy or CSR
          chunks, a Dask dataframe, or in memory. Solvers are "lbfgs", and "auto", which takes
          better directions from a sample of the rows, of some megabytes, on the driver.
        - "auto": "model" where rows or coefficients do not fit in a Worker's memory, which
          `explain` tells.
    n_blocks : int or "auto", default="auto"
        Ranges of features that "model" cuts X into. "auto" keeps the column chunks of a Dask
        array that has several; else it is a number that depends on the number of features alone.
    callbacks : sequence of callables, optional
        Each is called with a `daskml_exec.training.RoundEvent` after every round. One that
        returns True stops the fit. A method `on_begin` of one is called with a `BeginEvent`
        first, a method `on_end` with an `EndEvent` last, also where `fit` raises. Listening
        changes nothing of what is computed where. scikit-learn's own, from its release 1.9 on,
        are set by `set_callbacks`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        In X's dtype.
    intercept_ : float
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X had columns with names that are all strings.
    history_ : daskml_exec.training.History

    Notes
    -----
    X, y and `sample_weight` may be of all the kinds that `LogisticRegression` takes. A row of
    weight zero counts as a row that is not there.

    References
    ----------
    McCullagh and Nelder (1989), Generalized Linear Models, chapter 6.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec import Executor
    >>> from daskml_exec.linear_model import PoissonRegressor
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([1, 2, 4, 8])
    >>> with Executor(processes=False, n_workers=2):
    ...     model = PoissonRegressor(alpha=0).fit(X, y)
    >>> model.coef_.round(6), model.predict(X).round(6)
    (array([0.693147]), array([1., 2., 4., 8.]))
    """

    _distribution = Poisson()
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "alpha": [Interval(Real, 0, np.inf, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "solver": [StrOptions({"auto", "newton", "lbfgs"})],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "parallel": [StrOptions({"auto", "data", "model"})],
        "n_blocks": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "callbacks": ["array-like", None],
    }

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        tol: float = 1e-10,
        max_iter: int = 2000,
        solver: Literal["auto", "newton", "lbfgs"] = "auto",
        warm_start: bool = False,
        verbose: int = 0,
        parallel: Literal["data", "model", "auto"] = "data",
        n_blocks: int | Literal["auto"] = "auto",
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.solver = solver
        self.warm_start = warm_start
        self.verbose = verbose
        self.parallel = parallel
        self.n_blocks = n_blocks
        self.callbacks = callbacks

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "PoissonRegressor":
        """Train on the rows of X.

        Parameters
        ----------
        X : array-like, sparse matrix, Dask collection or list of futures, shape (n, n_features)
            Rows of finite numbers; or a `daskml_exec.training.Data`, which has y and weights.
        y : the same kinds, shape (n,)
            Finite numbers from 0, not all of them 0.
        sample_weight : the same kinds, shape (n,), optional
            Weights from 0; None means ones.

        Returns
        -------
        PoissonRegressor
            This estimator, fitted.

        Raises
        ------
        ValueError
            An argument is not as described; the message names it, what came and what is allowed.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            `max_iter` was reached, or rounding stopped progress, before `tol`.
        """
        with all_or_nothing(self), telling(self, X, y, sample_weight):
            fitted = self._fit(
                X,
                y,
                sample_weight,
                penalty=self._penalty,
                plan_of=lambda shape: plan_for(
                    self.solver, self.alpha > 0, shape, sparse=self._makes_zeros
                ),
            )
            warn_of(fitted.warnings)
        return self

    def _search_batches(self, candidates: list[dict[str, Any]]) -> list[list[int]]:
        return batches_of(self, candidates)

    @property
    def _penalty(self) -> Penalty:
        return Penalty(self.alpha, of_sum=False, l1_share=self.l1_ratio)

    def to_sklearn(self) -> SklearnPoissonRegressor:
        """Return the fitted model as scikit-learn's own, which knows nothing of Dask.

        It predicts the same. Fitted again it would have `alpha` for a penalty of L2 alone.

        Returns
        -------
        sklearn.linear_model.PoissonRegressor
            With copies of the fitted attributes.
        """
        check_is_fitted(self)
        model = SklearnPoissonRegressor(alpha=self.alpha, fit_intercept=self.fit_intercept)
        model._base_loss = model._get_loss()  # its own `fit` sets it, and `predict` needs it
        return self._copy_fitted(model, "coef_", "intercept_", "n_iter_")

    @property
    def _makes_zeros(self) -> bool:
        return bool(self.l1_ratio > 0 and self.alpha > 0)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the share of the deviance that is explained, D².

        For a Dask collection, a list of futures or a `Data`, which has its own y and weights, the
        Workers sum, and only sums travel.

        Parameters
        ----------
        X : as in `fit`
            Rows.
        y : as in `fit`, optional
            Counts; none beside a `Data`.
        sample_weight : as in `fit`, optional
            Weights of the rows; None means ones.

        Returns
        -------
        float
            At most 1; 0 for the mean of y.
        """
        return super().score(X, y, sample_weight)

    def _score_in_memory(self, X: Any, y: Any, sample_weight: Any) -> float:
        if not np.any(np.asarray(y)):
            return float("nan")  # there is no deviance to explain
        return float(d2_tweedie_score(y, self.predict(X), sample_weight=sample_weight, power=1))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags
