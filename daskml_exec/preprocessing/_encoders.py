"""Encoders of categories that one pass collects."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn import preprocessing as sk
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import validate_data

from daskml_exec.kernels.array_namespace import is_on_device
from daskml_exec.preprocessing._categories import (
    Categories,
    CountCategories,
    count_categories,
)
from daskml_exec.preprocessing._preprocessor import (
    BlockFunction,
    InvertiblePreprocessor,
    Preprocessor,
)

_INFREQUENT = ("_infrequent_enabled", "_infrequent_indices", "_default_to_infrequent_mappings")


class CategoryBlock(BlockFunction):
    """A method of an encoder, of blocks whose columns keep their dtypes."""

    def __call__(self, block: Any) -> Any:
        """Return the block transformed, or back."""
        if self.method == "inverse_transform" and not (sp.issparse(block) or is_on_device(block)):
            block = np.array(block)  # scikit-learn writes to it, and blocks are their owner's
        return super().__call__(block)

    @staticmethod
    def without_names(frame: Any) -> Any:
        """Return the frame with numbers as names, which are none to scikit-learn."""
        return frame.set_axis(range(frame.shape[1]), axis=1)


class CategoryPreprocessor(Preprocessor):
    """Base of what looks at the categories of each column."""

    _accept_sparse = False
    _block_function = CategoryBlock
    categories_: list[NDArray[Any]]

    @property
    def _as_given(self) -> bool:
        return True

    def _checked(self, X: Any, *, reset: bool) -> Any:
        validate_data(self, X=X, reset=reset, skip_check_array=True)
        if isinstance(X, pd.DataFrame):
            return X
        return np.column_stack(sk.OneHotEncoder()._check_X(X, ensure_all_finite="allow-nan")[0])

    def _row(self, X: Any) -> Any:
        """Return a row of the first categories."""
        names = getattr(self, "feature_names_in_", range(self.n_features_in_))
        columns = [pd.Series(each[:1]) for each in self.categories_]
        return pd.concat(columns, axis=1).set_axis(names, axis=1)

    def _stand_in(self) -> Any:
        """Return a row that tells how many columns there are, and their names."""
        names = getattr(self, "feature_names_in_", None)
        row = np.zeros((1, self.n_features_in_))
        return row if names is None else pd.DataFrame(row, columns=names)


class CategoryEncoder(CategoryPreprocessor, InvertiblePreprocessor):
    """Base of encoders of each column's categories."""

    _counted: ClassVar[Callable[..., Any]]
    """The class of scikit-learn's encoder that is fitted with what was counted."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the categories of each column.

        Parameters
        ----------
        X : array-like, dataframe, Dask collection, list of futures or Data
            Rows of texts or numbers. None and NaN are categories.
        y : None
            Not used; there for pipelines.

        Returns
        -------
        self
            This estimator, fitted.

        Raises
        ------
        TypeError
            A column has texts and numbers, or X is sparse.
        ValueError
            A column has more categories than dask config ``daskml-exec.max-categories``; or what
            scikit-learn refuses.
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
        return self._learn(X, reset=not hasattr(self, "categories_"))

    def _query(self, partitions: Any) -> CountCategories:
        return count_categories(partitions)

    def _finished(self, answer: Categories) -> Any:
        model = type(self)._counted(**self.get_params(deep=False))
        model.counted = answer
        model.fit(self._stand_in())
        del model.counted
        model.__class__ = type(self)._sklearn
        return model


class Counted:
    """In front of scikit-learn's encoder: what it would find in the columns is known."""

    counted: Categories
    categories_: list[Any]

    def _check_X(self, X: Any, ensure_all_finite: Any = True) -> Any:
        columns = self.counted.columns or ()
        return [each.values for each in columns], self.counted.rows, len(columns)

    def _fit_infrequent_category_mapping(self, n: Any, counts: Any, missing_indices: Any) -> Any:
        columns = self.counted.columns or ()
        counts = [found.of(values) for found, values in zip(columns, self.categories_, strict=True)]
        return super()._fit_infrequent_category_mapping(  # type: ignore[misc]
            self.counted.rows, counts, missing_indices
        )


class _CountedOneHot(Counted, sk.OneHotEncoder):
    pass


class _CountedOrdinal(Counted, sk.OrdinalEncoder):
    pass


class OneHotEncoder(CategoryEncoder):
    """Encode categories as columns of zeros and ones.

    As `sklearn.preprocessing.OneHotEncoder`, with its categories in its order, from one pass in
    which Workers collect the categories of each column with their counts. Sparse results of Dask
    collections are Dask arrays of CSR chunks.

    Parameters
    ----------
    categories : "auto" or list of array-likes, default="auto"
        Of each column: those found, or given ones, sorted if they are numbers.
    drop : {"first", "if_binary"}, array-like or None, default=None
        A category of each column that gets no column.
    sparse_output : bool, default=True
        Whether the result is a CSR matrix.
    dtype : dtype, default=float64
        Of the result.
    handle_unknown : {"error", "ignore", "infrequent_if_exist", "warn"}, default="error"
        What is done with categories in `transform` that `fit` did not see.
    min_frequency : int or float, default=None
        Categories that come more rarely, in rows or as a share of them, are one.
    max_categories : int, default=None
        Of each column in the result, where the rarest others are one.
    feature_name_combiner : "concat" or callable, default="concat"
        Makes names of columns of a name and a category.

    Attributes
    ----------
    categories_ : list of ndarray
    drop_idx_ : ndarray of shape (n_features_in_,), or None
        Which categories have no column.
    n_features_in_ : int
    feature_names_in_ : ndarray of str objects
        For dataframes whose columns are strings.

    Examples
    --------
    >>> from daskml_exec.preprocessing import OneHotEncoder
    >>> encoder = OneHotEncoder(sparse_output=False).fit([["red"], ["blue"], ["red"]])
    >>> encoder.get_feature_names_out()
    array(['x0_blue', 'x0_red'], dtype=object)
    >>> encoder.transform([["red"]])
    array([[0., 1.]])
    """

    _sklearn = sk.OneHotEncoder
    _counted = _CountedOneHot
    _private = (*_INFREQUENT, "_drop_idx_after_grouping", "_n_features_outs")
    _parameter_constraints = sk.OneHotEncoder._parameter_constraints
    drop_idx_: NDArray[Any] | None

    def __init__(
        self,
        *,
        categories: Any = "auto",
        drop: Any = None,
        sparse_output: bool = True,
        dtype: Any = np.float64,
        handle_unknown: str = "error",
        min_frequency: float | None = None,
        max_categories: int | None = None,
        feature_name_combiner: Any = "concat",
    ) -> None:
        self.categories = categories
        self.drop = drop
        self.sparse_output = sparse_output
        self.dtype = dtype
        self.handle_unknown = handle_unknown
        self.min_frequency = min_frequency
        self.max_categories = max_categories
        self.feature_name_combiner = feature_name_combiner

    @property
    def infrequent_categories_(self) -> list[Any]:
        """Categories of each column that are one, where any are asked for."""
        found: list[Any] = self.to_sklearn().infrequent_categories_
        return found

    @property
    def _dense(self) -> bool:
        return not self.sparse_output

    def _of_blocks(self, method: str, X: Any) -> tuple[BlockFunction, Any]:
        wanted = _get_output_config("transform", self)["dense"]
        if method == "transform" and self.sparse_output and wanted != "default":
            raise ValueError(
                f"set_output(transform={wanted!r}) with sparse_output=True; allowed are 'default', "
                "and sparse_output=False"
            )
        return super()._of_blocks(method, X)


class OrdinalEncoder(CategoryEncoder):
    """Encode categories as numbers from 0.

    As `sklearn.preprocessing.OrdinalEncoder`, with its categories in its order, from one pass in
    which Workers collect the categories of each column with their counts. Dask dataframes become
    Dask dataframes.

    Parameters
    ----------
    categories : "auto" or list of array-likes, default="auto"
        Of each column: those found, or given ones, sorted if they are numbers.
    dtype : dtype, default=float64
        Of the result.
    handle_unknown : {"error", "use_encoded_value"}, default="error"
        What is done with categories in `transform` that `fit` did not see.
    unknown_value : int or NaN, default=None
        What they become.
    encoded_missing_value : int or NaN, default=NaN
        What NaN and None become.
    min_frequency : int or float, default=None
        Categories that come more rarely, in rows or as a share of them, are one.
    max_categories : int, default=None
        Of each column in the result, where the rarest others are one.

    Attributes
    ----------
    categories_ : list of ndarray
    n_features_in_ : int
    feature_names_in_ : ndarray of str objects
        For dataframes whose columns are strings.

    Examples
    --------
    >>> from daskml_exec.preprocessing import OrdinalEncoder
    >>> OrdinalEncoder().fit_transform([["red", 7], ["blue", 5], ["red", 9]])
    array([[1., 1.],
           [0., 0.],
           [1., 2.]])
    """

    _sklearn = sk.OrdinalEncoder
    _counted = _CountedOrdinal
    _private = (*_INFREQUENT, "_missing_indices")
    _parameter_constraints = sk.OrdinalEncoder._parameter_constraints

    def __init__(
        self,
        *,
        categories: Any = "auto",
        dtype: Any = np.float64,
        handle_unknown: str = "error",
        unknown_value: Any = None,
        encoded_missing_value: Any = np.nan,
        min_frequency: float | None = None,
        max_categories: int | None = None,
    ) -> None:
        self.categories = categories
        self.dtype = dtype
        self.handle_unknown = handle_unknown
        self.unknown_value = unknown_value
        self.encoded_missing_value = encoded_missing_value
        self.min_frequency = min_frequency
        self.max_categories = max_categories

    @property
    def infrequent_categories_(self) -> list[Any]:
        """Categories of each column that are one, where any are asked for."""
        found: list[Any] = self.to_sklearn().infrequent_categories_
        return found
