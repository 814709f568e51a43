"""Bring X, y and weights on a cluster together, one partition per row block of X."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Future

from daskml_exec.executor import Executor, ship
from daskml_exec.partitions._assemble import assemble
from daskml_exec.partitions._blocks import (
    Blocks,
    blocks_of,
    cut_like,
    may_be_matrix,
)
from daskml_exec.partitions._kinds import (
    CHECKED,
    Reading,
    is_collection,
    require_column,
    require_rows,
    weight_column,
)
from daskml_exec.partitions._memory import row_bounds


@dataclass(frozen=True)
class Aligned:
    """Futures of partitions whose ``y`` is as the user gave it.

    `first_blocks` holds, per partition, a future of the block of X that it was made from, which
    knows its column names if any.
    """

    futures: list[Future[Any]]
    first_blocks: list[Future[Any]]


def aligned_partitions(
    executor: Executor, X: Any, y: Any, sample_weight: Any, reading: Reading = CHECKED
) -> Aligned:
    """Return partitions with the row blocks of X; y and weights, if any, are cut to them.

    Columns that are in memory, as X is not, are cut first, and the pieces sent to the cluster.
    """
    client = executor.client
    arguments = {"X": X, "y": y, "sample_weight": sample_weight}
    blocks = blocks_of(client, {k: v for k, v in arguments.items() if is_collection(v)}, reading)
    grid, rows = blocks["X"].grid, blocks["X"].rows
    for name in ("y", "sample_weight"):
        if name not in blocks and arguments[name] is not None:
            blocks[name] = _shipped(executor, name, arguments[name], rows, reading)
    spans: dict[str, list[Any]] = {
        name: list(cut_like(rows, blocks[name])) if name in blocks else [None] * len(rows)
        for name in ("y", "sample_weight")
    }
    futures = client.map(
        assemble,
        range(len(rows)),
        [0, *itertools.accumulate(rows[:-1])],
        grid,
        spans["y"],
        spans["sample_weight"],
        [reading] * len(rows),
        pure=False,
        key="assemble",
    )
    return Aligned(futures, [row[0] for row in grid])


def _shipped(
    executor: Executor, name: str, column: Any, rows: list[int], reading: Reading
) -> Blocks:
    """Send a column that is in memory."""
    if name == "sample_weight":
        column = weight_column(column, sum(rows))
    else:
        column = np.asarray(column)
        if not may_be_matrix(name, reading):
            require_column(column, name)
    require_rows(sum(rows), len(column), name)
    return shipped(executor, name, column, rows)


def shipped(executor: Executor, name: str, column: Any, rows: Sequence[int]) -> Blocks:
    """Send an array in pieces of about the configured size, none for two row blocks of X."""
    bounds = [0]
    for length in rows:
        start = bounds[-1]
        cuts = row_bounds(column[start : start + length])[1:] if length else []
        bounds += [start + cut for cut in cuts]
    # In its task even within one process: what `ship` keeps there goes with the future, but the
    # piece may be wanted again after a worker is lost, for as long as the partition made from it.
    futures = [
        ship(executor.client, column[start:stop], name=name, worker=None, in_process=False)
        for start, stop in itertools.pairwise(bounds)
    ]
    return Blocks(name, [[future] for future in futures], np.diff(bounds).tolist())
