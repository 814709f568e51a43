"""Trees of Dask arrays, brought into the same chunks of samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
from distributed import Future

from daskml_exec.partitions._kinds import FUTURES, is_collection, kind_of
from daskml_exec.partitions._row_trees import has_rows
from daskml_exec.partitions._trees import leaves_of, map_leaves, with_leaves


class Slot:
    """The place of an array in a tree of samples: a leaf, where a dataclass would be a node."""

    def __init__(self, index: int) -> None:
        self.index = index


@dataclass(frozen=True)
class Columns:
    """Aligned arrays of samples.

    Attributes
    ----------
    tree : Any
        Of X, with a `Slot` in the place of each array.
    arrays : list of Dask array
        In chunks along their first axis only, which are the same.
    """

    tree: Any
    arrays: list[Any]

    def filled(self, blocks: Any) -> Any:
        """Return the samples in these blocks, one of each array."""
        return filled(self.tree, blocks)

    def zeros(self) -> Any:
        """Return one sample of zeros; None if shapes are not known, or values are objects."""
        known = all(
            array.dtype != object and not np.isnan(array.shape[1:]).any() for array in self.arrays
        )
        if not known:
            return None
        return self.filled([np.zeros((1, *array.shape[1:]), array.dtype) for array in self.arrays])

    def first_samples(self) -> Iterator[Any]:
        """Yield the first sample of each block where there may be one, as Delayed of each array."""
        blocks = zip(*(array.to_delayed().ravel() for array in self.arrays), strict=True)
        for rows, arrays in zip(self.arrays[0].chunks[0], blocks, strict=True):
            if rows != 0:
                yield [_first_row(array) for array in arrays]


def filled(tree: Any, blocks: Any) -> Any:
    """Return a tree with blocks in the place of slots."""
    return map_leaves(lambda leaf: blocks[leaf.index] if isinstance(leaf, Slot) else leaf, tree)


def on_a_cluster(X: Any) -> bool:
    """Whether a tree has Dask collections or futures in it."""
    return any(
        is_collection(leaf) or isinstance(leaf, (db.Bag, Future)) for _, leaf in leaves_of(X, "X")
    )


def columns_of(X: Any) -> Columns:
    """Return the arrays of a tree of Dask arrays, frames and arrays in memory.

    Raises
    ------
    TypeError
        A leaf is of another kind.
    ValueError
        An array has chunks along another axis, or leaves differ in their samples.
    """
    given = {path: _as_array(path, leaf) for path, leaf in leaves_of(X, "X")}
    given = {path: leaf for path, leaf in given.items() if has_rows(leaf)}
    first, chunks = next(
        (path, leaf.chunks[0]) for path, leaf in given.items() if isinstance(leaf, da.Array)
    )
    arrays = [_aligned(path, leaf, first, chunks) for path, leaf in given.items()]
    slots: dict[str, Any] = {path: Slot(index) for index, path in enumerate(given)}
    tree = with_leaves(X, [slots.get(path, leaf) for path, leaf in leaves_of(X, "X")])
    return Columns(tree, arrays)


@dask.delayed(pure=True)
def _first_row(block: Any) -> Any:
    return block[:1]


def _as_array(path: str, leaf: Any) -> Any:
    if isinstance(leaf, (dd.DataFrame, dd.Series)):
        return leaf.to_dask_array()
    if isinstance(leaf, (db.Bag, Future)) or kind_of(leaf) == FUTURES:
        what = "Dask bag" if isinstance(leaf, db.Bag) else "future"
        raise TypeError(
            f"{path} is a {what}; in a tree, allowed are arrays, Dask arrays and frames. A bag's "
            "items, or a list of futures, may be whole samples"
        )
    if isinstance(leaf, da.Array):
        if leaf.ndim == 0:
            raise ValueError(f"{path} has no dimensions; allowed are arrays of samples")
        for axis, blocks in enumerate(leaf.numblocks[1:], start=1):
            if blocks > 1:
                raise ValueError(
                    f"{path} has {blocks} chunks along axis {axis}; allowed is 1: "
                    f"{path}.rechunk({{{axis}: -1}})"
                )
    return leaf


def _aligned(path: str, leaf: Any, first: str, chunks: tuple[float, ...]) -> Any:
    """Return a leaf in these chunks, which are those of the first Dask array."""
    unknown = np.isnan(chunks).any()
    if not isinstance(leaf, da.Array):
        array = np.asarray(leaf)
        if unknown:
            raise ValueError(
                f"{path} is in memory, and {first} has chunks of unknown sizes; allowed are known "
                f"ones: {first}.compute_chunk_sizes() of a Dask array"
            )
        _require_samples(path, len(array), first, sum(chunks))
        return da.from_array(array, chunks=(chunks, *array.shape[1:]))
    if unknown or np.isnan(leaf.chunks[0]).any():
        if leaf.numblocks[0] != len(chunks):
            raise ValueError(
                f"{path} has {leaf.numblocks[0]} chunks along axis 0, {first} has {len(chunks)}, "
                "not all of known sizes; allowed are as many, or known sizes"
            )
        return leaf
    _require_samples(path, leaf.shape[0], first, sum(chunks))
    return leaf if leaf.chunks[0] == chunks else leaf.rechunk({0: chunks})


def _require_samples(path: str, found: int, first: str, expected: float) -> None:
    if found != expected:
        raise ValueError(
            f"{path} has {found} samples, {first} has {int(expected)}; allowed is one number"
        )
