"""Data whose rows know their folds, and what one split of them trains on: X is not copied."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.partitions._classification import Labels
from daskml_exec.partitions._data import Data
from daskml_exec.partitions._derived import keep_for
from daskml_exec.partitions._folded import FoldColumn, folded, weighing
from daskml_exec.partitions._gather import gather, refusing
from daskml_exec.partitions._partition import Partition, Pieces
from daskml_exec.partitions._recipes import derived_or_forgotten
from daskml_exec.partitions._row_pieces import Chosen
from daskml_exec.partitions._target import Columns, Settled


def with_folds(data: Data, column_of: Callable[[Any], FoldColumn]) -> Data:
    """Return the same data, with a fold for each row.

    Parameters
    ----------
    data : Data
    column_of : callable
        As of `folded`.

    Returns
    -------
    Data
        To be released by whoever asked for it.
    """
    made = folded(data._loan().now, column_of)  # which the data still needs
    return Data(made.source, data._target, data._cut, data.settled)


def rows_to_train_on(
    data: Data, chosen: Chosen | None, *, class_weight: Any = None, copied: bool = False
) -> Data:
    """Return the data of some folds alone, as if it had been loaded of these.

    Classes, class weights and the sizes of weights are those of these rows.

    Parameters
    ----------
    data : Data
        With folds.
    chosen : Chosen or None
        Of which folds; None for all rows.
    class_weight : dict, "balanced" or None, default=None
        Multiplies weights, where y is of labels; None keeps those that the data was loaded with.
    copied : bool, default=False
        Whether the other rows are left out, which copies X. Else they stay and weigh nothing, and
        what is new is a target and a weight for each row.

    Returns
    -------
    Data
        To be released by whoever asked for it.

    Raises
    ------
    ValueError
        There are no rows, or they have fewer than two classes.
    """
    target = data._target if class_weight is None else Labels(class_weight=class_weight)
    cut = _Cut(data.settled.columns, chosen, target, copied)
    known: list[Settled] = []

    def make(parent: Any) -> Any:
        seen = _asked(parent, cut)
        weighted = data.weighted or not copied
        rows = [each.rows for each in seen]
        found = [each.description for each in seen]
        settled = target.settle(found, sum(rows), weighted=weighted)
        known.append(settled)
        made = _made(parent, cut, settled.columns, [0, *itertools.accumulate(rows)])
        if copied and parent.nonzeros is not None:
            made = replace(made, nonzeros=sum(each.nonzeros for each in seen))
        return replace(made, form=settled.form)

    made = derived_or_forgotten(data._loan().now, make)
    return Data(made.source, target, data._cut, known[0])


@dataclass(frozen=True, eq=False)
class _Cut:
    """How rows are chosen: it travels."""

    columns: Columns
    chosen: Chosen | None
    target: Any
    copied: bool

    def __call__(self, partition: Partition, start: int = 0) -> Partition:
        """Return the rows, with y and weights as they were given."""
        y, weight = self.columns.given(partition)
        wanted = np.ones(len(y), bool)
        if self.chosen is not None:
            wanted = self.chosen.rows(partition.fold)
        partition = replace(partition, y=y, sample_weight=weight)
        if self.copied:
            return replace(partition.take(np.flatnonzero(wanted)), start=start)
        return weighing(partition, wanted)


@dataclass(frozen=True)
class _Seen:
    rows: int
    nonzeros: int
    description: Any


@refusing
def _see(partition: Partition, cut: _Cut) -> _Seen:
    rows = cut(partition)
    nonzeros = int(rows.X.nnz) if sp.issparse(rows.X) else 0
    where = f"partition {partition.index}"
    return _Seen(rows.n_rows, nonzeros, cut.target.describe(rows, where))


def _settle(partition: Partition, cut: _Cut, columns: Columns, start: int) -> Partition:
    rows = cut(partition, start)
    y, weight = columns(rows)
    return replace(rows, y=y, sample_weight=weight)


def _asked(parent: Any, cut: _Cut) -> list[_Seen]:
    if isinstance(parent, Pieces):
        seen = [_see(each, cut) for each in parent.partitions]
        return list(map(_or_raise, seen))
    client, n = parent.executor.client, len(parent.futures)
    tasks = client.map(_see, parent.futures, [cut] * n, pure=False, key="rows-of-split")
    found: list[_Seen] = gather(client, tasks, {})
    return found


def _or_raise(seen: Any) -> _Seen:
    if not isinstance(seen, _Seen):
        raise seen.error
    return seen


def _made(parent: Any, cut: _Cut, columns: Columns, starts: list[int]) -> Any:
    if not cut.copied:
        starts = [0, *itertools.accumulate(parent.rows)]
    if isinstance(parent, Pieces):
        pieces = [
            _settle(each, cut, columns, start)
            for each, start in zip(parent.partitions, starts, strict=False)
        ]
        return replace(parent, partitions=tuple(pieces))
    n = len(parent.futures)
    futures = parent.executor.client.map(
        _settle,
        parent.futures,
        [cut] * n,
        [columns] * n,
        starts[:-1],
        pure=False,
        key="split",
    )
    for future, origin in zip(futures, parent.futures, strict=True):
        keep_for(future, origin)
    rows = tuple(np.diff(starts).tolist()) if cut.copied else parent.rows
    return replace(parent, futures=tuple(futures), rows=rows)
