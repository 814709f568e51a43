"""Linear regression with squared errors, and a share of L1 in the penalty."""

from collections.abc import Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import Lasso as SklearnLasso
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from daskml_exec.linear_model._batches import batches_of
from daskml_exec.linear_model._parallel import DATA
from daskml_exec.linear_model._plan import Plan, Shape, l1_plan, least_squares_plan
from daskml_exec.linear_model._problem import Penalty
from daskml_exec.linear_model._regression import LinearRegressor, Shapes
from daskml_exec.training import Callback, all_or_nothing, telling, warn_of


class ElasticNet(LinearRegressor):
    r"""Linear regression with L1 and L2 penalties and scikit-learn's objective, over partitions.

    Minimises, over coefficients w and intercept b, with :math:`\rho` for `l1_ratio`,

    .. math:: \frac{1}{2 \sum_i s_i} \sum_i s_i (y_i - w^\top x_i - b)^2
              + \alpha \bigl(\rho \|w\|_1 + \tfrac{1 - \rho}{2} \|w\|_2^2\bigr)

    The intercept is not penalised. Coefficients agree with scikit-learn's from any chunking, those
    of zero exactly, and are the same to the bit on any number of Workers.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, from 0. With 0 it is `LinearRegression`.
    l1_ratio : float, default=0.5
        The share of L1 in the penalty, from 0 to 1.
    fit_intercept : bool, default=True
        Whether there is an intercept b; without, it is zero.
    tol : float, default=1e-10
        Training has converged when no component of the subgradient of least norm is larger than
        ``tol`` times the root mean square of y (less its mean where there is an intercept), in
        standardised coordinates. These are
        :math:`u_j = w_j \sqrt{\mathrm{var}_j + \alpha (1 - \rho)}`.
    max_iter : int, default=2000
        Refinements, or accepted steps, at most.
    warm_start : bool, default=False
        Start from the coefficients of the last `fit`, which must have the same shape.
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
    intercept_ : float, or ndarray of shape (1,)
        As in scikit-learn, an array where y had the shape (n, 1), of which a
        `sklearn.exceptions.DataConversionWarning` tells: there is one target.
    n_iter_ : int
        Refinements, or accepted steps.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X had columns with names that are all strings.
    history_ : daskml_exec.training.History

    Notes
    -----
    X, y and `sample_weight` may be of all the kinds that `LogisticRegression` takes. A row of
    weight zero counts as a row that is not there.

    One pass sums the normal equations, coordinate descent and a solution for the signs found
    minimise on the driver, and a second pass sums the gradient and refines. With more than
    6,000 features (1,000 sparse ones) a working set of columns has a Hessian, and all of them
    gradients. `explain` says which.

    References
    ----------
    Zou and Hastie (2005), Regularization and variable selection via the elastic net, Journal of
    the Royal Statistical Society B 67. Friedman, Hastie and Tibshirani (2010), Regularization
    paths for generalized linear models via coordinate descent, Journal of Statistical Software 33.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from daskml_exec import Executor
    >>> from daskml_exec.linear_model import ElasticNet
    >>> X, y = load_diabetes(return_X_y=True)
    >>> with Executor(processes=False, n_workers=2):
    ...     model = ElasticNet(alpha=0.1, l1_ratio=0.99).fit(X, y)
    >>> model.coef_.round().tolist()
    [0.0, -90.0, 383.0, 229.0, 0.0, -13.0, -165.0, 77.0, 328.0, 90.0]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "alpha": [Interval(Real, 0, np.inf, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "callbacks": ["array-like", None],
    }

    # What other linear models have as parameters, and this has no choice of.
    parallel = DATA
    n_blocks = "auto"

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        tol: float = 1e-10,
        max_iter: int = 2000,
        warm_start: bool = False,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.callbacks = callbacks

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "ElasticNet":
        """Train on the rows of X.

        Parameters
        ----------
        X : array-like, sparse matrix, Dask collection or list of futures, shape (n, n_features)
            Rows of finite numbers; or a `daskml_exec.training.Data`, which has y and weights.
        y : the same kinds, shape (n,)
            Finite numbers.
        sample_weight : the same kinds, shape (n,), optional
            Weights from 0; None means ones.

        Returns
        -------
        ElasticNet
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
            penalty = self._penalty
            fitted = self._fit(
                X,
                y,
                sample_weight,
                penalty=penalty,
                plan_of=partial(_plan, penalty),
                shapes=Shapes(intercept_array=True),
            )
            warn_of(fitted.warnings)
        return self

    def _search_batches(self, candidates: list[dict[str, Any]]) -> list[list[int]]:
        return batches_of(self, candidates)

    @property
    def _penalty(self) -> Penalty:
        return Penalty(self.alpha, of_sum=False, l1_share=self.l1_ratio)

    @property
    def _makes_zeros(self) -> bool:
        return self._penalty.sparse

    @property
    def sparse_coef_(self) -> Any:
        """Sparse representation of `coef_`, a CSR matrix of shape (1, n_features)."""
        return sp.csr_matrix(self.coef_)

    def to_sklearn(self) -> SklearnElasticNet:
        """Return the fitted model as scikit-learn's own, which knows nothing of Dask.

        Returns
        -------
        sklearn.linear_model.ElasticNet
            With copies of the fitted attributes.
        """
        check_is_fitted(self)
        model = SklearnElasticNet(
            alpha=self.alpha, l1_ratio=self.l1_ratio, fit_intercept=self.fit_intercept
        )
        return self._copy_fitted(model, "coef_", "intercept_", "n_iter_")


class Lasso(ElasticNet):
    r"""Linear regression with an L1 penalty and scikit-learn's objective, over partitions.

    Minimises, over coefficients w and intercept b,

    .. math:: \frac{1}{2 \sum_i s_i} \sum_i s_i (y_i - w^\top x_i - b)^2 + \alpha \|w\|_1

    The intercept is not penalised.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, from 0. With 0 it is `LinearRegression`.
    fit_intercept : bool, default=True
        Whether there is an intercept b; without, it is zero.
    tol : float, default=1e-10
        As in `ElasticNet`, with `l1_ratio` one.
    max_iter : int, default=2000
        Refinements, or accepted steps, at most.
    warm_start : bool, default=False
        Start from the coefficients of the last `fit`, which must have the same shape.
    callbacks : sequence of callables, optional
        As in `ElasticNet`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        In X's dtype.
    intercept_ : float, or ndarray of shape (1,)
    n_iter_ : int
        As in `ElasticNet`.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X had columns with names that are all strings.
    history_ : daskml_exec.training.History

    Notes
    -----
    It is `ElasticNet` with ``l1_ratio=1``, which says how it is solved. Where columns are
    redundant several w have the least objective, and this is one of them.

    References
    ----------
    Tibshirani (1996), Regression shrinkage and selection via the lasso, Journal of the Royal
    Statistical Society B 58.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from daskml_exec import Executor
    >>> from daskml_exec.linear_model import Lasso
    >>> X, y = load_diabetes(return_X_y=True)
    >>> with Executor(processes=False, n_workers=2):
    ...     model = Lasso(alpha=0.5).fit(X, y)
    >>> model.coef_.nonzero()[0].tolist()
    [2, 3, 6, 8]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        name: given
        for name, given in ElasticNet._parameter_constraints.items()
        if name != "l1_ratio"
    }

    l1_ratio = 1.0

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        tol: float = 1e-10,
        max_iter: int = 2000,
        warm_start: bool = False,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.callbacks = callbacks

    def to_sklearn(self) -> SklearnLasso:
        """Return the fitted model as scikit-learn's own, which knows nothing of Dask.

        Returns
        -------
        sklearn.linear_model.Lasso
            With copies of the fitted attributes.
        """
        check_is_fitted(self)
        model = SklearnLasso(alpha=self.alpha, fit_intercept=self.fit_intercept)
        return self._copy_fitted(model, "coef_", "intercept_", "n_iter_")


def _plan(penalty: Penalty, shape: Shape) -> Plan:
    if penalty.sparse:
        return l1_plan(shape, least_squares=True)
    return least_squares_plan(shape, penalised=penalty.strength > 0)
