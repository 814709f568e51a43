"""Logistic regression over partitions."""

import warnings
from collections.abc import Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from daskml_exec.executor import Executor
from daskml_exec.linear_model._problem import LogisticProblem, Parameters
from daskml_exec.linear_model._rounds import Fit, LogisticRounds
from daskml_exec.linear_model._scores import LabelsOf, MarginsOf, ProbabilitiesOf
from daskml_exec.partitions import (
    ClassificationData,
    accuracy,
    classification_data,
    frame_meta,
    is_collection,
    map_rows,
    require_matrix,
    to_memory,
)
from daskml_exec.training import Callback, RoundEvent, run_rounds

_MISSING_Y = (
    "LogisticRegression requires y to be passed, but the target y is None: give one label per row"
)


class LogisticRegression(ClassifierMixin, BaseEstimator):
    r"""Logistic regression with scikit-learn's objective, trained over partitions.

    Minimises, over coefficients W and intercepts b,

    .. math:: C \sum_i s_i\, \ell(W x_i + b, y_i) + \tfrac12 \|W\|_F^2

    with the logistic loss for two classes and the cross-entropy of the softmax for more. The
    intercept is not penalised. Coefficients agree with scikit-learn's from any chunking, and are
    the same to the bit on any number of Workers.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the penalty; ``np.inf`` means no penalty.
    fit_intercept : bool, default=True
    class_weight : dict, "balanced" or None, default=None
        Factors on the weights of the rows of each class. "balanced" makes the classes weigh the
        same: ``sum(s) / (n_classes * sum(s[y == k]))``. A class of factor zero is no class.
    tol : float, default=1e-10
        Training stops when no component of the gradient of f, the objective per unit of weight,
        is larger than ``tol * sqrt(f / log(K))`` for K classes, in standardised coordinates.
        These are :math:`u_{kj} = W_{kj} \sqrt{h\,\mathrm{var}_j + 1/(C \sum s)}`, with var the
        variance of the column and h = (K - 1)/K², so that neither the units of the columns, nor
        the number of rows, nor how far apart the classes are, changes what `tol` means.
    max_iter : int, default=2000
        Iterations of the solver at most: accepted steps of "lbfgs", averages of "averaging".
    solver : {"auto", "lbfgs", "averaging"}, default="auto"
        - "lbfgs": each round sums loss and gradient over all rows; the driver takes an L-BFGS
          step. Exact.
        - "averaging": each partition trains a local model, and the models are averaged by
          weight. The first average is the one-shot estimate [1]_, which is what ``max_iter=1``
          returns; it is approximate, because the average of the partitions' minimisers is not
          the minimiser of their average: the error shrinks with the rows per partition, not
          with the number of partitions. From the second average on, each local problem is
          corrected by the difference between the gradient of the whole and its own, and held
          near the last average (DANE [2]_), so that the fixed point is the exact optimum.
          A partition that lacks a class is held near the start in the first average.
        - "auto": "lbfgs".
    warm_start : bool, default=False
        Start from the coefficients of the last `fit`, which must have the same shape.
    verbose : int, default=0
        If positive, print a line for each round.
    callbacks : sequence of callables, optional
        Each is called with a `daskml_exec.training.RoundEvent` after every round. One that
        returns True stops the fit. With callbacks every round passes through the driver, also
        for one partition.

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

    `fit` runs on ``Executor.current()``. In-memory data is cut by its size alone (dask config
    ``daskml-exec.partition-bytes``). Infinite and missing values are found on the Workers and
    named by partition and column, in rows of weight zero too.

    References
    ----------
    .. [1] Zhang, Duchi and Wainwright (2013), Communication-efficient algorithms for statistical
       optimization, Journal of Machine Learning Research 14.
    .. [2] Shamir, Srebro and Zhang (2014), Communication-efficient distributed optimization using
       an approximate Newton-type method, ICML.

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
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "solver": [StrOptions({"auto", "lbfgs", "averaging"})],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "callbacks": ["array-like", None],
    }

    def __init__(
        self,
        *,
        C: float = 1.0,
        fit_intercept: bool = True,
        class_weight: Any = None,
        tol: float = 1e-10,
        max_iter: int = 2000,
        solver: str = "auto",
        warm_start: bool = False,
        verbose: int = 0,
        callbacks: Sequence[Callback] | None = None,
    ) -> None:
        self.C = C
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.solver = solver
        self.warm_start = warm_start
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "LogisticRegression":
        """Train on the rows of X.

        Parameters
        ----------
        X : array-like, sparse matrix, Dask collection or list of futures, shape (n, n_features)
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

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            `max_iter` was reached, or rounding stopped progress, before `tol`.
        """
        self._validate_params()
        if y is None:
            raise ValueError(_MISSING_Y)
        callbacks = self._callbacks()
        executor = Executor.current()
        data = self._partition(executor, X, y, sample_weight)
        problem = LogisticProblem(
            n_classes=len(data.classes),
            C=float(self.C),
            fit_intercept=self.fit_intercept,
            feature_names=data.partitions.feature_names,
        )
        start = self._start(problem, data)
        classes, dtype = data.classes, data.partitions.dtype
        try:
            result = run_rounds(
                LogisticRounds(problem, self.tol),
                Fit(start, self.max_iter, averaging=self.solver == "averaging"),
                data.partitions,
                callbacks=callbacks,
                snapshot=lambda state: partial(self._with, state.parameters, classes, dtype),
                name="logistic",
            )
        finally:
            # A traceback that somebody keeps, as notebooks do, would keep the data on the cluster.
            data.partitions.release()
        state = result.state
        self._set_parameters(state.parameters, classes, dtype)
        self.n_iter_ = np.array([state.n_iter], dtype=np.int32)
        self.history_ = result.history
        if state.done and not state.converged:
            self._warn(state)
        return self

    def decision_function(self, X: Any) -> Any:
        """Return the margins ``X W' + b``.

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        array of shape (n,) for two classes or (n, n_classes)
            A NumPy array for data in memory; lazily, a Dask array with the row chunks of X for a
            Dask array, a Dask series or dataframe with the index of X for a Dask dataframe; a
            list of futures for a list of futures.
        """
        check_is_fitted(self)
        columns = None if len(self.classes_) == 2 else self.classes_
        return self._map(MarginsOf(self.coef_, self.intercept_), X, columns, floating=True)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, shape (n, n_classes); kinds as `decision_function`.

        Sigmoid of the margin for two classes, softmax of the margins for more.
        """
        check_is_fitted(self)
        probabilities = ProbabilitiesOf(MarginsOf(self.coef_, self.intercept_))
        return self._map(probabilities, X, self.classes_, floating=True)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of `predict_proba`."""
        check_is_fitted(self)
        probabilities = ProbabilitiesOf(MarginsOf(self.coef_, self.intercept_), log=True)
        return self._map(probabilities, X, self.classes_, floating=True)

    def predict(self, X: Any) -> Any:
        """Return the most probable label of each row; kinds as `decision_function`."""
        check_is_fitted(self)
        labels = LabelsOf(MarginsOf(self.coef_, self.intercept_), self.classes_)
        return self._map(labels, X, None, floating=False)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows, by weight, whose label is predicted.

        For a Dask collection or a list of futures the Workers count, and only counts travel.
        """
        if not is_collection(X):
            here = Executor.current() if is_collection(y) or is_collection(sample_weight) else None
            y, sample_weight = to_memory(y, here), to_memory(sample_weight, here)
            return float(super().score(X, y, sample_weight))
        check_is_fitted(self)
        self._check_features(X)
        labels = LabelsOf(MarginsOf(self.coef_, self.intercept_), self.classes_)
        return accuracy(Executor.current(), labels, X, y, sample_weight)

    def _partition(
        self, executor: Executor, X: Any, y: Any, sample_weight: Any
    ) -> ClassificationData:
        names = None
        if not is_collection(X):
            y, sample_weight = to_memory(y, executor), to_memory(sample_weight, executor)
            X, y = validate_data(
                self,
                X,
                y,
                accept_sparse="csr",
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
            )
            if sample_weight is not None:
                sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
            names = getattr(self, "feature_names_in_", None)
        data = classification_data(
            executor,
            X,
            y,
            sample_weight,
            class_weight=self.class_weight,
            feature_names=None if names is None else tuple(names),
        )
        if is_collection(X):
            self.n_features_in_ = data.partitions.n_features
            _check_feature_names(self, _named_columns(data.partitions.feature_names), reset=True)
        return data

    def _start(self, problem: LogisticProblem, data: ClassificationData) -> Parameters:
        shape = (problem.n_outputs, data.partitions.n_features)
        if not (self.warm_start and hasattr(self, "coef_")):
            return Parameters(np.zeros(shape), np.zeros(shape[0]))
        if self.coef_.shape != shape:
            raise ValueError(
                f"warm_start=True, but coef_ of the last fit has shape {self.coef_.shape}; this "
                f"data needs {shape}"
            )
        return Parameters(self.coef_.astype(np.float64), self.intercept_.astype(np.float64))

    def _callbacks(self) -> list[Callback]:
        given = list(self.callbacks or [])
        for callback in given:
            if not callable(callback):
                raise TypeError(
                    f"callbacks has {callback!r}, which cannot be called; allowed are functions "
                    "of a RoundEvent"
                )
        return [_print_round, *given] if self.verbose else given

    def _with(self, parameters: Parameters, classes: Any, dtype: Any) -> "LogisticRegression":
        """Return an estimator like this one, fitted with these parameters."""
        other = type(self)(**self.get_params(deep=False))
        other._set_parameters(parameters, classes, dtype)
        other.n_features_in_ = self.n_features_in_
        if hasattr(self, "feature_names_in_"):
            other.feature_names_in_ = self.feature_names_in_
        return other

    def _set_parameters(self, parameters: Parameters, classes: Any, dtype: Any) -> None:
        self.classes_ = classes
        self.coef_ = parameters.coef.astype(dtype)
        self.intercept_ = parameters.intercept.astype(dtype)

    def _warn(self, state: Any) -> None:
        reason = "rounding stopped progress" if state.stuck else f"max_iter={self.max_iter}"
        warnings.warn(
            f"LogisticRegression(solver={self.solver!r}) stopped before it converged ({reason}): "
            f"after {state.n_iter} iterations the gradient norm is {state.gradient_norm:.2e}, "
            f"above tol={self.tol:.2e}. Raise max_iter or tol",
            ConvergenceWarning,
            stacklevel=3,
        )

    def _map(self, function: Any, X: Any, columns: Any, *, floating: bool) -> Any:
        if not is_collection(X):
            X = validate_data(
                self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False
            )
            return function(X)
        self._check_features(X)
        dtype = self.coef_.dtype if floating else self.classes_.dtype
        return map_rows(function, X, columns=columns, dtype=dtype, promote=floating)

    def _check_features(self, X: Any) -> None:
        require_matrix(X)
        meta = frame_meta(X)
        _check_feature_names(self, meta, reset=False)
        if hasattr(meta, "shape"):
            _check_n_features(self, meta, reset=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _named_columns(names: Any) -> Any:
    """Return an empty frame with these columns, which is what scikit-learn reads names from."""
    return None if names is None else pd.DataFrame(columns=list(names))


def _print_round(event: RoundEvent) -> None:
    record = event.record
    found = (
        ""
        if record.loss is None
        else f"  loss {record.loss:.8f}  gradient {record.gradient_norm:.2e}"
    )
    print(f"round {record.round:>4}  {record.step:8}{found}  {record.seconds * 1e3:.1f} ms")
