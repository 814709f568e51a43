"""Apply a function to the samples of a collection, lazily."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import numpy as np
from dask.tokenize import tokenize
from distributed import Client, Future

from daskml_exec.executor import Executor, cluster_is_meant
from daskml_exec.executor._capacity import fits_in_a_graph
from daskml_exec.partitions._data import Data
from daskml_exec.partitions._from_dataset import DatasetSamples, refuse_datasets
from daskml_exec.partitions._gather import held_futures, owner, require_open
from daskml_exec.partitions._held_results import as_block
from daskml_exec.partitions._kinds import FUTURES, kind_of
from daskml_exec.partitions._map_rows import joined_lazily
from daskml_exec.partitions._model_nodes import (
    as_delayed,
    as_node,
    nbytes_of,
    shared_as_node,
    shared_model,
)
from daskml_exec.partitions._output_trees import rows_of, samples_of
from daskml_exec.partitions._results import (
    RESULT,
    as_result,
    checked_leaves,
    found_meta,
    require_meta,
)
from daskml_exec.partitions._row_trees import tree_stacked, tree_taken
from daskml_exec.partitions._sample_columns import Columns, columns_of, filled, on_a_cluster
from daskml_exec.partitions._sample_trees import as_numbers
from daskml_exec.partitions._samples import load_samples
from daskml_exec.partitions._tokens import TokenWindows
from daskml_exec.partitions._trees import leaves_of, map_leaves, with_leaves

Function = Callable[[Any], Any]


def map_samples(function: Function, X: Any, *, meta: Any = None) -> Any:
    """Return ``function(block)`` for each block of samples, lazily.

    The function, which may hold a model, travels once to each Worker that uses it. It is called
    once for each block, whatever the number of arrays that it returns, provided that these are
    computed together, as by ``dask.compute(result)`` or ``dask.persist(result)``.

    Parameters
    ----------
    function : callable
        Takes a block of samples: a tree, of dicts and tuples, of arrays with one leading axis.
        Returns another tree, of as many samples. In it, a list is a column of objects, such as
        texts. Picklable. It is not called for blocks without samples.
    X : tree of arrays, Dask array, dataframe, series or bag, list of futures, or Data
        Or a tree of Dask arrays, frames and arrays in memory, which are brought into the chunks of
        the first Dask array. Arrays may have chunks along axis 0 only. Frames and tensors become
        arrays, and so do windows of `tokens` in memory; others, and what `from_dataset` reads, are
        loaded first, by the current Executor. The items of a bag are samples; futures are of blocks
        of samples, or of lists of samples.
    meta : tree of ndarray, optional
        Of shape (0, ...), in the shapes and dtypes of the result. None calls the function on one
        sample, here: on zeros where the shapes of X are known, and on its first sample where they
        are not, or where the function raises on zeros. Texts become objects then.

    Returns
    -------
    tree of Dask arrays
        Like the meta, with the chunks of X along axis 0; their sizes are unknown where those of X
        are. For a Data, and what is loaded, the Workers begin at once, so that the result outlives
        it.
    tree of ndarray
        For X in memory, and a Data of it: the function is called once, here.

    Raises
    ------
    ValueError
        Here: X cannot be aligned, the meta is no meta, or the call on one sample failed. On a
        Worker: the function returned another number of samples than it got, or other shapes or
        dtypes than the meta says.
    TypeError
        X has what may not be in a tree.
    LostPartitionError
        X is held by futures that are gone, or whose Client is closed.

    Notes
    -----
    A function too large for a graph, of 10 MB or more, is sent to the current cluster at once, if
    there is one; the result is then computed on that cluster.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> def ends(images):
    ...     return {"least": images.min(axis=(1, 2)), "name": ["image"] * len(images)}
    >>> X = da.from_array(np.arange(12).reshape(3, 2, 2), chunks=(2, 2, 2))
    >>> found = map_samples(ends, X)
    >>> found["least"].compute()
    array([0, 4, 8])
    >>> found["name"].chunks
    ((2, 1),)
    """
    if meta is not None:
        require_meta(meta)
    refuse_datasets(X, "X")
    if isinstance(X, Data):
        if X.in_memory:
            whole = tree_stacked([samples_of(each) for each in X.partitions.partitions])
            return _in_memory(function, whole, meta)
        return _of_data(function, X, meta)
    if any(_is_read_on_workers(leaf) for _, leaf in leaves_of(X, "X")):
        with load_samples(X, executor=Executor.current()) as data:
            return map_samples(function, data, meta=meta)
    if kind_of(X) == FUTURES:
        require_open("X", X)
        return _of_blocks(function, X, X[0].client, meta)
    if isinstance(X, db.Bag):
        require_open("X", held_futures(X))
        return _of_blocks(function, X.to_delayed(), _client(X), meta)
    X = with_leaves(X, [_in_arrays(leaf, path) for path, leaf in leaves_of(X, "X")])
    if on_a_cluster(X):
        return _of_columns(function, columns_of(X), meta)
    return _in_memory(function, samples_of(X), meta)


def _is_read_on_workers(leaf: Any) -> bool:
    return isinstance(leaf, DatasetSamples) or (isinstance(leaf, TokenWindows) and leaf.on_cluster)


def _in_arrays(leaf: Any, path: str) -> Any:
    """Return tensors and windows in memory as arrays, and all else as it is."""
    if isinstance(leaf, TokenWindows):
        return leaf.in_memory()
    return as_numbers(leaf, path) if hasattr(leaf, "detach") else leaf


@dataclass(frozen=True)
class _Model:
    """What travels together, and not with every block; `tree` as of `Columns`."""

    function: Function
    meta: Any
    tree: Any = None

    @property
    def name(self) -> str:
        """What Dask calls the results."""
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def leaves(self, samples: Any) -> tuple[Any, ...]:
        """Return the arrays that the function makes of a block."""
        rows = rows_of(samples)
        if rows == 0:
            return tuple(leaf for _, leaf in leaves_of(self.meta, RESULT))
        return checked_leaves(self.function(samples), rows, self.meta)


def _in_memory(function: Function, samples: Any, meta: Any) -> Any:
    rows = rows_of(samples)
    if rows:
        return as_result(function(samples), rows, meta)
    if meta is not None:
        return meta

    def zeros(leaf: Any) -> Any:
        shape, dtype = getattr(leaf, "shape", ()), getattr(leaf, "dtype", object)
        return np.zeros((1, *shape[1:]), dtype) if shape else leaf

    return found_meta(function, map_leaves(zeros, samples), lambda: None)


def _of_columns(function: Function, columns: Columns, meta: Any) -> Any:
    for array in columns.arrays:
        require_open("X", held_futures(array))
    client = _client(*columns.arrays)
    if meta is None:

        def first() -> Any:
            found = (_computed(client, lazy) for lazy in columns.first_samples())
            return next((columns.filled(some) for some in found if len(some[0])), None)

        meta = found_meta(function, columns.zeros(), first)
    model = _Model(function, meta, columns.tree)
    node = as_node(model) if client is None or _is_small(model) else shared_as_node(client, model)
    # One array of the trees that the function returns: blocks of arrays go no further than a leaf.
    trees = da.blockwise(
        _of_chunks,
        (0,),
        node,
        (),
        *_with_axes(columns.arrays),
        name=f"{model.name}-{tokenize(model, columns.arrays)}",
        concatenate=False,
        align_arrays=False,  # which takes one row, in a chunk beside empty ones, for all chunks'
        dtype=object,
        meta=np.empty(0, dtype=object),
    )
    return _leafwise(meta, lambda index, leaf: _picked(trees, index, leaf))


def _of_blocks(function: Function, blocks: Sequence[Any], client: Client | None, meta: Any) -> Any:
    """Map blocks that are futures, or Delayed."""
    if meta is None:
        meta = found_meta(function, None, lambda: _first_sample(client, blocks))
    model = _Model(function, meta)
    node = as_delayed(model) if client is None or _is_small(model) else shared_model(client, model)
    task = dask.delayed(_of_block, pure=True)
    return _joined([task(node, block) for block in blocks], meta)


def _of_data(function: Function, X: Data, meta: Any) -> Any:
    partitions = X.whole_rows("map_samples")
    client = partitions.executor.client
    if meta is None:
        meta = found_meta(function, None, lambda: _first_sample(client, partitions.futures))
    model = _Model(function, meta)
    shared = shared_model(client, model)
    trees = [
        client.submit(_of_block, shared, future, key=f"{model.name}-{tokenize(object())}")
        for future in partitions.futures
    ]
    return _joined([as_block(tree) for tree in trees], meta, partitions.rows)


def _joined(trees: Sequence[Any], meta: Any, rows: Sequence[int] | None = None) -> Any:
    pick = dask.delayed(_leaf, pure=True)
    return _leafwise(
        meta, lambda index, leaf: joined_lazily([pick(tree, index) for tree in trees], leaf, rows)
    )


def _leafwise(meta: Any, function: Callable[[int, Any], Any]) -> Any:
    """Return the tree of ``function(index, leaf)`` for the leaves of the meta."""
    leaves = (leaf for _, leaf in leaves_of(meta, RESULT))
    return with_leaves(meta, [function(index, leaf) for index, leaf in enumerate(leaves)])


def _picked(trees: Any, index: int, meta: Any) -> Any:
    axes = range(1, meta.ndim)
    return da.blockwise(
        _leaf,
        (0, *axes),
        trees,
        (0,),
        index,
        None,
        new_axes={axis: meta.shape[axis] for axis in axes},
        dtype=meta.dtype,
        meta=meta,
    )


def _is_small(model: _Model) -> bool:
    return fits_in_a_graph(nbytes_of(model))


def _with_axes(arrays: Sequence[Any]) -> Iterator[Any]:
    """Yield each array, and its axes: the first in common, all others of its own."""
    used = 1
    for array in arrays:
        yield array
        yield (0, *range(used, used + array.ndim - 1))
        used += array.ndim - 1


def _client(*collections: Any) -> Client | None:
    """Return the Client that computes collections, or None where no cluster is meant."""
    for collection in collections:
        if held_futures(collection):
            return owner(collection, lambda: Executor.current().client, "X")
    return Executor.current().client if cluster_is_meant() else None


def _computed(client: Client | None, lazy: Any) -> Any:
    return dask.compute(*lazy, scheduler=client)


def _first_sample(client: Client | None, blocks: Sequence[Any]) -> Any:
    for block in blocks:
        if isinstance(block, Future):
            sample = block.client.submit(_first_of, block, pure=False).result()
        else:
            (sample,) = _computed(client, [dask.delayed(_first_of)(block)])
        if sample is not None:
            return sample
    return None


def _first_of(block: Any) -> Any:
    samples = samples_of(block)
    return tree_taken(samples, np.arange(1)) if rows_of(samples) else None


def _of_block(model: _Model, block: Any) -> tuple[Any, ...]:
    return model.leaves(samples_of(block))


def _of_chunks(node: Any, *chunks: Any) -> tuple[Any, ...]:
    model = node.item()
    return model.leaves(filled(model.tree, [_chunk(chunk) for chunk in chunks]))


def _chunk(chunk: Any) -> Any:
    # Dask hands on a list along each axis that the result has not.
    while isinstance(chunk, list):
        (chunk,) = chunk
    return chunk


def _leaf(tree: tuple[Any, ...], index: int) -> Any:
    return tree[index]
