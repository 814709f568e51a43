"""Transformers by the order of each column's values."""

import warnings
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import preprocessing as sk
from sklearn.preprocessing._data import _handle_zeros_in_scale
from sklearn.utils._param_validation import Interval, StrOptions

from daskml_exec.kernels.order_statistics import OrderSketch
from daskml_exec.preprocessing._device_blocks import ScalerBlocks
from daskml_exec.preprocessing._orders import Condensed, OrderAnswer, of_columns, orders_of
from daskml_exec.preprocessing._preprocessor import InvertiblePreprocessor
from daskml_exec.preprocessing._questions import Questions
from daskml_exec.preprocessing._summaries import Form


class OrderedPreprocessor(InvertiblePreprocessor):
    """Base of those that look at the order of values.

    What `partial_fit` adds to is up to 8 MB for a column and more, so that `fit` keeps only what is
    small.
    """

    def _of_column(self, sketch: OrderSketch, form: Form) -> Any:
        """Return what is wanted of a column."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the order of the values of each column.

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
            X has infinities, which the message places, or is sparse where it cannot be.
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

        Raises
        ------
        ValueError
            The first rows were given to `fit`, which keeps at most 1 MB to add to.
        """
        first = not hasattr(self, "n_features_in_")
        if not first and self._seen is None:
            raise ValueError(
                f"this {type(self).__name__} was fitted by `fit`, which keeps at most 1 MB of "
                "values for `partial_fit` to add to; allowed is `partial_fit` from the first on"
            )
        return self._learn(X, reset=first, questions=self._whole)

    def _questions(self, partitions: Any) -> Questions[OrderAnswer | Condensed]:
        return orders_of(partitions, condense=self._of_column)

    def _whole(self, partitions: Any) -> Questions[OrderAnswer | Condensed]:
        return orders_of(partitions)

    def _kept(self, answer: Any) -> Any:
        return None if isinstance(answer, Condensed) else answer


class RobustScaler(OrderedPreprocessor):
    r"""Centre columns to median zero, and scale them by the distance of two percentiles.

    :math:`z = (x - m) / (p_{75} - p_{25})`, as `sklearn.preprocessing.RobustScaler`. NaN is left
    out in `fit` and stays in `transform`. Up to 1,000,000 rows the percentiles have the bits of
    `numpy.percentile`; beyond, the rank of each is wrong by less than n / 2048. Neither depends on
    how rows are cut.

    Parameters
    ----------
    with_centering : bool, default=True
        Whether to centre. Sparse rows cannot be.
    with_scaling : bool, default=True
        Whether to scale.
    quantile_range : tuple of two floats, default=(25.0, 75.0)
        The two percentiles.
    copy : bool, default=True
        Whether data in memory is copied before it is transformed; blocks of collections are.
    unit_variance : bool, default=False
        Whether normal columns are to have variance 1.

    Attributes
    ----------
    center_ : ndarray of shape (n_features_in_,), or None
        Medians.
    scale_ : ndarray of shape (n_features_in_,), or None
        What is divided by: 1 for constant columns.
    n_features_in_ : int
    feature_names_in_ : ndarray of str objects
        For dataframes whose columns are strings.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.preprocessing import RobustScaler
    >>> X = np.array([[1.0], [2.0], [3.0], [4.0], [1000.0]])
    >>> RobustScaler().fit_transform(X).ravel()
    array([ -1. ,  -0.5,   0. ,   0.5, 498.5])
    """

    _sklearn = sk.RobustScaler
    _block_function = ScalerBlocks
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "with_centering": ["boolean"],
        "with_scaling": ["boolean"],
        "quantile_range": [tuple],
        "copy": ["boolean"],
        "unit_variance": ["boolean"],
    }
    center_: NDArray[Any] | None
    scale_: NDArray[Any] | None

    def __init__(
        self,
        *,
        with_centering: bool = True,
        with_scaling: bool = True,
        quantile_range: tuple[float, float] = (25.0, 75.0),
        copy: bool = True,
        unit_variance: bool = False,
    ) -> None:
        self.with_centering = with_centering
        self.with_scaling = with_scaling
        self.quantile_range = quantile_range
        self.copy = copy
        self.unit_variance = unit_variance

    def _require_some(self, partitions: Any) -> None:
        super()._require_some(partitions)
        least, most = self.quantile_range
        if not 0 <= least <= most <= 100:
            raise ValueError(
                f"Invalid quantile range: {self.quantile_range}; allowed are two numbers from 0 "
                "to 100, the smaller first"
            )

    def _of_column(self, sketch: OrderSketch, form: Form) -> Any:
        column, dtype = sketch.sorted([50.0, *self.quantile_range]), form.dtype
        return column.median(dtype), column.percentiles(self.quantile_range, dtype)

    def _finished(self, answer: OrderAnswer | Condensed) -> Any:
        if answer.form.sparse and self.with_centering:
            raise ValueError("Cannot center sparse matrices: use `with_centering=False` instead")
        model, found = self._new(), of_columns(answer, self._of_column)
        model.center_ = model.scale_ = None
        if self.with_centering:
            model.center_ = np.array([median for median, _ in found], answer.form.dtype)
        if self.with_scaling:
            ends = np.array([percentiles for _, percentiles in found])
            model.scale_ = _handle_zeros_in_scale(ends[:, 1] - ends[:, 0], copy=False)
            if self.unit_variance:
                least, most = (stats.norm.ppf(each / 100.0) for each in self.quantile_range)
                model.scale_ = model.scale_ / (most - least)
        return model

    def _affine(self) -> tuple[NDArray[Any], NDArray[Any]]:
        zeros = np.zeros(self.n_features_in_)
        centre = zeros if self.center_ is None else self.center_
        return centre, zeros + 1.0 if self.scale_ is None else self.scale_


class QuantileTransformer(OrderedPreprocessor):
    """Make columns uniform or normal, by the share of values below each.

    As `sklearn.preprocessing.QuantileTransformer` with ``subsample=None``: all rows are read, so
    that there is neither `subsample` nor `random_state`. Up to 1,000,000 rows the quantiles have
    the bits of `numpy.percentile`; beyond, the rank of each is wrong by less than n / 2048.
    Neither depends on how rows are cut.

    Parameters
    ----------
    n_quantiles : int, default=1000
        Between which is interpolated.
    output_distribution : {"uniform", "normal"}, default="uniform"
    ignore_implicit_zeros : bool, default=False
        Whether zeros that a sparse matrix does not store are left out.
    copy : bool, default=True
        Whether data in memory is copied before it is transformed; blocks of collections are.

    Attributes
    ----------
    n_quantiles_ : int
        At most the number of rows.
    quantiles_ : ndarray of shape (n_quantiles_, n_features_in_)
    references_ : ndarray of shape (n_quantiles_,)
        Which quantiles, from 0 to 1.
    n_features_in_ : int
    feature_names_in_ : ndarray of str objects
        For dataframes whose columns are strings.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.preprocessing import QuantileTransformer
    >>> X = np.array([[1.0], [2.0], [3.0], [4.0], [1000.0]])
    >>> QuantileTransformer(n_quantiles=5).fit_transform(X).ravel()
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """

    _sklearn = sk.QuantileTransformer
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_quantiles": [Interval(Integral, 1, None, closed="left")],
        "output_distribution": [StrOptions({"uniform", "normal"})],
        "ignore_implicit_zeros": ["boolean"],
        "copy": ["boolean"],
    }
    n_quantiles_: int
    quantiles_: NDArray[Any]
    references_: NDArray[Any]

    def __init__(
        self,
        *,
        n_quantiles: int = 1000,
        output_distribution: str = "uniform",
        ignore_implicit_zeros: bool = False,
        copy: bool = True,
    ) -> None:
        self.n_quantiles = n_quantiles
        self.output_distribution = output_distribution
        self.ignore_implicit_zeros = ignore_implicit_zeros
        self.copy = copy

    def _new(self) -> Any:
        return sk.QuantileTransformer(**self.get_params(deep=False), subsample=None)

    def _of_column(self, sketch: OrderSketch, form: Form) -> Any:
        if self.ignore_implicit_zeros and form.sparse:
            nothing_stored = sketch.implicit == form.rows
            sketch = sketch.stored_alone()
            if nothing_stored:
                return np.zeros(len(self._references(form)))
        elif form.sparse and sketch.negative:
            raise ValueError("QuantileTransformer only accepts non-negative sparse matrices.")
        return sketch.sorted().percentiles(self._references(form) * 100, form.dtype)

    def _references(self, form: Form) -> NDArray[np.float64]:
        return np.linspace(0, 1, max(1, min(self.n_quantiles, form.rows)), endpoint=True)

    def _finished(self, answer: OrderAnswer | Condensed) -> Any:
        form, found = answer.form, of_columns(answer, self._of_column)
        if self.ignore_implicit_zeros and not form.sparse:
            warnings.warn(
                "'ignore_implicit_zeros' takes effect only with sparse matrix. This parameter "
                "has no effect.",
                stacklevel=4,
            )
        if self.n_quantiles > form.rows:
            warnings.warn(
                f"n_quantiles ({self.n_quantiles}) is greater than the total number of samples "
                f"({form.rows}). n_quantiles is set to n_samples.",
                stacklevel=4,
            )
        model = self._new()
        model.references_ = self._references(form)
        model.n_quantiles_ = len(model.references_)
        model.quantiles_ = np.transpose(found)
        return model
