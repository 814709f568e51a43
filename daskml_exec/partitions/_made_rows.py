"""Rows that a function makes of partitions, as users had what these were made of."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import dask.array as da

from daskml_exec.executor import heap_kept, is_opened_by_nobody
from daskml_exec.partitions._derived import mapped
from daskml_exec.partitions._gather import gather
from daskml_exec.partitions._held_results import as_block
from daskml_exec.partitions._kinds import FUTURES, kind_of
from daskml_exec.partitions._map_rows import joined_lazily
from daskml_exec.partitions._model_nodes import shared_model
from daskml_exec.partitions._partition import Partitions
from daskml_exec.partitions._row_leaves import stacked


def made_rows(
    function: Callable[[Any], Any], partitions: Partitions, meta: Any, *, like: Any
) -> Any:
    """Return ``function(partition)`` for each partition: as many rows of the kind of `meta`.

    Parameters
    ----------
    function : callable
        Picklable; it travels once to each Worker.
    partitions : Partitions
        They are released: the Workers let go of each as soon as its rows are there.
    meta : NumPy array or CSR matrix
        Without rows.
    like : anything
        What the user gave in the beginning.

    Returns
    -------
    Dask array
        With chunks of known sizes, begun with at once, for a Dask collection.
    list of futures
        For such a list.
    array or CSR matrix
        For what is in memory.
    """
    client, kind = partitions.executor.client, kind_of(like)
    model = shared_model(client, function)
    name = f"rows-{uuid.uuid4().hex}"
    keys = [(name, index, *(0,) * (meta.ndim - 1)) for index in range(len(partitions.futures))]
    futures = mapped(partitions.executor, _made, partitions.futures, model, name=keys)
    for future in partitions.futures:
        future.release()
    if kind == FUTURES:
        return futures
    if kind is None:
        return stacked(gather(client, futures, {}))
    if is_opened_by_nobody(client):
        return joined_lazily([as_block(future) for future in futures], meta, partitions.rows)
    # As what Dask has persisted: futures of chunks under the names of the chunks.
    graph = dict(zip(keys, futures, strict=True))
    chunks = (partitions.rows, *((width,) for width in meta.shape[1:]))
    return da.Array(graph, name, chunks, dtype=meta.dtype, meta=meta)


def _made(partition: Any, function: Callable[[Any], Any]) -> Any:
    with heap_kept():
        return function(partition)
