"""Scalers of columns by what one pass tells of them."""

from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn import preprocessing as sk

from daskml_exec.kernels.column_summaries import ColumnMoments
from daskml_exec.kernels.moments import Moments
from daskml_exec.preprocessing._device_blocks import ScalerBlocks
from daskml_exec.preprocessing._preprocessor import InvertiblePreprocessor
from daskml_exec.preprocessing._questions import Questions
from daskml_exec.preprocessing._summaries import Summaries, Summary


class StandardScaler(InvertiblePreprocessor):
    r"""Centre columns to mean zero and scale them to unit variance.

    :math:`z = (x - \bar x) / s` with :math:`s^2 = \sum w (x - \bar x)^2 / \sum w`, as
    `sklearn.preprocessing.StandardScaler`, in one pass over the partitions. NaN is left out in
    `fit` and stays in `transform`. Sums are taken about the means of small blocks, and added as
    Chan, Golub and LeVeque do (1983, Algorithms for computing the sample variance, The American
    Statistician 37), so that columns far from zero keep their digits.

    Parameters
    ----------
    copy : bool, default=True
        Whether data in memory is copied before it is transformed; blocks of collections are.
    with_mean : bool, default=True
        Whether to centre. Sparse rows cannot be.
    with_std : bool, default=True
        Whether to scale.

    Attributes
    ----------
    scale_ : ndarray of shape (n_features_in_,), or None
        What is divided by: 1 for constant columns.
    mean_, var_ : ndarray of shape (n_features_in_,), or None
    n_samples_seen_ : int, float or ndarray of shape (n_features_in_,)
        Rows, or their weight; one for each column where some miss values.
    n_features_in_ : int
    feature_names_in_ : ndarray of str objects
        For dataframes whose columns are strings.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.preprocessing import StandardScaler
    >>> X = np.array([[0.0, 5.0], [2.0, 5.0], [4.0, np.nan]])
    >>> scaler = StandardScaler().fit(X)
    >>> scaler.mean_, scaler.n_samples_seen_
    (array([2., 5.]), array([3, 2]))
    >>> scaler.transform(X)[:, 0]
    array([-1.22474487,  0.        ,  1.22474487])
    """

    _sklearn = sk.StandardScaler
    _block_function = ScalerBlocks
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "copy": ["boolean"],
        "with_mean": ["boolean"],
        "with_std": ["boolean"],
    }
    scale_: NDArray[Any] | None
    mean_: NDArray[Any] | None
    var_: NDArray[Any] | None
    n_samples_seen_: Any

    def __init__(self, *, copy: bool = True, with_mean: bool = True, with_std: bool = True) -> None:
        self.copy = copy
        self.with_mean = with_mean
        self.with_std = with_std

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn means and variances.

        Parameters
        ----------
        X : array-like, sparse matrix, dataframe, Dask collection, list of futures or Data
            Rows of numbers; NaN is left out.
        y : None
            Not used; there for pipelines.
        sample_weight : the same kinds, optional
            Weights from 0; None means ones.

        Returns
        -------
        self
            This estimator, fitted.

        Raises
        ------
        ValueError
            X has infinities, which the message places, or is sparse and `with_mean` is True; all
            weights are zero.
        """
        return self._learn(X, sample_weight, reset=True)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from more rows: the result is that of all rows together.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`
            Rows, nothing, and their weights.

        Returns
        -------
        self
            This estimator, fitted.
        """
        reset = not hasattr(self, "n_samples_seen_")
        return self._learn(X, sample_weight, reset=reset)

    def _checked(self, X: Any, *, reset: bool) -> Any:
        X = super()._checked(X, reset=reset)
        self._refuse_centring(sparse=sp.issparse(X))
        return X

    def _refuse_centring(self, *, sparse: bool) -> None:
        if sparse and self.with_mean:
            raise ValueError(
                "Cannot center sparse matrices: X is sparse, and with_mean is True; allowed is "
                "`with_mean=False`, which scales and leaves zeros what they are"
            )

    def _query(self, partitions: Any) -> Summaries:
        return Summaries(("moments",), partitions.form.exponent)

    def _questions(self, partitions: Any) -> Questions[Summary]:
        answer: Summary = yield from super()._questions(partitions)
        if answer.form.weight == 0:
            raise ValueError("Sample weights must contain at least one non-zero number.")
        return answer

    def _finished(self, answer: Summary) -> Any:
        self._refuse_centring(sparse=answer.form.sparse)
        moments, model = answer.moments, self._new()
        model.mean_ = model.var_ = model.scale_ = None
        if self.with_mean or self.with_std:
            model.mean_ = np.where(moments.weight > 0, moments.mean, np.nan)
        if self.with_std:
            model.var_ = moments.variance
            model.scale_ = np.where(_is_constant(moments), 1.0, np.sqrt(model.var_))
        elif answer.form.sparse:
            model.mean_ = None
        seen = moments.weight.astype(np.int64 if answer.form.weight is None else np.float64)
        model.n_samples_seen_ = seen[0] if (seen == seen[0]).all() else seen
        return model

    def _affine(self) -> tuple[NDArray[Any], NDArray[Any]]:
        zeros = np.zeros(self.n_features_in_)
        centre = self.mean_ if self.with_mean and self.mean_ is not None else zeros
        return centre, zeros + 1.0 if self.scale_ is None else self.scale_

    def _moments(self) -> Moments | None:
        form, moments = self._seen.form, self._seen.moments
        if form.weight is not None or (moments.weight != form.rows).any():
            return None
        return Moments(float(form.rows), moments.mean, moments.spread)


def _is_constant(moments: ColumnMoments) -> NDArray[np.bool_]:
    """Whether the variance of each column is no more than the rounding of its sums can be."""
    n, variance, eps = moments.weight, moments.variance, np.finfo(np.float64).eps
    constant: NDArray[np.bool_] = variance <= n * eps * variance + (n * moments.mean * eps) ** 2
    return constant


class MinMaxScaler(InvertiblePreprocessor):
    r"""Scale columns to a range, by their least and largest values.

    :math:`z = a + (x - \min x) (b - a) / (\max x - \min x)`, as
    `sklearn.preprocessing.MinMaxScaler`, in one pass. NaN is left out in `fit` and stays in
    `transform`. Sparse rows are refused: zeros would not stay zeros.

    Parameters
    ----------
    feature_range : tuple of two floats, default=(0, 1)
        The range (a, b).
    copy : bool, default=True
        Whether data in memory is copied before it is transformed; blocks of collections are.
    clip : bool, default=False
        Whether values outside of what `fit` saw are set to the ends of the range.

    Attributes
    ----------
    min_, scale_ : ndarray of shape (n_features_in_,)
        What is added to values times the scale.
    data_min_, data_max_, data_range_ : ndarray of shape (n_features_in_,)
    n_samples_seen_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str objects
        For dataframes whose columns are strings.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.preprocessing import MinMaxScaler
    >>> X = np.array([[1.0], [2.0], [5.0]])
    >>> MinMaxScaler().fit_transform(X).ravel()
    array([0.  , 0.25, 1.  ])
    """

    _sklearn = sk.MinMaxScaler
    _block_function = ScalerBlocks
    _accept_sparse = False
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "feature_range": [tuple],
        "copy": ["boolean"],
        "clip": ["boolean"],
    }
    min_: NDArray[Any]
    scale_: NDArray[Any]
    data_min_: NDArray[Any]
    data_max_: NDArray[Any]
    data_range_: NDArray[Any]
    n_samples_seen_: int

    def __init__(
        self,
        feature_range: tuple[float, float] = (0, 1),
        *,
        copy: bool = True,
        clip: bool = False,
    ) -> None:
        self.feature_range = feature_range
        self.copy = copy
        self.clip = clip

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the least and the largest values.

        Parameters
        ----------
        X : array-like, dataframe, Dask collection, list of futures or Data
            Rows of numbers; NaN is left out.
        y : None
            Not used; there for pipelines.

        Returns
        -------
        self
            This estimator, fitted.

        Raises
        ------
        ValueError
            X has infinities, which the message places, or the range is empty.
        TypeError
            X is sparse.
        """
        return self._learn(X, reset=True)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn from more rows: the result is that of all rows together.

        Parameters
        ----------
        X, y : as in `fit`
            Rows, and what is to be predicted of them.

        Returns
        -------
        self
            This estimator, fitted.
        """
        return self._learn(X, reset=not hasattr(self, "n_samples_seen_"))

    def _checked(self, X: Any, *, reset: bool) -> Any:
        self._refuse_sparse(sparse=sp.issparse(X))
        return super()._checked(X, reset=reset)

    def _refuse_sparse(self, *, sparse: bool) -> None:
        if sparse:
            raise TypeError(
                "MinMaxScaler does not support sparse input: zeros would not stay zeros. Consider "
                "using MaxAbsScaler instead"
            )

    def _query(self, partitions: Any) -> Summaries:
        return Summaries(("extremes",))

    def _finished(self, answer: Summary) -> Any:
        self._refuse_sparse(sparse=answer.form.sparse)
        return _fitted_on_extremes(self._new(), answer)

    def _affine(self) -> tuple[NDArray[Any], NDArray[Any]] | None:
        return None if self.clip else (-self.min_ / self.scale_, 1.0 / self.scale_)


class MaxAbsScaler(InvertiblePreprocessor):
    r"""Scale columns by their largest absolute values.

    :math:`z = x / \max |x|`, as `sklearn.preprocessing.MaxAbsScaler`, in one pass. Zeros stay
    zeros, and sparse rows sparse. NaN is left out in `fit` and stays in `transform`.

    Parameters
    ----------
    copy : bool, default=True
        Whether data in memory is copied before it is transformed; blocks of collections are.
    clip : bool, default=False
        Whether values outside of what `fit` saw are set to -1 and 1. It needs scikit-learn 1.9.

    Attributes
    ----------
    scale_ : ndarray of shape (n_features_in_,)
        What is divided by: 1 for columns of zeros.
    max_abs_ : ndarray of shape (n_features_in_,)
    n_samples_seen_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str objects
        For dataframes whose columns are strings.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.preprocessing import MaxAbsScaler
    >>> X = np.array([[1.0], [0.0], [-4.0]])
    >>> MaxAbsScaler().fit_transform(X).ravel()
    array([ 0.25,  0.  , -1.  ])
    """

    _sklearn = sk.MaxAbsScaler
    _block_function = ScalerBlocks
    _parameter_constraints: ClassVar[dict[str, Any]] = {"copy": ["boolean"], "clip": ["boolean"]}
    scale_: NDArray[Any]
    max_abs_: NDArray[Any]
    n_samples_seen_: int

    def __init__(self, *, copy: bool = True, clip: bool = False) -> None:
        self.copy = copy
        self.clip = clip

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the largest absolute values.

        Parameters
        ----------
        X : array-like, sparse matrix, dataframe, Dask collection, list of futures or Data
            Rows of numbers; NaN is left out.
        y : None
            Not used; there for pipelines.

        Returns
        -------
        self
            This estimator, fitted.

        Raises
        ------
        ValueError
            X has infinities, which the message places.
        """
        return self._learn(X, reset=True)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn from more rows: the result is that of all rows together.

        Parameters
        ----------
        X, y : as in `fit`
            Rows, and what is to be predicted of them.

        Returns
        -------
        self
            This estimator, fitted.
        """
        return self._learn(X, reset=not hasattr(self, "n_samples_seen_"))

    def _query(self, partitions: Any) -> Summaries:
        return Summaries(("extremes",))

    def _finished(self, answer: Summary) -> Any:
        return _fitted_on_extremes(self._new(), answer)

    def _affine(self) -> tuple[NDArray[Any], NDArray[Any]] | None:
        return None if self.clip else (np.zeros(self.n_features_in_), self.scale_)


def _fitted_on_extremes(model: Any, answer: Summary) -> Any:
    """Fit scikit-learn's scaler on two rows that have the extremes of all, as if they were all."""
    ends = np.stack([answer.extremes.least, answer.extremes.largest])
    model.fit(ends.astype(answer.form.dtype))
    model.n_samples_seen_ = answer.form.rows
    return model
