"""Partitions of samples from collections: aligned where they are, then brought to one form."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import dask.bag as db
from dask.bag import Bag

from daskml_exec.executor import Executor
from daskml_exec.partitions._aligned import shipped
from daskml_exec.partitions._assemble import Span, weights
from daskml_exec.partitions._blocks import Blocks, cut_like, row_blocks
from daskml_exec.partitions._from_dataset import DatasetSamples, dataset_blocks
from daskml_exec.partitions._gather import Refused, gather, refusing
from daskml_exec.partitions._kinds import ARRAY, is_collection, kind_of, shape_of, weight_column
from daskml_exec.partitions._partition import Partition, Partitions
from daskml_exec.partitions._row_trees import tree_between, tree_rows, tree_stacked
from daskml_exec.partitions._sample_trees import (
    ALLOWED,
    as_samples,
    in_common,
    in_dtypes,
    require_same_lengths,
    stacked_samples,
    without_rows,
)
from daskml_exec.partitions._sampled import (
    NO_MATRIX,
    Sampled,
    in_form,
    like_all,
    require_no_second_y,
    settled_samples,
)
from daskml_exec.partitions._target import NO_TARGET, Columns
from daskml_exec.partitions._tokens import TokenWindows, token_blocks
from daskml_exec.partitions._trees import is_node, leaves_of, with_leaves

_WEIGHT = "sample_weight"


def is_on_cluster(leaf: Any) -> bool:
    """Whether a leaf of what the user has given is read on Workers."""
    if isinstance(leaf, TokenWindows):
        return leaf.on_cluster
    return is_collection(leaf) or isinstance(leaf, (Bag, DatasetSamples))


def samples_on_cluster(executor: Executor, X: Any, y: Any, sample_weight: Any) -> Sampled:
    """Take collections where they live, in the chunks of the first of them."""
    workers_lost_before = len(executor.events.workers_lost)
    executor.check_workers()
    client, leaves = executor.client, dict(leaves_of(X, "X"))
    if y is not None:
        leaves |= leaves_of(y, "y")
    rows, blocks = _aligned_blocks(executor, leaves, sample_weight)
    spans = {name: cut_like(rows, each) for name, each in blocks.items()}
    futures = client.map(
        _assembled,
        range(len(rows)),
        [0, *itertools.accumulate(rows[:-1])],
        rows,
        [dict(zip(spans, each, strict=True)) for each in zip(*spans.values(), strict=True)],
        [_Paths(_paths(X, "X"), _paths(y, "y"), isinstance(X, DatasetSamples))] * len(rows),
        pure=False,
        key="assemble",
    )
    summaries: list[_Summary] = gather(
        client,
        client.map(_summarise, futures, pure=False, key="summarise"),
        leaves | {_WEIGHT: sample_weight},
    )
    settled = settled_samples(
        [each.weight for each in summaries], sum(rows), weighted=_WEIGHT in blocks
    )
    filled = [index for index, n in enumerate(rows) if n]
    like = like_all(
        [(summaries[index].X, summaries[index].y) for index in filled],
        [f"partition {index}" for index in filled],
    )
    finished = client.map(
        _finish,
        futures,
        [settled.columns] * len(rows),
        [like] * len(rows),
        pure=False,
        key="partition",
    )
    partitions = Partitions(
        executor=executor,
        futures=tuple(finished),
        rows=tuple(rows),
        workers_lost_before=workers_lost_before,
        form=settled.form,
        sizes=tuple(summary.nbytes for summary in summaries),
        **NO_MATRIX,
    )
    return Sampled(partitions, settled, like)


def _aligned_blocks(
    executor: Executor, leaves: dict[str, Any], sample_weight: Any
) -> tuple[list[int], dict[str, Blocks]]:
    """Return the rows of each partition, and the blocks of each leaf and of weights, by name."""
    given = dict(leaves)
    if sample_weight is not None:
        given[_WEIGHT] = sample_weight
    here = {name: leaf for name, leaf in leaves.items() if not is_on_cluster(leaf)}
    # What is wrong with what is in memory is said before collections are computed.
    held = {name: as_samples(_in_memory(leaf), name) for name, leaf in here.items()}
    found = _blocks(executor, {name: x for name, x in given.items() if is_on_cluster(x)})
    first = next(found[name] for name in given if name in found)
    if _WEIGHT in given and _WEIGHT not in found:
        held[_WEIGHT] = weight_column(sample_weight, first.n_rows)
    lengths = {name: each.n_rows for name, each in found.items()}
    lengths |= {name: len(each) for name, each in held.items()}
    require_same_lengths([(name, lengths[name]) for name in given])
    for name, array in held.items():
        found[name] = shipped(executor, name, array, first.rows)
    return first.rows, {name: found[name] for name in given}


def _blocks(executor: Executor, given: dict[str, Any]) -> dict[str, Blocks]:
    """Start computing collections, and return their blocks with their lengths."""
    client = executor.client
    made: dict[str, Any] = {}
    found: dict[str, Blocks] = {}
    for name, leaf in given.items():
        _require_whole(leaf, name)
    for name, leaf in given.items():
        if isinstance(leaf, TokenWindows):
            found[name] = token_blocks(client, leaf, name)
        elif isinstance(leaf, DatasetSamples):
            made[name] = dataset_blocks(executor, leaf)
        else:
            made[name] = _stacked_lazily(leaf, name) if isinstance(leaf, Bag) else leaf
    return found | row_blocks(client, made, shape_of=_shape)


def _require_whole(leaf: Any, name: str) -> None:
    """Raise ValueError for a Dask array of which a chunk has not whole samples."""
    if kind_of(leaf) != ARRAY:
        return
    if leaf.ndim == 0:
        raise ValueError(f"{name} is a single number, without an axis of samples; {ALLOWED}")
    for axis, n in enumerate(leaf.numblocks):
        if axis and n > 1:
            raise ValueError(
                f"{name} has {n} chunks along axis {axis}; allowed are chunks along axis 0 alone, "
                f"of whole samples: rechunk({{{axis}: -1}})"
            )


def _in_memory(leaf: Any) -> Any:
    return leaf.in_memory() if isinstance(leaf, TokenWindows) else leaf


def _paths(tree: Any, name: str) -> Any:
    """Return the tree with the path of each leaf in its place."""
    if tree is None:
        return None
    return with_leaves(tree, [path for path, _ in leaves_of(tree, name)])


def _stacked_lazily(bag: Bag, name: str) -> Bag:
    n = bag.npartitions
    numbers = db.from_sequence(range(n), npartitions=n)
    return bag.map_partitions(_stacked, numbers, name)


@refusing
def _stacked(samples: Any, numbers: Any, name: str) -> Any:
    """Return the samples of one partition of a bag as a tree; nothing instead of none."""
    (number,), samples = numbers, list(samples)
    return stacked_samples(samples, name, f"partition {number}") if samples else []


@refusing
def _shape(block: Any) -> tuple[int, ...]:
    if is_node(block):
        return (tree_rows(block),)
    if isinstance(block, list):
        return (len(block),)
    if not getattr(block, "shape", ()):
        raise TypeError(f"a list of futures has a block of {type(block).__name__}; {ALLOWED}")
    return shape_of(block)


@dataclass(frozen=True)
class _Paths:
    """X and y with the path of each leaf in its place."""

    X: Any
    y: Any
    of_dataset: bool


@refusing
def _assembled(
    index: int, start: int, rows: int, spans: dict[str, list[Span]], paths: _Paths
) -> Partition:
    where, weight = f"partition {index}", None
    if _WEIGHT in spans:
        weight = weights(spans[_WEIGHT], where)
    if not rows:  # of what kind they would be, others tell
        return Partition(index, start, None, None, weight)
    X, y = (_joined(tree, spans, where) for tree in (paths.X, paths.y))
    if paths.of_dataset and type(X) is tuple and len(X) == 2:
        require_no_second_y(y)
        X, y = X
    return Partition(index, start, X, y, weight)


def _joined(paths: Any, spans: dict[str, list[Span]], where: str) -> Any:
    if paths is None:
        return None
    names = [name for _, name in leaves_of(paths, "")]
    return with_leaves(paths, [_leaf(spans[name], name, where) for name in names])


def _leaf(spans: list[Span], name: str, where: str) -> Any:
    """Return the samples of these spans as one tree of C-ordered arrays."""
    pieces = []
    for block, start, stop in spans:
        if stop > start:
            try:
                if isinstance(block, Refused):
                    raise block.error
                pieces.append(tree_between(as_samples(block, name), start, stop))
            except (TypeError, ValueError) as error:
                error.add_note(f"in {where} of {name}")
                raise
    like = in_common(pieces, [f"block {i} of {where}" for i in range(len(pieces))], name)
    return in_dtypes(tree_stacked(pieces), like)


@dataclass(frozen=True)
class _Summary:
    """What the driver needs to know of one partition: `X` and `y` are without samples."""

    nbytes: int
    weight: float
    X: Any
    y: Any


@refusing
def _summarise(partition: Partition) -> _Summary:
    if partition.X is None:
        return _Summary(0, 0.0, None, None)
    X, y = (None if tree is None else without_rows(tree) for tree in (partition.X, partition.y))
    return _Summary(partition.nbytes, NO_TARGET.describe(partition, ""), X, y)


def _finish(partition: Partition, columns: Columns, like: Partition) -> Partition:
    """Return samples in the dtypes of all partitions, and weights in their last form."""
    _, weight = columns(partition)
    if partition.X is None:
        return replace(partition, X=like.X, y=like.y, sample_weight=weight)
    return replace(in_form(partition, like), sample_weight=weight)
