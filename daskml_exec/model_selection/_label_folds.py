"""Folds that depend on a label of each row: of a class, a group, or a fold that was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.folds import Buckets, ByLabel, HashedByLabel, InOrder, row_hashes
from daskml_exec.partitions import Partition
from daskml_exec.training import Query, reduce


def labels_of(block: Any, partition: int) -> Array:
    """Return a block of labels as an array of one dimension, of which none is missing."""
    labels = np.asarray(block)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"labels have {labels.ndim} dimensions; allowed is one for each row")
    missing = pd.isna(labels)
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise ValueError(f"a label is missing in row {row} of partition {partition}")
    if labels.dtype == object and all(isinstance(each, str) for each in labels):
        labels = labels.astype(str)
    return labels


@dataclass(frozen=True, eq=False)
class Found:
    """Labels of a partition: each once, how often it comes, and in which row of all first."""

    values: Array
    counts: Array
    first: Array


@dataclass(frozen=True)
class CountLabels(Query[Mapping[int, Found]]):
    """Asks which labels there are, by partition."""

    def partial(self, partition: Partition) -> Mapping[int, Found]:
        """Count those of one."""
        labels = labels_of(partition.X, partition.index)
        values, first, counts = np.unique(labels, return_index=True, return_counts=True)
        return {partition.index: Found(values, counts, first + partition.start)}

    def combine(self, left: Any, right: Any) -> Any:
        """Have both."""
        return {**left, **right}


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of the labels of all rows.

    Attributes
    ----------
    values : ndarray of shape (K,)
        Sorted.
    counts : ndarray of int64 of shape (n_partitions, K)
    first : ndarray of shape (K,)
        The row in which each comes first.
    """

    values: Array
    counts: Array
    first: Array

    @property
    def totals(self) -> Array:
        """How often each label comes."""
        return self.counts.sum(axis=0)

    @property
    def before(self) -> Array:
        """How often each label comes before each partition."""
        return np.cumsum(self.counts, axis=0) - self.counts


def labels_in(data: Any) -> Labels:
    """Return what is known of the labels of loaded rows."""
    found: Mapping[int, Found] = reduce(CountLabels(), data, name="labels")
    parts = [found[index] for index in sorted(found)]
    values = np.unique(np.concatenate([part.values for part in parts if len(part.values)]))
    counts = np.zeros((len(parts), len(values)), np.int64)
    first = np.full(len(values), np.iinfo(np.int64).max)
    for index, part in enumerate(parts):
        codes = np.searchsorted(values, part.values)
        counts[index, codes] = part.counts
        np.minimum.at(first, codes, part.first)
    return Labels(values, counts, first)


@dataclass(frozen=True, eq=False)
class FoldsInOrder(Query[Any]):
    """Folds take the rows of each label in turn.

    Attributes
    ----------
    labels : Labels
    ends : ndarray of int64 of shape (K, n_folds)
    """

    labels: Labels
    ends: Array

    def partial(self, partition: Partition) -> Array:
        """Return the folds of a partition."""
        rule = InOrder(self.labels.values, self.ends, self.labels.before[partition.index])
        return _folds(rule, partition)


@dataclass(frozen=True, eq=False)
class FoldsBy(Query[Any]):
    """Folds as a rule tells them of row and label.

    Attributes
    ----------
    rule : Rule
    """

    rule: HashedByLabel | ByLabel

    def partial(self, partition: Partition) -> Array:
        """Return the folds of a partition."""
        return _folds(self.rule, partition)


def _folds(rule: Any, partition: Partition) -> Array:
    labels = labels_of(partition.X, partition.index)
    folds: Array = rule.folds(partition.start, len(labels), labels)
    return folds


@dataclass(frozen=True, eq=False)
class _CountHashes(Query[Any]):
    seed: int
    values: Array
    buckets: Buckets

    def partial(self, partition: Partition) -> Array:
        codes, hashes = _hashed(self.seed, self.values, partition)
        counts = [self.buckets.counts(hashes[codes == k]) for k in range(len(self.values))]
        return np.stack(counts)


@dataclass(frozen=True, eq=False)
class _KeepHashes(Query[Any]):
    seed: int
    values: Array
    buckets: Buckets
    wanted: tuple[Array, ...]

    def partial(self, partition: Partition) -> Any:
        codes, hashes = _hashed(self.seed, self.values, partition)
        return {
            partition.index: [
                self.buckets.inside(hashes[codes == k], wanted)
                for k, wanted in enumerate(self.wanted)
            ]
        }

    def combine(self, left: Any, right: Any) -> Any:
        return {**left, **right}


def _hashed(seed: int, values: Array, partition: Partition) -> tuple[Array, Array]:
    labels = labels_of(partition.X, partition.index)
    return np.searchsorted(values, labels), row_hashes(seed, partition.start, len(labels))


def hashed_by_label(data: Any, labels: Labels, ends: Array, seed: int) -> HashedByLabel:
    """Return the rule by which each fold has so many rows of each label, drawn by hashes.

    Parameters
    ----------
    data : Data
        Of labels.
    labels : Labels
    ends : ndarray of int64 of shape (K, n_folds)
    seed : int
    """
    buckets = Buckets(16 if len(labels.values) <= 32 else 8)
    counts = reduce(_CountHashes(seed, labels.values, buckets), data, name="hashes")
    wanted = tuple(buckets.with_ends(*pair) for pair in zip(counts, ends, strict=True))
    kept = reduce(_KeepHashes(seed, labels.values, buckets, wanted), data, name="hashes")
    last = [
        buckets.ends_among(counts[k], np.concatenate([each[k] for each in kept.values()]), ends[k])
        for k in range(len(labels.values))
    ]
    return HashedByLabel(seed, labels.values, np.stack(last))
