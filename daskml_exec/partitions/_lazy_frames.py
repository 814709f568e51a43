"""A Dask dataframe of what a function makes of pieces that the driver holds."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import dask
import pandas as pd

from daskml_exec.executor import Executor, cluster_is_meant, heap_kept, ship
from daskml_exec.partitions._block_frames import frame_of_blocks
from daskml_exec.partitions._model_nodes import shared_model


def lazy_frame(
    function: Callable[[Any], pd.DataFrame], pieces: Sequence[Any], meta: pd.DataFrame
) -> Any:
    """Return the Dask dataframe of ``function(piece)`` for each piece, lazily.

    Where a cluster is meant, pieces and function go to it at once, as they may be large; else they
    stay where they are, and threads of this process compute.

    Parameters
    ----------
    function : callable
        With what all pieces need. Picklable.
    pieces : sequence
        One per partition of the result.
    meta : pandas.DataFrame
        Without rows; what the function returns.
    """
    name = uuid.uuid4().hex
    held: list[Any]
    node: Any
    if cluster_is_meant():
        executor = Executor.current()
        client, workers = executor.client, executor.check_workers()
        held = [
            ship(
                client,
                piece,
                name="piece",
                worker=workers[index * len(workers) // len(pieces)],
                in_process=executor.in_process,
            )
            for index, piece in enumerate(pieces)
        ]
        node = shared_model(client, function)
    else:
        held = [
            dask.delayed(piece, name=f"piece-{name}-{index}", traverse=False)
            for index, piece in enumerate(pieces)
        ]
        node = dask.delayed(function, name=f"function-{name}", traverse=False)
    task = dask.delayed(_made, pure=False)
    blocks = [
        task(piece, node, dask_key_name=f"made-{name}-{index}") for index, piece in enumerate(held)
    ]
    return frame_of_blocks(blocks, meta)


def _made(piece: Any, function: Any) -> pd.DataFrame:
    with heap_kept():
        made: pd.DataFrame = function(piece)
    return made
