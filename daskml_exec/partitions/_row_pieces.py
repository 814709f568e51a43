"""Some rows of collections, lazily: those whose fold is wanted, with chunks of known sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import dask
import numpy as np
import scipy.sparse as sp
from distributed import Future

from daskml_exec.executor import Executor, ship
from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions._blocks import Blocks, cut_like
from daskml_exec.partitions._gather import gather
from daskml_exec.partitions._held_results import as_block
from daskml_exec.partitions._kinds import ARRAY, FUTURES, kind_of, require_rows
from daskml_exec.partitions._map_rows import joined_lazily
from daskml_exec.partitions._row_leaves import row_count, taken_rows


class Chosen(Protocol):
    """Which folds are wanted: a frozen record."""

    def rows(self, folds: Array) -> Array:
        """Return whether each row is."""


class Rule(Protocol):
    """Tells folds of rows by their numbers."""

    def folds(self, start: int, n: int, labels: Any) -> Array:
        """Return the folds of n rows from number `start` on."""


@dataclass(frozen=True, eq=False)
class FoldRows:
    """The fold of each row, where Workers are.

    Attributes
    ----------
    executor : Executor
    futures : tuple of Future
        Of arrays of uint16.
    rows : tuple of int
        Of each.
    """

    executor: Executor
    futures: tuple[Future[Any], ...]
    rows: tuple[int, ...]

    def picked(self, data: Any, chosen: Chosen, name: str) -> Any:
        """Return the rows of a collection whose folds are chosen.

        Parameters
        ----------
        data : Dask collection, list of futures, or in memory
        chosen : Chosen
        name : str
            Of the argument, for messages.

        Returns
        -------
        Of the kind of `data`
            Lazily for collections: with their row chunks without the other rows, in their order.
        """
        kind, client = kind_of(data), self.executor.client
        if kind is None:
            require_rows(sum(self.rows), row_count(data), name)
            wanted = np.concatenate([chosen.rows(each) for each in client.gather(self.futures)])
            return taken_rows(data, np.flatnonzero(wanted))
        if kind == ARRAY and data.ndim > 1:
            data = data.rechunk(dict.fromkeys(range(1, data.ndim), -1))
        lengths = row_lengths(self.executor, data)
        folds = Blocks("folds", [[each] for each in self.futures], list(self.rows))
        require_rows(sum(self.rows), sum(lengths), name)
        spans = cut_like(lengths, folds)
        pieces = [[future for future, _, _ in each] for each in spans]
        ranges = [[(start, stop) for _, start, stop in each] for each in spans]
        n = len(lengths)
        if kind == FUTURES:
            return client.map(
                _taken, list(data), pieces, ranges, [chosen] * n, pure=False, key="rows-of-fold"
            )
        counts = gather(
            client,
            client.map(_count, pieces, ranges, [chosen] * n, pure=False, key="rows-in-fold"),
            {},
        )
        take = dask.delayed(_taken, pure=True)
        blocks = [
            take(block, [as_block(each) for each in some], where, chosen)
            for block, some, where in zip(
                data.to_delayed().ravel() if kind == ARRAY else data.to_delayed(),
                pieces,
                ranges,
                strict=True,
            )
        ]
        meta = _no_rows(data) if kind == ARRAY else data._meta
        return joined_lazily(blocks, meta, counts if kind == ARRAY else None)


def fold_rows(executor: Executor, rule: Rule, lengths: Sequence[int]) -> FoldRows:
    """Return the folds that a rule tells by the numbers of rows, in blocks of such lengths."""
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    futures = executor.client.map(
        _folds, [rule] * len(lengths), starts, list(lengths), pure=False, key="folds"
    )
    return FoldRows(executor, tuple(futures), tuple(lengths))


def known_folds(executor: Executor, folds: Array, lengths: Sequence[int]) -> FoldRows:
    """Return folds that the driver knows, in uint16, in blocks of such lengths.

    A task for each block brings its own: so they can be made again.
    """
    futures = [
        ship(executor.client, part, name="folds", worker=None, in_process=executor.in_process)
        for part in np.split(folds, np.cumsum(lengths)[:-1])
    ]
    return FoldRows(executor, tuple(futures), tuple(lengths))


def row_lengths(executor: Executor, data: Any) -> list[int]:
    """Return the rows of each block of a collection, computed on Workers where they are unknown.

    What is in memory is one block.
    """
    kind, client = kind_of(data), executor.client
    if kind is None:
        return [row_count(data)]
    if kind == ARRAY and not np.isnan(data.chunks[0]).any():
        return [int(length) for length in data.chunks[0]]
    if kind == FUTURES:
        return list(gather(client, client.map(row_count, list(data), pure=False), {}))
    blocks = data.to_delayed()
    blocks = blocks.reshape(blocks.shape[0], -1)[:, 0] if kind == ARRAY else blocks
    counted = client.compute([dask.delayed(row_count)(block) for block in blocks])
    return list(gather(client, counted, {}))


def _no_rows(data: Any) -> Any:
    """Return what an array is made of, without rows and with all columns."""
    if sp.issparse(data._meta):
        return type(data._meta)((0, data.shape[1]), dtype=data.dtype)
    return np.empty((0, *data.shape[1:]), data.dtype)


def _folds(rule: Rule, start: int, n: int) -> Array:
    return rule.folds(start, n, None)


def _wanted(pieces: list[Array], ranges: list[tuple[int, int]], chosen: Chosen) -> Array:
    parts = [piece[start:stop] for piece, (start, stop) in zip(pieces, ranges, strict=True)]
    return chosen.rows(np.concatenate([*parts, np.empty(0, np.uint16)]))


def _count(pieces: list[Array], ranges: list[tuple[int, int]], chosen: Chosen) -> int:
    return int(np.count_nonzero(_wanted(pieces, ranges, chosen)))


def _taken(block: Any, pieces: list[Array], ranges: list[tuple[int, int]], chosen: Chosen) -> Any:
    return taken_rows(block, np.flatnonzero(_wanted(pieces, ranges, chosen)))
