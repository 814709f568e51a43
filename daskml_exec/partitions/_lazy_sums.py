"""Add up a function of aligned columns lazily, as a graph of Dask."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import numpy as np

from daskml_exec.executor import fold
from daskml_exec.partitions._assemble import joined_there
from daskml_exec.partitions._column_sums import ColumnFunction, Combine, sums_of_columns
from daskml_exec.partitions._kinds import ARRAY, FUTURES, is_collection, kind_of
from daskml_exec.partitions._model_nodes import as_delayed
from daskml_exec.partitions._row_leaves import row_count
from daskml_exec.partitions._to_memory import on_host


@dataclass(frozen=True)
class LazySums:
    """The sums of all rows, not computed yet."""

    total: Any

    def result(self, finalise: Callable[[Any], Any], shape: tuple[float, ...]) -> Any:
        """Return what is made of the sums as a Dask array of this shape."""
        found = dask.delayed(_finalised)(self.total, as_delayed(finalise))
        return da.from_delayed(found, shape, dtype=np.float64)


def lazy_sums(
    function: ColumnFunction, columns: dict[str, Any], *, combine: Combine, large: bool = False
) -> LazySums:
    """Return the sums of `column_sums`, lazily, with its arguments.

    Columns are cut to the first that is no column in memory where both have chunks of known sizes;
    elsewhere they must have as many partitions, and equal lengths, which is found out in the end.

    Raises
    ------
    ValueError
        Columns have other numbers of rows, or of partitions.
    """
    lead = next(name for name, column in columns.items() if is_collection(column))
    rows = _rows(columns[lead])
    parts = {name: _parts(name, column, lead, rows) for name, column in columns.items()}
    n = len(parts[lead])
    for name, pieces in parts.items():
        if len(pieces) != n:
            raise ValueError(
                f"{name} has {len(pieces)} partitions, {lead} has {n}, and not all lengths are "
                "known; allowed are as many, or compute=True"
            )
    ask, join = as_delayed(function), as_delayed(combine)
    leaves = [
        dask.delayed(_leaf, pure=True)(i, {name: parts[name][i] for name in parts}, ask)
        for i in range(n)
        if rows is None or rows[i] or not sum(rows)
    ]
    if not large:
        # Not in steps, where partitions that turn out to be empty would change the tree.
        return LazySums(dask.delayed(_folded, pure=True)(leaves, join))
    while len(leaves) > 1:
        pairs = itertools.zip_longest(leaves[::2], leaves[1::2])
        leaves = [
            left if right is None else dask.delayed(_both, pure=True)(left, right, join)
            for left, right in pairs
        ]
    return LazySums(leaves[0])


def _rows(lead: Any) -> tuple[int, ...] | None:
    if kind_of(lead) != ARRAY or np.isnan(lead.chunks[0]).any():
        return None
    return tuple(int(length) for length in lead.chunks[0])


def _parts(name: str, column: Any, lead: str, rows: tuple[int, ...] | None) -> list[Any]:
    kind = kind_of(column)
    if kind == FUTURES:
        return list(column)
    if kind is None:
        if rows is None:
            raise ValueError(
                f"{name} is in memory, and {lead} has partitions of unknown lengths; allowed are "
                "chunks of known sizes, or compute=True"
            )
        column = np.asarray(on_host(column))
        _require_length(name, len(column), lead, sum(rows))
        bounds = [0, *itertools.accumulate(rows)]
        return [column[start:stop] for start, stop in itertools.pairwise(bounds)]
    if kind != ARRAY:
        return list(column.to_delayed())
    if rows is not None and not np.isnan(column.shape[0]):
        _require_length(name, column.shape[0], lead, sum(rows))
        if column.chunks[0] != rows:
            column = column.rechunk({0: rows})
    if column.ndim == 2:
        column = column.rechunk({1: -1})
    return list(column.to_delayed().ravel())


def _require_length(name: str, length: int, lead: str, rows: int) -> None:
    if length != rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {lead} has {rows} rows, "
            f"{name} has {length}; they must be the same"
        )


def _leaf(index: int, blocks: dict[str, Any], function: ColumnFunction) -> Any:
    rows = {name: row_count(block) for name, block in blocks.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {rows} in partition "
            f"{index}; they must be the same"
        )
    if not max(rows.values()):
        return None
    columns = {
        name: joined_there([(block, 0, rows[name])], name, dates=False)
        for name, block in blocks.items()
    }
    return sums_of_columns(index, columns, function)


def _both(left: Any, right: Any, combine: Combine) -> Any:
    if left is None or right is None:
        return right if left is None else left
    return combine(left, right)


def _folded(leaves: list[Any], combine: Combine) -> Any:
    some = [leaf for leaf in leaves if leaf is not None]
    return fold(some, combine) if some else None


def _finalised(total: Any, finalise: Callable[[Any], Any]) -> Any:
    if total is None:
        raise ValueError("there are no rows; a metric needs one or more")
    found = finalise(total)
    return found if isinstance(found, np.generic) else np.asarray(found)
