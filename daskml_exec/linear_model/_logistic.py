"""Logistic regression over partitions."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from daskml_exec.executor import Executor
from daskml_exec.kernels.distributions import Logistic
from daskml_exec.linear_model._batches import batches_of
from daskml_exec.linear_model._glm import GLM
from daskml_exec.linear_model._parallel import DATA
from daskml_exec.linear_model._plan import plan_for
from daskml_exec.linear_model._problem import GLMProblem, Parameters, Penalty
from daskml_exec.linear_model._scores import LabelsOf, MarginsOf, ProbabilitiesOf
from daskml_exec.metrics._of_models import accuracy
from daskml_exec.metrics._scorers import scoring_of
from daskml_exec.partitions import Labels
from daskml_exec.training import Callback, FitWarning, all_or_nothing, telling, warn_of
from daskml_exec.training.folds import Searched


class LogisticRegression(ClassifierMixin, GLM):
    r"""Logistic regression with scikit-learn's objective, trained over partitions.

    Minimises, over coefficients W and intercepts b,

    .. math:: C \sum_i s_i\, \ell(W x_i + b, y_i) + \tfrac{1 - \rho}{2} \|W\|_F^2 + \rho \|W\|_1

    with the logistic loss for two classes and the cross-entropy of the softmax for more, and
    :math:`\rho` for `l1_ratio`. The intercept is not penalised. Coefficients agree with
    scikit-learn's from any chunking, and are the same to the bit on any number of Workers.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the penalty; ``np.inf`` means no penalty.
    l1_ratio : float, default=0.0
        The share of L1 in the penalty, from 0 to 1. With any, coefficients of columns that do not
        help are exactly zero.
    fit_intercept : bool, default=True
        Whether there is an intercept b; without, it is zero.
    class_weight : dict, "balanced" or None, default=None
        Factors on the weights of the rows of each class. "balanced" makes the classes weigh the
        same: ``sum(s) / (n_classes * sum(s[y == k]))``. A class of factor zero is no class.
    tol : float, default=1e-10
        Training stops when no component of the gradient of f, the objective per unit of weight,
        is larger than ``tol * sqrt(f / log(K))`` for K classes, in standardised coordinates.
        These are :math:`u_{kj} = W_{kj} \sqrt{h\,\mathrm{var}_j + 1/(C \sum s)}`, with var the
        variance of the column and h = (K - 1)/K², so that neither the units of the columns, nor
        the number of rows, nor how far apart the classes are, changes what `tol` means. With a
        share of L1 it is the subgradient of least norm, and the 1/C beside var is that of L2.
    max_iter : int, default=2000
        Iterations of the solver at most: accepted steps, or averages of "averaging".
    solver : {"auto", "newton", "lbfgs", "averaging"}, default="auto"
        - "newton": starts at the optimum of a small sample of the rows, and searches with
          gradients over all rows and a Hessian from a larger sample. What the sample gets wrong
          is corrected from round to round, so that a handful of rounds reaches the optimum.
          Where a Hessian would be too large (many features, above all sparse ones), directions
          come from Hessian-vector products on a sample. Where rows are fewer than columns, the
          driver takes them all, up to 400 MB, and solves in their span. `explain` says which.
          With a share of L1 each step goes to the minimiser of a quadratic model with the penalty
          as it is [3]_. Where a Hessian of all columns would be too large, or rows are fewer than
          columns, it is taken of those that are in force, and joined by others where their
          gradients say so.
        - "lbfgs": each round sums loss and gradient over all rows; the driver takes an L-BFGS
          step. Hundreds of rounds where features are correlated.
        - "averaging": each partition trains a local model, and the models are averaged by
          weight. The first average is the one-shot estimate [1]_, which is what ``max_iter=1``
          returns; it is approximate, because the average of the partitions' minimisers is not
          the minimiser of their average: the error shrinks with the rows per partition, not
          with the number of partitions. From the second average on, each local problem is
          corrected by the difference between the gradient of the whole and its own, and held
          near the last average (DANE [2]_), so that the fixed point is the exact optimum.
          A partition that lacks a class is held near the start in the first average.
        - "auto": "newton".
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
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        In X's dtype. One row for two classes: that of ``classes_[1]``.
    intercept_ : ndarray of shape (1,) or (n_classes,)
    classes_ : ndarray of shape (n_classes,)
        The sorted labels, in their own dtype.
    n_iter_ : ndarray of shape (1,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X had columns with names that are all strings.
    history_ : daskml_exec.training.History
        One record per round: loss, gradient norm, seconds, bytes, workers, losses.

    Notes
    -----
    X may be a NumPy array, a SciPy sparse matrix, a pandas or Dask dataframe, a Dask array (of
    NumPy, CSR or CuPy chunks, with known or unknown chunk sizes), or a list of futures of such
    blocks of rows. y and `sample_weight` are aligned to the rows of X whatever their chunks. A
    row of weight zero counts as a row that is not there, also for ``classes_``.

    `fit` runs on ``Executor.current()``; data in memory, where no Executor, task or Client names a
    cluster, is trained on by threads of this process, with the same bits. Data in memory is cut by
    its size alone (dask config ``daskml-exec.partition-bytes``). Infinite and missing values are
    found where the rows are and named by partition and column, in rows of weight zero too.

    References
    ----------
    .. [1] Zhang, Duchi and Wainwright (2013), Communication-efficient algorithms for statistical
       optimization, Journal of Machine Learning Research 14.
    .. [2] Shamir, Srebro and Zhang (2014), Communication-efficient distributed optimization using
       an approximate Newton-type method, ICML.
    .. [3] Lee, Sun and Saunders (2014), Proximal Newton-type methods for minimizing composite
       functions, SIAM Journal on Optimization 24.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from daskml_exec import Executor
    >>> from daskml_exec.linear_model import LogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> with Executor(processes=False, n_workers=2):
    ...     model = LogisticRegression().fit(X, y)
    >>> model.predict(X[:3])
    array([0, 0, 0])
    >>> round(model.score(X, y), 2)
    0.96
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "C": [Interval(Real, 0, None, closed="right")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "solver": [StrOptions({"auto", "newton", "lbfgs", "averaging"})],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "parallel": [StrOptions({"auto", "data", "model"})],
        "n_blocks": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "callbacks": ["array-like", None],
    }

    classes_: NDArray[Any]
    coef_: NDArray[Any]
    intercept_: NDArray[Any]
    n_iter_: NDArray[np.int32]

    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        class_weight: Any = None,
        tol: float = 1e-10,
        max_iter: int = 2000,
        solver: Literal["auto", "newton", "lbfgs", "averaging"] = "auto",
        warm_start: bool = False,
        verbose: int = 0,
        parallel: Literal["data", "model", "auto"] = "data",
        n_blocks: int | Literal["auto"] = "auto",
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.solver = solver
        self.warm_start = warm_start
        self.verbose = verbose
        self.parallel = parallel
        self.n_blocks = n_blocks
        self.callbacks = callbacks

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "LogisticRegression":
        """Train on the rows of X.

        Parameters
        ----------
        X : array-like, sparse matrix, Dask collection or list of futures, shape (n, n_features)
            Rows of finite numbers; or a `daskml_exec.training.Data`, which has y and weights.
        y : the same kinds, shape (n,)
            Labels: at least two different ones.
        sample_weight : the same kinds, shape (n,), optional
            Weights from 0; None means ones.

        Returns
        -------
        LogisticRegression
            This estimator, fitted.

        Raises
        ------
        ValueError
            An argument is not as described; the message names it, what came and what is allowed.
        daskml_exec.executor.WorkerMismatchError
            A Worker lacks this package or has another version of it or of Dask.
        daskml_exec.executor.LostSchedulerError
            The cluster's scheduler is gone; the error's `model` is where the fit had come to.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            `max_iter` was reached, or rounding stopped progress, before `tol`; or C is infinite
            and the classes are separable, so that there is no optimum.
        """
        with all_or_nothing(self), telling(self, X, y, sample_weight):
            executor: Any = self._check_arguments(X, y, sample_weight)
            penalty = self._penalty
            X, scaling = self._unscaled(X, penalty)
            inputs = self._inputs(executor, X, y, sample_weight)
            choice = self._choose(executor, inputs[0])
            target = Labels(class_weight=self.class_weight)
            with self._loaded(executor, inputs, target, self._cut(choice)) as data:
                classes: Any = data.classes
                fitted = self._run(
                    GLMProblem(
                        family=Logistic(len(classes)),
                        penalty=penalty,
                        fit_intercept=self.fit_intercept,
                    ),
                    data.partitions,
                    choice,
                    partial(plan_for, self.solver, penalty.strength > 0, sparse=self._makes_zeros),
                    partial(set_logistic, classes=classes, dtype=data.dtype),
                    scaling and scaling.of_rows(weighted=data.weighted),
                )
            self.n_iter_ = np.array([self.n_iter_], dtype=np.int32)
            unbounded = np.isinf(self.C) and not fitted.stopped
            if unbounded and _separated(fitted.state, self._shape.rows):
                fitted = replace(fitted, warnings=(_no_optimum(fitted.state.n_iter),))
            warn_of(fitted.warnings)
        return self

    def to_sklearn(self) -> SklearnLogisticRegression:
        """Return the fitted model as scikit-learn's own, which knows nothing of Dask.

        Returns
        -------
        sklearn.linear_model.LogisticRegression
            With copies of the fitted attributes.
        """
        check_is_fitted(self)
        model = SklearnLogisticRegression(
            C=self.C, fit_intercept=self.fit_intercept, class_weight=self.class_weight
        )
        if self.l1_ratio:
            model.set_params(l1_ratio=self.l1_ratio, solver="saga")  # that solver alone has both
            if model.penalty == "l2":  # before release 1.8
                model.set_params(penalty="elasticnet")
        return self._copy_fitted(model, "classes_", "coef_", "intercept_", "n_iter_")

    @property
    def _makes_zeros(self) -> bool:
        return bool(self.l1_ratio > 0 and np.isfinite(self.C))

    def sparsify(self) -> "LogisticRegression":
        """Turn `coef_` into a CSR matrix, which predicts as well, and return this estimator.

        It saves memory where most coefficients are zero; `densify` undoes it.

        Returns
        -------
        LogisticRegression
            This estimator.
        """
        check_is_fitted(self)
        self.coef_ = sp.csr_matrix(self.coef_)
        return self

    def densify(self) -> "LogisticRegression":
        """Turn `coef_` back into an array after `sparsify`, and return this estimator.

        Returns
        -------
        LogisticRegression
            This estimator.
        """
        check_is_fitted(self)
        coef: Any = self.coef_
        self.coef_ = coef.toarray() if sp.issparse(coef) else coef
        return self

    def decision_function(self, X: Any) -> Any:
        """Return the margins ``X W' + b``.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n,) for two classes or (n, n_classes)
            A NumPy array for data in memory; lazily, a Dask array with the row chunks of X for a
            Dask array, a Dask series or dataframe with the index of X for a Dask dataframe; a
            list of futures for a list of futures; a Dask array, begun with at once, for a `Data`.
        """
        check_is_fitted(self)
        columns = None if len(self.classes_) == 2 else self.classes_
        return self._map(self._margins(), X, columns, self.coef_.dtype, floating=True)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class.

        Sigmoid of the margin for two classes, softmax of the margins for more.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n, n_classes)
            Of the kind that `decision_function` describes.
        """
        check_is_fitted(self)
        probabilities = ProbabilitiesOf(self._margins())
        return self._map(probabilities, X, self.classes_, self.coef_.dtype, floating=True)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n, n_classes)
            Of the kind that `decision_function` describes.
        """
        check_is_fitted(self)
        probabilities = ProbabilitiesOf(self._margins(), log=True)
        return self._map(probabilities, X, self.classes_, self.coef_.dtype, floating=True)

    def predict(self, X: Any) -> Any:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : as in `fit`
            Rows.

        Returns
        -------
        array of shape (n,)
            Of the kind that `decision_function` describes.
        """
        check_is_fitted(self)
        return self._map(self._labels(), X, None, self.classes_.dtype, floating=False)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the share of rows, by weight, whose label is predicted.

        For a Dask collection, a list of futures or a `Data`, which has its own y and weights, the
        Workers count, and only counts travel.

        Parameters
        ----------
        X : as in `fit`
            Rows.
        y : as in `fit`, optional
            Labels; none beside a `Data`.
        sample_weight : as in `fit`, optional
            Weights of the rows; None means ones.

        Returns
        -------
        float
            From 0 to 1.
        """
        return self._score(X, y, sample_weight)

    def _score_in_memory(self, X: Any, y: Any, sample_weight: Any) -> float:
        return ClassifierMixin.score(self, X, y, sample_weight)

    def _score_on_cluster(self, executor: Executor, X: Any, y: Any, sample_weight: Any) -> float:
        return accuracy(executor, self._labels(), X, y, sample_weight, self._labels_of_columns())

    def _as_searched(self) -> Searched | None:
        if self.parallel != DATA:
            return None
        return Searched("labels", scoring_of("accuracy"), class_weight=self.class_weight)

    def _search_batches(self, candidates: list[dict[str, Any]]) -> list[list[int]]:
        return batches_of(self, candidates)

    @property
    def _penalty(self) -> Penalty:
        return replace(penalty_of(self.C), l1_share=self.l1_ratio)

    def _labels(self) -> LabelsOf:
        return LabelsOf(self._margins(), self.classes_)

    def _margins(self) -> MarginsOf:
        return MarginsOf(self.coef_, self.intercept_, type(self).__name__)


def penalty_of(C: float) -> Penalty:
    """Return the penalty of a value of C."""
    with np.errstate(over="ignore"):
        strength = float(1.0 / np.float64(C))
    if not np.isfinite(strength):
        least = 1.0 / np.finfo(np.float64).max
        raise ValueError(
            f"C={C!r}, whose inverse overflows float64; allowed are numbers from {least:.2g}, and "
            "np.inf for no penalty"
        )
    return Penalty(strength, of_sum=True)


def _separated(state: Any, rows: int) -> bool:
    """Return whether the loss falls without end.

    Then every row is on its class's side: one that is not has a loss of log 2 at least, where
    weights are about one on average. And the loss falls with the gradient: at an optimum, for
    which rows of small weight may be enough, nothing is left of the gradient beside it.
    """
    value = state.search.value
    return bool(value * rows < 0.5 * np.log(2.0) and value < state.gradient_norm)


def _no_optimum(n_iter: int) -> FitWarning:
    return FitWarning(
        "convergence",
        "C=inf, and the classes are separable: the likelihood grows without end with the "
        f"coefficients, which stopped where {n_iter} iterations took them; allowed are finite "
        "values of C, which have an optimum",
        ConvergenceWarning,
    )


def set_logistic(
    model: LogisticRegression, parameters: Parameters, *, classes: Any, dtype: Any
) -> None:
    coef, intercept = parameters.coef, parameters.intercept
    if len(intercept) > 1:
        # The softmax sees differences between classes only: of all that give the same, those
        # whose mean over the classes is zero, as scikit-learn's. L1 prefers others.
        coef = coef if model._makes_zeros else coef - coef.mean(axis=0)
        intercept = intercept - intercept.mean()
    model.classes_ = classes
    model.coef_ = coef.astype(dtype)
    model.intercept_ = intercept.astype(dtype)
