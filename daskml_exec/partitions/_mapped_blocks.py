"""What a query makes of blocks of rows as they come, which Workers let go one after the other."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import wait

from daskml_exec.executor import (
    Executor,
    LostPartitionError,
    heap_kept,
    share,
    ship,
    takes_prepared,
)
from daskml_exec.partitions._blocks import block_futures
from daskml_exec.partitions._derived import keep_for
from daskml_exec.partitions._gather import held_futures, require_open
from daskml_exec.partitions._kinds import ARRAY, FUTURES, is_collection, kind_of
from daskml_exec.partitions._memory import row_bounds
from daskml_exec.partitions._model_nodes import nbytes_of
from daskml_exec.partitions._partition import Partitions
from daskml_exec.partitions._row_leaves import rows_between


@dataclass(frozen=True)
class Block:
    """Rows as they came.

    Attributes
    ----------
    index : int
        Of the block, in row order.
    start : int or None
        Rows of all blocks before, where they are known.
    X : anything with rows
    """

    index: int
    start: int | None
    X: Any


def blocks_in_memory(X: Any) -> list[Block]:
    """Cut what has rows into even pieces, by its size alone."""
    pairs = itertools.pairwise(row_bounds(X))
    return [
        Block(index, start, rows_between(X, start, stop))
        for index, (start, stop) in enumerate(pairs)
    ]


def mapped_blocks(executor: Executor, X: Any, query: Any) -> Partitions:
    """Return what a query makes of each `Block` of X, one task each, as partitions.

    A block that somebody else does not hold is computed, asked and forgotten, so that not all of X
    is in memory at once. Where all blocks are on Workers, the partitions may not be there yet: the
    next question goes out behind this one. How many rows there are is left open: the query may
    tell.

    Parameters
    ----------
    executor : Executor
    X : Dask collection, list of futures, or what has rows in memory
    query : Query
        Its ``partial(block)`` returns what has a size for Dask.

    Raises
    ------
    LostPartitionError
        X is gone, or on another cluster.
    """
    client, lost_before = executor.client, len(executor.events.workers_lost)
    workers = executor.check_workers()
    shared = share(client, query, nbytes_of(query), name="query", in_process=False)
    in_memory = not is_collection(X)
    starts: Sequence[int | None]
    if in_memory:
        pieces = blocks_in_memory(X)
        n, starts = len(pieces), [piece.start for piece in pieces]
        blocks = [
            ship(
                client,
                piece.X,
                name="block",
                worker=workers[piece.index * len(workers) // n],
                in_process=executor.in_process,
            )
            for piece in pieces
        ]
    else:
        require_open("X", X if kind_of(X) == FUTURES else held_futures(X))
        blocks = block_futures(client, X)
        n, starts = len(blocks), _starts(X, len(blocks))
    name = uuid.uuid4().hex
    # Blocks of the driver's own go at once: what is gone has no place to be asked for.
    held = not in_memory and all(block.done() for block in blocks)
    places = tuple(blocks) if held else None
    futures = client.map(
        _asked, blocks, range(n), starts, [shared] * n, pure=False, key=f"map-{name}"
    )
    if in_memory:  # which is ours to let go
        for future, block in zip(futures, blocks, strict=True):
            keep_for(future, block)
            block.release()
    del blocks
    if places is None:
        try:
            with client.as_current():  # the cluster of this process is nobody's default
                wait(futures)
        except CancelledError as error:
            raise LostPartitionError("X is gone: the cluster was restarted or closed") from error
    by_size = places or futures
    sizes = client.nbytes([future.key for future in by_size], summary=False)
    return Partitions(
        executor=executor,
        futures=tuple(futures),
        rows=(0,) * n,
        n_features=0,
        nonzeros=None,
        dtype=np.dtype(object),
        feature_names=None,
        workers_lost_before=lost_before,
        sizes=tuple(int(sizes.get(future.key, 0)) for future in by_size),
        places=places,
    )


def _starts(X: Any, n: int) -> Sequence[int | None]:
    if kind_of(X) != ARRAY or np.isnan(X.chunks[0]).any():
        return [None] * n
    return list(itertools.accumulate(map(int, X.chunks[0][:-1]), initial=0))


def _asked(X: Any, index: int, start: int | None, query: Any) -> Any:
    with heap_kept():
        prepared = (query.prepare(),) if takes_prepared(type(query)) else ()
        return query.partial(Block(index, start, X), *prepared)
