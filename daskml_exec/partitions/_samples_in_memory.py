"""Partitions of samples that the driver holds, cut by their size alone."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from daskml_exec.executor import Executor
from daskml_exec.partitions._assemble import check_weights
from daskml_exec.partitions._from_dataset import DatasetSamples
from daskml_exec.partitions._kinds import weight_column
from daskml_exec.partitions._memory import WHERE, placed, row_bounds
from daskml_exec.partitions._partition import Partition, Pieces
from daskml_exec.partitions._row_trees import tree_rows
from daskml_exec.partitions._sample_trees import (
    as_samples,
    require_same_lengths,
    without_rows,
)
from daskml_exec.partitions._sampled import (
    NO_MATRIX,
    Sampled,
    require_no_second_y,
    settled_samples,
)
from daskml_exec.partitions._tokens import TokenWindows
from daskml_exec.partitions._trees import leaves_of, map_leaves


def samples_in_memory(executor: Executor | None, X: Any, y: Any, sample_weight: Any) -> Sampled:
    """Cut what the driver holds; without an Executor, the pieces stay in this process."""
    bounds = None
    if isinstance(X, DatasetSamples):
        given, (X, n_samples) = X, X.samples()
        bounds = given.bounds(n_samples)
        if type(X) is tuple and len(X) == 2:
            require_no_second_y(y)
            X, y = X
    X = as_samples(_windows_cut(X), "X")
    y = None if y is None else as_samples(_windows_cut(y), "y")
    rows = tree_rows(X)
    lengths = [(leaves_of(X, "X")[0][0], rows)]
    if y is not None:
        lengths.append((leaves_of(y, "y")[0][0], tree_rows(y)))
    if sample_weight is not None:
        sample_weight = weight_column(sample_weight, rows)
        lengths.append(("sample_weight", len(sample_weight)))
        sample_weight = check_weights(sample_weight, where=WHERE)
    require_same_lengths(lengths)
    weight = rows if sample_weight is None else sample_weight.sum()
    settled = settled_samples([float(weight)], rows, weighted=sample_weight is not None)
    _, sample_weight = settled.columns(Partition(0, 0, X, y, sample_weight))
    bounds = row_bounds((X, y)) if bounds is None else bounds
    pieces = tuple(
        Partition(
            index,
            start,
            _between(X, start, stop),
            None if y is None else _between(y, start, stop),
            None if sample_weight is None else sample_weight[start:stop],
        )
        for index, (start, stop) in enumerate(itertools.pairwise(bounds))
    )
    cut = Pieces(
        partitions=pieces,
        form=settled.form,
        sizes=tuple(piece.nbytes for piece in pieces),
        **NO_MATRIX,
    )
    like = Partition(0, 0, without_rows(X), None if y is None else without_rows(y), None)
    return Sampled(cut if executor is None else placed(executor, cut), settled, like)


def _windows_cut(tree: Any) -> Any:
    return map_leaves(
        lambda leaf: leaf.in_memory() if isinstance(leaf, TokenWindows) else leaf, tree
    )


def _between(tree: Any, start: int, stop: int) -> Any:
    """Return a range of the samples, as C-ordered arrays: views where they are so already."""
    return map_leaves(lambda leaf: np.ascontiguousarray(leaf[start:stop]), tree)
