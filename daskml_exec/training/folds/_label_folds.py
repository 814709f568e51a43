"""Folds that depend on a label of each row: of a class, a group, or a fold that was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.executor import Query
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.folds import (
    Buckets,
    ByLabel,
    HashedByLabel,
    InOrder,
    Rule,
    row_hashes,
)
from daskml_exec.partitions import Partition
from daskml_exec.training._reduce import reduce


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
class Labels:
    """The labels of some rows.

    Attributes
    ----------
    values : ndarray of shape (K,)
        Each once, sorted.
    totals : ndarray of int64 of shape (K,)
        How often each comes.
    first : ndarray of int64 of shape (K,)
        The row in which each comes first.
    """

    values: Array
    totals: Array
    first: Array

    def and_(self, other: Labels) -> Labels:
        """Return the labels of both.

        Raises
        ------
        ValueError
            Some are texts and some numbers.
        """
        if not len(self.values) or not len(other.values):
            return self if len(self.values) else other
        kinds = {each.values.dtype.kind in "US" for each in (self, other)}
        if len(kinds) > 1:
            raise ValueError(
                f"labels are texts in some partitions and numbers in others: "
                f"{self.values[0]!r}, {other.values[0]!r}; allowed is one kind"
            )
        if len(self.values) == len(other.values) and (self.values == other.values).all():
            values = self.values
        else:
            values = np.union1d(self.values, other.values)
        totals = np.zeros(len(values), np.int64)
        first = np.full(len(values), np.iinfo(np.int64).max)
        for part in (self, other):
            place = np.searchsorted(values, part.values)
            totals[place] += part.totals
            first[place] = np.minimum(first[place], part.first)
        return Labels(values, totals, first)


@dataclass(frozen=True)
class _CountLabels(Query[Labels]):
    def partial(self, partition: Partition) -> Labels:
        labels = labels_of(partition.X, partition.index)
        values, first, counts = np.unique(labels, return_index=True, return_counts=True)
        return Labels(values, counts.astype(np.int64), first + partition.start)

    def combine(self, left: Labels, right: Labels) -> Labels:
        return left.and_(right)


@dataclass(frozen=True)
class _ByPartition(Query[Mapping[int, Any]]):
    """Base of questions whose answers stay apart, under the indices of their partitions."""

    def combine(self, left: Mapping[int, Any], right: Mapping[int, Any]) -> Mapping[int, Any]:
        return {**left, **right}


@dataclass(frozen=True, eq=False)
class _CountEach(_ByPartition):
    values: Array

    def partial(self, partition: Partition) -> Mapping[int, Array]:
        codes = np.searchsorted(self.values, labels_of(partition.X, partition.index))
        return {partition.index: np.bincount(codes, minlength=len(self.values))}


def labels_in(data: Any) -> Labels:
    """Return the labels of loaded rows."""
    found: Labels = reduce(_CountLabels(), data, name="labels")
    return found


def in_order(data: Any, labels: Labels, ends: Array) -> FoldsInOrder:
    """Return the rule by which folds take the rows of each label in turn.

    Parameters
    ----------
    data : Data
        Of labels.
    labels : Labels
    ends : ndarray of int64 of shape (K, n_folds)
    """
    found = reduce(_CountEach(labels.values), data, name="labels")
    counts = np.stack([found[index] for index in sorted(found)])
    return FoldsInOrder(labels.values, ends, np.cumsum(counts, axis=0) - counts)


@dataclass(frozen=True, eq=False)
class FoldsInOrder(Query[Any]):
    """Folds take the rows of each label in turn.

    Attributes
    ----------
    values : ndarray of shape (K,)
    ends : ndarray of int64 of shape (K, n_folds)
    before : ndarray of int64 of shape (n_partitions, K)
        How often each label comes before each partition.
    """

    values: Array
    ends: Array
    before: Array

    def partial(self, partition: Partition) -> Array:
        """Return the folds of a partition."""
        rule = InOrder(self.values, self.ends, self.before[partition.index])
        return _folds(rule, partition)


@dataclass(frozen=True)
class _CountClasses(_ByPartition):
    """How often each class comes in a partition, and in which row first."""

    n_classes: int

    def partial(self, partition: Partition) -> Mapping[int, Array]:
        codes = partition.y
        first = np.full(self.n_classes, np.iinfo(np.int64).max)
        present, where = np.unique(codes, return_index=True)
        first[present] = where + partition.start
        return {partition.index: np.stack([np.bincount(codes, minlength=self.n_classes), first])}


def classes_in(found: Any, classes: Array) -> tuple[Labels, Array]:
    """Return the classes of loaded partitions, and how often each comes before each partition."""
    counted = reduce(_CountClasses(len(classes)), found, name="classes")
    counts, first = (
        np.stack([counted[index][which] for index in sorted(counted)]) for which in (0, 1)
    )
    labels = Labels(classes, counts.sum(axis=0), first.min(axis=0))
    return labels, np.cumsum(counts, axis=0) - counts


@dataclass(frozen=True, eq=False)
class ClassesInOrder(Query[Any]):
    """Folds take the rows of each class in turn.

    Attributes
    ----------
    ends : ndarray of int64 of shape (K, n_folds)
    before : ndarray of int64 of shape (n_partitions, K)
        How often each class comes before each partition.
    """

    ends: Array
    before: Array

    def partial(self, partition: Partition) -> Array:
        """Return the folds of a partition."""
        rule = InOrder(np.arange(len(self.ends)), self.ends, self.before[partition.index])
        return rule.folds(partition.start, partition.n_rows, partition.y)


@dataclass(frozen=True, eq=False)
class FoldsByRow(Query[Any]):
    """Folds as a rule tells them of the numbers of rows.

    Attributes
    ----------
    rule : Rule
    """

    rule: Rule

    def partial(self, partition: Partition) -> Array:
        """Return the folds of a partition."""
        return self.rule.folds(partition.start, partition.n_rows, None)


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
class _KeepHashes(_ByPartition):
    seed: int
    values: Array
    buckets: Buckets
    wanted: tuple[Array, ...]

    def partial(self, partition: Partition) -> Mapping[int, list[Array]]:
        codes, hashes = _hashed(self.seed, self.values, partition)
        return {
            partition.index: [
                self.buckets.inside(hashes[codes == k], wanted)
                for k, wanted in enumerate(self.wanted)
            ]
        }


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
