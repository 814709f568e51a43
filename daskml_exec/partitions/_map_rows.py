"""Apply a function to the rows of a collection, lazily."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph
from dask.tokenize import tokenize

from daskml_exec.executor import heap_kept
from daskml_exec.kernels.array_namespace import is_on_device, to_device_of
from daskml_exec.partitions._assemble import side_by_side
from daskml_exec.partitions._block_frames import as_it_is, frame_of_blocks
from daskml_exec.partitions._gather import held_futures, require_open
from daskml_exec.partitions._kinds import ARRAY, BAG, FRAME, FUTURES, SERIES, bag_blocks, kind_of
from daskml_exec.partitions._model_nodes import as_delayed, as_node, shared_model
from daskml_exec.partitions._predict import require_labels
from daskml_exec.partitions._refusals import column_labels

# Below, `map_partitions` hands a Delayed on as it is: the model then travels with every block.
_FRAMES_TAKE_DELAYED = tuple(map(int, dask.__version__.split(".")[:2])) >= (2025, 5)

Function = Callable[[Any], Any]


def map_rows(
    function: Function, X: Any, *, meta: Any, labels: tuple[str, ...] | None = None
) -> Any:
    """Return ``function(block)`` for each block of rows of a collection, lazily.

    The function, which holds a model, is one node of the graph: it travels once to each worker
    that uses it, and not with every block.

    Parameters
    ----------
    function : callable
        Takes a block of X, such as an array, a CSR matrix, a dataframe, a series or a list, and
        returns as many rows of the kind of `meta`. Where that is of pandas, it may return an array
        in its place. Picklable, with a ``__name__``.
    X : Dask array, dataframe, series or bag, or list of futures
    meta : NumPy array, array on a device, CSR matrix, pandas DataFrame or Series
        Without rows; what the result is made of.
    labels : tuple of str, or None
        Column labels of blocks that are frames, if the model knows them. Those of a Dask dataframe
        must have its own.

    Returns
    -------
    Dask array
        Of arrays or CSR matrices, with the row chunks of X where X has chunks; their sizes are
        unknown elsewhere.
    Dask dataframe or series
        With the index and divisions of X where X has such. Rows of an array with chunks of known
        sizes are numbered; elsewhere the index is the function's.
    list of futures
        For such a list, whatever the meta.

    Raises
    ------
    LostPartitionError
        X, or what it is computed from, is held by futures that are gone, or whose Client is closed.
    """
    kind = kind_of(X)
    if kind == FUTURES:
        return _submitted(_Model(function, _sent(meta), labels), X)
    require_open("X", held_futures(X))
    model = block_map(function, X, meta=meta)
    to_frame = isinstance(meta, (pd.DataFrame, pd.Series))
    if kind == ARRAY and not to_frame:
        return _blockwise(model, X, meta)
    if kind in (FRAME, SERIES) and to_frame:
        given = as_delayed(model) if _FRAMES_TAKE_DELAYED else model
        return X.map_partitions(_of_block, given, meta=meta)
    if kind != ARRAY:
        blocks = bag_blocks(X) if kind == BAG else X.to_delayed()
        return joined_lazily(_delayed(_of_block, blocks, model), meta)
    # A block of one dimension holds a frame: what Dask thinks to be an array goes no further.
    blocks = _blockwise(model, X, np.empty(0, dtype=object)).to_delayed().tolist()
    sizes = X.chunks[0]
    if np.isnan(sizes).any():
        return joined_lazily(blocks, meta)
    starts = itertools.accumulate(sizes[:-1], initial=0)
    return joined_lazily([_numbered(*pair) for pair in zip(blocks, starts, strict=True)], meta)


def beside_blocks(X: Any, meta: Any) -> Any:
    """Return a meta on the device of the blocks of X, if Dask knows them to be on one."""
    of_blocks = getattr(X, "_meta", None)
    if not (isinstance(meta, np.ndarray) and is_on_device(of_blocks)):
        return meta
    return to_device_of(meta, of_blocks, meta.dtype)


def block_map(function: Function, X: Any, *, meta: Any) -> "_Model":
    """Return what `map_rows` does to each block of a Dask collection, to do it where a block is.

    Parameters
    ----------
    function, X, meta : as in `map_rows`
        X is no list of futures.
    """
    return _Model(function, _sent(meta), list(X.columns) if kind_of(X) == FRAME else None)


def _sent(meta: Any) -> Any:
    """Return what a meta tells blocks; one on a device stays there, and tells Dask alone."""
    return None if is_on_device(meta) else meta


def joined_lazily(blocks: Sequence[Any], meta: Any, rows: Sequence[int] | None = None) -> Any:
    """Return one Dask collection of blocks of rows.

    Parameters
    ----------
    blocks : sequence of Delayed or Future
    meta : as in `map_rows`
    rows : sequence of int, optional
        Of each block.
    """
    if isinstance(meta, (pd.DataFrame, pd.Series)):
        return frame_of_blocks(blocks, meta)
    # One layer, and not `da.concatenate`, which leaves out chunks without rows, and in old releases
    # asks SciPy's matrices for what they lack.
    held: list[Any] = [
        block if isinstance(block, Delayed) else dask.delayed(block) for block in blocks
    ]
    name = f"rows-{tokenize([block.key for block in held], rows)}"
    rest = (0,) * (meta.ndim - 1)
    layer: dict[Any, Any] = {
        (name, i, *rest): (as_it_is, block.key) for i, block in enumerate(held)
    }
    graph = HighLevelGraph.from_collections(name, layer, dependencies=held)
    lengths = (np.nan,) * len(held) if rows is None else tuple(rows)
    chunks = (lengths, *((width,) for width in meta.shape[1:]))
    return da.Array(graph, name, chunks, dtype=meta.dtype, meta=meta)


@dataclass(frozen=True)
class _Model:
    """What travels together, and not with every block.

    `labels` of columns are None where they are those of the first block; the meta, where it is on a
    device.
    """

    function: Function
    meta: Any
    labels: Any

    @property
    def name(self) -> str:
        """What Dask calls the results."""
        return self.function.__name__

    def __call__(self, block: Any) -> Any:
        """Return the rows of a block mapped."""
        return _of_block(block, self)


def _blockwise(model: _Model, X: Any, meta: Any) -> Any:
    width = {"k": meta.shape[1]} if meta.ndim == 2 else {}
    return da.blockwise(
        _of_blocks,
        "ik" if width else "i",
        X,
        "ij"[: X.ndim],
        as_node(model),
        "",
        new_axes=width,
        name=f"{model.name}-{tokenize(model, X)}",
        concatenate=False,
        align_arrays=False,  # which takes one row, in a chunk beside empty ones, for all chunks'
        dtype=meta.dtype,
        meta=meta,
    )


def _delayed(task: Callable[..., Any], blocks: Sequence[Any], model: _Model) -> list[Any]:
    node, task = as_delayed(model), dask.delayed(task, pure=True)
    return [task(block, node) for block in blocks]


@dask.delayed(pure=True)
def _numbered(frame: Any, start: int) -> Any:
    return frame.set_axis(pd.RangeIndex(start, start + len(frame)))


def _submitted(model: _Model, X: Any) -> list[Any]:
    require_open("X", X)
    client = X[0].client
    shared = shared_model(client, model)
    first = client.submit(column_labels, X[0], pure=False) if model.labels is None else None
    return [
        client.submit(_of_block, block, shared, first, key=f"{model.name}-{tokenize(object())}")
        for block in X
    ]


def _of_blocks(blocks: Any, node: Any) -> Any:
    # Dask hands on a list along an axis that the result has not.
    return _of_block(side_by_side(blocks) if isinstance(blocks, list) else blocks, node.item())


def _of_block(block: Any, model: _Model, first: Any = None) -> Any:
    expected = first if model.labels is None else model.labels
    require_labels(column_labels(block), expected, "a block")
    with heap_kept():
        return _of_kind(model.meta, model.function(block), getattr(block, "index", None))


def _of_kind(meta: Any, values: Any, index: Any) -> Any:
    """Return the values as the pandas object that the meta is, if it is one, with this index."""
    # Without a dtype, pandas would look at the objects and may find another one than in meta.
    dtype = object if getattr(getattr(values, "dtype", None), "kind", "") == "O" else None
    if isinstance(meta, pd.Series) and not isinstance(values, pd.Series):
        values = pd.Series(values, dtype=dtype, name=meta.name)
    elif isinstance(meta, pd.DataFrame) and not isinstance(values, pd.DataFrame):
        values = pd.DataFrame(values, columns=meta.columns, dtype=dtype)
    elif not isinstance(meta, (pd.Series, pd.DataFrame)):
        return values
    return values.set_axis(index) if isinstance(index, pd.Index) else values
