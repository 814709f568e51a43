"""Columns such as y: what shape they have, and how they come to the driver."""

from concurrent.futures import CancelledError
from typing import Any

import numpy as np

from daskml_exec.executor import Executor, LostPartitionError
from daskml_exec.kernels.array_namespace import is_on_device, to_host
from daskml_exec.partitions._assemble import joined
from daskml_exec.partitions._gather import owner, require_open
from daskml_exec.partitions._kinds import FUTURES, is_collection, kind_of, refuse_bag, shape_of


def to_memory(data: Any, executor: Executor | None, name: str) -> Any:
    """Return a column on the driver, from whichever cluster holds it; in memory, as it is.

    Parameters
    ----------
    data : Dask collection, list of futures, or in memory
    executor : Executor or None
        To compute collections on that no cluster holds; None for the current one.
    name : str
        Of the argument, for messages.

    Raises
    ------
    LostPartitionError
        The cluster that held the data, or its Client, is closed.
    """
    if not is_collection(data):
        return data
    refuse_bag(data, name)
    if kind_of(data) == FUTURES:
        require_open(name, data)
        pieces = data[0].client.gather(list(data))
        spans = [(piece, 0, shape_of(piece)[0]) for piece in pieces]
        return joined(spans, name, dates=False)
    client = owner(data, lambda: (executor or Executor.current()).client, name)
    try:
        return on_host(data.compute(scheduler=client))
    except CancelledError as error:
        raise LostPartitionError(
            f"parts of {name} are gone: it was persisted on a cluster that was closed or restarted "
            "since. Persist it again"
        ) from error


def is_matrix(y: Any) -> bool:
    """Whether y has a second axis, which a list of futures tells by its first block."""
    refuse_bag(y, "y")
    kind = kind_of(y)
    if kind == FUTURES:
        require_open("y", y)
        return len(y[0].client.submit(shape_of, y[0], pure=False).result()) > 1
    return np.asarray(y).ndim > 1 if kind is None else y.ndim > 1


def on_host(column: Any) -> Any:
    """Return a device array's values on the host; lists, arrays and series as they are."""
    return to_host(column) if is_on_device(column) else column
