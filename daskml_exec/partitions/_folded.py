"""Partitions whose rows know the fold in which they are tested: two bytes a row, and no copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import singledispatch
from typing import Any, Protocol

import numpy as np
from distributed import Future

from daskml_exec.kernels.array_namespace import to_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions._blocks import Blocks, cut_like
from daskml_exec.partitions._derived import keep_for, mapped
from daskml_exec.partitions._partition import Partition, Partitions, Pieces
from daskml_exec.partitions._recipes import derived_or_forgotten
from daskml_exec.partitions._row_pieces import FoldRows, known_folds


class FoldQuery(Protocol):
    """Tells the folds of a partition: a frozen record that travels."""

    def partial(self, partition: Partition) -> Array:
        """Return the fold of each row, in uint16."""


FoldColumn = FoldQuery | FoldRows | Array
"""The fold of each row: what tells it on Workers, where it is on Workers, or on the driver."""


def folded(parent: Any, column_of: Callable[[Any], FoldColumn]) -> Any:
    """Return the same partitions with a fold for each row.

    Parameters
    ----------
    parent : Partitions or Pieces
    column_of : callable
        Returns the folds of the rows of partitions; asked again when they were lost.

    Returns
    -------
    Partitions or Pieces
        Which whoever asked for them releases.
    """
    return derived_or_forgotten(parent, lambda found: _with(found, column_of(found)))


@singledispatch
def _with(data: Any, column: FoldColumn) -> Any:
    raise NotImplementedError


@_with.register
def _(data: Partitions, column: Any) -> Partitions:
    futures: list[Future[Any]]
    if hasattr(column, "partial"):
        futures = mapped(data.executor, _with_query, data.futures, column, name=_NAME)
        return replace(data, futures=tuple(futures))
    if isinstance(column, np.ndarray):
        column = known_folds(data.executor, column, data.rows)
    blocks = Blocks("folds", [[each] for each in column.futures], list(column.rows))
    spans = cut_like(data.rows, blocks)
    futures = data.executor.client.map(
        _with_pieces,
        data.futures,
        [[future for future, _, _ in each] for each in spans],
        [[(start, stop) for _, start, stop in each] for each in spans],
        pure=False,
        key=_NAME,
    )
    for future, *origin in zip(futures, data.futures, spans, strict=True):
        keep_for(future, origin)
    return replace(data, futures=tuple(futures))


@_with.register
def _(data: Pieces, column: Any) -> Pieces:
    if hasattr(column, "partial"):
        pieces = [_with_query(piece, column) for piece in data.partitions]
    else:
        parts = np.split(column, np.cumsum(data.rows)[:-1])
        pieces = [
            replace(each, fold=part) for each, part in zip(data.partitions, parts, strict=True)
        ]
    return replace(data, partitions=tuple(pieces))


_NAME = "partition-with-folds"


def _with_query(partition: Partition, query: FoldQuery) -> Partition:
    return replace(partition, fold=query.partial(partition))


def _with_pieces(
    partition: Partition, pieces: list[Array], ranges: list[tuple[int, int]]
) -> Partition:
    parts = [piece[start:stop] for piece, (start, stop) in zip(pieces, ranges, strict=True)]
    return replace(partition, fold=np.concatenate([*parts, np.empty(0, np.uint16)]))


def without_fold(parent: Any, fold: int) -> Any:
    """Return the same partitions, in which the rows of one fold weigh nothing.

    X stays where it is; a weight for each row is new.

    Parameters
    ----------
    parent : Partitions or Pieces
        With folds.
    fold : int

    Returns
    -------
    Partitions or Pieces
        Which whoever asked for them releases.
    """
    return derived_or_forgotten(parent, lambda found: _silenced(found, fold))


@singledispatch
def _silenced(data: Any, fold: int) -> Any:
    raise NotImplementedError


@_silenced.register
def _(data: Partitions, fold: int) -> Partitions:
    futures = mapped(data.executor, _partition_silenced, data.futures, fold, name="without-fold")
    return replace(data, futures=tuple(futures))


@_silenced.register
def _(data: Pieces, fold: int) -> Pieces:
    pieces = tuple(_partition_silenced(piece, fold) for piece in data.partitions)
    return replace(data, partitions=pieces)


def _partition_silenced(partition: Partition, fold: int) -> Partition:
    return weighing(partition, partition.fold != fold)


def weighing(partition: Partition, wanted: Array) -> Partition:
    """Return the partition, of which other rows than those that are wanted weigh nothing."""
    weight = partition.sample_weight
    ones = np.ones(len(wanted)) if weight is None else np.asarray(to_host(weight), np.float64)
    return replace(partition, sample_weight=np.where(wanted, ones, 0.0))
