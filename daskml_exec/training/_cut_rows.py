"""Rows in memory, cut into partitions as one likes."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.partitions import Partition, is_collection

_FEWEST_ROWS = 10
_COLUMNS = ("X", "y", "sample_weight", "fold")


def in_pieces(partition: Partition, shares: Sequence[int]) -> list[Partition]:
    """Cut a partition into pieces whose rows are in these proportions; 0 gives one without rows.

    Examples
    --------
    >>> whole = Partition(0, 0, np.zeros((10, 2)), None, None)
    >>> [(piece.start, len(piece.X)) for piece in in_pieces(whole, (3, 0, 2))]
    [(0, 6), (6, 0), (6, 4)]
    """
    n_rows = partition.X.shape[0]
    ends = np.round(np.cumsum(shares) / sum(shares) * n_rows).astype(int)
    return [
        replace(_rows(partition, begin, end), index=index, start=begin)
        for index, (begin, end) in enumerate(itertools.pairwise((0, *map(int, ends))))
    ]


def partitions_of(data: Any, y: Any, sample_weight: Any) -> tuple[list[Partition], bool]:
    """Return the partitions that were given, or the one that these arrays make; and whether given.

    Raises
    ------
    TypeError, ValueError
        The data is neither, or too small.
    """
    given = isinstance(data, list | tuple) and bool(data) and all(hasattr(p, "take") for p in data)
    if given and (y is not None or sample_weight is not None):
        raise TypeError("y and sample_weight belong into the partitions, where such are given")
    found = list(data) if given else [_of_arrays(data, y, sample_weight)]
    n_rows = sum(each.X.shape[0] for each in found)
    if n_rows < _FEWEST_ROWS:
        raise ValueError(
            f"data has {n_rows} rows; at least {_FEWEST_ROWS} are needed, to cut them in several "
            "ways"
        )
    return found, given


def joined(partitions: Sequence[Partition]) -> Partition:
    """Return all rows as one partition."""
    columns: dict[str, Any] = {
        name: _stacked([getattr(partition, name) for partition in partitions]) for name in _COLUMNS
    }
    return replace(partitions[0], index=0, start=0, **columns)


def _of_arrays(X: Any, y: Any, sample_weight: Any) -> Partition:
    if is_collection(X) or not (sp.issparse(X) or hasattr(X, "__array__")):
        raise TypeError(
            f"data is a {type(X).__name__}; allowed are rows in memory, as an array or a sparse "
            "matrix, and a list of partitions, which have X, y, sample_weight and take(rows)"
        )
    X = sp.csr_matrix(X) if sp.issparse(X) else np.ascontiguousarray(X)
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    if X.ndim != 2:
        raise ValueError(f"data has {X.ndim} axes; allowed are two, rows and columns")
    columns = {"y": y, "sample_weight": sample_weight}
    for name, column in columns.items():
        if column is not None and np.shape(column)[0] != X.shape[0]:
            raise ValueError(f"data has {X.shape[0]} rows, and {name} has {np.shape(column)[0]}")
    y, weight = (None if column is None else np.asarray(column) for column in columns.values())
    return Partition(0, 0, X, y, weight)


def _rows(partition: Partition, begin: int, end: int) -> Partition:
    """Return a range of rows as a Worker would have them: on their own, not a view of all."""
    columns = {name: getattr(partition, name) for name in _COLUMNS}
    own: dict[str, Any] = {
        name: None if column is None else column[begin:end].copy()
        for name, column in columns.items()
    }
    return replace(partition, **own)


def _stacked(columns: Sequence[Any]) -> Any:
    if columns[0] is None:
        return None
    if sp.issparse(columns[0]):
        return sp.vstack(columns, format="csr")
    return np.concatenate(columns)
