"""Weights of counted terms, of which somebody else has made the counts."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.feature_extraction import text
from sklearn.utils.validation import _check_feature_names, _check_n_features, check_is_fitted

from daskml_exec.executor import Executor, as_dask_futures
from daskml_exec.kernels.term_weights import inverse_document_frequencies
from daskml_exec.partitions import (
    FUTURES,
    NO_TARGET,
    Data,
    Partition,
    Place,
    frame_meta,
    is_collection,
    kind_of,
    load_checked,
    map_rows,
    not_finite,
    refuse_unreadable,
    require_matrix,
)
from daskml_exec.training import Query, all_or_nothing, reduce


@dataclass(frozen=True)
class Counted:
    """How many rows have each column, and the first place with no number, if there is one."""

    documents: NDArray[np.int64]
    not_finite: Place | None = None


@dataclass(frozen=True)
class CountDocumentsWith(Query[Counted]):
    """How many rows have each column; a stored zero counts, as with scikit-learn."""

    def partial(self, partition: Partition) -> Counted:
        X, place = partition.X, partition.first_non_finite()
        if place is not None:
            return Counted(np.zeros(X.shape[1], dtype=np.int64), place)
        if not sp.issparse(X):
            return Counted(np.count_nonzero(X, axis=0).astype(np.int64))
        return Counted(np.bincount(X.indices, minlength=X.shape[1]).astype(np.int64))

    def combine(self, left: Counted, right: Counted) -> Counted:
        place = right.not_finite if left.not_finite is None else left.not_finite
        return Counted(left.documents + right.documents, place)


@dataclass(frozen=True)
class Weigh:
    """Returns a block of counts weighted.

    Attributes
    ----------
    weigh : TfidfTransformer
        Scikit-learn's, fitted, without names of columns.
    """

    weigh: Any

    @property
    def __name__(self) -> str:
        return "tfidf"

    def __call__(self, block: Any) -> Any:
        if block.shape[0] == 0:  # which scikit-learn refuses
            return sp.csr_matrix(block.shape, dtype=float_dtype(getattr(block, "dtype", None)))
        if isinstance(block, pd.DataFrame):
            block = block.to_numpy()
        return self.weigh.transform(block)  # of a copy: the block is somebody else's


def float_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype in which scikit-learn weighs counts of a dtype."""
    return np.dtype(np.float32 if dtype == np.dtype(np.float32) else np.float64)


class TfidfTransformer(text.TfidfTransformer):
    """Weigh counts of terms by how few documents have them, wherever the counts are.

    Of a term with the count c in a document of n, d of which have it, the weight is
    c * (log((1 + n) / (1 + d)) + 1); each document is then divided by the norm of its weights.
    This is scikit-learn's estimator of the same name, with the same numbers, which takes Dask
    collections as well: the documents with each term are counted where the rows are, in one pass,
    and `transform` is lazy.

    Parameters
    ----------
    norm : {"l1", "l2"} or None, default="l2"
        What each document is divided by; None for nothing.
    use_idf : bool, default=True
        Whether the logarithm is a factor.
    smooth_idf : bool, default=True
        Whether the two ones are added, as if one more document had each term.
    sublinear_tf : bool, default=False
        Whether counts c become 1 + log(c) first.

    Attributes
    ----------
    idf_ : ndarray of shape (n_features,)
        log((1 + n) / (1 + d)) + 1, where `use_idf`.
    n_features_in_ : int
        Columns of what `fit` saw.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X had names that are strings.

    See Also
    --------
    TfidfVectorizer : Counts terms, too.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from daskml_exec import Executor
    >>> from daskml_exec.feature_extraction.text import TfidfTransformer
    >>> X = da.from_array(np.array([[2, 1], [1, 0], [3, 0]]), chunks=(2, 2))
    >>> with Executor(processes=False, n_workers=1):
    ...     tfidf = TfidfTransformer().fit(X)
    ...     tfidf.transform(X).compute().toarray().round(2)
    array([[0.76, 0.65],
           [1.  , 0.  ],
           [1.  , 0.  ]])
    """

    idf_: NDArray[Any]
    n_features_in_: int
    feature_names_in_: NDArray[Any]

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the weights of terms.

        Parameters
        ----------
        X : array, CSR matrix, dataframe, Dask array or dataframe, or list of futures
            Counts of shape (n_documents, n_features).
        y : None
            Not used.

        Returns
        -------
        TfidfTransformer
            The same object.

        Raises
        ------
        ValueError
            X has no rows, not two dimensions, or what is no number; NaN and inf are named by column
            and partition.
        """
        X = self._readable(X)
        if not is_collection(X):
            return super().fit(X)
        with all_or_nothing(self):
            self._validate_params()
            executor = Executor.current()
            with load_checked(executor, X, None, None, target=NO_TARGET) as data:
                n = sum(data.rows)
                if not n:
                    raise ValueError("X has 0 rows; allowed are 1 and more")
                names = data.feature_names
                frame = None if names is None else pd.DataFrame(columns=list(names))
                _check_feature_names(self, frame, reset=True)
                self.n_features_in_ = data.n_features
                found = reduce(CountDocumentsWith(), data, name="documents")
                if found.not_finite is not None:
                    raise not_finite(found.not_finite).named(names)
                if self.use_idf:
                    self.idf_ = inverse_document_frequencies(
                        found.documents, n, smooth=self.smooth_idf, dtype=float_dtype(data.dtype)
                    )
        return self

    def transform(self, X: Any, copy: bool = True) -> Any:
        """Return the weighted counts.

        Parameters
        ----------
        X : as in `fit`
            Counts.
        copy : bool, default=True
            Whether a CSR matrix in memory stays as it is. Blocks of collections always do.

        Returns
        -------
        CSR matrix of shape (n_documents, n_features), Dask array of such chunks, or list of futures
            For data in memory a matrix; lazily, a Dask array for a Dask collection, with its row
            chunks; a list of futures for such a list.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before `fit`.
        ValueError
            X has another number of columns than `fit` saw.
        """
        check_is_fitted(self)
        X = self._readable(X)
        if not is_collection(X):
            return super().transform(X, copy=copy)
        meta = frame_meta(X)
        dtype = np.dtype(np.float64)
        if meta is not None:
            if hasattr(meta, "columns"):
                _check_feature_names(self, meta, reset=False)
                dtype = float_dtype(np.result_type(*meta.dtypes))
            else:
                dtype = float_dtype(meta.dtype)
            if not np.isnan(meta.shape[1]):
                _check_n_features(self, meta, reset=False)
        names = getattr(self, "feature_names_in_", None)
        return map_rows(
            Weigh(self.to_sklearn(names=False)),
            X,
            meta=sp.csr_matrix((0, self.n_features_in_), dtype=dtype),
            labels=None if names is None else tuple(names),
        )

    def to_sklearn(self, *, names: bool = True) -> Any:
        """Return scikit-learn's transformer with the same parameters and weights.

        Parameters
        ----------
        names : bool, default=True
            Whether it knows the names of the columns.

        Returns
        -------
        sklearn.feature_extraction.text.TfidfTransformer
            Fitted, if this is.
        """
        made = text.TfidfTransformer(**self.get_params())
        for name in ("idf_", "n_features_in_", *(["feature_names_in_"] if names else [])):
            if name in vars(self):
                setattr(made, name, vars(self)[name])
        return made

    def _readable(self, X: Any) -> Any:
        if isinstance(X, Data):
            raise TypeError(
                f"X is a Data; {type(self).__name__} takes what it was loaded from: arrays, sparse "
                "matrices, dataframes, Dask arrays and dataframes, and lists of futures"
            )
        X = as_dask_futures(X)
        refuse_unreadable(X, "X")
        if is_collection(X) and kind_of(X) != FUTURES:
            require_matrix(X)
        return X
