"""Fill what is missing by what is there."""

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn import impute
from sklearn.utils._param_validation import MissingValues, StrOptions
from sklearn.utils.validation import validate_data

from daskml_exec.executor import configured_number
from daskml_exec.kernels.order_statistics import OrderSketch
from daskml_exec.partitions import gaps_as_nan, naming_columns
from daskml_exec.preprocessing._categories import LIMIT
from daskml_exec.preprocessing._encoders import CategoryBlock
from daskml_exec.preprocessing._orders import Condensed, of_columns, orders_of
from daskml_exec.preprocessing._preprocessor import InvertiblePreprocessor, row_like
from daskml_exec.preprocessing._present import CountPresent, Present, one_array
from daskml_exec.preprocessing._questions import Questions
from daskml_exec.preprocessing._summaries import Form, Summaries, Summary, single_precision


class SimpleImputer(InvertiblePreprocessor):
    """Fill missing values by a number or text for each column.

    As `sklearn.impute.SimpleImputer`, in one pass over the partitions ("median": one for each group
    of columns, exact up to 1,000,000 rows). A frame of texts and numbers becomes one of objects.

    Parameters
    ----------
    missing_values : int, float, str, NaN, None or pandas.NA, default=NaN
        What says that a value is missing.
    strategy : {"mean", "median", "most_frequent", "constant"}, default="mean"
        What fills columns. The last two take texts, too. "most_frequent" refuses columns with more
        distinct values than dask config ``daskml-exec.max-categories``.
    fill_value : str or number, default=None
        For "constant"; None is 0 for numbers, and "missing_value".
    copy : bool, default=True
        Whether data in memory is copied before it is transformed; blocks of collections are.
    add_indicator : bool, default=False
        Whether columns are added that tell where values were missing.
    keep_empty_features : bool, default=False
        Whether columns without values stay.

    Attributes
    ----------
    statistics_ : ndarray of shape (n_features_in_,)
        What fills each column. Those with NaN are left out by `transform`.
    indicator_ : MissingIndicator or None
    n_features_in_ : int
    feature_names_in_ : ndarray of str objects
        For dataframes whose columns are strings.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec.preprocessing import SimpleImputer
    >>> SimpleImputer().fit_transform([[7.0, 2.0], [np.nan, 4.0], [9.0, np.nan]])
    array([[7., 2.],
           [8., 4.],
           [9., 3.]])
    """

    _sklearn = impute.SimpleImputer
    _block_function = CategoryBlock
    _private = ("_fit_dtype", "_fill_dtype")
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "missing_values": [MissingValues()],
        "strategy": [StrOptions({"mean", "median", "most_frequent", "constant"})],
        "fill_value": "no_validation",
        "copy": ["boolean"],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
    }
    statistics_: NDArray[Any]
    indicator_: Any
    _fit_dtype: np.dtype[Any]

    def __init__(
        self,
        *,
        missing_values: Any = np.nan,
        strategy: str = "mean",
        fill_value: Any = None,
        copy: bool = True,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
    ) -> None:
        self.missing_values = missing_values
        self.strategy = strategy
        self.fill_value = fill_value
        self.copy = copy
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what fills each column.

        Parameters
        ----------
        X : array-like, sparse matrix, dataframe, Dask collection, list of futures or Data
            Rows.
        y : None
            Not used; there for pipelines.

        Returns
        -------
        self
            This estimator, fitted.

        Raises
        ------
        ValueError
            X has infinities, texts where there can be none, or what scikit-learn refuses.
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
            The first rows were given to `fit`, which keeps at most 1 MB to add medians to.
        """
        first = not hasattr(self, "statistics_")
        if not first and self._seen is None:
            raise ValueError(
                "this SimpleImputer was fitted by `fit`, which keeps at most 1 MB of values for "
                "`partial_fit` to add to; allowed is `partial_fit` from the first on"
            )
        return self._learn(X, reset=first, questions=self._whole)

    @property
    def _of_numbers(self) -> bool:
        return self.strategy in ("mean", "median")

    @property
    def _as_given(self) -> bool:
        return not self._of_numbers

    @property
    def _missing(self) -> float:
        """What is missing among numbers."""
        if self.missing_values is pd.NA:
            return np.nan
        if not isinstance(self.missing_values, Real):
            raise ValueError(
                "'X' and 'missing_values' types are expected to be both numerical. Got "
                f"missing_values={self.missing_values!r} with strategy={self.strategy!r}"
            )
        return float(self.missing_values)

    def _query(self, partitions: Any) -> Any:
        if self.strategy == "mean":
            return Summaries(("means",), missing=self._missing)
        return CountPresent(
            self.missing_values, self.strategy == "most_frequent", configured_number(LIMIT)
        )

    def _questions(self, partitions: Any) -> Questions[Any]:
        if self.strategy == "median":
            return orders_of(partitions, condense=_median, missing=self._missing)
        return super()._questions(partitions)

    def _whole(self, partitions: Any) -> Questions[Any]:
        if self.strategy == "median":
            return orders_of(partitions, missing=self._missing)
        return super()._questions(partitions)

    def _kept(self, answer: Any) -> Any:
        return None if isinstance(answer, Condensed) else answer

    def _checked(self, X: Any, *, reset: bool) -> Any:
        if not self._of_numbers:
            validate_data(self, X=X, reset=reset, skip_check_array=True)
            X = one_array(X, self.missing_values)
            return X.tocsr() if sp.issparse(X) else X
        with naming_columns(X, "X"):
            return validate_data(
                self,
                gaps_as_nan(X),
                accept_sparse="csr",
                dtype=[np.float64, np.float32],
                ensure_all_finite="allow-nan" if np.isnan(self._missing) else True,
                reset=reset,
            )

    def _finished(self, answer: Any) -> Any:
        """Fit scikit-learn's imputer on two rows that have what all have and miss."""
        if isinstance(answer, Present):
            return self._of_present(answer)
        form, rows = answer.form, answer.form.rows
        if isinstance(answer, Summary):
            present, found = answer.means.weight, answer.means.mean
        else:
            columns = of_columns(answer, _median)
            present, found = (np.array([pair[part] for pair in columns]) for part in (0, 1))
        model = self._fitted(form.dtype, present > 0, present < rows, sparse=form.sparse)
        empty = 0.0 if self.keep_empty_features else np.nan
        model.statistics_ = np.where(present > 0, found, empty).astype(model.statistics_.dtype)
        return model

    def _of_present(self, answer: Present) -> Any:
        columns, dtype = answer.columns, answer.dtype or np.dtype(np.float64)
        there = np.array([each.stored > 0 for each in columns])
        missing = np.array([each.missing > 0 for each in columns])
        model = self._fitted(dtype, there, missing, sparse=answer.sparse)
        if self.strategy == "most_frequent":
            values = [each.most_frequent for each in columns]
            empty = 0 if self.keep_empty_features else np.nan
            found = np.empty(len(columns), dtype=object if dtype.kind == "O" else np.float64)
            found[:] = [
                value if each.present else empty
                for value, each in zip(values, columns, strict=True)
            ]
            model.statistics_ = found
        return model

    def _fitted(self, dtype: Any, there: Any, missing: Any, *, sparse: bool) -> Any:
        rows = np.empty((2, len(there)), dtype)
        rows[:] = self._some(dtype)
        gap = np.nan if self.missing_values is pd.NA else self.missing_values
        for row, gaps in ((0, ~there), (1, ~there | missing)):
            if gaps.any():
                rows[row, gaps] = gap
        if sparse:
            rows = _stored(rows, there, missing)
        return self._new().fit(rows)

    def _some(self, dtype: Any) -> Any:
        """Return a value of this dtype that is not missing."""
        if dtype.kind in "OUS":
            return "b" if self.missing_values == "a" else "a"
        return dtype.type(2 if self.missing_values == 1 else 1)

    def _row(self, X: Any) -> Any:
        dtype = np.dtype(self._fit_dtype)
        if dtype.kind == "f":
            dtype = np.dtype(np.float32 if single_precision(X) else np.float64)
        row = np.empty((1, self.n_features_in_), dtype)
        row[:] = self._some(dtype)
        return row_like(X, row)


def _median(sketch: OrderSketch, form: Form) -> tuple[int, Any]:
    return sketch.count, sketch.sorted([50.0]).median(form.dtype)


def _stored(rows: Any, there: Any, missing: Any) -> Any:
    """Return two rows as a sparse matrix that stores what is there and what is missing."""
    kept = np.stack([there, missing])
    places = np.nonzero(kept)
    return sp.csc_array((rows[places], places), shape=rows.shape)
