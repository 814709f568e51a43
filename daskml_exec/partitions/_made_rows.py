"""Rows that a function makes of partitions, as users had what these were made of."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import dask

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
        They are not to be released: a lazy result keeps what it is made of, and the cluster
        forgets that with the result.
    meta : NumPy array or CSR matrix
        Without rows.
    like : anything
        What the user gave in the beginning.

    Returns
    -------
    Dask array
        Lazily, with chunks of known sizes, for a Dask collection.
    list of futures
        For such a list.
    array or CSR matrix
        For what is in memory.
    """
    client, kind = partitions.executor.client, kind_of(like)
    model = shared_model(client, function)
    if kind in (FUTURES, None):
        futures = mapped(partitions.executor, _made, partitions.futures, model, name="rows")
        return futures if kind == FUTURES else stacked(gather(client, futures, {}))
    task, name = dask.delayed(_made, pure=False), uuid.uuid4().hex
    node = as_block(model)
    blocks = [
        task(as_block(future), node, dask_key_name=f"rows-{name}-{index}")
        for index, future in enumerate(partitions.futures)
    ]
    return joined_lazily(blocks, meta, partitions.rows)


def _made(partition: Any, function: Callable[[Any], Any]) -> Any:
    return function(partition)
