"""Cut the driver's own data into partitions and place them on the workers."""

import itertools
import math
from typing import Any

import dask.config
import numpy as np
import scipy.sparse as sp
from dask.utils import parse_bytes

from daskml_exec.executor import Executor, ship
from daskml_exec.partitions._assemble import canonical
from daskml_exec.partitions._partition import Partition, Partitions
from daskml_exec.partitions._relative import TargetForm


def partitions_from_memory(
    executor: Executor,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    feature_names: Any,
    form: TargetForm,
) -> Partitions:
    """Return partitions of data that the driver owns, in contiguous ranges over the workers.

    The cuts depend on the data's shape and dtype only, never on the cluster, so that neither do
    the bits of the result.
    """
    workers_lost_before = len(executor.events.workers_lost)
    X = canonical(X)
    workers = executor.check_workers()
    bounds = row_bounds(X)
    n = len(bounds) - 1
    futures = [
        ship(
            executor.client,
            Partition(
                index,
                start,
                _rows(X, start, stop),
                y[start:stop],
                None if sample_weight is None else sample_weight[start:stop],
            ),
            name="partition",
            worker=workers[index * len(workers) // n],
            in_process=executor.in_process,
        )
        for index, (start, stop) in enumerate(itertools.pairwise(bounds))
    ]
    return Partitions(
        executor=executor,
        futures=tuple(futures),
        rows=tuple(np.diff(bounds).tolist()),
        n_features=X.shape[1],
        nonzeros=X.nnz if sp.issparse(X) else None,
        dtype=X.dtype,
        feature_names=feature_names,
        workers_lost_before=workers_lost_before,
        form=form,
    )


def row_bounds(X: Any) -> list[int]:
    """Return the row indices at which to cut X into even pieces of about the configured size."""
    limit = parse_bytes(dask.config.get("daskml-exec.partition-bytes"))
    if limit < 1:
        raise ValueError(f"dask config 'daskml-exec.partition-bytes' is {limit}; allowed: from 1")
    n = X.shape[0]
    arrays = (X.data, X.indices, X.indptr) if sp.issparse(X) else (X,)
    size = sum(array.nbytes for array in arrays)
    pieces = max(1, min(n, math.ceil(size / limit)))
    return [index * n // pieces for index in range(pieces + 1)]


def _rows(X: Any, start: int, stop: int) -> Any:
    if not sp.issparse(X):
        return np.ascontiguousarray(X[start:stop])
    # Slicing would copy the values, and the constructor copies views of less than half an array.
    piece = type(X)((stop - start, X.shape[1]), dtype=X.dtype)
    first, last = X.indptr[start], X.indptr[stop]
    piece.data, piece.indices = X.data[first:last], X.indices[first:last]
    piece.indptr = X.indptr[start : stop + 1] - first
    piece.has_canonical_format = True
    return piece
