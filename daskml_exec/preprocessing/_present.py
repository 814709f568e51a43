"""What is asked of all partitions about values that are there, and those that are missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils import check_array
from sklearn.utils._mask import _get_mask

from daskml_exec.kernels.categories import CategoryCounts, category_counts, is_nan
from daskml_exec.partitions import Partition, gaps_as_nan
from daskml_exec.preprocessing._categories import few
from daskml_exec.training import Query


@dataclass(frozen=True)
class PresentValues:
    """Of one column.

    Attributes
    ----------
    present, missing : int
        Rows.
    stored : int
        Values that are there, but for zeros that a sparse matrix does not store.
    values : CategoryCounts or None
        Which there are, if that was asked for.
    """

    present: int
    missing: int
    stored: int
    values: CategoryCounts | None

    def __add__(self, other: PresentValues) -> PresentValues:
        values = None
        if self.values is not None and other.values is not None:
            values = self.values + other.values
        return PresentValues(
            self.present + other.present,
            self.missing + other.missing,
            self.stored + other.stored,
            values,
        )

    @property
    def most_frequent(self) -> Any:
        """The value that comes most often, the smallest of several; None where there is none."""
        if self.values is None or not len(self.values.values):
            return None
        counts = self.values.counts
        often = self.values.values[counts == counts.max()]
        try:
            return min(often.tolist())
        except TypeError:  # of types without an order, scikit-learn takes the first by name
            return min(often.tolist(), key=lambda value: (str(type(value)), str(value)))


@dataclass(frozen=True)
class Present:
    """The answer.

    Attributes
    ----------
    dtype : numpy.dtype, or None
        Of all columns as one array; None of no rows.
    sparse : bool
    columns : tuple of PresentValues
    most : int
        More distinct values than this are refused.
    """

    dtype: np.dtype[Any] | None
    sparse: bool
    columns: tuple[PresentValues, ...]
    most: int

    def __add__(self, other: Present) -> Present:
        if self.dtype is None or other.dtype is None:
            return other if self.dtype is None else self
        kinds = {self.dtype.kind, other.dtype.kind}
        objects = bool(kinds & set("biuf")) and bool(kinds - set("biuf"))
        dtype = np.dtype(object) if objects else np.result_type(self.dtype, other.dtype)
        pairs = zip(self.columns, other.columns, strict=True)
        columns = tuple(left + right for left, right in pairs)
        for index, each in enumerate(columns):
            if each.values is not None:
                few(index, self.most, _itself, each.values)
        return Present(dtype, self.sparse or other.sparse, columns, self.most)


def _itself(values: CategoryCounts) -> CategoryCounts:
    return values


@dataclass(frozen=True)
class CountPresent(Query[Present]):
    """How many values are there, and which.

    Attributes
    ----------
    missing : object
        What says that a value is missing.
    which : bool
        Whether to count each distinct value.
    most : int
        More are refused, where they are found.
    """

    missing: Any
    which: bool
    most: int

    def partial(self, partition: Partition) -> Present:
        """Look at the columns one after the other."""
        if not partition.n_rows:
            return Present(None, sp.issparse(partition.X), (), self.most)
        X = one_array(partition.X, self.missing)
        columns = []
        for index, (values, gaps, zeros) in enumerate(_columns(X, self.missing)):
            there = values[~gaps]
            counts = None
            if self.which:
                counts = few(index, self.most, _unordered, there)
                if zeros:
                    counts = counts + CategoryCounts(
                        np.zeros(1, X.dtype), np.array([zeros]), ordered=False
                    )
            missing = int(np.count_nonzero(gaps))
            columns.append(PresentValues(len(there) + zeros, missing, len(there), counts))
        return Present(X.dtype, sp.issparse(X), tuple(columns), self.most)


def _unordered(values: Any) -> CategoryCounts:
    return category_counts(values, ordered=False)


def _columns(X: Any, missing: Any) -> Iterator[tuple[Any, Any, int]]:
    """Yield the values of each column, which are missing, and how many zeros are beside them."""
    if sp.issparse(X):
        X = X.tocsc()
        gaps = _get_mask(X.data, missing)
        for column in range(X.shape[1]):
            some = slice(X.indptr[column], X.indptr[column + 1])
            yield X.data[some], gaps[some], X.shape[0] - (some.stop - some.start)
        return
    gaps = _get_mask(X, missing)
    for column in range(X.shape[1]):
        yield X[:, column], gaps[:, column], 0


def one_array(X: Any, missing: Any) -> Any:
    """Return rows as one array or sparse matrix, as scikit-learn's imputer looks at them."""
    texts = isinstance(X, list) and any(isinstance(value, str) for row in X for value in row)
    nan_is_missing = missing is pd.NA or is_nan(missing)
    return check_array(
        gaps_as_nan(X),
        accept_sparse=["csr", "csc"],
        dtype=object if texts else None,
        ensure_all_finite="allow-nan" if nan_is_missing else True,
        input_name="X",
    )
