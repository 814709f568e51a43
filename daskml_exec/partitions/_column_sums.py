"""Add up a function of aligned columns, such as labels and predictions, where they live."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from distributed import Future

from daskml_exec.executor import Executor, fold
from daskml_exec.kernels.array_namespace import (
    array_namespace,
    dtype_kind,
    everywhere,
    to_host,
)
from daskml_exec.partitions._aligned import shipped
from daskml_exec.partitions._assemble import check_weights, joined_there
from daskml_exec.partitions._blocks import Blocks, cut_like, row_blocks
from daskml_exec.partitions._gather import gather, refusing
from daskml_exec.partitions._kinds import is_collection, require_column_shape, require_rows
from daskml_exec.partitions._model_nodes import shared_model
from daskml_exec.partitions._recipes import forget_locals
from daskml_exec.partitions._refusals import refuse_unreadable
from daskml_exec.partitions._to_memory import on_host

ColumnFunction = Callable[[dict[str, Any], Any], Any]
Combine = Callable[[Any, Any], Any]


def column_sums(
    executor: Executor,
    function: ColumnFunction,
    columns: dict[str, Any],
    *,
    combine: Combine,
    large: bool = False,
) -> Any:
    """Return the sums over all rows of columns, added in the fixed tree of every reduction.

    Parameters
    ----------
    executor : Executor
    function : callable
        Takes the columns' rows of one partition by name, and the weights, None for ones, and
        returns its sums. Picklable. Numbers on a device are given to it there. Its ValueErrors and
        TypeErrors are raised on the driver, that of the first partition only.
    columns : dict of str to Dask arrays, series or frames, lists of futures, or in memory
        At least one is no column in memory: the first of those gives the partitions, and the
        others are cut to them. ``"sample_weight"`` may be among them, and None.
    combine : callable
        Returns the sums of two neighbouring row ranges together.
    large : bool, default=False
        Whether sums are too large to be all on the driver: they are then combined on Workers.

    Raises
    ------
    ValueError
        Lengths that differ, or no rows at all.
    """
    try:
        return _sums(executor, function, columns, combine, large)
    except BaseException as error:
        forget_locals(error)  # which an error that is kept would keep on the cluster
        raise


def _sums(
    executor: Executor,
    function: ColumnFunction,
    columns: dict[str, Any],
    combine: Combine,
    large: bool,
) -> Any:
    client = executor.client
    given = {name: column for name, column in columns.items() if column is not None}
    for name, column in given.items():
        refuse_unreadable(column, name, dates=False)
    rows, spans = _aligned(executor, given)
    shared = shared_model(client, function)
    numbers = [index for index, length in enumerate(rows) if length]
    if not numbers:
        raise ValueError(
            f"{' and '.join(given)} have no rows in {len(rows)} partitions; a metric needs one or "
            "more"
        )
    tasks = client.map(
        _of_partition,
        numbers,
        [{name: spans[name][index] for name in given} for index in numbers],
        [shared] * len(numbers),
        pure=False,
        key="column-sums",
    )
    if large:
        answers = gather(client, [_on_workers(client, tasks, combine)], given)
        return answers[0]
    return fold(gather(client, tasks, given), combine)


def _aligned(
    executor: Executor, given: dict[str, Any]
) -> tuple[list[int], dict[str, list[list[tuple[Future[Any], int, int]]]]]:
    """Return the rows of each partition, and of each column the pieces that make them up."""
    whole = {
        name: column.rechunk({1: -1}) if _in_column_chunks(column) else column
        for name, column in given.items()
        if is_collection(column)
    }
    blocks = row_blocks(executor.client, whole)
    lead = next(iter(whole))
    rows = blocks[lead].rows
    for name, column in given.items():
        if name not in blocks:
            blocks[name] = _sent(executor, name, column, lead, rows)
        elif blocks[name].n_rows != sum(rows):
            _require_rows(lead, sum(rows), name, blocks[name].n_rows)
    return rows, {name: cut_like(rows, blocks[name]) for name in given}


def _in_column_chunks(column: Any) -> bool:
    return len(getattr(column, "numblocks", ())) == 2 and column.numblocks[1] > 1


def _sent(executor: Executor, name: str, column: Any, lead: str, rows: Sequence[int]) -> Blocks:
    column = np.asarray(on_host(column))
    if column.ndim == 0 and name == "sample_weight" and column.dtype.kind in "biuf":
        column = np.full(sum(rows), column, dtype=np.float64)
    if not column.ndim:
        raise ValueError(f"{name} is {column!r}; allowed is one value per row")
    _require_rows(lead, sum(rows), name, len(column))
    return shipped(executor, name, column, rows)


def _require_rows(lead: str, rows: int, name: str, length: int) -> None:
    if length != rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {lead} has {rows} rows, "
            f"{name} has {length}; they must be the same"
        )
    require_rows(rows, length, name)


@refusing
def _of_partition(index: int, spans: dict[str, Any], function: ColumnFunction) -> Any:
    return sums_of_columns(
        index,
        {name: joined_there(pieces, name, dates=False) for name, pieces in spans.items()},
        function,
    )


def sums_of_columns(index: int, columns: dict[str, Any], function: ColumnFunction) -> Any:
    """Return the sums of one partition's columns."""
    where = f"partition {index}"
    columns = dict(columns)
    weight = columns.pop("sample_weight", None)
    if weight is not None:
        require_column_shape(weight.shape, "sample_weight")
        flat = array_namespace(weight).reshape(weight, (-1,))
        weight = check_weights(flat, where=where)
    for name, column in columns.items():
        _require_no_gaps(name, column, where)
    try:
        return function(columns, weight)
    except (ValueError, TypeError) as error:
        error.add_note(f"in {where}")
        raise


def _require_no_gaps(name: str, column: Any, where: str) -> None:
    kind = dtype_kind(column)
    if kind in "biuUS":
        return
    there = pd.notna(column) if kind != "f" else array_namespace(column).isfinite(column)
    if not everywhere(there):
        bad = ~to_host(there)
        row = int(np.flatnonzero(bad.reshape(len(column), -1).any(axis=1))[0])
        raise ValueError(f"Input {name} contains NaN or infinity in row {row} of {where}")


def _on_workers(client: Any, leaves: list[Future[Any]], combine: Combine) -> Future[Any]:
    """Combine on Workers in the order of `fold`, which the tree's shape alone says."""
    shared = shared_model(client, combine)
    while len(leaves) > 1:
        pairs = list(itertools.zip_longest(leaves[::2], leaves[1::2]))
        level = [pair for pair in pairs if pair[1] is not None]
        joined_pairs = client.map(
            _combined,
            [left for left, _ in level],
            [right for _, right in level],
            [shared] * len(level),
            pure=False,
            key="column-sums-combined",
        )
        leaves = [*joined_pairs, *(left for left, right in pairs if right is None)]
    return leaves[0]


@refusing
def _combined(left: Any, right: Any, combine: Combine) -> Any:
    return combine(left, right)
