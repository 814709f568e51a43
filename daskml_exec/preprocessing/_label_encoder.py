"""Labels of one column as numbers."""

import copy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import preprocessing as sk
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d

from daskml_exec.executor import Executor, as_dask_futures, cluster_is_meant
from daskml_exec.kernels.categories import CategoryCounts, category_counts
from daskml_exec.partitions import (
    FUTURES,
    NO_TARGET,
    SERIES,
    Data,
    Partition,
    is_collection,
    kind_of,
    load_checked,
    map_rows,
    refuse_unreadable,
)
from daskml_exec.preprocessing._categories import Categories, count_categories, few
from daskml_exec.preprocessing._questions import answered, ask_once
from daskml_exec.training import Query, all_or_nothing


class LabelEncoder(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Encode labels as numbers from 0.

    As `sklearn.preprocessing.LabelEncoder`, for y alone: classifiers of this package take labels
    as they are.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted labels.

    Examples
    --------
    >>> from daskml_exec.preprocessing import LabelEncoder
    >>> encoder = LabelEncoder().fit(["no", "yes", "no"])
    >>> encoder.transform(["yes", "no"])
    array([1, 0])
    >>> encoder.inverse_transform([1])
    array(['yes'], dtype='<U3')
    """

    classes_: NDArray[Any]
    _seen: Categories

    def fit(self, y: Any) -> Self:
        """Learn the labels.

        Parameters
        ----------
        y : array-like, series, Dask array, Dask series or list of futures
            One label per row.

        Returns
        -------
        self
            This estimator, fitted.

        Raises
        ------
        TypeError
            There are texts and numbers.
        ValueError
            There are more labels than dask config ``daskml-exec.max-categories``.
        """
        return self._learn(y, reset=True)

    def partial_fit(self, y: Any) -> Self:
        """Learn from more rows: the result is that of all rows together.

        Parameters
        ----------
        y : as in `fit`
            What is to be predicted of each row.

        Returns
        -------
        self
            This estimator, fitted.
        """
        return self._learn(y, reset=not hasattr(self, "classes_"))

    def fit_transform(self, y: Any) -> Any:
        """Learn the labels, and return them encoded.

        Parameters
        ----------
        y : as in `fit`
            What is to be predicted of each row.

        Returns
        -------
        array or series
            As of `transform`.
        """
        return self.fit(y).transform(y)

    def transform(self, y: Any) -> Any:
        """Return labels encoded.

        Parameters
        ----------
        y : as in `fit`
            What is to be predicted of each row.

        Returns
        -------
        ndarray of int64 of shape (n,)
            Lazily a Dask array for such, a Dask series with the index of y for such, a list of
            futures for such.
        """
        return self._mapped("transform", y, np.empty(0, np.int64))

    def inverse_transform(self, y: Any) -> Any:
        """Return the labels of what is encoded.

        Parameters
        ----------
        y : array-like, series, Dask array, Dask series or list of futures
            Of integers.

        Returns
        -------
        ndarray of shape (n,)
            Lazy for collections as of `transform`.
        """
        check_is_fitted(self)
        return self._mapped("inverse_transform", y, self.classes_[:0])

    def to_sklearn(self) -> Any:
        """Return scikit-learn's encoder with the same labels.

        Returns
        -------
        sklearn.preprocessing.LabelEncoder
            Of the kind that X is of, lazily for collections.
        """
        check_is_fitted(self)
        model = sk.LabelEncoder()
        model.classes_ = copy.copy(self.classes_)
        return model

    def _learn(self, y: Any, *, reset: bool) -> Self:
        with all_or_nothing(self):
            if isinstance(y, Data):
                raise TypeError("y is a Data; allowed is what it was loaded from")
            y = as_dask_futures(y)
            refuse_unreadable(y, "y")
            if is_collection(y):
                _require_one_dimension(y)
            else:
                y = column_or_1d(y, warn=True)
            executor = Executor.current() if is_collection(y) or cluster_is_meant() else None
            loaded = load_checked(executor, y, None, None, target=NO_TARGET, raw=True)
            with loaded as data:
                query = _CountLabels(count_categories(None).most)
                answer = answered(ask_once(query), data.partitions, type(self).__name__)
            answer = answer if reset else self._seen + answer
            found = answer.columns
            self.classes_ = np.empty(0) if found is None else found[0].values
            self._seen = answer
        return self

    def _mapped(self, method: str, y: Any, none: Any) -> Any:
        model, y = self.to_sklearn(), as_dask_futures(y)
        if not is_collection(y):
            refuse_unreadable(y, "y")
            return getattr(model, method)(_labels(y) if isinstance(y, pd.Series) else y)
        _require_one_dimension(y)
        block = _LabelBlock(model, method, none)
        if kind_of(y) == SERIES:
            return map_rows(block, y, meta=pd.Series(none, name=y.name))
        return map_rows(block, y, meta=none)

    def __sklearn_tags__(self) -> Any:
        tags = sk.LabelEncoder().__sklearn_tags__()
        tags.array_api_support = False
        return tags


@dataclass(frozen=True)
class _CountLabels(Query[Categories]):
    most: int

    def partial(self, partition: Partition) -> Categories:
        if not partition.n_rows:
            return Categories(0, None, self.most)
        column = few(0, self.most, _counted_labels, partition.X)
        return Categories(partition.n_rows, (column,), self.most)


def _counted_labels(labels: Any) -> CategoryCounts:
    return category_counts(_labels(labels))


def _labels(labels: Any) -> Any:
    """Return an array of labels, with NaN where texts are missing."""
    if isinstance(labels, pd.Series) and isinstance(labels.dtype, pd.StringDtype):
        labels = labels.astype(object).where(labels.notna(), np.nan).to_numpy()
    return column_or_1d(labels)


@dataclass(frozen=True, eq=False)
class _LabelBlock:
    """A method of scikit-learn's encoder, of blocks of labels."""

    model: Any
    method: str
    none: Any
    """What it returns for no rows."""

    @property
    def __name__(self) -> str:
        return f"LabelEncoder-{self.method}"

    def __call__(self, block: Any) -> Any:
        return getattr(self.model, self.method)(_labels(block)) if len(block) else self.none


def _require_one_dimension(y: Any) -> None:
    if kind_of(y) != FUTURES and y.ndim != 1:
        raise ValueError(f"y should be a 1d array, got {y.ndim} dimensions of {kind_of(y)} instead")
