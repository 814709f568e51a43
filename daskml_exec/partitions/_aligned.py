"""Bring X, y and weights on a cluster together, one partition per row block of X."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Future

from daskml_exec.executor import Executor, ship
from daskml_exec.partitions._assemble import assemble
from daskml_exec.partitions._blocks import Blocks, blocks_of, cut_like, require_rows
from daskml_exec.partitions._kinds import is_collection, require_column, weight_column
from daskml_exec.partitions._memory import row_bounds


@dataclass(frozen=True)
class Aligned:
    """Futures of partitions whose ``y`` is as the user gave it.

    `first_blocks` holds, per partition, a future of the block of X that it was made from, which
    knows its column names if any.
    """

    futures: list[Future[Any]]
    first_blocks: list[Future[Any]]


def aligned_partitions(executor: Executor, X: Any, y: Any, sample_weight: Any) -> Aligned:
    """Return partitions with the row blocks of X; y and weights are cut to them.

    Columns that are in memory, as X is not, are cut first, and the pieces sent to the cluster.
    """
    client = executor.client
    arguments = {"X": X, "y": y, "sample_weight": sample_weight}
    blocks = blocks_of(client, {k: v for k, v in arguments.items() if is_collection(v)})
    grid, rows = blocks["X"].grid, blocks["X"].rows
    for name in ("y", "sample_weight"):
        if name not in blocks and arguments[name] is not None:
            blocks[name] = _shipped(executor, name, arguments[name], rows)
    weight_spans: list[Any] = [None] * len(rows)
    if "sample_weight" in blocks:
        weight_spans = list(cut_like(rows, blocks["sample_weight"]))
    futures = client.map(
        assemble,
        range(len(rows)),
        [0, *itertools.accumulate(rows[:-1])],
        grid,
        cut_like(rows, blocks["y"]),
        weight_spans,
        pure=False,
        key="assemble",
    )
    return Aligned(futures, [row[0] for row in grid])


def _shipped(executor: Executor, name: str, column: Any, rows: list[int]) -> Blocks:
    """Send a column in pieces of about the configured size, none for two row blocks of X."""
    if name == "sample_weight":
        column = weight_column(column, sum(rows))
    else:
        column = np.asarray(column)
        require_column(column, name)
    require_rows(sum(rows), len(column), name)
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
