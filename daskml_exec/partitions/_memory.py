"""Cut the driver's own data into partitions and place them on the workers."""

import itertools
import math
from dataclasses import replace
from typing import Any

import dask.config
import numpy as np
import scipy.sparse as sp
from dask.utils import parse_bytes

from daskml_exec.executor import Executor, ship
from daskml_exec.partitions._assemble import check_weights
from daskml_exec.partitions._assemble import target as checked_target
from daskml_exec.partitions._given import Given
from daskml_exec.partitions._kinds import require_column, require_rows, weight_column
from daskml_exec.partitions._partition import Partition, Partitions, Pieces
from daskml_exec.partitions._relative import TargetForm
from daskml_exec.partitions._row_leaves import bytes_of, canonical, row_count, rows_between
from daskml_exec.partitions._row_trees import tree_nbytes, tree_rows
from daskml_exec.partitions._target import Settled

WHERE = "the data"


def rows_in_memory(given: Given) -> tuple[Partitions | Pieces, Settled]:
    """Cut and place what the driver holds."""
    rows, target = row_count(given.X), given.target
    y, sample_weight = given.y, given.sample_weight
    if y is not None:
        y = _column(y, "y", rows, several=target.several)
        y = checked_target([(y, 0, rows)], WHERE, several=target.several)
    if sample_weight is not None:
        sample_weight = weight_column(sample_weight, rows)
        require_rows(rows, len(sample_weight), "sample_weight")
        sample_weight = check_weights(sample_weight, where=WHERE)
    whole = Partition(0, 0, given.X, y, sample_weight)
    found = target.describe(whole, WHERE)
    settled = target.settle([found], rows, weighted=sample_weight is not None)
    y, sample_weight = settled.columns(whole)
    return _placed(replace(given, y=y, sample_weight=sample_weight), settled.form), settled


def _column(column: Any, name: str, rows: int, *, several: bool) -> Any:
    column = np.asarray(column)
    if not (several and column.ndim == 2 and column.shape[1] > 1):
        require_column(column, name)
        column = column.reshape(-1)
    require_rows(rows, len(column), name)
    return column


def _placed(given: Given, form: TargetForm) -> Partitions | Pieces:
    """Cut what the driver owns, and place it."""
    y, sample_weight, raw = given.y, given.sample_weight, given.raw
    X = given.X if raw else canonical(given.X)
    bounds = row_bounds(X)
    pieces = [
        Partition(
            index,
            start,
            _rows(X, start, stop),
            None if y is None else y[start:stop],
            None if sample_weight is None else sample_weight[start:stop],
        )
        for index, (start, stop) in enumerate(itertools.pairwise(bounds))
    ]
    about = Pieces(
        partitions=tuple(pieces),
        n_features=X.shape[1] if len(getattr(X, "shape", ())) > 1 else 1,
        nonzeros=X.nnz if sp.issparse(X) and not raw else None,
        dtype=np.dtype(object) if raw else X.dtype,
        feature_names=given.feature_names,
        form=form,
        sizes=_sizes(X, bounds) if raw else None,
    )
    return about if given.executor is None else placed(given.executor, about)


def placed(executor: Executor, pieces: Pieces) -> Partitions:
    """Bring pieces to the cluster, in contiguous ranges over the workers.

    The cuts depend on the data's shape and dtype only, never on the cluster, so that neither do
    the bits of the result.
    """
    workers_lost_before = len(executor.events.workers_lost)
    workers, n = executor.check_workers(), len(pieces.partitions)
    futures = [
        ship(
            executor.client,
            piece,
            name="partition",
            worker=workers[piece.index * len(workers) // n],
            in_process=executor.in_process,
        )
        for piece in pieces.partitions
    ]
    return Partitions(
        executor=executor,
        futures=tuple(futures),
        rows=pieces.rows,
        n_features=pieces.n_features,
        nonzeros=pieces.nonzeros,
        dtype=pieces.dtype,
        feature_names=pieces.feature_names,
        workers_lost_before=workers_lost_before,
        form=pieces.form,
        sizes=pieces.sizes,
    )


def row_bounds(tree: Any) -> list[int]:
    """Return the row indices at which to cut into even pieces of about the configured size.

    Parameters
    ----------
    tree : array, sparse matrix, frame, series, list, or a tree of them
    """
    limit = parse_bytes(dask.config.get("daskml-exec.partition-bytes"))
    if limit < 1:
        raise ValueError(f"dask config 'daskml-exec.partition-bytes' is {limit}; allowed: from 1")
    n = tree_rows(tree)
    pieces = max(1, min(n, math.ceil(tree_nbytes(tree) / limit)))
    return [index * n // pieces for index in range(pieces + 1)]


def _sizes(X: Any, bounds: list[int]) -> tuple[int, ...]:
    per_row = bytes_of(X) / max(1, bounds[-1])
    return tuple(int(per_row * rows) for rows in np.diff(bounds).tolist())


def _rows(X: Any, start: int, stop: int) -> Any:
    if not isinstance(X, np.ndarray) and not sp.issparse(X):
        return rows_between(X, start, stop)
    if not sp.issparse(X):
        return np.ascontiguousarray(X[start:stop])
    # Slicing would copy the values, and the constructor copies views of less than half an array.
    piece = type(X)((stop - start, X.shape[1]), dtype=X.dtype)
    first, last = X.indptr[start], X.indptr[stop]
    piece.data, piece.indices = X.data[first:last], X.indices[first:last]
    piece.indptr = X.indptr[start : stop + 1] - first
    piece.has_canonical_format = True
    return piece
