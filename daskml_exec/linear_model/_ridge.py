"""Linear regression with squared errors, with and without a penalty."""

from collections.abc import Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.linear_model import LinearRegression as SklearnLinearRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from daskml_exec.linear_model._batches import batches_of
from daskml_exec.linear_model._plan import GRADIENTS, least_squares_plan_for
from daskml_exec.linear_model._problem import Penalty
from daskml_exec.linear_model._regression import LinearRegressor, Shapes
from daskml_exec.training import Callback, all_or_nothing, telling, warn_of


class Ridge(LinearRegressor):
    r"""Linear regression with an L2 penalty and scikit-learn's objective, over partitions.

    Minimises, over coefficients w and intercept b,

    .. math:: \sum_i s_i (y_i - w^\top x_i - b)^2 + \alpha \|w\|^2

    The intercept is not penalised.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, from 0. With 0 it is `LinearRegression`.
    fit_intercept : bool, default=True
        Whether there is an intercept b; without, it is zero.
    tol : float, default=1e-10
        Training has converged when no component of the gradient of half the objective per unit of
        weight is larger than ``tol`` times the root mean square of y (less its mean where there
        is an intercept), in standardised coordinates. These are
        :math:`u_j = w_j \sqrt{\mathrm{var}_j + \alpha / \sum s}`.
    max_iter : int, default=2000
        Refinements, or iterations of "lbfgs", at most.
    solver : {"auto", "newton", "lbfgs"}, default="auto"
        - "newton": the normal equations, centred and scaled, in one pass over the rows; and a
          second pass that sums the gradient at their solution and refines it. More passes
          follow only where the equations are so ill-conditioned that one refinement does not
          settle eight digits. With fewer rows than features, equations with a number for each two
          rows; else with more than 6,000 features (1,000 sparse ones), as "lbfgs".
        - "lbfgs": a gradient over all rows each round.
        - "auto": "newton".
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
    intercept_ : float, or ndarray of shape (1,)
        As in scikit-learn, an array where y had the shape (n, 1), of which a
        `sklearn.exceptions.DataConversionWarning` tells: there is one target.
    n_iter_ : int
        Refinements, Newton steps in the span of the rows, or iterations of "lbfgs".
    solver_ : {"newton", "lbfgs"}
        That was used.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X had columns with names that are all strings.
    history_ : daskml_exec.training.History

    Notes
    -----
    X, y and `sample_weight` may be of all the kinds that `LogisticRegression` takes. y is one
    numeric target per row. A row of weight zero counts as a row that is not there.

    References
    ----------
    Golub and Van Loan (2013), Matrix Computations, sections 5.3 and 6.1; Higham (2002), Accuracy
    and Stability of Numerical Algorithms, chapter 20, for the refinement.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from daskml_exec import Executor
    >>> from daskml_exec.linear_model import Ridge
    >>> X, y = load_diabetes(return_X_y=True)
    >>> with Executor(processes=False, n_workers=2):
    ...     model = Ridge(alpha=0.1).fit(X, y)
    >>> round(model.score(X, y), 3)
    0.513
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "alpha": [Interval(Real, 0, np.inf, closed="left")],
        "fit_intercept": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "solver": [StrOptions({"auto", "newton", "lbfgs"})],
        "parallel": [StrOptions({"auto", "data", "model"})],
        "n_blocks": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "callbacks": ["array-like", None],
    }

    solver_: Literal["newton", "lbfgs"]

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        tol: float = 1e-10,
        max_iter: int = 2000,
        solver: Literal["auto", "newton", "lbfgs"] = "auto",
        parallel: Literal["data", "model", "auto"] = "data",
        n_blocks: int | Literal["auto"] = "auto",
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.solver = solver
        self.parallel = parallel
        self.n_blocks = n_blocks
        self.callbacks = callbacks

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "Ridge":
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
        Ridge
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
                plan_of=lambda shape: least_squares_plan_for(self.solver, self.alpha > 0, shape),
                shapes=Shapes(intercept_array=True),
            )
            self.solver_ = "lbfgs" if self._plan.regime == GRADIENTS else "newton"
            warn_of(fitted.warnings)
        return self

    def _search_batches(self, candidates: list[dict[str, Any]]) -> list[list[int]]:
        return batches_of(self, candidates)

    @property
    def _penalty(self) -> Penalty:
        return Penalty(self.alpha, of_sum=True)

    def to_sklearn(self) -> SklearnRidge:
        """Return the fitted model as scikit-learn's own, which knows nothing of Dask.

        Returns
        -------
        sklearn.linear_model.Ridge
            With copies of the fitted attributes.
        """
        check_is_fitted(self)
        model = SklearnRidge(alpha=self.alpha, fit_intercept=self.fit_intercept)
        return self._copy_fitted(model, "coef_", "intercept_", "n_iter_")


class LinearRegression(LinearRegressor):
    r"""Ordinary least squares over partitions, with scikit-learn's answer.

    Minimises, over coefficients w and intercept b, :math:`\sum_i s_i (y_i - w^\top x_i - b)^2`.
    Where many w do, because columns are redundant or rows are few, it is the one of least norm.

    Parameters
    ----------
    fit_intercept : bool, default=True
        Whether there is an intercept b; without, it is zero.
    tol : float, default=1e-10
        As in `Ridge`, with alpha zero.
    max_iter : int, default=2000
        Refinements at most; iterations of L-BFGS with more than 6,000 features (1,000 sparse
        ones, or fewer rows than features).
    parallel : {"data", "model", "auto"}, default="data"
    n_blocks : int or "auto", default="auto"
        As in `Ridge`.
    callbacks : sequence of callables, optional
        As in `Ridge`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,), or (1, n_features)
        In X's dtype. As in scikit-learn, it has a row where y had the shape (n, 1), and so have
        predictions; a `sklearn.exceptions.DataConversionWarning` tells that there is one target.
    intercept_ : float, or ndarray of shape (1,)
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X had columns with names that are all strings.
    history_ : daskml_exec.training.History

    Notes
    -----
    The solver is Ridge's "newton". Directions that the normal equations cannot tell from redundant
    ones, with a condition number of the standardised columns beyond about 1e7, count as redundant.
    scikit-learn draws that line elsewhere: by default at singular values of the columns as they
    are, below 1e-6 of the largest.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec import Executor
    >>> from daskml_exec.linear_model import LinearRegression
    >>> X = np.arange(12.0).reshape(6, 2)  # the second column is the first plus one
    >>> with Executor(processes=False, n_workers=2):
    ...     model = LinearRegression().fit(X, X[:, 0])
    >>> model.coef_.round(6)
    array([0.5, 0.5])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "fit_intercept": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "parallel": [StrOptions({"auto", "data", "model"})],
        "n_blocks": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "callbacks": ["array-like", None],
    }

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        tol: float = 1e-10,
        max_iter: int = 2000,
        parallel: Literal["data", "model", "auto"] = "data",
        n_blocks: int | Literal["auto"] = "auto",
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.parallel = parallel
        self.n_blocks = n_blocks
        self.callbacks = callbacks

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "LinearRegression":
        """Train on the rows of X; errors and warnings are those of `Ridge.fit`.

        Parameters
        ----------
        X : as in `Ridge.fit`, shape (n, n_features)
            Rows of finite numbers.
        y : as in `Ridge.fit`, shape (n,)
            Finite numbers.
        sample_weight : as in `Ridge.fit`, shape (n,), optional
            Weights from 0; None means ones.

        Returns
        -------
        LinearRegression
            This estimator, fitted.
        """
        with all_or_nothing(self), telling(self, X, y, sample_weight):
            fitted = self._fit(
                X,
                y,
                sample_weight,
                penalty=Penalty(0.0, of_sum=True),
                plan_of=partial(least_squares_plan_for, "auto", False),
                shapes=Shapes(coef_matrix=True, intercept_array=True),
            )
            warn_of(fitted.warnings)
        return self

    def to_sklearn(self) -> SklearnLinearRegression:
        """Return the fitted model as scikit-learn's own, which knows nothing of Dask.

        Returns
        -------
        sklearn.linear_model.LinearRegression
            With copies of the fitted attributes.
        """
        check_is_fitted(self)
        model = SklearnLinearRegression(fit_intercept=self.fit_intercept)
        return self._copy_fitted(model, "coef_", "intercept_")
