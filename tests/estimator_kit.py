"""Run scikit-learn's estimator checks on what a cluster holds.

The checks hand over NumPy arrays, sparse matrices and data frames. An estimator from `over_dask`
turns them into Dask collections of at least three row chunks before it trains and predicts, and
what it predicts back into NumPy. One from `over_cut_memory` leaves the data in memory, cut into
at least three partitions.
"""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import scipy.sparse as sp

N_CHUNKS = 3


def chunk_lengths(n, n_chunks=N_CHUNKS):
    """Return lengths that differ, some zero if there are few rows."""
    bounds = np.linspace(0, 1, n_chunks + 1) ** 1.3 * n
    return tuple(np.diff(bounds.astype(int)).tolist())


def collection(data, n_chunks=N_CHUNKS):
    """Return a Dask collection of `data`; what is neither array, matrix nor frame as it is."""
    if data is None or isinstance(data, str):
        return data
    if isinstance(data, (pd.DataFrame, pd.Series)):
        return _frame(data, n_chunks)
    if sp.issparse(data):
        return _sparse_array(data.tocsr(), n_chunks)
    array = np.asarray(data)
    if array.ndim == 0:
        return data
    lengths = chunk_lengths(array.shape[0], n_chunks)
    return da.from_array(array, chunks=(lengths, *(max(1, -(-k // 2)) for k in array.shape[1:])))


def _frame(data, n_chunks):
    ends = np.cumsum(chunk_lengths(len(data), n_chunks))
    pieces = [data.iloc[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    return dd.from_map(lambda i: pieces[i], list(range(n_chunks)), meta=data.iloc[:0])


def _sparse_array(matrix, n_chunks):
    lengths = chunk_lengths(matrix.shape[0], n_chunks)
    ends = np.cumsum(lengths)
    pieces = [matrix[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    index = da.from_array(np.arange(n_chunks), chunks=1)
    return index.map_blocks(
        lambda i: pieces[int(i[0])],
        new_axis=1,
        chunks=(lengths, (matrix.shape[1],)),
        dtype=matrix.dtype,
        meta=type(matrix)((0, 0), dtype=matrix.dtype),
    )


def computed(result):
    """Return a lazy result as a NumPy array."""
    return np.asarray(result.compute() if dask.is_dask_collection(result) else result)


def over_dask(estimator):
    """Return the estimator as one that meets Dask collections only."""
    base = type(estimator)

    class OverDask(base):
        def fit(self, X, y, sample_weight=None):
            weight = collection(sample_weight, N_CHUNKS + 1)
            return super().fit(collection(X), collection(y, N_CHUNKS - 1), weight)

        def score(self, X, y, sample_weight=None):
            weight = collection(sample_weight, N_CHUNKS + 1)
            return super().score(collection(X), collection(y, N_CHUNKS - 1), weight)

    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        if hasattr(base, name):
            setattr(OverDask, name, _through_dask(name, OverDask))
    if hasattr(base, "partial_fit"):
        OverDask.partial_fit = _partial_fit_over_dask(OverDask)
    return _renamed(OverDask, base)(**estimator.get_params())


def over_cut_memory(estimator):
    """Return the estimator as one that cuts data in memory into at least three partitions."""
    base = type(estimator)

    class Cut(base):
        def fit(self, X, y, sample_weight=None):
            with _cut(X):
                return super().fit(X, y, sample_weight)

    if hasattr(base, "partial_fit"):
        Cut.partial_fit = _partial_fit_in_pieces(Cut)
    return _renamed(Cut, base)(**estimator.get_params())


def _cut(X):
    """Return a context in which data like X is cut into at least three partitions."""
    csr = sp.csr_array(X) if sp.issparse(X) else None
    arrays = (np.asarray(X),) if csr is None else (csr.data, csr.indices, csr.indptr)
    size = sum(array.nbytes for array in arrays)
    return dask.config.set({"daskml-exec.partition-bytes": max(1, size // N_CHUNKS)})


def _partial_fit_over_dask(owner):
    def partial_fit(self, X, y, *args, **kwargs):
        data = collection(X), collection(y, N_CHUNKS - 1)
        return super(owner, self).partial_fit(*data, *args, **kwargs)

    return partial_fit


def _partial_fit_in_pieces(owner):
    def partial_fit(self, X, y, *args, **kwargs):
        with _cut(X):
            return super(owner, self).partial_fit(X, y, *args, **kwargs)

    return partial_fit


def _through_dask(name, owner):
    def method(self, X):
        return computed(getattr(super(owner, self), name)(collection(X)))

    method.__name__ = name
    return method


def _renamed(wrapper, base):
    """Some checks look for the estimator's name in messages; pickles look for its place."""
    name = f"{base.__name__}{wrapper.__name__}"
    wrapper.__name__ = wrapper.__qualname__ = name
    return globals().setdefault(name, wrapper)


def transformer_over_dask(estimator):
    """Return a transformer as one that meets Dask collections only."""
    base = type(estimator)

    class OverDask(base):
        def fit(self, X, y=None):
            return super().fit(collection(X), *_beside(y))

        def fit_transform(self, X, y=None, **fit_params):
            return _in_memory(super().fit_transform(collection(X), *_beside(y)))

    if hasattr(base, "partial_fit"):

        def partial_fit(self, X, y=None):
            return base.partial_fit(self, collection(X), *_beside(y))

        OverDask.partial_fit = partial_fit
    for name in ("transform", "inverse_transform"):
        if hasattr(base, name):
            setattr(OverDask, name, _transformed_through_dask(name, OverDask))
    return _renamed(OverDask, base)(**estimator.get_params())


def transformer_over_cut_memory(estimator):
    """Return a transformer as one that cuts data in memory into at least three partitions."""
    base = type(estimator)

    class Cut(base):
        def fit(self, X, y=None):
            with _cut(X):
                return super().fit(X, *_given(y))

    return _renamed(Cut, base)(**estimator.get_params())


def _transformed_through_dask(name, owner):
    def method(self, X):
        return _in_memory(getattr(super(owner, self), name)(collection(X)))

    method.__name__ = name
    return method


def _in_memory(result):
    made = result.compute() if dask.is_dask_collection(result) else result
    return made if sp.issparse(made) else np.asarray(made)


def _given(y):
    return () if y is None else (y,)


def _beside(y):
    return () if y is None else (collection(y, N_CHUNKS - 1),)
