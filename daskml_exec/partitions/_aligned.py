"""Bring X, y and weights on a cluster together, one partition per row block of X."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Future

from daskml_exec.executor import Executor
from daskml_exec.partitions._assemble import assemble
from daskml_exec.partitions._blocks import Blocks, blocks_of, cut_like
from daskml_exec.partitions._kinds import is_collection, require_column


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

    Columns that are in memory, as X is not, are sent to the cluster.
    """
    client = executor.client
    arguments = {"X": X, "y": y, "sample_weight": sample_weight}
    blocks = blocks_of(client, {k: v for k, v in arguments.items() if is_collection(v)})
    for name in ("y", "sample_weight"):
        if name not in blocks and arguments[name] is not None:
            blocks[name] = _one_block(executor, name, arguments[name])
    grid, rows = blocks["X"].grid, blocks["X"].rows
    weight_spans: list[Any] = [None] * len(rows)
    if "sample_weight" in blocks:
        weight_spans = list(cut_like(rows, blocks["sample_weight"]))
    futures = client.map(
        assemble,
        range(len(rows)),
        grid,
        cut_like(rows, blocks["y"]),
        weight_spans,
        pure=False,
        key="assemble",
    )
    return Aligned(futures, [row[0] for row in grid])


def _one_block(executor: Executor, name: str, column: Any) -> Blocks:
    column = np.asarray(column)
    require_column(column, name)
    future = executor.client.submit(_itself, column, pure=False)
    return Blocks(name, [[future]], [len(column)])


def _itself(column: Any) -> Any:
    return column
